"""Services that really listen, in this process."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpx
import pytest

from stargan_deploy.serving.server import Address, listen, make_server
from stargan_deploy.serving.service import Service, ServiceOptions


@dataclass(frozen=True)
class Running:
    service: Service
    client: httpx.Client
    url: str
    address: tuple[str, int]


@contextmanager
def running(options: ServiceOptions) -> Iterator[Running]:
    service, address = Service(options), Address(port=0)
    service.open()
    with listen(address) as listener:
        place = listener.getsockname()
        server = make_server(service, address)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        url = address.url(place[1]).rstrip("/")
        try:
            with httpx.Client(base_url=url, timeout=60) as client:
                yield Running(service, client, url, place)
        finally:
            server.should_exit = True
            thread.join()
            service.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Starts services, which end with the test; options are those of `ServiceOptions`."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(running(ServiceOptions(**options)))


@pytest.fixture(scope="session")
def served(artefact) -> Iterator[Running]:
    """A service of the tiny ONNX artefact, for tests that change nothing in it."""
    with running(ServiceOptions(models=(artefact,))) as found:
        yield found
