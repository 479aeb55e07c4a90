"""What a data folder holds: its layout, its images, its labels, and what is wrong with it."""

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
from stargan_deploy.data.inspect.contents import Contents, FolderKind, Group, Layout, read_contents
from stargan_deploy.data.source import ImageSource
from stargan_deploy.errors import ImageError

NUM_SIZES = 5
"""Sizes that a report names."""


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
    """One split, or one domain of a split, of a set of which a training takes these apart."""

    split: str
    """"train" or "test"; of pairs also "val"."""
    domain: str
    """Of an unpaired set "A" or "B", else empty."""
    folder: str
    num_images: int
    """Files, broken ones included; of pairs the number of pairs."""
    num_broken: int
    sizes: tuple[Size, ...]
    """As those of the whole report."""
    labels: dict[str, int]
    """Number of images that carry each label."""


@dataclass(frozen=True, kw_only=True)
class FolderReport:
    """What `check_folder` found."""

    root: str
    layout: Layout
    num_images: int
    """Images that the layout names, broken ones included."""
    num_colour: int
    num_grey: int
    """Images whose three channels are equal."""
    sizes: tuple[Size, ...]
    """The most common sizes, most common first; of pairs those of one half."""
    smallest: Size | None
    """The least size by area; absent where no image can be read."""
    largest: Size | None
    labels: dict[str, int]
    """Number of images that carry each label."""
    together: dict[str, dict[str, int]]
    """Number of images that carry two labels at once."""
    parts: tuple[Part, ...]
    """Splits and domains of "idx", "plain", "paired" and "unpaired"; else none."""
    broken: tuple[BrokenImage, ...]
    remarks: tuple[str, ...]
    """What looks wrong beside broken images."""
    problems: tuple[str, ...]
    """Why a training would refuse the folder, broken images aside, in its words."""


def check_folder(
    root: Path,
    *,
    kind: FolderKind = "auto",
    attributes: Sequence[str] = (),
    progress: Callable[[int, int], None] = lambda *_: None,
) -> FolderReport:
    """Reads a data folder as a training would, and decodes every image in it.

    Args:
        root: a folder, or a CSV file.
        kind: the layout; "auto" looks at `root`.
        attributes: labels to count, or the two domains that are meant; empty counts all.
        progress: called with the number of images read and the number of all.

    Raises:
        DataError: there is no such folder, no image in it, or its labels cannot be read.
        LabelError: an attribute that the folder does not know.
        ConfigError: attributes of a kind that has none.
    """
    contents = read_contents(root, kind, attributes)
    num_images = sum(len(group.files) for group in contents.groups)
    done = count(1)
    tallies = [_tally(group, lambda: progress(next(done), num_images)) for group in contents.groups]
    return _report(root, contents, tallies)


def _report(root: Path, contents: Contents, tallies: "Sequence[_Tally]") -> FolderReport:
    whole = sum(tallies, start=_Tally())
    sizes = _ordered(whole.sizes)
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
        remarks=contents.remarks + _maybe_pairs(contents.layout, whole),
        problems=contents.problems,
    )


def _maybe_pairs(layout: Layout, tally: "_Tally") -> tuple[str, ...]:
    """A hint where odd files among pairs kept them from being recognised."""
    number = sum(n for (width, height), n in tally.sizes.items() if width == 2 * height)
    if layout != "images" or 2 * number <= tally.num_images:
        return ()
    return (
        f"{number} of {tally.num_images} images are twice as wide as high: "
        "if they are pairs, check them with --kind paired",
    )


def _part(group: Group, tally: "_Tally") -> Part:
    return Part(
        split=group.split,
        domain=group.domain,
        folder=group.folder,
        num_images=tally.num_images,
        num_broken=len(tally.broken),
        sizes=_ordered(tally.sizes)[:NUM_SIZES],
        labels=_count_labels([group.source])[0],
    )


@dataclass(kw_only=True)
class _Tally:
    """What looking at images gave."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    num_grey: int = 0
    broken: list[BrokenImage] = field(default_factory=list)

    @property
    def num_images(self) -> int:
        """Broken ones included."""
        return self.sizes.total() + len(self.broken)

    def __add__(self, other: "_Tally") -> "_Tally":
        return _Tally(
            sizes=self.sizes + other.sizes,
            num_grey=self.num_grey + other.num_grey,
            broken=self.broken + other.broken,
        )


@dataclass(frozen=True, kw_only=True)
class _Look:
    size: tuple[int, int]
    is_grey: bool


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
    return tally


def _look_at(group: Group, index: int) -> _Look | str:
    """Size and colour of an image, or why it cannot be read."""
    try:
        image = group.load(index)
    except ImageError as error:
        return str(error)
    return _Look(size=(image.width // group.num_panels, image.height), is_grey=_is_grey(image))


def _is_grey(image: Image.Image) -> bool:
    red, green, blue = (band.tobytes() for band in image.split())
    return red == green == blue


def _ordered(sizes: Counter[tuple[int, int]]) -> tuple[Size, ...]:
    """Most common first."""
    return tuple(Size(width=w, height=h, num_images=n) for (w, h), n in sizes.most_common())


def _count_labels(
    sources: Sequence[ImageSource | None],
) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """How many images carry each label, and each two."""
    tables = [source for source in sources if source is not None]
    if not tables:
        return {}, {}
    names = tables[0].label_space.names
    labels_NK = np.concatenate([table.labels for table in tables])
    pairs = (labels_NK.T @ labels_NK).round().astype(int).tolist()
    rows = [dict(zip(names, row, strict=True)) for row in pairs]
    together = dict(zip(names, rows, strict=True))
    return {name: together[name][name] for name in names}, together
