"""A report on a data folder: its layout, its images, its labels, and what is wrong with it.

Each layout is read by the reader that a training uses, so that a fault is described in that
reader's words.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image

from stargan_deploy.data.batches.prepared import NUM_DECODERS
from stargan_deploy.data.config import AUTO, DataConfig
from stargan_deploy.data.layout import Contents, Group, load_layout
from stargan_deploy.data.layouts.table import FileTable
from stargan_deploy.data.open import DEFAULT, recognise, require_root
from stargan_deploy.data.registry import WITHOUT_FOLDER
from stargan_deploy.data.source import ImageSource
from stargan_deploy.errors import ConfigError, ImageError
from stargan_deploy.files.colours import NARROW, ValueRange, check_range, narrow_note
from stargan_deploy.files.images import crop_note, is_far_larger
from stargan_deploy.files.walk import find_images, image_files
from stargan_deploy.progress import OnProgress

NUM_SIZES = 5
"""Sizes that a report names."""

UNKNOWN = "images"
"""Layout of images without labels whose purpose is not known."""


@dataclass(frozen=True, kw_only=True)
class BrokenImage:
    """An image that cannot be read."""

    file: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Size:
    """A size in pixels, and how many images have it."""

    width: int
    height: int
    num_images: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """One split, or one domain of a split, where a training takes these apart."""

    split: str
    """"train" or "test"; for pairs also "val"."""
    domain: str
    """"A" or "B" in an unpaired set, else empty."""
    folder: str
    num_images: int
    """Number of files, broken ones included; a pair counts once."""
    num_broken: int
    sizes: tuple[Size, ...]
    """The most common sizes, most common first."""
    labels: dict[str, int]
    """Number of images that carry each label."""


@dataclass(frozen=True, kw_only=True)
class FolderReport:
    """Findings of `check_folder`."""

    root: str
    layout: str
    """Name of the layout, as `data.kind` has it, or "images"."""
    num_images: int
    """Images that the layout names, broken ones included."""
    num_colour: int
    num_grey: int
    """Images whose three channels are equal."""
    sizes: tuple[Size, ...]
    """The most common sizes, most common first; for pairs those of one half."""
    smallest: Size | None
    """The least size by area; absent where no image can be read."""
    largest: Size | None
    labels: dict[str, int]
    """Number of images that carry each label."""
    together: dict[str, dict[str, int]]
    """Number of images that carry two labels at once."""
    parts: tuple[Part, ...]
    """Splits and domains, where a layout takes them apart; else none."""
    broken: tuple[BrokenImage, ...]
    remarks: tuple[str, ...]
    """Whatever looks wrong besides broken images."""
    problems: tuple[str, ...]
    """Reasons for which a training would refuse the folder, broken images aside."""


def check_folder(
    root: Path,
    *,
    kind: str = AUTO,
    attributes: Sequence[str] = (),
    range: ValueRange | None = None,
    progress: OnProgress = lambda *_: None,
) -> FolderReport:
    """Reads a data folder as a training would, and decodes every image in it.

    Args:
        root: a folder, or a file of labels.
        kind: the layout; "auto" recognises it.
        attributes: labels to count, or the two domains; empty counts all.
        range: values of deep images that become black and white, as `data.range` of a recipe.
        progress: called with the number of images read and the number of all.

    Raises:
        DataError: there is no such folder, no image in it, or its labels cannot be read.
        LabelError: an attribute that the folder does not know.
        ConfigError: an unknown kind, or attributes of one that has none.
    """
    try:
        check_range(range)
    except ValueError as error:
        raise ConfigError(f"`range`: {error}") from error
    contents = _read_contents(root, kind, attributes)
    for group in contents.groups:
        group.source.take_range(range)
    num_images = sum(len(group.files) for group in contents.groups)
    done = count(1)
    tallies = [_tally(group, lambda: progress(next(done), num_images)) for group in contents.groups]
    return _report(root, contents, tallies)


def _read_contents(root: Path, kind: str, attributes: Sequence[str]) -> Contents:
    """Lists the images of a folder, whose layout is recognised unless it is given."""
    if kind in WITHOUT_FOLDER:
        raise ConfigError(f"{kind!r} images are drawn: there is no folder to check")
    layout = recognise(root, automatic=False) if kind == AUTO else load_layout(kind)
    if layout is None:
        images = image_files(root)
        if images and not attributes:
            source = FileTable(root, images, description="")
            return Contents(layout=UNKNOWN, groups=[Group(source=source)])
        layout = load_layout(DEFAULT)
    require_root(layout, root)
    config = DataConfig(
        kind=layout.name, root=str(root), attributes=tuple(attributes), split="none"
    )
    layout.check_attributes(config)
    return layout.contents(config, root)


def _report(root: Path, contents: Contents, tallies: "Sequence[_Tally]") -> FolderReport:
    whole = sum(tallies, start=_Tally())
    sizes, narrow = _ordered(whole.sizes), whole.num_narrow
    by_area = sorted(sizes, key=lambda size: size.width * size.height)
    labels, together = _count_labels([group.source for group in contents.groups])
    parts = (_part(*pair) for pair in zip(contents.groups, tallies, strict=True) if pair[0].split)
    return FolderReport(
        root=str(root),
        layout=contents.layout,
        num_images=whole.num_images,
        num_colour=whole.sizes.total() - whole.num_grey,
        num_grey=whole.num_grey,
        sizes=sizes[:NUM_SIZES],
        smallest=by_area[0] if by_area else None,
        largest=by_area[-1] if by_area else None,
        labels=labels,
        together=together,
        parts=tuple(parts),
        broken=tuple(whole.broken),
        remarks=(
            *contents.remarks,
            *_maybe_pairs(contents.layout, whole),
            *_beyond_crop(contents.layout, sizes),
            *([narrow_note(narrow, whole.num_images, "data.range")] if narrow else []),
            *((note,) if (note := find_images(root).note) else ()),
        ),
        problems=tuple(contents.problems),
    )


def _beyond_crop(layout: str, sizes: Sequence[Size]) -> tuple[str, ...]:
    """A remark on images of which the usual crop would keep a scrap."""
    crop_size = DataConfig().crop_size
    num_all = sum(size.num_images for size in sizes)
    beyond = [size for size in sizes if is_far_larger((size.width, size.height), crop_size)]
    if not beyond or layout == UNKNOWN or not load_layout(layout).is_automatic:
        return ()
    return (crop_note(sum(size.num_images for size in beyond), num_all, crop_size),)


def _maybe_pairs(layout: str, tally: "_Tally") -> tuple[str, ...]:
    """A hint where odd files among pairs kept them from being recognised."""
    number = sum(n for (width, height), n in tally.sizes.items() if width == 2 * height)
    if layout != UNKNOWN or 2 * number <= tally.num_images:
        return ()
    return (
        f"{number} of {tally.num_images} images are twice as wide as high: "
        "if they are pairs, check them with `kind` paired",
    )


def _part(group: Group, tally: "_Tally") -> Part:
    return Part(
        split=group.split,
        domain=group.domain,
        folder=str(group.source.folder or ""),
        num_images=tally.num_images,
        num_broken=len(tally.broken),
        sizes=_ordered(tally.sizes)[:NUM_SIZES],
        labels=_count_labels([group.source])[0],
    )


@dataclass(kw_only=True)
class _Tally:
    """Sizes and faults of the images seen so far."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    num_grey: int = 0
    num_narrow: int = 0
    broken: list[BrokenImage] = field(default_factory=list)

    @property
    def num_images(self) -> int:
        """Broken ones included."""
        return self.sizes.total() + len(self.broken)

    def __add__(self, other: "_Tally") -> "_Tally":
        return _Tally(
            sizes=self.sizes + other.sizes,
            num_grey=self.num_grey + other.num_grey,
            num_narrow=self.num_narrow + other.num_narrow,
            broken=self.broken + other.broken,
        )


@dataclass(frozen=True, kw_only=True)
class _Look:
    size: tuple[int, int]
    is_grey: bool
    is_narrow: bool


def _tally(group: Group, on_look: Callable[[], None]) -> _Tally:
    """Decodes all images of a group."""
    tally = _Tally()
    with ThreadPoolExecutor(NUM_DECODERS) as pool:
        looks = pool.map(partial(_look_at, group), range(len(group.files)))
        for file, look in zip(group.files, looks, strict=True):
            on_look()
            if isinstance(look, str):
                tally.broken.append(BrokenImage(file=file, reason=look))
            else:
                tally.sizes[look.size] += 1
                tally.num_grey += look.is_grey
                tally.num_narrow += look.is_narrow
    return tally


def _look_at(group: Group, index: int) -> _Look | str:
    """Size and colour of an image, or why it cannot be read."""
    try:
        image = group.source.load(index)
    except ImageError as error:
        return str(error)
    size = (image.width // len(group.source.panels), image.height)
    return _Look(size=size, is_grey=_is_grey(image), is_narrow=NARROW in image.info)


def _is_grey(image: Image.Image) -> bool:
    red, green, blue = (band.tobytes() for band in image.split())
    return red == green == blue


def _ordered(sizes: Counter[tuple[int, int]]) -> tuple[Size, ...]:
    """Most common first."""
    return tuple(Size(width=w, height=h, num_images=n) for (w, h), n in sizes.most_common())


def _count_labels(
    sources: Sequence[ImageSource],
) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Numbers of images with each label, and with each two."""
    if not sources:
        return {}, {}
    names = sources[0].label_space.names
    labels_NK = np.concatenate([source.labels for source in sources])
    pairs = (labels_NK.T @ labels_NK).round().astype(int).tolist()
    rows = [dict(zip(names, row, strict=True)) for row in pairs]
    together = dict(zip(names, rows, strict=True))
    return {name: together[name][name] for name in names}, together
