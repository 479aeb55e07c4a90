"""A family with references, latents and styles, registered from outside, passes every door."""

import numpy as np
import pytest

from stargan_deploy.backends.pixel_graph import PixelModule
from stargan_deploy.backends.registry import open_runtime, read_card_of
from stargan_deploy.benchmarking.suite import suite
from stargan_deploy.benchmarking.suite.config import SuiteConfig
from stargan_deploy.card.inputs import draw_inputs, stack_rows
from stargan_deploy.devices import CPU
from stargan_deploy.errors import ParityError, UsageError
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions
from stargan_deploy.export.proof.cases import make_cases
from stargan_deploy.export.proof.images import photo_faces, photos_in, synthetic_face
from stargan_deploy.families.registry import FAMILIES
from stargan_deploy.inference.find import read_model
from stargan_deploy.inference.translator import Translator, choose_direction
from tests import toy_family
from tests.tiny_families import save_noise

SIZE = toy_family.SIZE

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}


@pytest.fixture(scope="module", autouse=True)
def registered(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "toy", "tests.toy_family:ToyFamily")
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def toy(tmp_path_factory, registered):
    return toy_family.save_toy(tmp_path_factory.mktemp("toy") / "toy.safetensors")


@pytest.fixture(scope="module")
def artefacts(toy):
    """Exported, and with that proven, in each format."""
    made = {}

    def make(format_):
        if format_ not in made:
            pytest.importorskip(format_)
            path = toy.with_name(f"toy{SUFFIXES[format_]}")
            options = ExportOptions(format=format_, precision="fp32", device="cpu")
            made[format_] = export(toy, out=path, options=options)
        return made[format_]

    return make


def faces(count, start=0):
    return [synthetic_face(number, SIZE, SIZE) for number in range(start, start + count)]


def rows_for_translate(count):
    latents = np.random.default_rng(1).standard_normal((count, toy_family.LATENT_WIDTH))
    triples = zip(faces(count), faces(count, start=50), latents, strict=True)
    return [{"image": i, "reference": r, "latent": z} for i, r, z in triples]


@pytest.mark.parametrize("format_", SUFFIXES)
def test_every_entry_point_is_exported_and_proven(artefacts, format_):
    result = artefacts(format_)
    assert set(result.card.entry_points) == {"encode", "restyle", "translate"}
    figures = {verdict.entry_point: verdict.measured for verdict in result.verdicts}
    assert set(figures["encode"]) == {"vector_difference"}
    assert figures["encode"]["vector_difference"] < 1e-4
    assert "psnr_db" in figures["restyle"]
    assert "psnr_db" in figures["translate"]
    assert any("12x20" in case for v in result.verdicts for case in v.cases)


@pytest.mark.parametrize("format_", SUFFIXES)
def test_rows_that_ask_for_different_things_share_a_batch(toy, artefacts, format_):
    rows = rows_for_translate(5)
    with open_runtime(toy, device="cpu") as eager, open_runtime(artefacts(format_).files[0]) as own:
        wanted = Translator(eager.card, eager).translate_rows(rows, entry_point="translate")
        found = Translator(own.card, own).translate_rows(rows, entry_point="translate")
        alone = [Translator(own.card, own).translate_rows([row], "translate")[0] for row in rows]
    assert found.shape == (5, SIZE, SIZE, 3)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - wanted).max() <= 1
    assert np.abs(found.astype(int) - np.stack(alone)).max() <= 1
    assert not np.array_equal(found[0], found[1])


def test_a_style_comes_out_and_goes_in_again(artefacts):
    image, reference = faces(2)
    with open_runtime(artefacts("onnx").files[0], device="cpu") as runtime:
        translator = Translator(runtime.card, runtime)
        styles = translator.translate_rows([{"reference": reference}] * 2, entry_point="encode")
        assert styles.shape == (2, toy_family.STYLE_WIDTH)
        assert styles.dtype == np.float32
        rows = [{"image": image, "style": styles[0]}, {"image": image, "style": -styles[0]}]
        one, other = translator.translate_rows(rows, entry_point="restyle")
        assert not np.array_equal(one, other)
        null = {"image": image, "reference": reference, "latent": np.zeros(4)}
        same = translator.translate_rows([null, null], entry_point="translate")
        assert same.shape == (2, SIZE, SIZE, 3)


def test_rows_are_run_in_the_batches_of_the_runtime(toy):
    rows = rows_for_translate(5)
    with open_runtime(toy, device="cpu", batch_size=2) as runtime:
        sizes, execute = [], runtime._execute

        def spy(name, inputs):
            sizes.append(len(inputs["image"]))
            return execute(name, inputs)

        runtime._execute = spy
        assert len(Translator(runtime.card, runtime).translate_rows(rows, "translate")) == 5
    assert sizes == [2, 2, 2]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({}, "'restyle' needs 'image' .image. and 'style' .style. too; its inputs are"),
        ({"image": 0}, "'restyle' needs 'style' .style. too"),
        ({"image": 0, "style": 0, "latent": 0}, "unknown input 'latent'; 'restyle' knows"),
        ({"image": 0, "style": 0}, "'image' takes pixels: RGB uint8 .H, W, 3., not int"),
        ({"image": faces(1)[0][:6], "style": 0}, "takes no images of 6x16"),
        ({"image": faces(1)[0], "style": [1.0]}, "'style' must be float32 batchx6"),
    ],
)
def test_rows_that_do_not_fit_say_what_is_wrong(toy, row, complaint):
    with open_runtime(toy, device="cpu") as runtime:
        translator = Translator(runtime.card, runtime)
        with pytest.raises(UsageError, match=complaint):
            translator.translate_rows([row], entry_point="restyle")
        with pytest.raises(UsageError, match="no rows"):
            translator.translate_rows([], entry_point="restyle")


def test_rows_of_a_batch_have_one_size(toy):
    point = read_card_of(toy).entry_point("restyle")
    style = np.zeros(toy_family.STYLE_WIDTH)
    sizes = [synthetic_face(0, 16, 16), synthetic_face(0, 16, 20)]
    with pytest.raises(UsageError, match="one shape in all rows of a batch"):
        stack_rows("restyle", point, [{"image": image, "style": style} for image in sizes])


def test_entry_points_with_further_inputs_are_no_directions(toy):
    card = read_card_of(toy)
    with pytest.raises(UsageError, match=r"'restyle' needs 'style' .style. with each image"):
        choose_direction(card, None)
    with pytest.raises(UsageError, match=r"'translate' needs 'reference' .image. and 'latent'"):
        choose_direction(card, "translate")
    with pytest.raises(UsageError, match="'encode' makes no images but style"):
        choose_direction(card, "encode")


class Swapped(PixelModule):
    """Takes the reference for the image."""

    def forward(self, *inputs):
        return (
            super().forward(*inputs[1::-1], *inputs[2:])
            if len(inputs) > 2
            else super().forward(*inputs)
        )


class Negated(PixelModule):
    """Gives styles with the wrong sign."""

    def forward(self, *inputs):
        outputs = super().forward(*inputs)
        return outputs if any(self.gives_pixels) else tuple(-output for output in outputs)


@pytest.mark.parametrize(
    ("mutant", "complaint"),
    [
        (Swapped, "'translate' on onnx does not equal PyTorch"),
        (Negated, "'encode' on onnx does not equal PyTorch: vector_difference is 2 .limit 0.001."),
    ],
)
def test_a_wrong_graph_is_refused(toy, mutant, complaint, tmp_path, monkeypatch):
    monkeypatch.setattr("stargan_deploy.export.export.PixelModule", mutant)
    with pytest.raises(ParityError, match=complaint):
        export(toy, out=tmp_path / "wrong.onnx", options=ExportOptions(device="cpu"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", ["synthetic", "one photo"])
def test_each_image_input_gets_images_of_its_own(toy, tmp_path, source):
    card = read_card_of(toy)
    point = card.entry_point("translate")
    save_noise(tmp_path / "only.png", 40, 40)
    origin = synthetic_face
    if source == "one photo":
        origin = photo_faces(photos_in(tmp_path), card.preprocessing)
    for case in make_cases(point, card, origin):
        inputs = case.inputs(point)
        differences = np.abs(inputs["image"] - inputs["reference"]).mean(axis=(1, 2, 3))
        assert differences.min() > 0.01


def test_what_is_drawn_for_a_row_depends_on_its_number_alone(toy):
    point = read_card_of(toy).entry_point("translate")
    many = draw_inputs(point, range(6), images=lambda place, spec: np.stack(faces(6)))
    few = draw_inputs(point, range(2, 4), images=lambda place, spec: np.stack(faces(2)))
    assert np.array_equal(many["latent"][2:4], few["latent"])
    assert len(np.unique(many["latent"])) == many["latent"].size


@pytest.mark.slow
def test_it_is_measured(toy):
    config = SuiteConfig(
        backends=("onnx",),
        precisions=("fp32",),
        batch_sizes=(2,),
        budget_s=0.5,
        offline=False,
        roofline=False,
        memory="none",
    )
    results = suite.run_suite(config, read_model(toy), device=CPU)
    assert {(row.entry_point, row.backend) for row in results.rows} == {
        (point, backend) for point in ("restyle", "translate") for backend in ("eager", "onnx")
    }
    assert not results.unusable
