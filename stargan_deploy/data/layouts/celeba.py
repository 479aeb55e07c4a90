"""CelebA's layout: a folder of images and `list_attr_celeba.txt` (Liu et al., ICCV 2015)."""

from collections.abc import Sequence
from pathlib import Path

from stargan_deploy.data.config import DataConfig, Scheme
from stargan_deploy.data.layout import Contents, DataLayout
from stargan_deploy.data.layouts.label_file import LabelFile
from stargan_deploy.data.layouts.table import ListedImages
from stargan_deploy.data.source import ImageSource, Split
from stargan_deploy.errors import DataError

PAPER_ATTRIBUTES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
"""The five attributes of the paper's CelebA experiments."""


class CelebA(ListedImages):
    """CelebA or anything in its layout.

    Args:
        root: the data set's folder, or the one above it.
        attributes: the attributes to read, in label order; empty takes the paper's five.
        split: "train" or "test".
        scheme: how rows are held out (see `choose_rows`); "official" holds out 1,999.

    Raises:
        DataError: no attribute list, no images, a malformed row, or no row in the split.
        LabelError: an attribute that the list does not have.
    """

    def __init__(
        self,
        root: Path,
        *,
        attributes: Sequence[str] = (),
        split: Split = "train",
        scheme: Scheme = "official",
    ) -> None:
        super().__init__(
            open_list(root),
            tuple(attributes) or PAPER_ATTRIBUTES,
            split=split,
            scheme=scheme,
            set_name="celeba",
            description=Path(root).resolve().name,
        )


class CelebALayout(DataLayout):
    """A folder of images and an attribute list."""

    name = "celeba"
    summary = "CelebA's layout (images and an attribute list)"
    is_automatic = True

    def recognises(self, root: Path) -> bool:
        """Whether there is an attribute list."""
        return find_attribute_file(root) is not None

    def open(self, config: DataConfig, root: Path, split: Split) -> ImageSource:
        """Opens the rows of a split."""
        return CelebA(root, attributes=config.attributes, split=split, scheme=config.split)

    def contents(self, config: DataConfig, root: Path) -> Contents:
        """All rows, with all attributes unless some are named."""
        attributes = config.attributes or open_list(root).names
        return CelebA(root, attributes=attributes, scheme="none").contents(self.name)


def open_list(root: Path) -> LabelFile:
    """Opens the attribute list of a folder.

    Raises:
        DataError: there is none, or it is not one.
    """
    path = find_attribute_file(root)
    if path is None:
        raise DataError(f"{root} holds no list_attr_*.txt, so it is not in CelebA's layout")
    file = LabelFile(path)
    if not file.is_list:
        raise DataError(f"{path} does not start with a row count and attribute names")
    return file


def find_attribute_file(root: Path) -> Path | None:
    """The attribute list of a folder in CelebA's layout, or None."""
    patterns = ("list_attr*.txt", "*/list_attr*.txt")
    return next((path for p in patterns for path in sorted(Path(root).glob(p))), None)
