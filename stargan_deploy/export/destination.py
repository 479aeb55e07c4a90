"""Where exports go unless the user says otherwise."""

import os
from pathlib import Path

from stargan_deploy.backends.spec import BackendSpec

EXPORTS = Path("exports")


def default_name(checkpoint: Path) -> str:
    """An artefact's name: that of the run in which the checkpoint stands, else of its file."""
    folder = checkpoint.resolve().parent
    return folder.parent.name if folder.name == "checkpoints" else checkpoint.stem


def destination(checkpoint: Path, spec: BackendSpec, out: str | Path | None = None) -> Path:
    """The main file of an export, or its folder where the format makes folders.

    Args:
        checkpoint: what is exported.
        spec: the format.
        out: a file, or a folder if it exists or ends in "/"; for a format that makes folders
            always their parent. None takes ./exports.
    """
    name = default_name(checkpoint) + spec.suffix
    if not spec.suffix:
        return Path(EXPORTS / spec.name if out is None else out) / name
    if out is None:
        return EXPORTS / name
    is_folder = str(out).endswith(("/", os.sep)) or Path(out).is_dir()
    return Path(out) / name if is_folder else Path(out)
