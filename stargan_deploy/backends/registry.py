"""Chooses the backend for a file: the one place that knows which backend runs what."""

import importlib
from pathlib import Path
from typing import Literal, Protocol, cast

from stargan_deploy.backends.base import OpenOptions, Runtime
from stargan_deploy.card.card import ModelCard, Precision
from stargan_deploy.errors import ModelError, UsageError, unknown_name

BACKENDS = {
    "eager": "stargan_deploy.backends.eager.runtime",
    "compile": "stargan_deploy.backends.compile.runtime",
    "onnx": "stargan_deploy.backends.onnx.runtime",
    "openvino": "stargan_deploy.backends.openvino.runtime",
    "pt2": "stargan_deploy.backends.pt2.runtime",
    "trt": "stargan_deploy.backends.trt.runtime",
}
"""Module of each backend, imported on use; each satisfies `Backend`."""

RUN_BY = {
    ".safetensors": ("eager", "compile"),
    ".onnx": ("onnx",),
    ".xml": ("openvino",),
    ".pt2": ("pt2",),
    ".engine": ("trt",),
}
"""Backends that run a kind of file, by its ending; `auto` takes the first."""

CHECKPOINT_SUFFIX = ".safetensors"


class Backend(Protocol):
    """What a module in `runtimes` offers under the name of its backend."""

    def read_card(self, path: Path) -> ModelCard:
        """Reads the card in a file that this backend runs, without the backend's library."""

    def open_file(self, path: Path, options: OpenOptions) -> Runtime:
        """Makes a runtime, not yet entered."""


def open_runtime(
    path: Path,
    *,
    backend: str = "auto",
    device: str | None = None,
    batch_size: int | None = None,
    weights: Literal["ema", "raw"] | None = None,
    precision: Precision | None = None,
) -> Runtime:
    """Makes the runtime for a checkpoint or artefact, to be entered by the caller.

    Args:
        path: a checkpoint (`.safetensors`) or an artefact.
        backend: a name in `BACKENDS`; "auto" takes what the file is made for, and no artefact
            that was not proven equal to PyTorch on that backend.
        device: "cpu", "cuda", "cuda:N" or "mps"; None lets the backend take the best usable one.
        batch_size: fixed size of every call to the engine; None runs inputs as they are.
        weights: of a checkpoint with both kinds, which; None takes the card's choice.
        precision: of a checkpoint, what its convolutions compute in; None takes fp32.

    Raises:
        UsageError: no such backend, or one that does not run this kind of file in this way.
        ModelError: the file is not usable, or not proven.
        BackendError: the backend's library is not usable.
    """
    names = backends_for(path)
    if backend not in ("auto", *BACKENDS):
        raise UsageError(unknown_name("backend", backend, ("auto", *BACKENDS)))
    if backend not in ("auto", *names):
        raise UsageError(f"backend {backend!r} does not run {path.name}; {' or '.join(names)} does")
    name = names[0] if backend == "auto" else backend
    options = OpenOptions(
        device=device, batch_size=batch_size, weights=weights, precision=precision
    )
    runtime = load_backend(name).open_file(path, options)
    if path.suffix.lower() != CHECKPOINT_SUFFIX:
        check_fits(path, runtime.card, options)
        if backend == "auto":
            check_proven(path, runtime.card, name)
    return runtime


def read_card_of(path: Path) -> ModelCard:
    """Reads the card of a checkpoint or an artefact of any kind.

    Raises:
        ModelError: no such file, or not one of this tool's.
    """
    return load_backend(backends_for(path)[0]).read_card(path)


def is_proven(card: ModelCard, backend: str) -> bool:
    """Whether an artefact was compared with PyTorch on a backend, and always passed."""
    results = [verdict.passed for verdict in card.verdicts if verdict.runtime == backend]
    return bool(results) and all(results)


def load_backend(name: str) -> Backend:
    """Imports a backend by its name in `BACKENDS`."""
    return cast(Backend, importlib.import_module(BACKENDS[name]))


def backends_for(path: Path) -> tuple[str, ...]:
    """The backends that run a file, by its ending, the one it is made for first.

    Raises:
        ModelError: neither a checkpoint nor an artefact.
    """
    names = RUN_BY.get(path.suffix.lower())
    if names is None:
        raise ModelError(
            f"{path} is neither a checkpoint nor an artefact; known endings: {', '.join(RUN_BY)} "
            "(an official .ckpt becomes a checkpoint with: stargan-deploy convert)"
        )
    return names


def check_fits(path: Path, card: ModelCard, options: OpenOptions) -> None:
    """Refuses what only a checkpoint offers a choice of.

    Raises:
        UsageError: other weights or another precision than the artefact has.
    """
    if options.weights not in (None, card.weights):
        raise UsageError(
            f"{path} holds the {card.weights} weights; export again with --weights "
            f"{options.weights}"
        )
    if options.precision is not None:
        raise UsageError(
            f"{path} has a precision of its own; export again with --precision {options.precision}"
        )


def check_proven(path: Path, card: ModelCard, backend: str) -> None:
    """Refuses an artefact that was not proven on a backend which was not asked for.

    Raises:
        ModelError: it was not.
    """
    if not is_proven(card, backend):
        reason = f" ({card.unverified})" if card.unverified else ""
        raise ModelError(
            f"{path} was not proven equal to PyTorch{reason}; prove it with: stargan-deploy "
            f"verify {path}, or take it as it is with --backend {backend}"
        )
