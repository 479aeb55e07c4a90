"""CelebA's layout: a folder of images and `list_attr_celeba.txt` (Liu et al., ICCV 2015)."""

from collections.abc import Sequence
from pathlib import Path

from stargan_deploy.card.labels import multilabel_space
from stargan_deploy.data.layouts.label_file import LabelFile
from stargan_deploy.data.layouts.table import FileTable
from stargan_deploy.data.source import Scheme, Split
from stargan_deploy.data.splits import NUM_HELD_OUT, choose_rows
from stargan_deploy.errors import DataError
from stargan_deploy.files.images import IMAGE_SUFFIXES
from stargan_deploy.files.walk import subfolders

PAPER_ATTRIBUTES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
"""The five attributes of the paper's CelebA experiments."""

IMAGE_FOLDERS = ("images", "img_align_celeba", "img_celeba")


class CelebA(FileTable):
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
        path = find_attribute_file(root)
        if path is None:
            raise DataError(f"{root} holds no list_attr_*.txt, so it is not in CelebA's layout")
        file = LabelFile(path)
        if not file.is_list:
            raise DataError(f"{path} does not start with a row count and attribute names")
        wanted = tuple(attributes) or PAPER_ATTRIBUTES
        rows = file.read(wanted)
        chosen = choose_rows(
            rows.files, split, scheme, folder=path.parent, num_held_out=NUM_HELD_OUT
        )
        if not chosen:
            raise DataError(
                f"{path} has {len(rows.files)} rows, and data.split={scheme} leaves none for "
                f"{split} (official holds out {NUM_HELD_OUT}); use --set data.split=none"
            )
        super().__init__(
            find_image_folder(path.parent),
            [rows.files[index] for index in chosen],
            rows.labels[chosen],
            label_space=multilabel_space(wanted),
            description=Path(root).resolve().name,
        )


def find_attribute_file(root: Path) -> Path | None:
    """The attribute list of a folder in CelebA's layout, or None."""
    patterns = ("list_attr*.txt", "*/list_attr*.txt")
    return next((path for p in patterns for path in sorted(Path(root).glob(p))), None)


def find_image_folder(folder: Path) -> Path:
    """The folder with the images beside an attribute list.

    Raises:
        DataError: no folder with images is there.
    """
    others = [path.name for path in subfolders(folder)]
    for name in (*IMAGE_FOLDERS, *others, "."):
        candidate = folder / name
        if candidate.is_dir() and any(_is_image(path) for path in candidate.iterdir()):
            return candidate
    raise DataError(f"{folder} has an attribute list, but no folder of images beside it")


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
