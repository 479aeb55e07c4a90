"""All backends by name: what each is, which one runs or writes a file, and how to open one."""

import functools
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from stargan_deploy.backends.compile.spec import SPEC as COMPILE
from stargan_deploy.backends.eager.spec import SPEC as EAGER
from stargan_deploy.backends.onnx.spec import SPEC as ONNX
from stargan_deploy.backends.openvino.spec import SPEC as OPENVINO
from stargan_deploy.backends.pt2.spec import SPEC as PT2
from stargan_deploy.backends.spec import CHECKPOINT_SUFFIX, BackendSpec
from stargan_deploy.backends.triton.spec import SPEC as TRITON
from stargan_deploy.backends.trt.spec import SPEC as TRT
from stargan_deploy.devices import DeviceKind
from stargan_deploy.errors import ModelError, UsageError, unknown_name

if TYPE_CHECKING:
    from stargan_deploy.backends.base import FileRuntime, OpenOptions, Providers, Runtime, Threads
    from stargan_deploy.backends.exporter import Exporter
    from stargan_deploy.card.card import ModelCard, Precision
    from stargan_deploy.families.base import Checkpoint

SPECS = {spec.name: spec for spec in (EAGER, COMPILE, ONNX, OPENVINO, PT2, TRT, TRITON)}
"""The backends by name; `register` adds one."""

REFERENCE = EAGER.name
"""The backend that every artefact is compared with."""

SOURCE = ONNX.name
"""The format that other formats are made from."""

AUTO = "auto"
"""Stands for the backend that a file is made for."""

T = TypeVar("T")


def register(spec: BackendSpec) -> None:
    """Adds a backend, so that it is exported to, proven, opened and measured like the others.

    Args:
        spec: its runtime and exporter are imported when they are used.

    Raises:
        ValueError: there is a backend of this name.
    """
    if spec.name in SPECS or spec.name == AUTO:
        raise ValueError(f"there is a backend {spec.name!r} already")
    SPECS[spec.name] = spec


def runtime_names() -> tuple[str, ...]:
    """Names of the backends that run something."""
    return tuple(name for name, spec in SPECS.items() if spec.runtime)


def format_names() -> tuple[str, ...]:
    """Names of the formats that a checkpoint can be exported to."""
    return tuple(name for name, spec in SPECS.items() if spec.exporter)


def runtime_spec(name: str) -> BackendSpec:
    """A backend that runs something.

    Raises:
        UsageError: there is no such backend.
    """
    return _named("backend", name, runtime_names())


def format_spec(name: str) -> BackendSpec:
    """A format that a checkpoint can be exported to.

    Raises:
        UsageError: there is no such format.
    """
    return _named("format", name, format_names())


def package_names() -> tuple[str, ...]:
    """Python packages that compute for some backend, or take part in an export."""
    found = (name for spec in SPECS.values() for name in (*spec.packages, *spec.tools))
    return tuple(dict.fromkeys(found))


def product_specs() -> dict[str, str]:
    """Functions that prepare matrix products, as "module:function", by the library's name."""
    return {spec.library: spec.product for spec in SPECS.values() if spec.product}


def recommended(kind: DeviceKind) -> "list[tuple[str, Precision]]":
    """Formats and precisions that `auto` exports to for a kind of device, the best first.

    It takes the first that can be made, is proven, and passes its gate.
    """
    found = [
        (each.rank, name, each.precision)
        for name, spec in SPECS.items()
        for each in spec.recommended
        if each.device == kind
    ]
    return [(name, precision) for _, name, precision in sorted(found)]


def choose_precision(format: str, wanted: str | None) -> "Precision":
    """The precision asked for, or a format's default; never another one than asked for.

    Raises:
        UsageError: no such format, or the format does not exist at this precision.
    """
    offered = format_spec(format).precisions
    if wanted is None:
        return offered[0]
    if wanted not in offered:
        others = [name for name in format_names() if wanted in SPECS[name].precisions]
        raise UsageError(
            f"there is no {format} at precision {wanted!r}; {format} comes as {', '.join(offered)}",
            hint=f"{wanted} exists for: {', '.join(others)}" if others else "",
        )
    return next(name for name in offered if name == wanted)


def load_runtime(name: str) -> "type[FileRuntime]":
    """Imports the runtime of a backend.

    Raises:
        UsageError: there is no such backend.
    """
    from stargan_deploy.backends.base import FileRuntime

    return load_class(runtime_spec(name).runtime, FileRuntime)  # type: ignore[type-abstract]


def load_exporter(name: str) -> "Exporter":
    """Imports the exporter of a format; always the same object.

    Raises:
        UsageError: there is no such format.
    """
    return _exporter(format_spec(name).exporter)


def open_runtime(
    path: Path,
    *,
    backend: str = AUTO,
    device: str | None = None,
    batch_size: int | None = None,
    weights: Literal["ema", "raw"] | None = None,
    precision: "Precision | None" = None,
    threads: "Threads | None" = None,
    session: Any = None,
    session_options: Any = None,
    providers: "Providers | None" = None,
) -> "Runtime":
    """Makes the runtime for a checkpoint or artefact, to be entered by the caller.

    Args:
        path: a checkpoint (`.safetensors`) or an artefact.
        backend: a name from `runtime_names`; "auto" takes what the file is made for, and only
            artefacts that were proven equal to PyTorch on that backend.
        device: "cpu", "cuda", "cuda:N" or "mps"; None lets the backend take the best usable one.
        batch_size: fixed size of every call to the engine; None runs inputs as they are.
        weights: which weights of a checkpoint with both kinds; None takes the card's choice.
        precision: what the convolutions of a checkpoint compute in; None takes fp32.
        threads: of each call on a CPU, where results depend on their number; "pinned" takes the
            backend's own choice, and None leaves them free.
        session: an open `onnxruntime.InferenceSession` of an ONNX artefact, to be run as it is.
        session_options: `onnxruntime.SessionOptions` for an ONNX artefact.
        providers: onnxruntime's execution providers for an ONNX artefact; None takes the device's.

    Raises:
        UsageError: no such backend, or one that does not run this kind of file in this way.
        ModelError: the file is not usable, or not proven.
        BackendError: the backend's library is not usable.
    """
    from stargan_deploy.backends.base import OpenOptions

    names = backends_for(path)
    if backend != AUTO and backend not in names:
        if backend not in runtime_names():
            raise UsageError(unknown_name("backend", backend, (AUTO, *runtime_names())))
        raise UsageError(f"backend {backend!r} does not run {path.name}; {' or '.join(names)} does")
    name = names[0] if backend == AUTO else backend
    options = OpenOptions(
        device=device,
        batch_size=batch_size,
        weights=weights,
        precision=precision,
        threads=threads,
        session=session,
        session_options=session_options,
        providers=providers,
    )
    runtime = load_runtime(name)(path, options)
    if path.suffix.lower() != CHECKPOINT_SUFFIX:
        check_fits(path, runtime.card, options)
        if backend == AUTO:
            check_proven(path, runtime.card, name)
    return runtime


def open_reference(
    checkpoint: Path,
    *,
    device: str | None,
    weights: Literal["ema", "raw"],
    content: "Checkpoint | None" = None,
) -> "Runtime":
    """Makes the runtime that artefacts are compared with: the checkpoint in eager FP32.

    Args:
        checkpoint: a checkpoint.
        device: as for `open_runtime`.
        weights: which weights of a checkpoint with both kinds.
        content: what the checkpoint holds, if it was loaded already.

    Raises:
        ModelError: not a checkpoint.
    """
    from stargan_deploy.backends.base import OpenOptions
    from stargan_deploy.backends.eager.runtime import EagerRuntime

    options = OpenOptions(device=device, weights=weights)
    return EagerRuntime(checkpoint, options, content=content)


def read_card_of(path: Path) -> "ModelCard":
    """Reads the card of a checkpoint or an artefact of any kind.

    Raises:
        ModelError: no such file, or it was not written by stargan-deploy.
    """
    return load_runtime(backends_for(path)[0]).read_card(path)


def is_proven(card: "ModelCard", backend: str) -> bool:
    """Whether an artefact was compared with PyTorch on a backend, and always passed."""
    results = [verdict.passed for verdict in card.verdicts if verdict.runtime == backend]
    return bool(results) and all(results)


def backends_for(path: Path) -> tuple[str, ...]:
    """The backends that run a file, by its suffix, the one it is made for first.

    Raises:
        ModelError: neither a checkpoint nor an artefact.
    """
    names = tuple(name for name, spec in SPECS.items() if spec.runs(path.suffix))
    if not names:
        raise ModelError(
            f"{path} is neither a checkpoint nor an artefact; known endings: "
            f"{', '.join(known_suffixes())} (an official .ckpt becomes a checkpoint with: "
            "stargan-deploy convert)"
        )
    return names


def runs_on_cpu_only(path: Path) -> bool:
    """Whether no backend of a file computes on anything but the CPU."""
    return all(SPECS[name].devices == ("cpu",) for name in backends_for(path))


def known_suffixes() -> tuple[str, ...]:
    """File name suffixes of checkpoints and artefacts."""
    return tuple(dict.fromkeys(spec.suffix for spec in SPECS.values() if spec.runtime))


def artefact_bytes(path: Path) -> int:
    """Size of an artefact's file with the weights next to it, or of all files in its folder."""
    if path.is_dir():
        return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    suffixes = {s.weights_suffix for s in SPECS.values() if s.runs(path.suffix)} - {""}
    weights = (path.with_suffix(suffix) for suffix in suffixes)
    return path.stat().st_size + sum(p.stat().st_size for p in weights if p.is_file())


def load_class(reference: str, base: type[T]) -> type[T]:
    """Imports a class by "module:Class".

    Raises:
        TypeError: it is not a subclass of what it should be.
    """
    module, _, name = reference.partition(":")
    found: Any = getattr(importlib.import_module(module), name)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise TypeError(f"{reference} is not a subclass of {base.__name__}")
    return found


@functools.cache
def _exporter(reference: str) -> "Exporter":
    from stargan_deploy.backends.exporter import Exporter

    return load_class(reference, Exporter)()  # type: ignore[type-abstract]


def _named(kind: str, name: str, known: tuple[str, ...]) -> BackendSpec:
    if name not in known:
        raise UsageError(unknown_name(kind, name, known))
    return SPECS[name]


def check_fits(path: Path, card: "ModelCard", options: "OpenOptions") -> None:
    """Refuses what only a checkpoint offers a choice of.

    Raises:
        UsageError: other weights or another precision than the artefact has.
    """
    if options.weights not in (None, card.weights):
        raise UsageError(
            f"{path} holds the {card.weights} weights",
            hint=f"export again with `weights` {options.weights}",
        )
    if options.precision is not None:
        raise UsageError(
            f"{path} has a precision of its own",
            hint=f"export again with `precision` {options.precision}",
        )


def check_proven(path: Path, card: "ModelCard", backend: str) -> None:
    """Refuses an artefact that was not proven on a backend which was not asked for.

    Raises:
        ModelError: it was not.
    """
    if not is_proven(card, backend):
        reason = f" ({card.unverified})" if card.unverified else ""
        raise ModelError(
            f"{path} was not proven equal to PyTorch{reason}",
            hint=f"prove it with: stargan-deploy verify {path}, or take it as it is with `backend` "
            f"{backend}",
        )
