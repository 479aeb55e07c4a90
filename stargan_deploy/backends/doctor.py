"""Tests every backend on a one-layer graph, each in a process of its own.

The claims of a package say little: a provider is listed whose libraries are missing, a compiler is
not installed, a wheel was built for another processor. So each backend's `self_test` computes
something small, and this module survives whatever happens then.
"""

import dataclasses
import json
import platform
import shutil
import subprocess
import time
from pathlib import Path

from stargan_deploy.backends.base import FileRuntime
from stargan_deploy.backends.registry import load_class, runtime_spec
from stargan_deploy.card.card import library_versions
from stargan_deploy.devices import CPU, num_cores
from stargan_deploy.errors import BackendError, brief
from stargan_deploy.files.cache import cache_folder
from stargan_deploy.isolated import ask_child

LIMIT_S = 120.0
"""How long a backend may take, imports included; compiling one layer takes up to half of it."""

_CHILD = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from stargan_deploy.backends.doctor import answer; answer(*sys.argv[2:])"
)
"""Program of the process that tests a backend: the package's place, then `answer`'s arguments."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """The outcome of one backend's self-test."""

    backend: str
    usable: bool
    text: str
    """The devices that work, or the reason why none does."""
    remedy: str = ""
    """How to make the rest work."""
    version: str = ""
    """Its packages with their versions."""
    seconds: float = 0.0
    """How long it took, imports included."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine that the backends run on."""

    processor: str
    num_cores: int
    """Cores that this process may use."""
    python: str
    torch: str
    """Version; empty where it is not installed."""
    gpus: tuple[str, ...]
    """Names of the NVIDIA GPUs with their driver, as the driver's own tool gives them."""
    cache: str
    """The cache folder, which may not exist."""


def examine(backend: str, *, limit_s: float = LIMIT_S) -> Finding:
    """Tests one backend in another process, which may crash or hang.

    Args:
        backend: its name.
        limit_s: how long to wait for an answer, in seconds.

    Raises:
        UsageError: there is no such backend.
    """
    spec, start = runtime_spec(backend), time.monotonic()
    found = ask_child(_CHILD, [backend, spec.runtime, spec.install], limit_s=limit_s)
    try:
        finding = Finding(**(found.fields or {}))
    except TypeError:
        remedy = f"install its library again: {spec.install}"
        finding = _finding(backend, found.ending(limit_s), remedy, usable=False)
    seconds = round(time.monotonic() - start, 1)
    versions = library_versions(*spec.packages)
    version = ", ".join(f"{name} {versions[name]}" for name in spec.packages if name in versions)
    return dataclasses.replace(finding, version=version, seconds=seconds)


def answer(backend: str, runtime: str, install: str, place: str) -> None:
    """Tests one backend in this process and writes its finding to a file.

    Args:
        backend: its name.
        runtime: its `FileRuntime` as "module:Class".
        install: command that installs its packages.
        place: path of the file.
    """
    finding = _test(backend, runtime, install)
    Path(place).write_text(json.dumps(dataclasses.asdict(finding)), encoding="utf-8")


def _test(backend: str, runtime: str, install: str) -> Finding:
    """Tests one backend in this process; whatever it raises is a finding too."""
    try:
        backend_class = load_class(runtime, FileRuntime)  # type: ignore[type-abstract]
        passed = backend_class.self_test()
    except BackendError as error:
        return _finding(backend, error.message, error.hint, usable=False)
    except ImportError as error:
        return _not_imported(backend, error, install)
    except Exception as error:  # any library may raise anything
        return _finding(backend, f"{type(error).__name__}: {brief(error)}", "", usable=False)
    return _finding(backend, passed.text, passed.hint, usable=True)


def examine_machine() -> Machine:
    """Looks at the machine without importing any backend's library."""
    return Machine(
        processor=CPU.name(),
        num_cores=num_cores(),
        python=platform.python_version(),
        torch=library_versions("torch").get("torch", ""),
        gpus=_gpus(),
        cache=str(cache_folder()),
    )


def _finding(backend: str, text: str, remedy: str, *, usable: bool) -> Finding:
    return Finding(
        backend=backend,
        usable=usable,
        text=" ".join(text.split()),
        remedy=" ".join(remedy.split()),
    )


def _not_imported(backend: str, error: ImportError, install: str) -> Finding:
    """Distinguishes a package that is missing from one that does not load."""
    if not (isinstance(error, ModuleNotFoundError) and error.name):
        return _finding(backend, f"does not load: {brief(error)}", install, usable=False)
    if error.name.startswith("stargan_deploy"):
        remedy = "pip install --upgrade stargan-deploy"
        return _finding(backend, "not in this version", remedy, usable=False)
    return _finding(backend, f"{error.name} is not installed", install, usable=False)


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
