import json
import os
import re
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from stargan_deploy.errors import OutputError
from stargan_deploy.training.runs import report
from stargan_deploy.training.runs.report import write_report

VOID = {"meta", "img", "br", "input", "link"}
RECIPE = """
name = "faces <64>"
family = "stargan"
seed = 7
[data]
kind = "celeba"
root = "/photos/celeba"
image_size = 64
attributes = ["Male", "Young"]
[train]
steps = 400
"""


class Page(HTMLParser):
    """What a browser would find; complains about tags that do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data.strip())
        if self.open and self.open[-1] in ("script", "style"):
            assert not re.search(r"http|//|@import|url\(|import\(|fetch", data)

    def sources(self):
        return [attrs["src"] for tag, attrs in self.tags if tag == "img"]

    def has_class(self, name):
        return [a for _, a in self.tags if name in (a.get("class") or "").split()]


def read(folder):
    path = write_report(folder)
    assert path == folder / "report.html"
    page = Page(path.read_text(encoding="utf-8"))
    loading = {"src", "srcset", "href", "xlink:href", "data", "poster", "action", "background"}
    named = [value for _, attrs in page.tags for key, value in attrs.items() if key in loading]
    assert all(value.startswith("data:image/jpeg;base64,") for value in named)
    assert not {"link", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
    return page


def losses(step):
    return {"step": step, "d_real": -1 / step, "g_rec": 0.2, "lr_generator": 1e-4, "steps_per_s": 2}


def evaluation(step):
    return {
        "step": step,
        "eval/accuracy/Male": 0.875,
        "eval/accuracy_mean": 0.75,
        "eval/accuracy_real": 0.96,
        "eval/change_levels": 21.5,
        "eval/diversity": 0.91,
        "eval/diversity_min": 0.8,
    }


@pytest.fixture
def folder(tmp_path):
    """A run half way through."""
    run = tmp_path / "run"
    (run / "samples").mkdir(parents=True)
    (run / "recipe.toml").write_text(RECIPE)
    versions = {"stargan-deploy": "1.2.3", "torch": "2.15.0"}
    surroundings = {"versions": versions, "device": "cuda:0", "git_revision": "0123456789abcdef"}
    (run / "environment.json").write_text(json.dumps(surroundings))
    rows = [losses(step) for step in range(10, 210, 10)] + [evaluation(100), evaluation(200)]
    (run / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    for step in (100, 200):
        add_sample(run, step)
    return run


def add_sample(folder, step, size=(60, 40)):
    path = folder / "samples" / f"step-{step:07d}.jpg"
    Image.new("RGB", size, (step % 256, 90, 120)).save(path)
    return path


def test_the_page_tells_what_run_it_is_and_how_far(folder):
    words = read(folder).words
    assert words.count("faces <64>") >= 2
    for fact in ("run", "celeba at 64x64", "cuda:0", "stargan-deploy 1.2.3", "git 0123456789"):
        assert fact in words
    assert any("Step 200 of 400 · 50% · 2 min to go" in text for text in words)
    assert {"7", "Male, Young", "400"} <= set(words)


def test_joint_data_sets_are_named_with_their_settings(folder):
    sets = '[data.sets.celeba]\nroot = "a"\n[data.sets.moods]\nroot = "/b/c"\n'
    (folder / "recipe.toml").write_text(f"[data]\nimage_size = 48\n{sets}")
    words = read(folder).words
    assert {"celeba + moods at 48x48", "sets.moods.root", "/b/c"} <= set(words)


def test_a_finished_run_says_so(folder):
    (folder / "model.safetensors").touch()
    assert not any("finished" in word for word in read(folder).words)
    with open(folder / "metrics.jsonl", "a") as stream:
        stream.write(json.dumps(losses(400)))
    assert any("Step 400 of 400 · finished" in word for word in read(folder).words)


def test_the_length_of_a_run_in_epochs_comes_from_its_surroundings(folder):
    (folder / "recipe.toml").write_text("[train]\nsteps = 400\nepochs = 2.5\n")
    assert any(word == "Step 200" for word in read(folder).words)
    (folder / "environment.json").write_text('{"num_steps": 1000}')
    assert any("Step 200 of 1,000 · 20%" in word for word in read(folder).words)


def test_every_metric_has_its_chart(folder):
    page = read(folder)
    labels = [attrs["aria-label"] for tag, attrs in page.tags if "role" in attrs]
    shown = ["accuracy", "change and reconstruction", "diversity", "d_real", "g_rec"]
    assert labels == [f"{t} over the steps" for t in [*shown, "steps_per_s", "learning rates"]]
    assert {"75%", "96%", "88%", "0.91", "21.5"} <= set(page.words)
    assert any("step 200\nmean 75%\nreal images 96%\nMale 88%" in word for word in page.words)


def test_without_evaluation_there_is_no_room_for_it(folder):
    (folder / "metrics.jsonl").write_text(json.dumps(losses(10)))
    page = read(folder)
    assert "Evaluation on held-out images" not in page.words
    assert page.has_class("tile")


def test_samples_are_embedded_over_time_and_shrunk(folder):
    for step in range(300, 4300, 100):
        add_sample(folder, step, (2000, 500))
    (folder / "samples" / "step-0000200.jpg").write_bytes(b"torn")
    (folder / "samples" / "step-x.jpg").write_bytes(b"")
    page = read(folder)
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(images) == report.MAX_SAMPLES
    assert [images[0]["alt"], images[-1]["alt"]] == ["samples at step 100", "samples at step 4,200"]
    assert (images[-1]["width"], images[-1]["height"]) == ("1280", "320")


def test_a_sample_that_changed_is_read_anew(folder):
    before = read(folder).sources()[-1]
    path = add_sample(folder, 200, (30, 30))
    os.utime(path, ns=(1, 1))
    assert read(folder).sources()[-1] != before


@pytest.mark.parametrize("kept", [(), ("recipe.toml",), ("metrics.jsonl",), ("environment.json",)])
def test_missing_files_are_left_out(folder, kept):
    for path in [p for p in folder.iterdir() if p.is_file() and p.name not in kept]:
        path.unlink()
    assert read(folder).sources()


def test_an_empty_folder_gives_a_page(tmp_path):
    page = read(tmp_path)
    assert tmp_path.name in page.words
    assert "Step 0" in page.words


@pytest.mark.parametrize("name", ["recipe.toml", "environment.json", "metrics.jsonl"])
@pytest.mark.parametrize("content", [b"", b"\xff\x00{", b"[1]", b'{"versions": 3, "device": {}}'])
def test_torn_files_are_left_out(folder, name, content):
    (folder / name).write_bytes(content)
    assert read(folder).sources()


def test_names_are_escaped(folder):
    odd = '"><script>alert(1)</script>&$name\ud800'
    (folder / "metrics.jsonl").write_text(
        json.dumps({"step": 1, odd: 2, f"eval/accuracy/{odd}": 1})
    )
    (folder / "environment.json").write_text(json.dumps({odd: odd}))
    page = read(folder)
    assert "<script>alert" not in page.text
    assert page.words.count(odd.replace("\ud800", "?")) >= 3


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"report\.html"):
        write_report(tmp_path / "file")


def test_the_report_of_a_real_run(tiny_trainer, tmp_path):
    tiny_trainer("tiny").train()
    page = read(tmp_path / "tiny")
    assert any("Step 6 of 6" in word for word in page.words)
    assert len(page.sources()) == 2
    assert {"d_real", "g_rec"} <= set(page.words)


numbers = st.one_of(
    st.floats(),
    st.integers(),
    st.sampled_from([10**400, 1e-320, -1e29, 1e15, 5, 5.0000001, float("nan"), float("inf")]),
)
values = st.one_of(numbers, st.text(max_size=5), st.none(), st.booleans(), st.lists(numbers))
names = st.one_of(
    st.sampled_from(
        ["d_real", "lr_generator", "steps_per_s", "eval/accuracy_mean", "eval/", "lr_"]
    ),
    st.text(max_size=8),
)
rows = st.builds(
    lambda step, row: json.dumps(row | {"step": step}).encode(),
    st.one_of(st.integers(0, 100), values),
    st.dictionaries(names, values, max_size=6),
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(lines=st.lists(st.one_of(rows, st.binary(max_size=20)), max_size=20), cut=st.integers(0, 9))
def test_no_metrics_file_breaks_the_page(tmp_path, lines, cut):
    content = b"\n".join(lines)
    (tmp_path / "metrics.jsonl").write_bytes(content[: len(content) - cut])
    read(tmp_path)
