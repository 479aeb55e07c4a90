"""The models that are served, by name; loaded, swapped and removed while requests go on.

A request leases its model. A model that was swapped or removed is closed when the last lease ends.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

from stargan_deploy.backends.registry import known_suffixes
from stargan_deploy.backends.spec import CHECKPOINT_SUFFIX
from stargan_deploy.card.card import ModelCard
from stargan_deploy.errors import UsageError, unknown_name
from stargan_deploy.export.destination import default_name
from stargan_deploy.inference.choose import (
    WORTH_EXPORTING,
    ChosenModel,
    RuntimeRequest,
    resolve_runtime,
)
from stargan_deploy.inference.faces_in_photo import make_framing
from stargan_deploy.inference.find import find_model
from stargan_deploy.inference.framing import Fit, Framing, Size
from stargan_deploy.serving.batching.batcher import Batcher, OnBatch
from stargan_deploy.serving.face_cache import RememberingDetector
from stargan_deploy.serving.problems import ConflictError, ForbiddenError, NotFoundError

KEPT_FRAMINGS = 32

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Batching:
    """How requests are run together."""

    max_batch: int = 16
    """Most images of a call to the model."""
    max_wait_ms: float = 5.0
    """How long a batch that is not full waits for requests that are on their way, in
    milliseconds."""
    fixed_batch: bool = False
    """Whether to fill up every call to `max_batch`, so that an image does not depend on what came
    with it: the same pixels as those of batch, with OpenVINO too."""

    def __post_init__(self) -> None:
        if self.max_batch < 1:
            raise UsageError(f"`max_batch` must be at least 1, not {self.max_batch}")
        if not 0 <= self.max_wait_ms <= 10_000:
            raise UsageError(f"`max_wait_ms` must be from 0 to 10000, not {self.max_wait_ms:g}")


class ServedModel:
    """An open model and its queue.

    Args:
        name: under which clients ask for it.
        chosen: what runs.
        batching: how requests are run together.
        on_batch: told about every batch, by the model's name.
    """

    def __init__(
        self,
        name: str,
        chosen: ChosenModel,
        batching: Batching,
        on_batch: Callable[[str], OnBatch],
    ) -> None:
        self.name = name
        self.chosen = chosen
        self.batcher = Batcher(
            chosen.open(),
            max_batch=batching.max_batch,
            max_wait_s=batching.max_wait_ms / 1000,
            on_batch=on_batch(name),
        )
        self._framing = lru_cache(KEPT_FRAMINGS)(self._make_framing)
        self._lock = threading.Lock()
        self._num_leases = 0
        self._is_retired = False

    @property
    def card(self) -> ModelCard:
        """Everything that is known about the model."""
        return self.batcher.card

    def framing(
        self,
        fit: Fit,
        size: Size | None,
        faces: Literal["largest", "all"] | None,
        only: int | None = None,
    ) -> Framing:
        """The way from photos to tiles and back; the same object for the same settings.

        Raises:
            BackendError: faces are wanted, and the detector is not installed.
        """
        return self._framing(fit, size, faces, only)

    def acquire(self) -> bool:
        """Keep the model open until `release`; false if it was retired."""
        with self._lock:
            self._num_leases += not self._is_retired
            return not self._is_retired

    def release(self) -> None:
        """Give back what `acquire` took."""
        with self._lock:
            self._num_leases -= 1
        self._close_if_unused()

    def retire(self) -> None:
        """Close the model when nobody uses it any more."""
        with self._lock:
            self._is_retired = True
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        with self._lock:
            if not self._is_retired or self._num_leases:
                return
        threading.Thread(target=self.batcher.close, name="closing", daemon=True).start()

    def _make_framing(
        self,
        fit: Fit,
        size: Size | None,
        faces: Literal["largest", "all"] | None,
        only: int | None = None,
    ) -> Framing:
        detector = _detector() if faces else None
        return make_framing(
            self.card, fit=fit, size=size, faces=faces, only=only, detector=detector
        )


class Models:
    """All served models.

    Args:
        request: how to run each of them; its batch size follows from `batching`.
        batching: how requests are run together.
        folder: where models may be loaded from later; None permits none.
        on_batch: told about every batch, by the model's name.
    """

    def __init__(
        self,
        request: RuntimeRequest,
        batching: Batching,
        *,
        folder: Path | None = None,
        on_batch: Callable[[str], OnBatch] = lambda _name: lambda _point, _rows, _seconds: None,
    ) -> None:
        self._request = replace(
            request, batch_size=batching.max_batch if batching.fixed_batch else None
        )
        self._batching = batching
        self._folder = folder
        self._on_batch = on_batch
        self._served: dict[str, ServedModel] = {}
        self._changing = threading.Lock()

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(tuple(self._served.values()))

    def open(self, paths: Sequence[Path | None]) -> None:
        """Load models, the default one first; None stands for the newest run or the demo model.

        Raises:
            UsageError: two of one name.
            StarganDeployError: as `find_model` and `resolve_runtime`.
        """
        for path in paths:
            model = self._load(path)
            if model.name in self._served:
                model.retire()
                raise UsageError(
                    f"two models are called {model.name!r}", hint="rename one of the files"
                )
            self._served[model.name] = model

    @contextmanager
    def lease(self, name: str | None) -> Iterator[ServedModel]:
        """Keep the model of a name open for a block; None takes the first.

        Raises:
            NotFoundError: there is none.
        """
        model = self.find(name)
        while not model.acquire():  # swapped in the meantime
            model = self.find(name)
        try:
            yield model
        finally:
            model.release()

    def find(self, name: str | None) -> ServedModel:
        """The model of a name, which may be closed at any time; None takes the first.

        Raises:
            NotFoundError: there is none.
        """
        served = self._served
        found = next(iter(served.values()), None) if name is None else served.get(name)
        if found is None:
            raise NotFoundError(unknown_name("model", name or "", served, where="this service"))
        return found

    def put(self, name: str, file: str | None) -> ServedModel:
        """Load a model from the folder under a name; it replaces an earlier one when it is ready.

        Args:
            name: under which clients will ask for it.
            file: its name in the folder; None takes the one that is called like the model.

        Raises:
            ForbiddenError: there is no folder, or the file is elsewhere.
            NotFoundError: no such file.
            StarganDeployError: as `find_model` and `resolve_runtime`.
        """
        path = self._in_folder(name, file)
        with self._changing:
            model = self._load(path, name)
            earlier = self._served.get(name)
            self._served = {**self._served, name: model}
        if earlier is not None:
            earlier.retire()
        return model

    def remove(self, name: str) -> None:
        """Remove a model; requests that use it are finished.

        Raises:
            NotFoundError: there is none.
            ConflictError: it is the last one.
        """
        with self._changing:
            model = self.find(name)
            if len(self._served) == 1:
                raise ConflictError(
                    f"{name!r} is the only model", hint="load another one before it is removed"
                )
            self._served = {key: own for key, own in self._served.items() if key != name}
        model.retire()

    def close(self) -> None:
        """Finish what is queued, and close all models."""
        for model in self:
            model.batcher.close()

    def _load(self, path: Path | None, name: str | None = None) -> ServedModel:
        found = find_model(path)
        request = self._request
        chosen = resolve_runtime(found, request, num_images=WORTH_EXPORTING)
        name = name or default_name(found.path)
        model = ServedModel(name, chosen, self._batching, self._on_batch)
        model.batcher.open()
        runtime = model.batcher.runtime
        _log.info("model %s: %s (%s on %s)", name, chosen.path, runtime.backend, runtime.device)
        return model

    def _in_folder(self, name: str, file: str | None) -> Path:
        if self._folder is None:
            raise ForbiddenError(
                "this service loads no further models",
                hint="start it with `model_dir`, the folder of models that it may load",
            )
        folder = self._folder.resolve()
        candidates = (
            [folder / f"{name}{suffix}" for suffix in (*known_suffixes(), CHECKPOINT_SUFFIX)]
            if file is None
            else [folder / file]
        )
        found = next((path for path in candidates if _is_inside(path, folder)), None)
        if found is None:
            raise NotFoundError(f"the folder of models holds no {file or name!r}")
        return found


@cache
def _detector() -> RememberingDetector:
    """The face detector of all models.

    Raises:
        BackendError: it is not installed.
    """
    return RememberingDetector.open()


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether a path is a file or run below a folder, links followed."""
    try:
        place = path.resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        return False
    return place != folder and place.is_relative_to(folder)
