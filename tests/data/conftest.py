from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def write_images():
    """Writes images of one colour below a folder."""

    def write(folder: Path, names, *, size=(8, 8), mode="RGB", colour=(200, 90, 10)) -> None:
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size, colour).convert(mode).save(path)

    return write
