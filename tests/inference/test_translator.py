from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import stargan_deploy
from stargan_deploy.backends.fake.runtime import FakeRuntime, fake_card
from stargan_deploy.backends.registry import open_runtime
from stargan_deploy.card.card import ModelCard
from stargan_deploy.card.labels import LabelSpace, multilabel_space, onehot_space
from stargan_deploy.errors import CardError, LabelError, ModelError, UsageError
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions
from stargan_deploy.inference.translator import Translator

NOISE = np.random.default_rng(0).integers(0, 256, (6, 50, 40, 3), np.uint8)


class CountingRuntime(FakeRuntime):
    """Remembers what it was asked for."""

    def __init__(self, card: ModelCard, **options: int) -> None:
        super().__init__(card, **options)
        self.calls: list[tuple[str, int]] = []

    def _execute(self, entry_point, inputs):
        self.calls.append((entry_point, len(inputs["image"])))
        return super()._execute(entry_point, inputs)


@pytest.fixture
def runtime():
    with CountingRuntime(fake_card(image_size=32)) as runtime:
        yield runtime


@pytest.fixture
def translator(runtime):
    return Translator(runtime.card, runtime)


@pytest.fixture(scope="module")
def artefacts(checkpoint, tmp_path_factory):
    """The same tiny network as checkpoint, uint8 ONNX and float ONNX."""
    folder = tmp_path_factory.mktemp("artefacts")
    pixels = export(checkpoint, out=folder / "pixels.onnx").files[0]
    floats = export(
        checkpoint, out=folder / "floats.onnx", options=ExportOptions(io="float")
    ).files[0]
    return checkpoint, pixels, floats


def test_every_image_for_every_target(translator):
    result = translator.translate(list(NOISE), ["Blond_Hair", "-Young"])
    assert result.pixels.shape == (2, 6, 32, 32, 3)
    assert result.pixels.dtype == np.uint8
    assert [target.text for target in result.targets] == ["Blond_Hair", "-Young"]
    for index, image in enumerate(NOISE):
        alone = translator.translate([image], ["-Young"])
        assert np.array_equal(alone.pixels[0, 0], result.pixels[1, index])


def test_several_targets_classify_once_and_share_calls(runtime, translator):
    translator.translate(list(NOISE[:3]), ["Blond_Hair", "Black_Hair", "flip:Young"])
    assert runtime.calls == [("classify", 3), ("translate", 9)]


def test_calls_are_bounded(runtime, translator):
    translator.translate(list(NOISE) * 4, ["Blond_Hair", "Black_Hair"])
    assert max(rows for _, rows in runtime.calls) <= 16


def test_calls_have_the_size_of_the_runtime():
    with CountingRuntime(fake_card(image_size=32), batch_size=4) as runtime:
        Translator(runtime.card, runtime).translate(list(NOISE), ["Blond_Hair"])
    assert {rows for _, rows in runtime.calls} == {4}


def test_predicted_labels_are_kept_where_the_target_says_nothing(translator):
    white = np.full((8, 8, 3), 255, np.uint8)
    result = translator.translate([white], ["flip:Young"])
    assert result.source_origin == "predicted"
    assert result.sources.tolist() == [[1, 0, 1]]  # of two rivals with equal logits the first


def test_given_labels_are_taken_as_they_are(runtime, translator):
    sources = np.array([[1, 0, 1]], np.float32)
    result = translator.translate([NOISE[0]], ["flip:Young"], sources)
    assert result.source_origin == "given"
    assert np.array_equal(result.sources, sources)
    assert "classify" not in dict(runtime.calls)
    with pytest.raises(UsageError, match=r"\(1, 3\)"):
        translator.translate([NOISE[0]], ["flip:Young"], sources[:, :2])


def test_without_a_classifier_sources_are_zeros_and_the_result_says_so():
    with FakeRuntime(fake_card(image_size=32, classifier=False)) as runtime:
        translator = Translator(runtime.card, runtime)
        result = translator.translate([NOISE[0]], ["flip:Young"])
        assert result.source_origin == "zeros"
        assert not result.sources.any()
        with pytest.raises(UsageError, match="no classifier"):
            translator.classify(result.pixels[0])


def test_another_runtime_may_classify():
    bare, knowing = fake_card(image_size=32, classifier=False), fake_card(image_size=32)
    with FakeRuntime(bare) as runtime, CountingRuntime(knowing) as classifier:
        result = Translator(bare, runtime, classifier).translate([NOISE[0]], ["flip:Young"])
    assert result.source_origin == "predicted"
    assert classifier.calls == [("classify", 1)]


def test_targets_that_leave_nothing_open_do_not_classify(runtime, translator):
    result = translator.translate([NOISE[0]], ["Blond_Hair,-Young"])
    assert result.source_origin == "unused"
    assert runtime.calls == [("translate", 1)]


def test_joint_spaces_get_their_mask():
    space = LabelSpace(sets=(multilabel_space(("Male",)).sets[0], onehot_space(("happy",)).sets[0]))
    with FakeRuntime(fake_card(space, image_size=32)) as runtime:
        result = Translator(runtime.card, runtime).translate([NOISE[0]], ["Male", "happy"])
    assert result.pixels.shape == (2, 1, 32, 32, 3)
    assert not np.array_equal(result.pixels[0], result.pixels[1])


def test_no_images_give_no_pictures(translator):
    assert translator.translate([], ["Blond_Hair"]).pixels.shape == (1, 0, 32, 32, 3)


def test_unknown_targets_are_refused(translator):
    with pytest.raises(LabelError, match="did you mean 'Blond_Hair'"):
        translator.translate([NOISE[0]], ["Blond"])


def test_the_centre_is_taken_as_the_card_says():
    image = np.zeros((100, 120, 3), np.uint8)
    image[35:65, 45:75] = 255
    with FakeRuntime(fake_card(image_size=32, crop_size=30)) as runtime:
        translator = Translator(runtime.card, runtime)
        assert translator.prepare(image[20:80, 30:90]).min() == 255
        assert translator.prepare(image).min() == 0  # far larger than any training photo
    assert translator.prepare(Image.new("RGBA", (9, 50))).shape == (32, 32, 3)


def test_uint8_float_and_eager_give_the_same_picture(artefacts):
    pictures = []
    for path in artefacts:
        with open_runtime(path, device="cpu") as runtime:
            result = Translator(runtime.card, runtime).translate(list(NOISE), ["flip:Male"])
            assert result.source_origin == "predicted"
            pictures.append(result.pixels.astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() <= 1
    assert np.abs(pictures[0] - pictures[2]).max() <= 1
    assert pictures[0].std() > 1


def test_an_unknown_form_of_image_is_refused():
    card = fake_card(image_size=32, io="float")
    point = card.entry_points["translate"]
    image = replace(point.inputs[0], value_range=(0.0, 1.0))
    points = {"translate": replace(point, inputs=(image, point.inputs[1]))}
    odd = replace(card, entry_points=points)
    with FakeRuntime(odd) as runtime, pytest.raises(CardError, match=r"\(0\.0, 1\.0\)"):
        Translator(odd, runtime).translate([NOISE[0]], ["Blond_Hair"])


class TestLoad:
    @pytest.fixture
    def model(self, artefacts):
        with stargan_deploy.load(artefacts[1], device="cpu") as model:
            yield model

    def test_a_pil_image_gives_a_pil_image(self, model):
        result = model.translate(Image.fromarray(NOISE[0]), "Blond_Hair")
        assert isinstance(result, Image.Image)
        assert (result.mode, result.size) == ("RGB", (32, 32))

    def test_arrays_batches_and_lists_give_their_like(self, model):
        one = model.translate(NOISE[0], "Blond_Hair")
        assert (one.shape, one.dtype) == ((32, 32, 3), np.uint8)
        several = model.translate(NOISE, "Blond_Hair")
        assert several.shape == (6, 32, 32, 3)
        assert np.abs(several[0].astype(int) - one).max() <= 1
        picture, array = model.translate([Image.fromarray(NOISE[0]), NOISE[1]], "Blond_Hair")
        assert isinstance(picture, Image.Image)
        assert isinstance(array, np.ndarray)
        assert model.translate([], "Blond_Hair") == []
        assert model.translate(NOISE[:0], "Blond_Hair").shape == (0, 32, 32, 3)

    def test_it_knows_its_card(self, model):
        assert model.attributes == ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
        assert model.card.preprocessing.image_size == 32

    @pytest.mark.parametrize(
        "image", [NOISE[0].astype(float), NOISE[0, 0], NOISE[0, :0], "photo.jpg", None]
    )
    def test_what_is_no_image_is_refused(self, model, image):
        with pytest.raises(UsageError, match="an image is a PIL image or an RGB uint8 array"):
            model.translate(image, "Blond_Hair")

    def test_it_works_without_a_with_block_and_closes_more_than_once(self, artefacts):
        model = stargan_deploy.load(str(artefacts[0]), backend="eager", device="cpu")
        first = model.translate(NOISE[0], "Male")
        model.close()
        model.close()
        assert np.array_equal(model.translate(NOISE[0], "Male"), first)
        model.close()

    def test_a_missing_file_is_named_at_once(self, tmp_path):
        with pytest.raises(ModelError, match=r"none\.onnx"):
            stargan_deploy.load(tmp_path / "none.onnx")


def test_rows_are_what_targets_times_images_are(checkpoint):
    with open_runtime(checkpoint, device="cpu", batch_size=2) as runtime:
        translator = Translator(runtime.card, runtime)
        squares = np.stack([translator.prepare(image) for image in NOISE])
        together = translator.translate_prepared(squares, ["Blond_Hair", "flip:Male"])
        space = runtime.card.labels
        rows = [
            {"image": image, "label": space.target_vector(target, own)}
            for target in together.targets
            for image, own in zip(squares, together.sources, strict=True)
        ]
        found = translator.translate_rows(rows)
        mixed = translator.translate_rows([rows[0], rows[-1]])
    assert np.array_equal(found.reshape(together.pixels.shape), together.pixels)
    assert np.array_equal(mixed[0], found[0])
    assert np.array_equal(mixed[1], found[-1])


def test_a_classifier_gives_logits_by_row(checkpoint):
    with open_runtime(checkpoint, device="cpu") as runtime:
        translator = Translator(runtime.card, runtime)
        squares = np.stack([translator.prepare(image) for image in NOISE])
        logits = translator.translate_rows([{"image": square} for square in squares], "classify")
        labels = translator.classify(squares)
    assert np.array_equal(runtime.card.labels.predicted(logits), labels)


class BrokenRuntime(FakeRuntime):
    """Gives NaN for images that begin with a black pixel."""

    broken = "translate"

    def _execute(self, entry_point, inputs):
        outputs = super()._execute(entry_point, inputs)
        if entry_point == self.broken:
            black = inputs["image"].min(axis=1)[:, 0, 0] <= -1
            for output in outputs.values():
                output[black] = np.nan
        return outputs


@pytest.mark.parametrize("broken", ["translate", "classify"])
def test_results_that_are_not_finite_are_no_images(broken):
    good, bad = np.full((2, 32, 32, 3), 200, np.uint8)
    bad[0, 0] = 0
    with BrokenRuntime(fake_card(image_size=32, io="float")) as runtime:
        runtime.broken = broken
        translator = Translator(runtime.card, runtime)
        found = translator.translate_prepared(np.stack([bad, good]), ["Young"])
        assert found.is_finite.tolist() == [False, True]
        assert np.array_equal(found.pixels[:, 1:], translator.translate([good], ["Young"]).pixels)
        with pytest.raises(ModelError, match="result is not finite"):
            translator.translate([good, bad], ["Young"])


def test_strengths_start_at_the_image_itself(translator):
    pixels = np.stack([translator.prepare(image) for image in NOISE])
    words, steps = ["Young"] * 4, [0.0, 0.5, 1.0, 1.5]
    found = translator.translate_prepared(pixels, words, strengths=steps)
    assert np.array_equal(found.pixels[0], pixels)
    assert np.array_equal(found.pixels[2], translator.translate(list(NOISE), ["Young"]).pixels[0])
    alone = translator.translate_prepared(pixels, ["Young"], strengths=[0.0])
    assert np.array_equal(alone.pixels[0], pixels)


def test_it_is_known_which_images_have_the_target_already(translator):
    own = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]], np.float32)
    found = translator.translate(list(NOISE[:3]), ["Blond_Hair", "-Young"], own)
    assert found.is_already.tolist() == [[True, False, False], [True, True, False]]
