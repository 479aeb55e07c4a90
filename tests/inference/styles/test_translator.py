"""Translating in styles, through the Python API and the translator beneath it."""

import numpy as np
import pytest
from PIL import Image

import stargan_deploy
from stargan_deploy.backends.registry import open_runtime
from stargan_deploy.card.card import ModelCard
from stargan_deploy.card.styles import style_route
from stargan_deploy.errors import DataError, LabelError, UsageError
from stargan_deploy.export.proof.images import synthetic_face
from stargan_deploy.inference.translator import Translator, choose_direction
from tests.styled_models import DOMAINS

STYLE_WIDTH = 12


@pytest.fixture(scope="module")
def model(styled):
    with stargan_deploy.load(styled["plain"], backend="eager") as opened:
        yield opened


@pytest.fixture(scope="module")
def photo():
    return Image.fromarray(synthetic_face(0, 80, 70))


def same(a, b):
    return np.array_equal(np.asarray(a), np.asarray(b))


def test_the_route_is_found_by_the_kinds_of_inputs(model, styled, checkpoint):
    route = style_route(model.card)
    assert (route.translate, route.by_latent, route.by_reference) == ("translate", "map", "encode")
    assert choose_direction(model.card, None) == "translate"
    assert style_route(stargan_deploy.load(checkpoint).card) is None
    assert style_route(stargan_deploy.load(styled["with_skip"]).card) is not None


def test_seeds_and_references_give_styles(model, photo):
    first, again, other = (model.translate(photo, "dog", seed=seed) for seed in (1, 1, 2))
    assert first.size == (64, 64)
    assert same(first, again)
    assert not same(first, other)
    assert same(model.translate(photo, "dog"), model.translate(photo, "dog", seed=0))
    reference = Image.fromarray(synthetic_face(5, 90, 90))
    found = model.translate(photo, "dog", reference=reference)
    assert not same(found, first)
    assert same(found, model.translate(photo, "dog", reference=np.asarray(reference)))


def test_a_style_can_be_kept_and_mixed(model, photo):
    drawn = model.style("cat", seed=4)
    assert drawn.shape == (STYLE_WIDTH,)
    assert same(model.translate(photo, style=drawn), model.translate(photo, "cat", seed=4))
    reference = synthetic_face(5, 90, 90)
    found = model.style("cat", reference=reference)
    assert not np.allclose(found, model.style("dog", reference=reference))
    halfway = model.translate(photo, style=(drawn + found) / 2)
    assert not same(halfway, model.translate(photo, style=drawn))


def test_several_photos_and_domains(model, photo):
    results = model.translate([photo, photo], ["cat", "wild"], seed=3)
    assert [len(images) for images in results] == [2, 2]
    assert same(results[0][0], results[0][1])
    assert not same(results[0][0], results[1][0])


def test_rows_of_every_entry_point(model):
    faces = [synthetic_face(number, 64, 64) for number in range(3)]
    translator = Translator(model.card, model._runtime)
    rows = [{"reference": face, "domain": n} for n, face in enumerate(faces)]
    styles = translator.translate_rows(rows, "encode")
    assert styles.shape == (3, STYLE_WIDTH)
    pairs = zip(faces, styles, rows, strict=True)
    apart = [{"image": face, "style": style} for face, style, _ in pairs]
    fused = [{"image": face, **row} for face, row in zip(faces, rows, strict=True)]
    made = translator.translate_rows(apart, "translate")
    assert (
        np.abs(made.astype(int) - translator.translate_rows(fused, "translate_reference")).max()
        <= 1
    )


@pytest.mark.parametrize(
    ("settings", "error", "complaint"),
    [
        ({"target": "bird", "seed": 1}, LabelError, "unknown attribute 'bird'"),
        ({"target": "cat", "style": np.zeros(5)}, UsageError, "'style' must be float32 batchx12"),
        ({"target": "cat", "seed": -1}, UsageError, "cannot be negative"),
        ({"target": "cat", "seed": 1, "style": np.zeros(12)}, UsageError, "each give a style"),
        ({"target": "cat", "strength": 0.5}, UsageError, "goes by styles; leave out `strength`"),
        ({"target": "cat", "reference": "none.jpg"}, DataError, "none.jpg"),
        (
            {"target": "cat", "reference": np.zeros((300, 40, 3), np.uint8)},
            DataError,
            "the reference is 40x300, which no face fills",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(model, photo, settings, error, complaint):
    with pytest.raises(error, match=complaint):
        model.translate(photo, **settings)


def test_models_without_styles_say_so(checkpoint, photo):
    with stargan_deploy.load(checkpoint, backend="eager") as plain:
        with pytest.raises(UsageError, match="no styles; leave out `seed`"):
            plain.translate(photo, "Male", seed=1)
        with pytest.raises(UsageError, match="this model has no styles"):
            plain.style("Male")


def test_heat_maps_are_asked_for_by_row_and_zeros_for_photos(styled, photo):
    face = synthetic_face(0, 64, 64)
    with open_runtime(styled["with_skip"], device="cpu") as runtime:
        translator, style = Translator(runtime.card, runtime), np.zeros(STYLE_WIDTH)
        row = {"image": face, "style": style}
        with pytest.raises(UsageError, match=r"'translate' needs 'mask_0' .mask. and 'mask_1'"):
            translator.translate_rows([row])
        maps = {name: np.zeros((1, 64, 64)) for name in ("mask_0", "mask_1")}
        without = translator.translate_rows([row | maps])
        whole = {name: np.ones((1, 64, 64)) for name in maps}
        assert not same(without, translator.translate_rows([row | whole]))
    with stargan_deploy.load(styled["with_skip"], backend="eager") as opened:
        assert isinstance(opened.card, ModelCard)
        assert same(opened.translate(Image.fromarray(face), style=style), without[0])


def test_domains_come_in_the_card_s_order(model):
    assert model.attributes == DOMAINS
