"""Where exports go unless the user says otherwise."""

import os
from pathlib import Path

EXPORTS = Path("exports")


def default_name(checkpoint: Path) -> str:
    """An artefact's name: that of the run in which the checkpoint stands, else of its file."""
    folder = checkpoint.resolve().parent
    return folder.parent.name if folder.name == "checkpoints" else checkpoint.stem


def destination(checkpoint: Path, suffix: str, out: str | Path | None = None) -> Path:
    """The main file of an export, or its folder where the format makes folders.

    Args:
        checkpoint: what is exported.
        suffix: of the format's files; empty where it makes folders.
        out: a file, or a folder if it exists or ends in "/"; for a format that makes folders
            always their parent. None takes ./exports.
    """
    name = default_name(checkpoint) + suffix
    if not suffix:
        return Path(EXPORTS / "triton" if out is None else out) / name
    if out is None:
        return EXPORTS / name
    is_folder = str(out).endswith(("/", os.sep)) or Path(out).is_dir()
    return Path(out) / name if is_folder else Path(out)
