"""Pages to look at after a batch, made from the files on the disk: contact sheets and a gallery."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageOps

from stargan_deploy.batch.output.gallery import GalleryRow, write_gallery
from stargan_deploy.batch.photos.photo_file import decode_photo, read_photo
from stargan_deploy.batch.plan import BatchPlan, Photo
from stargan_deploy.errors import DataError
from stargan_deploy.files.images import load_image, save_image
from stargan_deploy.inference.framing import Framing
from stargan_deploy.presentation.grids import picture_grid
from stargan_deploy.presentation.text import evenly, printable

ROWS_A_SHEET = 24
"""Photos on one contact sheet."""

CELL_PX = 160
"""Side of a picture on a contact sheet."""

MAX_GALLERY_PHOTOS = 200
"""A page with more would be slow to open; they are taken evenly from all photos."""

GALLERY_PX = 256
"""Greatest side of a picture in the gallery."""


def write_contact_sheets(plan: BatchPlan, framing: Framing) -> list[Path]:
    """Writes `contact-sheet-001.jpg` and so on: a photo with its pictures in each row.

    Args:
        plan: of a batch that has run; photos without all their pictures are left out.
        framing: the batch's, to show of a photo what was translated.

    Returns:
        The files, one for every `ROWS_A_SHEET` photos.

    Raises:
        OutputError: the output folder cannot be written.
    """
    done = _done(plan)
    headings = ["Photo", *(named.target.text for named in plan.job.targets)]
    paths = []
    for number, start in enumerate(range(0, len(done), ROWS_A_SHEET), start=1):
        rows = list(_rows(done[start : start + ROWS_A_SHEET], framing, CELL_PX))
        path = plan.job.output / f"contact-sheet-{number:03}.jpg"
        cells = [[_square(image, CELL_PX) for image in (r.source, *r.results)] for r in rows]
        save_image(picture_grid(cells, headings, cell_px=CELL_PX), path)
        paths.append(path)
    return paths


def write_batch_gallery(plan: BatchPlan, framing: Framing, *, title: str) -> Path:
    """Writes `gallery.html`, one file that needs nothing else.

    Args:
        plan: of a batch that has run; photos without all their pictures are left out.
        framing: the batch's, to show of a photo what was translated.
        title: heading of the page.

    Raises:
        OutputError: the output folder cannot be written.
    """
    done = _done(plan)
    picked = evenly(done, MAX_GALLERY_PHOTOS)
    subtitle = f"{len(done)} photos"
    if len(picked) < len(done):
        subtitle = f"{len(picked)} of {subtitle}, taken evenly"
    path = plan.job.output / "gallery.html"
    headings = [named.target.text for named in plan.job.targets]
    rows = list(_rows(picked, framing, GALLERY_PX))
    write_gallery(path, rows, headings, title=title, subtitle=subtitle)
    return path


def _done(plan: BatchPlan) -> list[Photo]:
    return [photo for photo in plan.photos if all(path.exists() for path in photo.outputs)]


def _rows(photos: Sequence[Photo], framing: Framing, size: int) -> Iterator[GalleryRow]:
    """Photos and pictures, none larger than a side in pixels; those that vanished are left out."""
    for photo in photos:
        try:
            framed = framing.frame(decode_photo(read_photo(photo.path))[0])
            pictures = [load_image(path) for path in photo.outputs]
        except DataError:
            continue
        source, *results = (_reduced(i, size) for i in (framed.compose(framed.tiles), *pictures))
        yield GalleryRow(name=printable(photo.name), source=source, results=tuple(results))


def _reduced(image: Image.Image, size: int) -> Image.Image:
    image.thumbnail((size, size), Image.Resampling.BICUBIC)
    return image


def _square(image: Image.Image, size: int) -> Image.Image:
    return ImageOps.pad(image, (size, size), color=(255, 255, 255))
