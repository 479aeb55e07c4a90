"""The Python API of one model, besides what `docs/python.md` shows."""

import numpy as np
import pytest
from PIL import Image

import stargan_deploy
from stargan_deploy.errors import CardError, LabelError, ModelError, UsageError
from stargan_deploy.export.export import export
from tests.conftest import make_checkpoint

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
PHOTO = Image.fromarray(PIXELS)


@pytest.fixture(scope="module")
def model(checkpoint):
    with stargan_deploy.load(checkpoint, backend="eager") as model:
        yield model


def test_results_are_of_the_kind_that_went_in(model):
    assert model.translate(PHOTO, "Male").size == (32, 32)
    assert model.translate(PIXELS, "Male").shape == (32, 32, 3)
    assert model.translate(np.stack([PIXELS, PIXELS]), "Male").shape == (2, 32, 32, 3)
    image, array = model.translate([PHOTO, PIXELS], "Male")
    assert np.array_equal(np.asarray(image), array)
    assert model.translate([], "Male") == []


def test_several_targets_give_a_result_each(model):
    found = model.translate(PIXELS, ["Blond_Hair", "-Young"])
    alone = [model.translate(PIXELS, target) for target in ("Blond_Hair", "-Young")]
    assert len(found) == 2
    assert all(np.array_equal(a, b) for a, b in zip(found, alone, strict=True))
    assert [len(images) for images in model.translate([PHOTO, PHOTO], ("Male", "Young"))] == [2, 2]


def test_source_labels_take_the_place_of_predicted_ones(model):
    predicted = model.classify(PIXELS)
    assert np.array_equal(
        model.translate(PIXELS, "Male", sources=predicted), model.translate(PIXELS, "Male")
    )
    other = {name: not has for name, has in predicted.items()}
    assert not np.array_equal(
        model.translate(PIXELS, "Male", sources=other), model.translate(PIXELS, "Male")
    )
    twice = model.translate([PIXELS, PIXELS], "Male", sources=[predicted, other])
    assert not np.array_equal(*twice)


def test_strength_zero_is_the_image_itself_and_the_way_begins_there(model):
    image = PIXELS[:32, :32]
    images = {s: model.translate(image, "flip:Male", strength=s) for s in (0, 0.01, 1)}
    assert np.array_equal(images[0], image)
    assert np.abs(images[0.01].astype(int) - image).max() <= 4
    assert np.array_equal(images[1], model.translate(image, "flip:Male"))


@pytest.mark.filterwarnings("error")
def test_strengths_of_what_an_image_has_already_are_remarked(model):
    labels = model.classify(PIXELS)
    own = "Male" if labels["Male"] else "-Male"
    with pytest.warns(UserWarning, match=f"of 1 images or faces, 1 have '{own}' already"):
        model.translate(PIXELS, own, strength=0.5)
    model.translate(PIXELS, "flip:Male", strength=0.5)


def test_a_size_of_ones_own(model):
    assert model.translate(PHOTO, "Male", size=64).size == (64, 64)
    with pytest.raises(UsageError, match="no images of 30x30"):
        model.translate(PHOTO, "Male", size=30)


def test_classify_gives_a_dict_per_image(model):
    (first, second) = model.classify([PHOTO, PIXELS])
    assert first == second == model.classify(PHOTO)
    assert tuple(first) == model.attributes


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"target": "Blonde_Hair"}, LabelError, "did you mean 'Blond_Hair'"),
        ({"target": "Male", "sources": {"Mal": True}}, LabelError, "did you mean 'Male'"),
        ({"target": "Male", "sources": [{}, {}]}, UsageError, "2 `sources` do not fit 1 images"),
        ({"target": "Male", "strength": 2.0}, UsageError, "from 0 to 1.5, not 2"),
        ({"image": "photo.jpg", "target": "Male"}, UsageError, "not 'photo.jpg'"),
        ({"image": PIXELS[..., 0], "target": "Male"}, UsageError, "an image is a PIL image"),
    ],
)
def test_what_makes_no_sense_is_refused(model, options, error, words):
    with pytest.raises(error, match=words):
        model.translate(**{"image": PHOTO, **options})


def test_a_model_without_a_classifier_warns_and_cannot_classify(tmp_path):
    path = make_checkpoint(tmp_path / "g.safetensors", discriminator=False)
    with stargan_deploy.load(path, backend="eager") as model:
        with pytest.warns(UserWarning, match="no classifier"):
            model.translate(PHOTO, "flip:Male")
        with pytest.raises(UsageError, match="no classifier"):
            model.classify(PHOTO)
        with pytest.raises(CardError, match="no images from noise"):
            model.sample(2)


def test_the_runtime_is_opened_again_after_it_was_closed(checkpoint):
    model = stargan_deploy.load(checkpoint, backend="eager")
    before = model.translate(PIXELS, "Male")
    model.close()
    model.close()
    assert np.array_equal(model.translate(PIXELS, "Male"), before)
    model.close()


def test_auto_takes_an_artefact_only_where_it_was_proven(checkpoint, artefact, tmp_path):
    assert stargan_deploy.load(artefact).backend == "onnx"
    with pytest.raises(UsageError, match="unknown backend 'onxx'"):
        stargan_deploy.load(artefact, backend="onxx")
    with pytest.raises(ModelError, match="no such model"):
        stargan_deploy.load(tmp_path / "gone.onnx")


def test_messages_speak_of_settings_and_not_of_flags(checkpoint, tmp_path):
    export(checkpoint, out=tmp_path / "m.onnx")
    for options in ({"precision": "fp16"}, {"weights": "ema"}):
        with pytest.raises(UsageError) as caught:
            stargan_deploy.load(tmp_path / "m.onnx", **options)
        assert "--" not in str(caught.value)
