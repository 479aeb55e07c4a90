"""What the service measures, for Prometheus."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from stargan_deploy.serving.batching.batcher import OnBatch

Stage = Literal["receive", "decode", "model", "encode", "total"]
"""Parts of a request: the upload; decoding and cutting the photos; waiting for the model and
running it; composing and encoding the results; and all of it."""

SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)

ROWS = (1, 2, 4, 8, 12, 16, 24, 32, 64, 128)

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """The figures of one service; nothing in them names a client or a photo.

    Args:
        queue_length: rows that wait, of all models together.
        num_inside: requests that have a place.
    """

    def __init__(
        self,
        *,
        queue_length: Callable[[], float] = lambda: 0,
        num_inside: Callable[[], float] = lambda: 0,
    ) -> None:
        self._registry = own = CollectorRegistry()
        self._stages = Histogram(
            "stargan_request_stage_seconds",
            "Seconds that requests spent in a stage.",
            ["stage"],
            buckets=SECONDS,
            registry=own,
        )
        self._engine = Histogram(
            "stargan_engine_seconds",
            "Seconds of a call to the engine.",
            ["model", "entry_point"],
            buckets=SECONDS,
            registry=own,
        )
        self._rows = Histogram(
            "stargan_batch_rows",
            "Rows of a call to the engine.",
            ["model", "entry_point"],
            buckets=ROWS,
            registry=own,
        )
        self._requests = Counter(
            "stargan_requests",
            "Requests by route and status of the answer.",
            ["route", "status"],
            registry=own,
        )
        self._images = Counter(
            "stargan_images",
            "Images that were made or asked for, by status of the answer.",
            ["status"],
            registry=own,
        )
        Gauge("stargan_queue_rows", "Rows that wait for the engine.", registry=own).set_function(
            queue_length
        )
        Gauge(
            "stargan_requests_inside", "Requests that have a place in the queue.", registry=own
        ).set_function(num_inside)

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Time a block as a stage of a request."""
        start_s = time.perf_counter()
        try:
            yield
        finally:
            self._stages.labels(name).observe(time.perf_counter() - start_s)

    def on_batch(self, model: str) -> OnBatch:
        """What is told about every batch of a model."""

        def note(entry_point: str, num_rows: int, seconds: float) -> None:
            self._rows.labels(model, entry_point).observe(num_rows)
            self._engine.labels(model, entry_point).observe(seconds)

        return note

    def count(self, route: str, status: int, num_images: int) -> None:
        """Count a request that was answered."""
        self._requests.labels(route, str(status)).inc()
        if num_images:
            self._images.labels(str(status)).inc(num_images)

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry)
