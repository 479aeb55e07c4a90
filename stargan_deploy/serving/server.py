"""Runs a service in uvicorn, from opened models to the last answer."""

import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import uvicorn

from stargan_deploy.errors import OutputError, UsageError
from stargan_deploy.serving.app import create_app
from stargan_deploy.serving.service import Service, ServiceOptions

STOPPING = (signal.SIGINT, signal.SIGTERM)

KEEP_ALIVE_S = 65
"""How long an idle connection stays open: longer than reverse proxies keep theirs, so that none
sends a request into a connection that is just being closed."""

MAX_CONNECTIONS = 2048

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a service listens."""

    host: str = "127.0.0.1"
    """Address of a network interface; 0.0.0.0 is all of them."""
    port: int = 8000
    """TCP port; 0 takes a free one."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise UsageError(f"`port` must be from 0 to 65535, not {self.port}")

    def url(self, port: int) -> str:
        """The address of the page, with the port that was taken."""
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def serve(options: ServiceOptions, address: Address) -> None:
    """Serve until SIGTERM or Ctrl-C; then finish the requests that were taken.

    Raises:
        StarganDeployError: a model cannot be opened.
        OutputError: the address cannot be listened on.
    """
    service = Service(options)
    listener = listen(address)
    try:
        service.open()
        if not options.api_key and address.host not in ("127.0.0.1", "localhost", "::1"):
            _log.warning(
                "anybody who reaches %s may use this service; set STARGAN_DEPLOY_API_KEY to ask "
                "for a key",
                address.host,
            )
        _log.info("serving at %s", address.url(listener.getsockname()[1]))
        make_server(service, address).run(sockets=[listener])
    finally:
        listener.close()
        service.close()
    _log.info("stopped")


def make_server(service: Service, address: Address) -> uvicorn.Server:
    """The server of a service whose models are open; its `run` takes the listening socket."""
    config = uvicorn.Config(
        create_app(service),
        host=address.host,
        port=address.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=service.limits.timeout_s,
        limit_concurrency=MAX_CONNECTIONS,
    )
    return _Server(config, service)


def listen(address: Address) -> socket.socket:
    """A socket at an address.

    Raises:
        OutputError: it cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((address.host, address.port))
    except (OSError, OverflowError) as error:
        found.close()
        raise OutputError(
            f"cannot listen on {address.host}:{address.port}: {error}",
            hint="choose another `port`, or 0 for a free one",
        ) from error
    return found


class _Server(uvicorn.Server):
    """Takes no requests after a signal, and ends normally when the others are finished."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note a signal; the second Ctrl-C does not wait."""
        self._service.admission.is_closed = True
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but the process then ends in its own way, and not by the signal."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in STOPPING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
