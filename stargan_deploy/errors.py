"""Every error that a user can cause or mend, with the exit code of the command line.

    StarganDeployError          1
    ├── UsageError              2   an option, a value or a combination that makes no sense
    │   ├── ConfigError         2   a recipe or a `--set` that does not fit
    │   └── LabelError          2   an attribute or domain that the model does not know
    ├── DataError               3   a data set or a folder of images that cannot be used
    │   └── ImageError          3   one image that cannot be read
    ├── ModelError              4   a checkpoint or artefact that cannot be used
    │   └── CardError           4   its model card is missing, damaged or contradicts the file
    ├── ExportError             5   an export that could not be made
    │   └── ParityError         6   an export that does not equal PyTorch within its tolerance
    ├── BackendError            7   a runtime or device that is not usable on this machine
    ├── TrainingError           8   a training that cannot start or go on
    │   └── StoppedError    128+n   a training that a signal stopped, after it was saved
    ├── OutputError             9   a file or folder that cannot be written
    │   └── DiskFullError       9   because there is no space left
    └── IncompleteError        10   the work ended, but some of its items failed

A message says what is wrong, where, and what to do. The command line catches the base class in
one place and prints one line; any other exception is a bug and shows its traceback.
"""

import difflib
from collections.abc import Iterable


class StarganDeployError(Exception):
    """Base of every error that a user can cause or mend."""

    exit_code = 1


class UsageError(StarganDeployError):
    """An option, a value or a combination of options that makes no sense."""

    exit_code = 2


class ConfigError(UsageError):
    """A recipe or an override with an unknown key or a value that does not fit."""


class LabelError(UsageError):
    """A requested attribute or domain that the model does not know or that contradicts itself."""


class DataError(StarganDeployError):
    """A data set or a folder of images that cannot be used."""

    exit_code = 3


class ImageError(DataError):
    """One image that cannot be read."""


class ModelError(StarganDeployError):
    """A checkpoint or artefact that cannot be used."""

    exit_code = 4


class CardError(ModelError):
    """A model card that is missing, damaged or contradicts its file."""


class ExportError(StarganDeployError):
    """An export that could not be made."""

    exit_code = 5


class ParityError(ExportError):
    """An export whose pictures differ from PyTorch's by more than the tolerance."""

    exit_code = 6


class BackendError(StarganDeployError):
    """A runtime or device that is not usable on this machine."""

    exit_code = 7


class TrainingError(StarganDeployError):
    """A training that cannot start or go on."""

    exit_code = 8


class StoppedError(TrainingError):
    """A training that a signal stopped, after its state was saved.

    Args:
        message: what was stopped, and how to go on.
        exit_code: 128 plus the number of the signal, as shells have it.
    """

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class OutputError(StarganDeployError):
    """A file or folder that cannot be written."""

    exit_code = 9


class DiskFullError(OutputError):
    """A file that cannot be written because there is no space left."""


class IncompleteError(StarganDeployError):
    """Work that ended while some of its items failed."""

    exit_code = 10


def brief(error: BaseException) -> str:
    """A foreign error's text on one line of at most 300 characters; its class if it has none."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def unknown_name(kind: str, name: str, known: Iterable[str], *, where: str = "") -> str:
    """Words the complaint about an unknown name, with the nearest known one and the whole list.

    Args:
        kind: what the name stands for, such as "attribute".
        name: what the user typed.
        known: the names that would have worked.
        where: the owner of the list, such as "this model"; "known" if empty.
    """
    names = list(known)
    near = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=1, cutoff=0.6)
    guess = next((n for n in names if near and n.lower() == near[0]), None)
    hint = f"; did you mean {guess!r}?" if guess else ";"
    owner = f"{where} knows" if where else "known"
    return f"unknown {kind} {name!r}{hint} {owner}: {', '.join(names) or 'none'}"
