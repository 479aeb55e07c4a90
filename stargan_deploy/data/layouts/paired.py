"""Pairs of images, an input and the output that belongs to it, as pix2pix learns from.

They lie side by side in one file, or in two folders by equal names: `A` and `B`, `trainA` and
`trainB`, or the only two folders there are. A pair in two folders is read as if A lay left of B.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.layout import SERVE_BOTH, Contents, DataLayout
from stargan_deploy.data.layouts.folders import (
    SPLIT_NAMES,
    required_images,
    split_folder,
    split_folders,
)
from stargan_deploy.data.layouts.table import FileTable
from stargan_deploy.data.source import SPLITS, ImageSource, Split
from stargan_deploy.errors import DataError, ImageError
from stargan_deploy.files.images import SQUARES, halves_of, load_image
from stargan_deploy.files.walk import image_files, subfolders

LETTERS = "ab"
"""Names of the two folders of pairs, in lower case."""


@dataclass(frozen=True, kw_only=True)
class PairFolders:
    """Two folders whose files of equal names are pairs."""

    left: Path
    right: Path


class PairedImages(FileTable):
    """Files of two halves side by side, as pix2pix's own data sets are."""

    panels = ("image", "condition")

    def load(self, index: int) -> Image.Image:
        """Decodes one pair.

        Raises:
            ImageError: it cannot be read, or is not two images side by side.
        """
        pair = super().load(index)
        if not _may_be_pair(pair.size):
            raise ImageError(_complaint(self.location(index), *pair.size))
        return _side_by_side(*halves_of(pair)) if pair.width % 2 else pair

    def look_at_shapes(self) -> None:
        """Refuses a folder of another kind at once, by the headers of its files alone.

        Raises:
            DataError: there are images that are not pairs.
        """
        sizes = {name: _size(self.folder / name) for name in self.names}
        read = {name: size for name, size in sizes.items() if size[0]}
        singles = [_complaint(name, *s) for name, s in read.items() if not _may_be_pair(s)]
        if singles:
            more = f" (and {len(singles) - 1} more)" if len(singles) > 1 else ""
            raise DataError(f"{self.folder} does not hold pairs: {singles[0]}{more}")
        shapes = Counter(round(width / height, 2) for width, height in read.values())
        num_others = sum(not _are_squares(size) for size in read.values())
        if num_others:
            self.pair_ratio = shapes.most_common(1)[0][0]
            self.notes = (
                f"{num_others} of {len(read)} pairs are not two squares side by side: of each "
                "half the largest centre square is taken",
            )


class PairedFiles(FileTable):
    """Pairs of files of equal names in two folders, in any formats.

    Args:
        root: the folder that holds both.
        folders: the two folders.
        description: name of the data set for the card.

    Raises:
        DataError: no file has a partner, or two files of a folder have one name.
    """

    panels = ("image", "condition")
    pair_ratio = None

    def __init__(self, root: Path, folders: PairFolders, *, description: str) -> None:
        left, right = _by_name(folders.left), _by_name(folders.right)
        both = [name for name in left if name in right]
        if not both:
            raise DataError(
                f"no file in {folders.left} has the name of one in {folders.right}, for example "
                f"{next(iter(left.values()))}",
                hint="give both files of a pair the same name, in any format",
            )
        super().__init__(root, [left[name] for name in both], description=description)
        self.partners = [right[name] for name in both]
        alone = [*(left[n] for n in left if n not in right)]
        alone += [right[n] for n in right if n not in left]
        if alone:
            self.notes = (f"left out {len(alone)} files without a partner, such as {alone[0]}",)

    def load(self, index: int) -> Image.Image:
        """Decodes both images of a pair, the smaller one enlarged to the other's size.

        Raises:
            ImageError: one cannot be read, or they have different shapes.
        """
        images = [super().load(index), load_image(self.partners[index], self.value_range)]
        width, height = max(image.size for image in images)
        for image, path in zip(images, (self.location(index), self.partners[index]), strict=True):
            if abs(image.width * height / width - image.height) > 1:
                sizes = " and ".join(f"{i.width}x{i.height}" for i in images)
                raise ImageError(f"{path} and its partner differ in shape: {sizes}")
        resized = (image.resize((width, height), Image.Resampling.BILINEAR) for image in images)
        pair = _side_by_side(*resized)
        for image in images:
            pair.info |= image.info
        return pair


class PairedLayout(DataLayout):
    """Pairs of images, which `train` and `test` (or `val`) folders may divide."""

    name = "paired"
    recipe = "pix2pix"
    summary = "pairs of images (data.kind = paired)"
    noun = "pairs"
    takes_attributes = False

    def recognises(self, root: Path) -> bool:
        """Whether all images that can be read are twice as wide as high, but for a pixel."""
        return look_like_pairs(image_files(root))

    def open(self, config: DataConfig, root: Path, split: Split) -> ImageSource:
        """Opens the pairs of a split."""
        return _with_condition(config, self._open(root, split))

    def _open(self, root: Path, split: Split) -> FileTable:
        folders, title = pair_folders(root), root.resolve().name
        if folders:
            names = ("train",) if split == "train" else ("test", "val", "train")
            chosen = next(folders[name] for name in names if name in folders)
            return PairedFiles(root, chosen, description=title)
        base = split_folder(root, split)
        pairs = PairedImages(base, required_images(base), description=title)
        pairs.look_at_shapes()
        return pairs

    def contents(self, config: DataConfig, root: Path) -> Contents:
        """All files of all splits, `val` among them, also those that are not pairs."""
        found = Contents(layout=self.name)
        if folders := pair_folders(root):
            self._add_folders(found, config, root, folders)
            return found
        trained = [split_folder(root, split) for split in SPLITS]
        for name, folder in (split_folders(root) or {"train": root}).items():
            if folder in trained or image_files(folder):
                files = found.attempt(partial(required_images, folder))
                if files:
                    found.add(PairedImages(folder, files, description=""), split=name)
        if trained[0] == trained[1]:
            found.remarks.append(SERVE_BOTH)
        found.require_groups()
        found.remark_unused(root)
        return found

    def _add_folders(
        self, found: Contents, config: DataConfig, root: Path, folders: Mapping[str, PairFolders]
    ) -> None:
        partners: set[str] = set()
        for name, pair in folders.items():
            source = found.attempt(partial(PairedFiles, root, pair, description=""))
            if source is not None:
                found.add(source, split=name)
                partners |= set(map(str, source.partners))
                found.remarks += _with_condition(config, source).notes
        found.remarks += [SERVE_BOTH] if folders.keys() == {"train"} else []
        found.require_groups()
        found.remark_unused(root, "are used by no split or have no partner", also=partners)


def _with_condition(config: DataConfig, pairs: FileTable) -> FileTable:
    """The pairs with the panel that the settings name as the input, and a line on two folders."""
    if config.condition == "left":
        pairs.panels = ("condition", "image")
    if isinstance(pairs, PairedFiles):
        left, right = Path(pairs.location(0)), pairs.partners[0]
        turned = config.condition == "left"
        source, made = (left, right) if turned else (right, left)
        pairs.notes += (
            f"pairs by their names: {source} is an input and {made} its output; "
            f"data.condition={'right' if turned else 'left'} turns them round",
        )
    return pairs


def pair_folders(root: Path) -> dict[str, PairFolders]:
    """The two folders of pairs by split; none where pairs are looked for in single files.

    They are `trainA` and `trainB` (also `train_A`, `A_train`), `A` and `B`, which may hold folders
    of splits or lie in them, or the only two folders, whose files have the same names.
    """
    lettered = {
        split: _lettered(root, [f"{name}%" for name in names] + [f"%{name}" for name in names])
        for split, names in SPLIT_NAMES.items()
    }
    found = {split: pair for split, pair in lettered.items() if pair}
    if "train" in found:
        return found
    if pair := _lettered(root, ["%"]):
        left, right = split_folders(pair.left), split_folders(pair.right)
        both = {s: PairFolders(left=left[s], right=right[s]) for s in left if s in right}
        return both if "train" in both else {"train": pair}
    bases = split_folders(root) or {"train": root}
    below = {s: _lettered(base, ["%"]) or _only_two(base) for s, base in bases.items()}
    found = {split: pair for split, pair in below.items() if pair}
    return found if "train" in found else {}


def _lettered(base: Path, forms: Sequence[str]) -> PairFolders | None:
    """The folders that are called by a form with A and with B in place of %, in any spelling."""
    known = {"".join(filter(str.isalnum, f.name.lower())): f for f in subfolders(base)}
    for form in forms:
        left, right = (known.get(form.replace("%", letter)) for letter in LETTERS)
        if left and right:
            return PairFolders(left=left, right=right)
    return None


def _only_two(base: Path) -> PairFolders | None:
    """The only two folders, if most of their files have the same names."""
    folders = subfolders(base)
    if len(folders) != len(LETTERS):
        return None
    left, right = (set(map(_name_below(f), image_files(f))) for f in folders)
    is_paired = 2 * len(left & right) > max(len(left), len(right))
    return PairFolders(left=folders[0], right=folders[1]) if is_paired else None


def _name_below(folder: Path) -> Callable[[Path], str]:
    """Paths below a folder without their endings."""
    return lambda path: path.relative_to(folder).with_suffix("").as_posix()


def _by_name(folder: Path) -> dict[str, Path]:
    """Images by their path below a folder without its ending.

    Raises:
        DataError: there are none, or two have one name.
    """
    found: dict[str, Path] = {}
    for path in required_images(folder):
        name = _name_below(folder)(path)
        if name in found:
            raise DataError(f"{found[name]} and {path} have one name, so that pairs are unclear")
        found[name] = path
    return found


def look_like_pairs(files: Sequence[Path]) -> bool:
    """Whether all files that can be read are two squares side by side, by their headers alone."""
    is_one_read = False
    for path in files:
        size = _size(path)
        if size[0] and not _are_squares(size):
            return False
        is_one_read |= size[0] > 0
    return is_one_read


def _side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    pair = Image.new("RGB", (left.width + right.width, left.height))
    pair.paste(left, (0, 0))
    pair.paste(right, (left.width, 0))
    return pair


def _may_be_pair(size: tuple[int, int]) -> bool:
    """Whether an image is wider than high, as two images side by side usually are."""
    return size[0] > size[1] + 1 or _are_squares(size)


def _are_squares(size: tuple[int, int]) -> bool:
    return abs(size[0] - SQUARES * size[1]) <= 1 < size[0]


def _size(path: Path) -> tuple[int, int]:
    """Width and height in pixels; zeros where the file cannot be read: decoding reports that."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return 0, 0


def _complaint(name: str, width: int, height: int) -> str:
    return (
        f"{name} is {width}x{height}, and a pair is two images side by side, wider than high; "
        "pairs of other shapes go in two folders, A and B"
    )
