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
from collections.abc import Iterable, Sequence

MAX_GUESSES = 3
"""Names that are suggested for an unknown one."""


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
    """A training that cannot start or continue."""


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


def first_names(names: Sequence[str], most: int) -> str:
    """The first names of a list, and how many more there are: "a, b and 3 more"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def unknown_name(
    kind: str, name: str, known: Iterable[str], *, where: str = "", elsewhere: Iterable[str] = ()
) -> str:
    """Words the complaint about an unknown name, with the nearest known one and the whole list.

    Args:
        kind: what the name stands for, such as "attribute".
        name: what the user typed.
        known: the names that would have worked.
        where: the owner of the list, such as "this model"; "known" if empty.
        elsewhere: names to suggest that are not listed.
    """
    names = list(known)
    guesses = " or ".join(map(repr, nearest_names(name, [*names, *elsewhere])))
    hint = f"; did you mean {guesses}?" if guesses else ";"
    owner = f"{where} knows" if where else "known"
    return f"unknown {kind} {name!r}{hint} {owner}: {', '.join(names) or 'none'}"


def nearest_names(name: str, known: Iterable[str]) -> list[str]:
    """The names that a mistyped one may stand for.

    They are the same but for spelling or the table that they are in, or end in the same words
    (`lr` of `generator_lr`); else there is at most one, the most similar.
    """
    plain = {other: _plain(other) for other in known}
    wanted = _plain(name)
    last = wanted.rpartition(".")[2]
    endings = {other: text.rpartition(".")[2] for other, text in plain.items()}
    stages = (
        [other for other, text in plain.items() if text == wanted],
        [other for other, text in endings.items() if text == last],
        [other for other, text in endings.items() if text.endswith(f"_{last}")],
    )
    if found := next(filter(None, stages), []):
        return found[:MAX_GUESSES]
    near = difflib.get_close_matches(last, endings.values(), n=1, cutoff=0.6)
    return [other for other, text in endings.items() if text in near][:1]


def _plain(name: str) -> str:
    """A name without differences of case, blanks and hyphens."""
    return "_".join(name.lower().replace("-", " ").replace("_", " ").split())
