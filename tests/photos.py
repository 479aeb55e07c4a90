"""Photos of every kind, drawn on the spot, and a translator without a network."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stargan_deploy.backends.fake.runtime import FakeRuntime, fake_card
from stargan_deploy.inference.translator import Translator


def encode(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def noise(width: int = 40, height: int = 30) -> Image.Image:
    pixels = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def photo_of_every_kind() -> dict[str, bytes]:
    """File contents by name; all can be read."""
    turned = Image.Exif()
    turned[0x0112] = 6
    grey16 = np.arange(900, dtype=np.uint16).reshape(30, 30) * 70
    animation = [noise(), noise(20, 20).resize((40, 30))]
    return {
        "plain.jpg": encode(noise(), "JPEG"),
        "turned.jpeg": encode(noise(60, 20), "JPEG", exif=turned),
        "grey.jpg": encode(noise().convert("L"), "JPEG"),
        "cmyk.jpg": encode(noise().convert("CMYK"), "JPEG"),
        "alpha.png": encode(noise().convert("RGBA"), "PNG"),
        "grey16.png": encode(Image.fromarray(grey16), "PNG"),
        "palette.png": encode(noise().convert("P"), "PNG", transparency=0),
        "alpha.webp": encode(noise().convert("RGBA"), "WEBP"),
        "moving.gif": encode(animation[0], "GIF", save_all=True, append_images=animation[1:]),
        "moving.webp": encode(animation[0], "WEBP", save_all=True, append_images=animation[1:]),
        "scan.tiff": encode(noise().convert("L"), "TIFF"),
        "old.bmp": encode(noise(), "BMP"),
        "bits.pgm": encode(noise().convert("L"), "PPM"),
    }


def broken_photos() -> dict[str, bytes]:
    """File contents by name; none can be read."""
    whole = encode(noise(), "JPEG")
    return {
        "cut.jpg": whole[: len(whole) // 2],
        "empty.png": b"",
        "text.jpg": b"this is no picture",
    }


@pytest.fixture(scope="session")
def good_photos() -> dict[str, bytes]:
    return photo_of_every_kind()


@pytest.fixture(scope="session")
def bad_photos() -> dict[str, bytes]:
    return broken_photos()


@pytest.fixture
def photos(tmp_path: Path, good_photos: dict[str, bytes]) -> Path:
    """A folder with a few whole photos in a tree."""
    folder = tmp_path / "photos"
    for name, place in {
        "plain.jpg": "plain.jpg",
        "alpha.png": "sub/alpha.png",
        "alpha.webp": "sub/deep/Größe 1.webp",
        "old.bmp": "sub/old.bmp",
    }.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(good_photos[name])
    return folder


@pytest.fixture
def make_translator() -> Iterator[Callable[..., Translator]]:
    """Makes translators over `FakeRuntime`; options are those of `fake_card`."""
    opened: list[FakeRuntime] = []

    def make(*, batch_size: int = 4, **options: object) -> Translator:
        runtime = FakeRuntime(fake_card(**{"image_size": 16, **options}), batch_size=batch_size)
        opened.append(runtime.__enter__())
        return Translator(runtime.card, runtime)

    yield make
    for runtime in opened:
        runtime.__exit__(None, None, None)
