"""Ray itself: importing it, joining or starting a cluster, and leaving it again."""

import importlib
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from stargan_deploy.errors import BackendError, UsageError, brief

INSTALL = "pip install 'stargan-deploy[ray]'"

REACHABLE_S = 10.0
"""How long an address may take to answer, in seconds."""

STORE_BYTES = 100 << 20
"""Ray's shared memory on this machine; what goes through it is some 500 bytes per photo."""

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",  # all that Ray would print on stdout
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
"""No telemetry, and nothing on stdout or stderr."""

JOIN = {"RAY_gcs_server_port_wait_time_s": "1"}
"""Attempts of about 45 s to talk to whatever answers at an address; Ray would make 20."""


def load_ray() -> Any:
    """Import Ray.

    Raises:
        BackendError: it is not installed.
    """
    try:
        with _environment(QUIET):
            return importlib.import_module("ray")
    except ImportError as error:
        raise BackendError(f"cannot use ray: {brief(error)}", hint=INSTALL) from error


@contextmanager
def connected(ray: Any, address: str) -> Iterator[None]:
    """Join or start a cluster; leaves or ends it at the end of the block.

    Args:
        ray: the module.
        address: "local" starts one on this machine, "auto" joins the one that this machine is in,
            "HOST:PORT" the one with its head there.

    Raises:
        UsageError: no cluster is at that address.
        BackendError: it cannot be started or joined.
    """
    is_local = address == "local"
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if is_local:
        options |= {"include_dashboard": False, "object_store_memory": STORE_BYTES}
    else:
        _check_reachable(address)
    try:
        # On stderr it would print its own log level.
        with _environment(QUIET if is_local else QUIET | JOIN), _stderr_off():
            ray.init(address, **options)
    except Exception as error:  # Ray's own, and many of Python's
        ray.shutdown()
        raise BackendError(
            f"cannot {'start' if is_local else 'join'} Ray ({address}): {brief(error)}",
            hint="check its version and RAY_AUTH_MODE, which must be the same on all machines",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Try an address, which Ray would do for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise UsageError(f"`ray` takes local, auto or HOST:PORT of a cluster, not {address!r}")
    try:
        socket.create_connection((host, int(port)), timeout=REACHABLE_S).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"no Ray cluster answers at {address} ({brief(error)})",
            hint="`ray` local starts one here",
        ) from error


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ[name] for name in wanted if name in os.environ}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name in wanted:
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def _stderr_off() -> Iterator[None]:
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
