"""Tries every backend on a one-layer graph, each in a process of its own.

What a package claims to support says little: a provider is listed whose libraries are missing, a
compiler is not installed, a wheel was built for another processor. So each backend's `try_out`
computes something small, and this module survives whatever happens then.
"""

import dataclasses
import importlib
import json
import os
import platform
import shutil
import subprocess
import time
from importlib import metadata
from pathlib import Path

from stargan_deploy.backends.registry import BACKENDS
from stargan_deploy.devices import machine_name
from stargan_deploy.errors import BackendError, brief
from stargan_deploy.files.cache import cache_folder
from stargan_deploy.isolated import ask_child

LIMIT_S = 120.0
"""How long a backend may take, imports included; compiling one layer takes up to half of it."""

PACKAGES = {
    "eager": ("torch",),
    "compile": ("torch",),
    "onnx": ("onnxruntime-gpu", "onnxruntime"),
    "openvino": ("openvino",),
    "pt2": ("torch",),
    "trt": ("tensorrt", "tensorrt-rtx"),
}
"""Packages that hold a backend's library."""

EXTRAS = {"openvino": "openvino", "trt": "tensorrt-rtx"}
"""Extras of this package that bring the libraries which it does not need for itself."""

_CHILD = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from stargan_deploy.backends.doctor import answer; answer(*sys.argv[2:])"
)
"""The program of the process that tries a backend: where this package is, `answer`'s arguments."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """What trying one backend showed."""

    backend: str
    usable: bool
    text: str
    """What works, or why nothing does."""
    remedy: str = ""
    """What to do about what does not work."""
    version: str = ""
    """Its packages with their versions."""
    seconds: float = 0.0
    """How long it took, imports included."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """What the backends stand on."""

    processor: str
    num_cores: int
    """Cores that this process may use."""
    python: str
    torch: str
    """Version; empty where it is not installed."""
    gpus: tuple[str, ...]
    """Names of the NVIDIA GPUs with their driver, as the driver's own tool gives them."""
    cache: str
    """This tool's cache folder, which may not exist."""


def examine(backend: str, *, limit_s: float = LIMIT_S) -> Finding:
    """Tries one backend in another process, which may crash or hang.

    Args:
        backend: a name in `BACKENDS`.
        limit_s: how long to wait for an answer, in seconds.
    """
    start = time.monotonic()
    found = ask_child(_CHILD, [backend, BACKENDS[backend]], limit_s=limit_s)
    try:
        finding = Finding(**(found.fields or {}))
    except TypeError:
        finding = _without_answer(backend, found.ending(limit_s))
    seconds = round(time.monotonic() - start, 1)
    return dataclasses.replace(finding, version=_versions(backend), seconds=seconds)


def answer(backend: str, module: str, place: str) -> None:
    """Tries one backend in this process and writes what it showed to a file.

    Args:
        backend: its name.
        module: its module, which has a `try_out`.
        place: path of the file.
    """
    finding = _try(backend, module)
    Path(place).write_text(json.dumps(dataclasses.asdict(finding)), encoding="utf-8")


def _try(backend: str, module: str) -> Finding:
    """Tries one backend in this process; whatever it raises is an answer too."""
    try:
        text = importlib.import_module(module).try_out()
    except BackendError as error:
        return _finding(backend, str(error), usable=False)
    except ImportError as error:
        return _not_imported(backend, error)
    except Exception as error:  # any library may raise anything
        return Finding(
            backend=backend, usable=False, text=f"{type(error).__name__}: {brief(error)}"
        )
    return _finding(backend, text, usable=True)


def examine_machine() -> Machine:
    """Looks at the machine without importing any backend's library."""
    return Machine(
        processor=machine_name(),
        num_cores=_num_cores(),
        python=platform.python_version(),
        torch=_version("torch"),
        gpus=_gpus(),
        cache=str(cache_folder()),
    )


def _without_answer(backend: str, ending: str) -> Finding:
    remedy = f"install its library again: {_install(backend)}"
    return Finding(backend=backend, usable=False, text=ending, remedy=remedy)


def _finding(backend: str, message: str, *, usable: bool) -> Finding:
    """Splits what a backend says: the remedy stands after the first semicolon."""
    text, _, remedy = " ".join(message.split()).partition("; ")
    return Finding(backend=backend, usable=usable, text=text, remedy=remedy)


def _not_imported(backend: str, error: ImportError) -> Finding:
    """Tells a package that is missing from one that does not load."""
    missing = isinstance(error, ModuleNotFoundError) and error.name
    text = f"{error.name} is not installed" if missing else f"does not load: {brief(error)}"
    if missing and str(error.name).startswith("stargan_deploy"):
        text, remedy = "not in this version", "pip install --upgrade stargan-deploy"
    else:
        remedy = _install(backend)
    return Finding(backend=backend, usable=False, text=text, remedy=remedy)


def _install(backend: str) -> str:
    extra = EXTRAS.get(backend)
    return f"pip install 'stargan-deploy[{extra}]'" if extra else "pip install stargan-deploy"


def _versions(backend: str) -> str:
    found = ((name, _version(name)) for name in PACKAGES.get(backend, ()))
    return ", ".join(f"{name} {version}" for name, version in found if version)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpus() -> tuple[str, ...]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    query = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    rows = (line.split(", ") for line in done.stdout.splitlines() if line.strip())
    return tuple(f"{row[0]} (driver {row[-1]})" for row in rows)
