"""Fetching a data set, so that a folder of its name holds either all of it or nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path

from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.layouts.listed import CelebALayout
from stargan_deploy.errors import DataError, OutputError
from stargan_deploy.files.atomic import make_folder

Fetch = Callable[[Path], None]
"""Puts `celeba/` with images and lists into a folder, continuing with what it finds there."""

MAX_REASON = 200
"""Characters of a failure's reason that the error quotes."""


def fetch_with_torchvision(folder: Path) -> None:
    """Downloads CelebA's aligned images and lists with torchvision, from Google Drive."""
    from torchvision.datasets import CelebA as Download

    # Torchvision takes an unpacked folder for a whole one, even if unpacking was cut short.
    shutil.rmtree(folder / "celeba" / "img_align_celeba", ignore_errors=True)
    Download(str(folder), split="all", download=True)
    (folder / "celeba" / "img_align_celeba.zip").unlink(missing_ok=True)


def download_celeba(folder: Path, *, fetch: Fetch = fetch_with_torchvision) -> int:
    """Downloads CelebA (Liu et al., ICCV 2015) in the layout that a training reads.

    Everything happens in `<folder>.partial` beside it, which becomes `folder` when it is whole;
    after a failure it stays, and the next call continues with it.

    Args:
        folder: the data set's new folder; absent or empty.
        fetch: downloads into a folder.

    Returns:
        The number of images.

    Raises:
        OutputError: the folder is not empty, or it cannot be written.
        DataError: the download failed, or is not whole.
    """
    folder = Path(folder).resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} is not empty", hint="choose a new folder for CelebA")
    partial = make_folder(folder.with_name(f"{folder.name}.partial"))
    try:
        fetch(partial)
    except Exception as error:  # whatever Google Drive, the network and the archive make it raise
        reason = str(error).strip()[:MAX_REASON].rstrip(".") or type(error).__name__
        raise DataError(
            f"cannot download CelebA: {reason}",
            hint=f"try again later{_kept(partial)}, or fetch "
            "img_align_celeba.zip and list_attr_celeba.txt from "
            f"https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html and unpack them in {folder}",
        ) from error
    number = _check_whole(partial / "celeba")
    _publish(partial / "celeba", folder)
    return number


def _kept(partial: Path) -> str:
    """A note on what a failed download leaves, if it leaves something."""
    if any(path.is_file() for path in partial.rglob("*")):
        return f" (it continues with what is in {partial})"
    shutil.rmtree(partial, ignore_errors=True)
    return ""


def _check_whole(folder: Path) -> int:
    config = DataConfig(kind="celeba", root=str(folder), split="none")
    images = CelebALayout().open(config, folder, "train")
    present = {path.name for path in images.folder.iterdir()}
    missing = [name for name in images.names if name not in present]
    if missing:
        raise DataError(
            f"the download in {folder} lacks {len(missing)} of {len(images)} images, such as "
            f"{missing[0]}",
            hint="try again",
        )
    return len(images)


def _publish(fetched: Path, folder: Path) -> None:
    try:
        if folder.exists():
            folder.rmdir()
        fetched.rename(folder)
        shutil.rmtree(fetched.parent, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"cannot move {fetched} to {folder}: {error.strerror}") from error
