"""The folder for results of minutes of measuring, made before them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stargan_deploy.errors import UsageError
from stargan_deploy.files.atomic import make_folder, missing_folders, remove_empty


@contextmanager
def results_folder(folder: Path) -> Iterator[None]:
    """Make a folder before minutes of measuring; removes it again if they fail.

    Raises:
        UsageError: the folder is a file.
        OutputError: it cannot be made.
    """
    if folder.is_file():
        raise UsageError(f"--out {folder} is a file; name a folder")
    made = missing_folders(folder)
    make_folder(folder)
    try:
        yield
    except BaseException:
        remove_empty(made)
        raise
