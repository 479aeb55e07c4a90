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
from stargan_deploy.inference.styles.source import StyledTarget
from stargan_deploy.presentation.grids import PAPER, image_grid
from stargan_deploy.presentation.text import evenly, printable

ROWS_PER_SHEET = 24
"""Photos on one contact sheet."""

CELL_PX, GRID_PX = 160, 128
"""Side of an image on a contact sheet, and in a grid of a whole batch."""

MAX_GALLERY_PHOTOS = 200
"""A page with more would be slow to open; they are taken evenly from all photos."""

GALLERY_PX = 256
"""Greatest side of an image in the gallery."""


def write_contact_sheets(plan: BatchPlan, framing: Framing) -> list[Path]:
    """Writes `contact-sheet-001.jpg` and so on: a photo with its translations in each row.

    Args:
        plan: of a batch that has run; photos without all their translations are left out.
        framing: the batch's, to show the part of a photo that was translated.

    Returns:
        The files, one for every `ROWS_PER_SHEET` photos.

    Raises:
        OutputError: the output folder cannot be written.
    """
    done = _done(plan)
    paths = []
    for number, start in enumerate(range(0, len(done), ROWS_PER_SHEET), start=1):
        path = plan.job.output / f"contact-sheet-{number:03}.jpg"
        _write_sheet(path, plan, done[start : start + ROWS_PER_SHEET], framing, CELL_PX)
        paths.append(path)
    return paths


def write_grid(path: Path, plan: BatchPlan, framing: Framing) -> None:
    """Writes all photos of a small batch as one image, like a contact sheet.

    Raises:
        OutputError: the file cannot be written.
    """
    _write_sheet(path, plan, _done(plan), framing, GRID_PX)


def write_batch_gallery(
    plan: BatchPlan,
    framing: Framing,
    *,
    title: str,
    subtitle: str | None = None,
    path: Path | None = None,
) -> Path:
    """Writes `gallery.html`, one file that needs nothing else.

    Args:
        plan: of a batch that has run; photos without all their translations are left out.
        framing: the batch's, to show the part of a photo that was translated.
        title: heading of the page.
        subtitle: a sentence below it; the number of photos unless given.
        path: the file to write; in the output folder unless given.

    Raises:
        OutputError: the output folder cannot be written.
    """
    done = _done(plan)
    picked = evenly(done, MAX_GALLERY_PHOTOS)
    counted = f"{len(done)} photos"
    if len(picked) < len(done):
        counted = f"{len(picked)} of {counted}, taken evenly"
    path = path or plan.job.output / "gallery.html"
    rows = list(_rows(picked, framing, GALLERY_PX))
    write_gallery(path, rows, _headings(plan), title=title, subtitle=subtitle or counted)
    return path


def _done(plan: BatchPlan) -> list[Photo]:
    return [photo for photo in plan.photos if all(path.exists() for path in photo.outputs)]


def _headings(plan: BatchPlan) -> list[str]:
    return [named.target.text for named in plan.job.targets]


def _write_sheet(
    path: Path, plan: BatchPlan, photos: Sequence[Photo], framing: Framing, cell_px: int
) -> None:
    square = (cell_px, cell_px)
    rows = [[r.source, *r.results] for r in _rows(photos, framing, cell_px)]
    if references := _references(plan, cell_px):
        rows.insert(0, [Image.new("RGB", square, PAPER), *references])
    cells = [[ImageOps.pad(image, square, color=PAPER) for image in row] for row in rows]
    save_image(image_grid(cells, ["Photo", *_headings(plan)], cell_px=cell_px), path)


def _references(plan: BatchPlan, cell_px: int) -> list[Image.Image]:
    """The reference of each target, if every one has one that can still be read."""
    targets = [named.target for named in plan.job.targets]
    styles = [target.styles[0] for target in targets if isinstance(target, StyledTarget)]
    paths = [style.reference for style in styles if isinstance(style.reference, Path)]
    if not paths or len(paths) < len(targets):
        return []
    try:
        return [_reduced(load_image(path), cell_px) for path in paths]
    except DataError:
        return []


def _rows(photos: Sequence[Photo], framing: Framing, size: int) -> Iterator[GalleryRow]:
    """Photos and translations, no side longer than so many pixels; vanished ones are left out."""
    for photo in photos:
        try:
            framed = framing.frame(decode_photo(read_photo(photo.path))[0])
            results = [load_image(path) for path in photo.outputs]
        except DataError:
            continue
        source, *reduced = (_reduced(i, size) for i in (framed.compose(framed.tiles), *results))
        yield GalleryRow(name=printable(photo.name), source=source, results=tuple(reduced))


def _reduced(image: Image.Image, size: int) -> Image.Image:
    image.thumbnail((size, size), Image.Resampling.BICUBIC)
    return image
