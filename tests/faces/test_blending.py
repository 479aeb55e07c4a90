"""Translated faces in their photo: exactness, colours, edges, overlaps and seams."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from stargan_deploy.data.synthetic.portrait import ATTRIBUTES, draw_face
from stargan_deploy.faces.alignment import AlignedFace, align_face, transform
from stargan_deploy.faces.blending import blend_faces
from stargan_deploy.faces.face import Face

DRAWN_LANDMARKS = np.array([[0.398, 0.5], [0.602, 0.5], [0.5, 0.6], [0.44, 0.7], [0.56, 0.7]])
"""Of drawn portraits, about, in picture widths."""


def portrait(size, seed=2, **attributes):
    return draw_face(dict.fromkeys(ATTRIBUTES, False) | attributes, seed=seed, size=size)


def grained(image, sigma=6.0):
    """The picture with the grain of a photo, the same for all pictures of a size."""
    grain = np.random.default_rng(0).normal(1, sigma / 110, (image.height, image.width, 1))
    return Image.fromarray((np.asarray(image) * grain).clip(0, 255).astype(np.uint8))


def noise(width, height, low=0, high=256):
    pixels = np.random.default_rng(width).integers(low, high, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def face_at(x, y, width, angle=0.0):
    """A face whose picture, `width` pixels wide, is turned around its middle at (x, y)."""
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    points = (DRAWN_LANDMARKS - 0.5) * width @ np.array([[cos, sin], [-sin, cos]]) + (x, y)
    return Face(box=(0, 0, 1, 1), landmarks=points.astype(np.float32), score=1.0)


def aligned(photo, *place, size=64):
    return align_face(photo, face_at(*place), crop_size=178, size=size)


def reach(face: AlignedFace, shape):
    """Which pixels of a photo a tile covers, with one pixel around it."""
    rows, columns = np.indices(shape)
    points = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], 1)
    tile = transform(face.matrix, points)
    rim = np.hypot(*face.matrix[0, :2])
    inside = ((tile > -rim) & (tile < len(face.pixels) + rim)).all(1)
    return inside.reshape(shape)


def psnr(image, other, where):
    error = (np.asarray(image, float) - np.asarray(other, float))[where]
    return 10 * math.log10(255**2 / (error**2).mean())


@settings(max_examples=25, deadline=None)
@given(
    st.floats(-50, 350), st.floats(-50, 250), st.floats(5, 900), st.floats(-180, 180),
    st.sampled_from([16, 64, 128]),
)  # fmt: skip
def test_what_is_not_translated_stays_as_it_is(x, y, width, angle, size):
    photo = noise(300, 200)
    face = aligned(photo, x, y, width, angle, size=size)
    assert np.array_equal(blend_faces(photo, [(face, face.pixels)]), photo)


def test_no_faces():
    photo = noise(30, 20)
    result = blend_faces(photo, [])
    assert result is not photo and np.array_equal(result, photo)


def test_a_shift_of_all_colours_is_drift():
    photo = noise(300, 200, 60, 180)
    face = aligned(photo, 150, 100, 150)
    drifted = face.pixels + np.array([9, -7, 4], np.int64)
    assert np.array_equal(blend_faces(photo, [(face, drifted.astype(np.uint8))]), photo)


def test_faint_noise_is_dropped():
    photo = noise(300, 200, 60, 180)
    face = aligned(photo, 150, 100, 150)
    faint = face.pixels + np.random.default_rng(0).integers(-2, 3, face.pixels.shape)
    assert np.array_equal(blend_faces(photo, [(face, faint.astype(np.uint8))]), photo)


@pytest.mark.parametrize("place", [(150, 100, 150, 20), (10, 190, 240, -40), (200, 60, 30, 0)])
def test_nothing_changes_beyond_the_tile(place):
    photo = noise(300, 200)
    before = np.asarray(photo).copy()
    face = aligned(photo, *place)
    changed = (np.asarray(blend_faces(photo, [(face, 255 - face.pixels)])) != before).any(-1)
    assert changed.any() and not changed[~reach(face, changed.shape)].any()
    assert np.array_equal(photo, before)


@pytest.mark.parametrize(("before", "after"), [("Black", "Blond"), ("Blond", "Black")])
def test_hair_changes_its_colour_and_keeps_its_edges(before, after):
    photo, wanted = (
        grained(portrait(512, Young=True, **{f"{colour}_Hair": True})) for colour in (before, after)
    )
    face = aligned(photo, 256, 256, 512)
    goal = align_face(wanted, face_at(256, 256, 512), crop_size=178, size=64).pixels
    soft = Image.fromarray(goal).filter(ImageFilter.GaussianBlur(0.8))
    drifted = (np.asarray(soft, float) + np.array([8, -4, -6])).clip(0, 255).astype(np.uint8)
    result = blend_faces(photo, [(face, drifted)])
    head = np.s_[60:430, 90:420]
    enlarged = Image.fromarray(drifted).resize((512, 512), Image.Resampling.BICUBIC)
    assert psnr(result, wanted, head) > psnr(enlarged, wanted, head) + 5
    cheek = np.s_[300:330, 240:272]
    tint = (np.asarray(result, float) - np.asarray(photo, float))[cheek].mean((0, 1))
    assert np.abs(tint).max() < 2


def test_new_structure_arrives():
    photo, wanted = (portrait(256, Brown_Hair=True, Eyeglasses=worn) for worn in (False, True))
    face, goal = (aligned(image, 128, 128, 256, size=128) for image in (photo, wanted))
    result = blend_faces(photo, [(face, goal.pixels)])
    eyes = np.s_[110:150, 80:176]
    assert psnr(result, wanted, eyes) > psnr(photo, wanted, eyes) + 6


def test_what_is_behind_the_head_keeps_its_colour():
    photo = grained(portrait(300, Black_Hair=True))
    face = aligned(photo, 150, 150, 300)
    background = np.abs(face.pixels - face.pixels[2, 2].astype(float)).max(-1) < 25
    leaked = np.where(background[..., None], face.pixels // 2 + 90, face.pixels)
    result = np.asarray(blend_faces(photo, [(face, leaked.astype(np.uint8))]), float)
    corner = np.abs(result - np.asarray(photo))[20:90, 20:50]
    assert corner.max() < 6


def test_faces_smaller_than_their_tile():
    photo = Image.fromarray(np.full((100, 100, 3), 100, np.uint8))
    face = aligned(photo, 50, 50, 30, size=128)
    result = np.asarray(blend_faces(photo, [(face, np.full_like(face.pixels, 180))]), float)
    assert abs(result[50, 50, 0] - (180 - 12)) < 2
    assert (result[:, :20] == 100).all()


def test_the_order_of_overlapping_faces_does_not_matter():
    photo = noise(300, 200)
    places = [(110, 100, 150, 10), (170, 110, 120, -20), (150, 60, 200, 0)]
    faces = [aligned(photo, *place) for place in places]
    pairs = [(face, np.roll(face.pixels, 9, 0)) for face in faces]
    first, *others = (
        np.asarray(blend_faces(photo, order)) for order in itertools.permutations(pairs)
    )
    assert all(np.array_equal(first, other) for other in others)


def test_a_change_is_not_laid_on_twice():
    photo = Image.fromarray(np.full((200, 200, 3), 100, np.uint8))
    face = aligned(photo, 100, 100, 120)
    pair = (face, np.full_like(face.pixels, 160))
    once, twice = (np.asarray(blend_faces(photo, [pair] * count), int) for count in (1, 2))
    assert np.abs(once - twice).max() <= 1


def test_a_seam_is_not_to_be_seen():
    rows, columns = np.indices((400, 400))
    smooth = np.stack([rows / 4 + 60, columns / 4 + 60, (rows + columns) / 8 + 60], -1)
    photo = Image.fromarray(smooth.astype(np.uint8))
    face = aligned(photo, 200, 200, 200, 17)
    result = np.asarray(blend_faces(photo, [(face, np.full_like(face.pixels, 250))]), float)
    change = result - np.asarray(photo)
    assert change.max() > 60
    assert all(np.abs(np.diff(change, axis=axis)).max() < 20 for axis in (0, 1))
    edge = reach(face, (400, 400))
    eroded = np.asarray(Image.fromarray(edge).filter(ImageFilter.MinFilter(5)))
    assert np.abs(change[edge & ~eroded]).max() < 4


def test_bands_fit_together():
    photo = noise(700, 700, 90, 110)
    face = aligned(photo, 350, 350, 560, 5, size=32)
    result = np.asarray(blend_faces(photo, [(face, 255 - face.pixels)]), float)
    means = (result - np.asarray(photo)).mean((1, 2))
    assert np.abs(np.diff(means)).max() < 1.5


def test_parts_of_a_face_may_lie_beside_the_photo():
    photo = noise(200, 150)
    face = aligned(photo, 2, 148, 220, 30)
    result = blend_faces(photo, [(face, 255 - face.pixels)])
    assert result.size == photo.size and not np.array_equal(result, photo)
    beside = aligned(photo, -900, 100, 100)
    assert np.array_equal(blend_faces(photo, [(beside, 255 - beside.pixels)]), photo)


@pytest.mark.parametrize(("width", "limit_mib"), [(120, 12), (3000, 120)])
def test_memory_is_bounded_by_a_band_of_the_face(width, limit_mib):
    photo = Image.new("RGB", (4000, 3000), (120, 110, 100))
    face = aligned(photo, 2000, 1500, width)
    tracemalloc.start()
    try:
        blend_faces(photo, [(face, 255 - face.pixels)])
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < limit_mib * 2**20
