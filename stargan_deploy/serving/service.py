"""One service: its models, limits, threads and figures, and how a request gets its share."""

import asyncio
import math
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from starlette.requests import Request

from stargan_deploy.inference.choose import RuntimeRequest
from stargan_deploy.serving.batching.ticket import LEFT, TIMED_OUT, Ticket
from stargan_deploy.serving.limits import Admission, Hands, Limits
from stargan_deploy.serving.metrics import Metrics
from stargan_deploy.serving.models import Batching, Models, ServedModel
from stargan_deploy.serving.problems import ClientLeftError, DeadlineError
from stargan_deploy.serving.protocols.bodies import Receiver, open_receiver
from stargan_deploy.serving.work import Workplace

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ServiceOptions:
    """Everything that a service is started with."""

    models: tuple[Path | None, ...] = (None,)
    """Checkpoints, runs or artefacts; None stands for the newest run, else the demo model."""
    runtime: RuntimeRequest = field(default_factory=RuntimeRequest)
    """How to run the models."""
    batching: Batching = field(default_factory=Batching)
    """How requests are run together."""
    limits: Limits = field(default_factory=Limits)
    """How much clients may ask for."""
    model_dir: Path | None = None
    """Folder of models that clients with the API key may load."""
    api_key: str = field(default="", repr=False)
    """Key that clients have to send; empty asks for none."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may use the service from a browser; "*" is any."""


class Service:
    """What all requests of a process share.

    Args:
        options: how it was started.
    """

    def __init__(self, options: ServiceOptions) -> None:
        self.options = options
        self.limits = options.limits
        self.admission = Admission(options.limits)
        self.metrics = Metrics(
            queue_length=lambda: sum(model.batcher.num_waiting for model in self.models),
            num_inside=lambda: self.admission.num_inside,
        )
        self.models = Models(
            options.runtime,
            options.batching,
            folder=options.model_dir,
            on_batch=self.metrics.on_batch,
        )
        self._hands = Hands(os.cpu_count() or 1)
        self._threads = ThreadPoolExecutor(options.limits.queue, thread_name_prefix="request")

    def open(self) -> None:
        """Load the models.

        Raises:
            StarganDeployError: as `Models.open`.
        """
        self.models.open(self.options.models)

    def close(self) -> None:
        """Finish what is queued, and close the models."""
        self.admission.is_closed = True
        self._threads.shutdown()
        self.models.close()

    @property
    def is_ready(self) -> bool:
        """Whether requests are taken."""
        return not self.admission.is_closed and any(True for _ in self.models)

    @property
    def retry_after_s(self) -> int:
        """When a place in a full queue is likely to be free, in seconds."""
        longest_s = max((model.batcher.wait_s for model in self.models), default=0.0)
        return max(1, math.ceil(longest_s))

    @asynccontextmanager
    async def receiving(self, request: Request, ticket: Ticket) -> AsyncIterator[Receiver]:
        """Receive a request's body, if the queue has a place and its size is permitted.

        Raises:
            OverloadedError, ClosingError, TooLargeError: they do not.
        """
        retry_after_s = self.retry_after_s
        self.admission.check(retry_after_s)
        async with open_receiver(
            request,
            self.limits,
            self.admission,
            remaining_s=ticket.remaining_s,
            retry_after_s=retry_after_s,
        ) as receiver:
            with self.metrics.stage("total"):
                yield receiver

    def place(self) -> AbstractContextManager[None]:
        """Hold a place in the queue for a block.

        Raises:
            OverloadedError: there is none.
        """
        return self.admission.place(self.retry_after_s)

    async def work(
        self,
        request: Request,
        ticket: Ticket,
        model: ServedModel,
        do: Callable[[Workplace], T],
    ) -> T:
        """Do something for a client in a thread, until it is done or nobody waits for it.

        Raises:
            OverloadedError: there is no place.
            ClientLeftError, DeadlineError: the result is no longer wanted.
            StarganDeployError: whatever `do` raises.
        """
        with (
            self.place(),
            model.batcher.coming() as arrived,
        ):
            place = Workplace(
                model=model,
                ticket=ticket,
                hands=self._hands,
                metrics=self.metrics,
                max_pixels=self.limits.max_megapixels * 1_000_000,
                arrived=arrived,
            )
            working = asyncio.get_running_loop().run_in_executor(self._threads, do, place)
            return await wanted(working, request, ticket)


def service_of(request: Request) -> Service:
    """The service that a request was sent to."""
    service: Service = request.app.state.service
    return service


async def wanted(working: "asyncio.Future[T]", request: Request, ticket: Ticket) -> T:
    """The result of work, as long as the client waits for it.

    Raises:
        ClientLeftError, DeadlineError: it is no longer wanted; the work is given up.
    """
    leaving = asyncio.ensure_future(_left(request))
    try:
        done, _ = await asyncio.wait(
            (working, leaving),
            timeout=ticket.remaining_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if working in done:
            return working.result()
        if leaving in done:
            raise ClientLeftError(LEFT)
        raise DeadlineError(TIMED_OUT)
    finally:
        leaving.cancel()
        if not working.done():
            ticket.cancel()
            working.cancel()


async def _left(request: Request) -> None:
    """Return when the client has closed the connection; its body was received before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
