"""The base of the runtimes of artefacts: files side by side with one card, identified by hash.

An artefact with several entry points is several files in one folder with the same card. Opening
any of them opens them all: the given one is identified by its payload's hash, so that it may have
been renamed, and the others are looked up under the names in the card when they are first used.
"""

import dataclasses
from abc import abstractmethod
from pathlib import Path, PurePath
from typing import Any, Generic, TypeVar

from stargan_deploy.backends.base import FileRuntime, OpenOptions
from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.devices import CPU, Device, parse_device
from stargan_deploy.errors import CardError, ModelError

OUT_OF_MEMORY = "where memory ran out, take a smaller batch size"
"""The hint of a call that failed."""

Engine = TypeVar("Engine")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Payload:
    """The content of a file without its card."""

    sha256: str
    content: Any
    """The input of `_load_engine`: the very bytes that were hashed."""


class ArtefactRuntime(FileRuntime, Generic[Engine]):
    """An artefact whose engines are loaded, checked against the card, from files side by side.

    Args:
        path: one of the artefact's files.
        options: device and batch size.

    Raises:
        ModelError: on entry or first use: a changed, missing or unloadable file.
        BackendError: on entry, the library or the device is not usable.
    """

    def __init__(self, path: Path, options: OpenOptions | None = None) -> None:
        super().__init__(path, options)
        self._device = CPU
        self._engines: dict[str, Engine] = {}

    @property
    def device(self) -> Device:
        """The device that the engines really compute on."""
        return self._device

    @abstractmethod
    def _pick_device(self, wanted: Device | None) -> Device:
        """The device to load the engines for."""

    @abstractmethod
    def _read_payload(self, path: Path) -> Payload:
        """Reads the content of a file without its card, and runs none of it."""

    @abstractmethod
    def _load_engine(self, point: EntryPoint, path: Path, payload: Payload) -> Engine:
        """Makes an engine for `self._device` from a payload that was checked."""

    def payload_sha256(self) -> str:
        """SHA-256 of what the file holds now, apart from its card.

        Raises:
            ModelError: the file cannot be read.
        """
        return self._read_payload(self._path).sha256

    def _open(self) -> None:
        payload = self._read_payload(self._path)
        points = self.card.entry_points.items()
        held = [name for name, point in points if point.payload_sha256 == payload.sha256]
        if not held:
            raise _changed(self._path)
        wanted = self._options.device
        self._device = self._pick_device(None if wanted is None else parse_device(wanted))
        engine = self._load_engine(self.card.entry_points[held[0]], self._path, payload)
        self._engines = dict.fromkeys(held, engine)

    def _close(self) -> None:
        self._engines = {}

    def _engine(self, entry_point: str) -> Engine:
        """The engine of an entry point, which is loaded on first use."""
        if entry_point not in self._engines:
            self._engines[entry_point] = self._open_companion(self.card.entry_point(entry_point))
        return self._engines[entry_point]

    def _open_companion(self, point: EntryPoint) -> Engine:
        path = companion_path(self._path, point, self.card)
        if not path.is_file():
            raise ModelError(
                f"{self._path} keeps another of its entry points in {path.name}, which is not next "
                "to it",
                hint="copy the files of an export together, with equal beginnings of their names; "
                "`source` zeros, or `sources` in Python, does without a classifier",
            )
        payload = self._read_payload(path)
        if payload.sha256 != point.payload_sha256:
            raise _changed(path, f"the card in {self._path}")
        return self._load_engine(point, path, payload)


def read_file(path: Path) -> bytes:
    """Reads a file of an artefact.

    Raises:
        ModelError: there is no such file, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"no such artefact: {path}") from error
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error


def no_card(path: Path) -> CardError:
    """The complaint about a file that could carry a card, and carries none."""
    return CardError(
        f"{path} carries no model card, so stargan-deploy did not export it",
        hint="make an artefact from a checkpoint with: stargan-deploy export",
    )


def companion_path(path: Path, point: EntryPoint, card: ModelCard) -> Path:
    """Where the file of another entry point should be, next to one of an artefact's files.

    In a Triton model repository, `<model>/1/model.onnx`, it is in the folder of another model.
    """
    beside = path.parent / Path(point.file).name
    if Path(point.file).suffix != path.suffix and path.parent.name == "1":
        return path.parents[2] / Path(point.file).name / "1" / path.name
    return _renamed_alike(path, point, card) or beside


def _renamed_alike(path: Path, point: EntryPoint, card: ModelCard) -> Path | None:
    """The file of an entry point where all files of an export were renamed in the same way.

    `face.onnx` and `face.classifier.onnx` as `x.onnx` and `x.classifier.onnx`, for example.
    """
    wanted = Path(point.file).name
    for known in (Path(each.file).name for each in card.entry_points.values()):
        for end in _endings(known):
            start = known.removesuffix(end)
            if path.name.endswith(end) and start and wanted.startswith(start):
                found = path.with_name(path.name.removesuffix(end) + wanted.removeprefix(start))
                if found.is_file() and found != path:
                    return found
    return None


def _endings(name: str) -> list[str]:
    """The endings of a name from the longest on: `.classifier.onnx`, `.onnx`."""
    suffixes = PurePath(name).suffixes
    return ["".join(suffixes[index:]) for index in range(len(suffixes))]


def _changed(path: Path, owner: str = "its model card") -> CardError:
    return CardError(
        f"the content of {path} is not the one that {owner} was written for; the file was changed "
        "or belongs to another export",
        hint="export again",
    )
