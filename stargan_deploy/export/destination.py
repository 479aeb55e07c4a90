"""Where exports go unless the user says otherwise."""

import os
from pathlib import Path

from stargan_deploy.backends.registry import choose_precision
from stargan_deploy.backends.spec import BackendSpec

EXPORTS = Path("exports")


def default_name(checkpoint: Path) -> str:
    """An artefact's name: that of the run in which the checkpoint stands, else of its file."""
    folder = checkpoint.resolve().parent
    return folder.parent.name if folder.name == "checkpoints" else checkpoint.stem


def destination(
    checkpoint: Path,
    spec: BackendSpec,
    precision: str | None = None,
    out: str | Path | None = None,
) -> Path:
    """The main file of an export, or its folder where the format makes folders.

    Args:
        checkpoint: what is exported.
        spec: the format.
        precision: None takes the format's default; FP32 is the one that names do not say.
        out: a file, or a folder if it exists or ends in "/"; for a format that makes folders
            always their parent. None takes ./exports.

    Raises:
        UsageError: the format does not exist at the precision.
    """
    chosen = choose_precision(spec.name, precision)
    stem = default_name(checkpoint) + ("" if chosen == "fp32" else f"-{chosen}")
    name = stem + spec.suffix
    if not spec.suffix:
        return Path(EXPORTS / spec.name if out is None else out) / name
    if out is None:
        return EXPORTS / name
    is_folder = str(out).endswith(("/", os.sep)) or Path(out).is_dir()
    return Path(out) / name if is_folder else Path(out)
