"""The similarity transform, the template, and how tiles are sampled."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stargan_deploy.data.layouts.synthetic import draw_attributes
from stargan_deploy.data.synthetic.portrait import draw_face
from stargan_deploy.errors import ImageError
from stargan_deploy.faces.alignment import (
    CELEBA,
    CELEBA_HQ,
    align_face,
    eyes_and_mouth,
    fit_similarity,
    invert,
    photo_to_tile,
    scale_of,
    transform,
    warp,
)
from stargan_deploy.faces.face import Face
from stargan_deploy.files.images import centre_crop_resize

IN_CELEBA = np.array([[70.2, 111.5], [107.7, 111.5], [89, 136], [72, 153], [105.9, 153]])
"""Landmarks of a face that CelebA's authors would leave where it is."""

coordinates = st.floats(-1e4, 1e4)


def similarity(scale, angle, x, y):
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    return np.array([[cos, -sin, x], [sin, cos, y]])


def face_at(landmarks):
    landmarks = np.asarray(landmarks, np.float32)
    box = (*landmarks.min(0).tolist(), *landmarks.max(0).tolist())
    return Face(box=box, landmarks=landmarks, score=1.0)


def portrait(size, seed=3):
    return draw_face(draw_attributes(seed), seed=seed, size=size)


@given(st.floats(0.01, 100), st.floats(-math.pi, math.pi), coordinates, coordinates)
def test_a_similarity_is_recovered(scale, angle, x, y):
    wanted = similarity(scale, angle, x, y)
    found = fit_similarity(IN_CELEBA, transform(wanted, IN_CELEBA))
    assert np.allclose(found, wanted, rtol=1e-6, atol=1e-4)
    assert math.isclose(scale_of(found), scale, rel_tol=1e-6)
    there_and_back = transform(invert(found), transform(found, IN_CELEBA))
    assert np.allclose(there_and_back, IN_CELEBA, atol=1e-4)


def test_points_that_do_not_fit_are_fitted_in_least_squares():
    draws = np.random.default_rng(0)
    source, target = draws.normal(size=(2, 5, 2)) * 50
    rows = []
    for x, y in source:
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
    (a, b, x, y), *_ = np.linalg.lstsq(np.array(rows), target.ravel(), rcond=None)
    assert np.allclose(fit_similarity(source, target), [[a, -b, x], [b, a, y]])


def test_a_mirrored_face_is_not_mirrored_back():
    matrix = fit_similarity(IN_CELEBA * (-1, 1), IN_CELEBA)
    assert np.linalg.det(matrix[:, :2]) > 0


@pytest.mark.parametrize("value", [7.0, math.nan, math.inf])
def test_landmarks_in_one_place_are_refused(value):
    with np.errstate(invalid="ignore"), pytest.raises(ImageError, match="in one place"):
        photo_to_tile(np.full((5, 2), value), crop_size=178, size=64)


@pytest.mark.parametrize(
    ("crop_size", "side", "top"), [(178, 178, 20), (None, 178, 20), (108, 108, 55)]
)
def test_eyes_and_mouth_land_on_the_template(crop_size, side, top):
    landmarks = transform(similarity(3.7, 0.4, 900, 200), IN_CELEBA)
    matrix = photo_to_tile(landmarks, crop_size=crop_size, size=128)
    wanted = np.array([CELEBA.left_eye, CELEBA.right_eye, CELEBA.mouth])
    wanted = (wanted - ((178 - side) / 2, top)) * (128 / side)
    assert np.abs(eyes_and_mouth(transform(matrix, landmarks)) - wanted).max() < 0.5


def test_the_nose_does_not_turn_a_face():
    aside = IN_CELEBA + np.array([[0, 0], [0, 0], [25, 3], [0, 0], [0, 0]])
    front, side = (photo_to_tile(points, crop_size=178, size=64) for points in (IN_CELEBA, aside))
    assert np.array_equal(front, side)


def test_faces_are_larger_in_celeba_hq():
    options = {"crop_size": None, "size": 128}
    narrow = photo_to_tile(IN_CELEBA, **options)
    wide = photo_to_tile(IN_CELEBA, **options, template=CELEBA_HQ)
    assert 1.12 < scale_of(wide) / scale_of(narrow) < 1.25


def test_a_picture_of_celeba_comes_out_as_in_training():
    photo = portrait(218).crop((20, 0, 198, 218))
    aligned = align_face(photo, face_at(IN_CELEBA), crop_size=178, size=128)
    trained = np.asarray(centre_crop_resize(photo, crop_size=178, size=128), np.float32)
    assert aligned.pixels.shape == (128, 128, 3) and aligned.pixels.dtype == np.uint8
    assert np.abs(aligned.pixels - trained).mean() < 2
    assert np.allclose(transform(aligned.matrix, IN_CELEBA), aligned.landmarks, atol=1e-3)


@pytest.mark.parametrize("angle", [-150, -30, 20, 90])
@pytest.mark.parametrize("scale", [0.4, 1, 7])
def test_a_face_comes_out_the_same_at_any_size_and_tilt(angle, scale):
    drawn = portrait(512)
    matrix = similarity(scale * 200 / 512, math.radians(angle), 0, 0)
    matrix[:, 2] = 220 * scale - matrix[:, :2] @ (256, 256)
    size = round(440 * scale)
    photo = drawn.transform(
        (size, size),
        Image.Transform.AFFINE,
        tuple(invert(matrix).ravel()),
        Image.Resampling.BICUBIC,
    )
    landmarks = (IN_CELEBA - (0, 20)) * (512 / 178)
    options = {"crop_size": 178, "size": 64}
    tilted = align_face(photo, face_at(transform(matrix, landmarks)), **options)
    upright = align_face(drawn, face_at(landmarks), **options)
    inside = np.s_[12:-12, 12:-12]
    difference = np.abs(tilted.pixels[inside].astype(float) - upright.pixels[inside])
    assert difference.mean() < (8 if scale < 1 else 4)


def test_what_is_reduced_is_averaged():
    rows, columns = np.indices((1200, 1200))
    board = np.repeat(((rows + columns) % 2 * 255).astype(np.uint8)[..., None], 3, 2)
    tile = np.asarray(warp(Image.fromarray(board), similarity(64 / 1200, 0.3, 10, -8), 64))
    assert np.abs(tile[8:-8, 20:-8].astype(float) - 127.5).max() < 6


def test_edges_are_repeated_outwards():
    left, right = np.full((40, 20, 3), 30, np.uint8), np.full((40, 20, 3), 200, np.uint8)
    photo = Image.fromarray(np.concatenate([left, right], 1))
    tile = np.asarray(warp(photo, similarity(0.5, 0, 50, 50), 128))
    assert (tile[:, :50] == 30).all() and (tile[:, 80:] == 200).all()


@pytest.mark.parametrize("corner", [(-9000, 50), (9000, 50), (50, -9000), (9000, 9000)])
def test_a_tile_beside_the_photo_repeats_its_edge(corner):
    photo = Image.fromarray(np.full((30, 50, 3), 90, np.uint8))
    tile = np.asarray(warp(photo, similarity(0.1, 0, *corner), 32))
    assert (tile == 90).all()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(coordinates, coordinates), min_size=5, max_size=5),
    st.sampled_from([(1, 1), (32, 7), (300, 200)]),
)
def test_any_landmarks_give_a_tile_or_a_refusal(landmarks, size):
    photo = Image.new("RGB", size, (90, 90, 90))
    try:
        aligned = align_face(photo, face_at(landmarks), crop_size=178, size=48)
    except ImageError:
        return
    assert aligned.pixels.shape == (48, 48, 3) and (aligned.pixels == 90).all()
