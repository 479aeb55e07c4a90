"""Every error that a user can cause or fix.

    StarganDeployError
    ├── UsageError              an option, a value or a combination that makes no sense
    │   ├── ConfigError         a recipe or an override that does not fit
    │   └── LabelError          an attribute or domain that the model does not know
    ├── DataError               a data set or a folder of images that cannot be used
    │   └── ImageError          one image that cannot be read
    ├── ModelError              a checkpoint or artefact that cannot be used
    │   └── CardError           its model card is missing, damaged or contradicts the file
    ├── ExportError             an export that could not be made
    │   └── ParityError         an export that does not equal PyTorch within its tolerance
    ├── BackendError            a runtime or device that is not usable on this machine
    ├── TrainingError           a training that cannot start or continue
    ├── StoppedError            work that a signal stopped, after its state was saved
    ├── OutputError             a file or folder that cannot be written
    │   └── DiskFullError       because there is no space left
    └── IncompleteError         the work ended, but some of its items failed

A message says what is wrong and where; the hint says what to do about it. Both name settings in
backticks by their Python names, such as `max_batch`; the command line, which owns exit codes and
flags (`cli.exit_codes`, `cli.flags`), shows them as options. It catches the base class in one place
and prints one line; any other exception is a bug and shows its traceback.
"""

import difflib
import signal
from collections.abc import Iterable


class StarganDeployError(Exception):
    """Base of every error that a user can cause or fix.

    Args:
        message: what is wrong, and where.
        hint: what to do about it; empty where the message says all there is to say.
    """

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Message and hint in one line."""
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(StarganDeployError):
    """An option, a value or a combination of options that makes no sense."""


class ConfigError(UsageError):
    """A recipe or an override with an unknown key or a value that does not fit."""


class LabelError(UsageError):
    """A requested attribute or domain that the model does not know or that contradicts itself."""


class DataError(StarganDeployError):
    """A data set or a folder of images that cannot be used."""


class ImageError(DataError):
    """One image that cannot be read."""


class ModelError(StarganDeployError):
    """A checkpoint or artefact that cannot be used."""


class CardError(ModelError):
    """A model card that is missing, damaged or contradicts its file."""


class ExportError(StarganDeployError):
    """An export that could not be made."""


class ParityError(ExportError):
    """An export whose pictures differ from PyTorch's by more than the tolerance."""


class BackendError(StarganDeployError):
    """A runtime or device that is not usable on this machine."""


class TrainingError(StarganDeployError):
    """A training that cannot start or go on."""


class StoppedError(StarganDeployError):
    """Work that a signal stopped, after its state was saved.

    Args:
        message: what was stopped, and where.
        signal: the signal that stopped it.
        hint: how to continue.
    """

    def __init__(
        self, message: str = "", *, signal: signal.Signals = signal.SIGTERM, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.signal = signal


class OutputError(StarganDeployError):
    """A file or folder that cannot be written."""


class DiskFullError(OutputError):
    """A file that cannot be written because there is no space left."""


class IncompleteError(StarganDeployError):
    """Work that ended while some of its items failed."""


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
