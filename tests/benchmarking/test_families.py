"""What a model is there for is measured, whatever that is, and however many things it is."""

import json

import pytest

from stargan_deploy.benchmarking.results import load_results
from stargan_deploy.benchmarking.suite import suite
from stargan_deploy.benchmarking.suite.candidates import choose_points, choose_sizes
from stargan_deploy.benchmarking.suite.config import SuiteConfig
from stargan_deploy.devices import CPU
from stargan_deploy.errors import UsageError
from stargan_deploy.export.cache import cached_path
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions
from stargan_deploy.families.checkpoint import read_card
from stargan_deploy.inference.find import read_model
from tests.tiny_families import lively_model

pytestmark = pytest.mark.slow

QUICK = {"backends": ("onnx",), "precisions": ("fp32",), "batch_sizes": (2,), "budget_s": 1.0}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Artefacts that are built on the way stay inside the tests, and are built once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def two_way(tmp_path_factory):
    """A model with two entry points that make pictures."""
    return lively_model("cyclegan", tmp_path_factory.mktemp("cyclegan"))


@pytest.fixture(scope="module")
def dropping(tmp_path_factory):
    """A model with an entry point that takes dropout's masks, which exports leave out."""
    return lively_model("pix2pix", tmp_path_factory.mktemp("pix2pix"))


def measure(model, checkpoint=None, **changes):
    config = SuiteConfig(
        **{**QUICK, "offline": False, "roofline": False, "memory": "none"} | changes
    )
    source = read_model(checkpoint) if checkpoint else None
    return suite.run_suite(config, read_model(model), checkpoint=source, device=CPU)


def names(results):
    return [(row.entry_point, row.backend) for row in results.rows]


@pytest.mark.parametrize("family", ["cgan", "pix2pix"])
def test_every_kind_of_model_is_measured(family, command, tmp_path):
    model = lively_model(family, tmp_path / "model")
    result = command(
        *("bench", "--model", model, "--out", "found", "--budget", "1"),
        *("--backends", "onnx", "--precisions", "fp32", "--batch-sizes", "2"),
    )
    assert result.code == 0, result.err
    rows = load_results(tmp_path / "found").rows
    assert {row.backend for row in rows} == {"eager", "onnx"}
    assert len({row.entry_point for row in rows}) == 1
    assert "entry point" not in (tmp_path / "found" / "report.md").read_text().split("## How")[0]


def test_both_ways_are_measured_each_against_its_own_eager(two_way, command, tmp_path):
    result = command(
        *("bench", "--model", two_way, "--out", "found", "--budget", "1"),
        *("--backends", "onnx", "--precisions", "fp32", "--batch-sizes", "1,2"),
    )
    assert result.code == 0, result.err
    found = load_results(tmp_path / "found")
    assert names(found) == [
        (point, backend)
        for point in ("a2b", "b2a")
        for _ in (1, 2)
        for backend in ("eager", "onnx")
    ]
    for eager, onnx in zip(found.rows[::2], found.rows[1::2], strict=True):
        medians = [row.timing("host to host").statistics.p50_ms for row in (eager, onnx)]
        assert (eager.speedup, eager.picture_error.max_difference) == (1.0, 0.0)
        assert onnx.speedup == pytest.approx(medians[0] / medians[1])
        assert onnx.picture_error.max_difference <= 1
    for row in found.rows:
        assert (
            (row.offline is not None) == (row.peak_host_bytes is not None) == (row.batch_size == 2)
        )
        assert row.roofline.counted_gmacs > 0
    report = (tmp_path / "found" / "report.md").read_text()
    assert "| backend | precision | entry point |" in report
    assert "entry" in result.out
    assert {line.split()[2] for line in result.out.splitlines() if line.startswith("onnx")} == {
        "a2b",
        "b2a",
    }


def test_each_way_has_its_own_start_up_and_file(two_way):
    there, back = (row for row in measure(two_way).rows if row.backend == "onnx")
    assert there.start_up.load_s == back.start_up.load_s
    assert there.start_up.first_call_s != back.start_up.first_call_s
    files = [cached_path(two_way, "onnx").with_name(n) for n in ("model.onnx", "model.b2a.onnx")]
    assert [row.artefact_bytes for row in (there, back)] == [file.stat().st_size for file in files]


def test_the_budget_is_shared(two_way, monkeypatch):
    budgets = []

    def noted(workloads, limits):
        budgets.append(limits.budget_s)
        return measured(workloads, limits)

    measured = suite.measure
    monkeypatch.setattr(suite, "measure", noted)
    measure(two_way, backends=("eager",), batch_sizes=(1, 2), sizes=(16, 20))
    assert len(budgets) == 2 * 2 * 2 * 3
    assert sum(budgets) == pytest.approx(QUICK["budget_s"])


def test_one_way_is_chosen(two_way, command, tmp_path):
    (tmp_path / "one.toml").write_text('entry_points = ["b2a"]\nmemory = "none"\nbudget_s = 0.5\n')
    words = ("--model", two_way, "--backends", "eager", "--out", "found")
    result = command("bench", "one.toml", *words)
    assert result.code == 0, result.err
    assert {row.entry_point for row in load_results(tmp_path / "found").rows} == {"b2a"}
    assert f"{two_way.name}, b2a on " in result.out
    result = command("bench", "one.toml", *words, "--entry-points", "a2b", "--json")
    assert {row["entry_point"] for row in json.loads(result.out)["rows"]} == {"a2b"}


def test_an_unknown_entry_point_is_one_line(two_way, command):
    result = command("bench", "--model", two_way, "--entry-points", "a2bb")
    assert result.code == 2
    assert result.err.splitlines()[-1] == (
        "stargan-deploy: unknown image-making entry point 'a2bb'; did you mean 'a2b'? "
        "this model knows: a2b, b2a"
    )


@pytest.mark.parametrize(
    ("family", "sizes", "complaint"),
    [
        ("gan", "28,64", "this model makes no images of 64x64, but 28x28"),
        ("pix2pix", "100", "takes no images of 100x100, but sides from 64 that are multiples of"),
    ],
)
def test_sizes_that_a_model_does_not_have_are_refused(family, sizes, complaint, command, tmp_path):
    model = lively_model(family, tmp_path / "model")
    before = sorted(tmp_path.iterdir())
    result = command("bench", "--model", model, "--sizes", sizes, "--out", "found")
    assert result.code == 2
    (line,) = result.err.splitlines()
    assert complaint in line
    assert sorted(tmp_path.iterdir()) == before


def test_a_model_of_a_fixed_size_is_measured_at_it(two_way, dropping):
    card = read_card(dropping)
    assert choose_sizes(card, ("translate_stochastic",)) == (64,)
    assert choose_sizes(card, ("translate",), (64, 128)) == (64, 128)
    assert choose_sizes(read_card(two_way), ("a2b",)) == (16,)
    with pytest.raises(UsageError, match="takes no images of 128x128, but 64x64"):
        choose_sizes(card, ("translate", "translate_stochastic"), (128,))


def test_what_makes_no_pictures_is_not_measured(checkpoint):
    card = read_card(checkpoint)
    assert set(card.entry_points) == {"translate", "classify"}
    assert choose_points(card) == ("translate",)
    with pytest.raises(UsageError, match="unknown image-making entry point 'classify'"):
        choose_points(card, ("translate", "classify"))


def test_what_a_backend_does_not_have_is_listed(dropping):
    points = ("translate_stochastic", "translate")
    found = measure(dropping, entry_points=points)
    eager, onnx = ("eager", "onnx")
    assert names(found) == [(points[0], eager), (points[1], eager), (points[1], onnx)]
    (missing,) = found.unusable
    assert missing.name == "onnx fp32 translate_stochastic"
    assert "unknown entry point 'translate_stochastic'" in missing.reason


def test_an_export_is_measured_at_what_it_holds(dropping, tmp_path):
    out = tmp_path / "drops.onnx"
    export(dropping, out=out, options=ExportOptions(stochastic=True, device="cpu"))
    found = measure(out, dropping)
    assert names(found) == [("translate_stochastic", name) for name in ("eager", "onnx")]
    assert found.rows[1].picture_error.max_difference <= 1
