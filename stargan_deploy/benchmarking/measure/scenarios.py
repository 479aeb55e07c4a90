"""MLPerf's scenarios besides single stream: offline and server.

Offline: all images are available at the start, and the time until the last one is done counts.

Server: queries of one image arrive by a Poisson process, whether or not the previous one is done; a
single server answers them in order of arrival. Latency runs from arrival to answer, so that waiting
counts. The figure is the highest arrival rate at which 99 % of the queries meet a latency bound.
(MLPerf Inference rules, section "Scenarios"; with far fewer queries, for a run of seconds.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stargan_deploy.benchmarking.measure.timing import collector_off, summarize
from stargan_deploy.benchmarking.measure.workloads import Clock, Workload
from stargan_deploy.benchmarking.results import Offline, Server

NUM_UNLOADED = 10
"""Queries one after the other before the first try, which give the highest possible rate."""

LEAST_QUERIES = 20
"""Queries of a try, however slow the server."""

MAX_LATE = 0.01
"""Share of queries that may take longer than the bound."""


@dataclass(frozen=True, kw_only=True)
class ServerPlan:
    """How to search for the highest arrival rate."""

    latency_bound_ms: float
    """Time from arrival to answer that 99 % of the queries must meet."""
    budget_s: float = 20.0
    """Time for all tries, each of which gets the same share; one that would take longer than
    what is left, because it needs `LEAST_QUERIES`, is not started."""
    num_tries: int = 6
    """Bisections of the rate between 0 and that of a server that never rests."""
    seed: int = 0
    """Seed of the arrivals; all tries use the same ones, stretched to their rate and cut to their
    time."""

    def __post_init__(self) -> None:
        if not self.latency_bound_ms > 0 or not self.budget_s > 0:
            raise ValueError("latency_bound_ms and budget_s must be above 0")
        if self.num_tries < 1:
            raise ValueError(f"num_tries must be at least 1, not {self.num_tries}")


def measure_offline(
    workload: Workload,
    *,
    batch_size: int,
    num_images: int,
    max_s: float = float("inf"),
    clock: Clock | None = None,
) -> Offline:
    """Measures throughput over a number of images, after one call that is not counted.

    Args:
        workload: each of its calls makes `batch_size` images.
        batch_size: images per call.
        num_images: at least this many, rounded up to whole batches.
        max_s: no further call is started after it.
        clock: tells the time.
    """
    clock = clock or Clock()
    with collector_off():
        workload.call(0)
        workload.synchronize()
        start = clock.now_ns()
        num_calls = 0
        while num_calls == 0 or num_calls * batch_size < num_images:
            num_calls += 1
            workload.call(num_calls)
            if clock.now_ns() - start >= max_s * 1e9:
                break
        workload.synchronize()
        seconds = (clock.now_ns() - start) / 1e9
    done = num_calls * batch_size
    return Offline(num_images=done, seconds=seconds, images_per_s=done / seconds)


def measure_server(workload: Workload, plan: ServerPlan, clock: Clock | None = None) -> Server:
    """Finds the highest arrival rate tried at which the bound was met.

    If none met it, the rate is 0, and percentile and number are those of queries without waiting.

    Args:
        workload: answers one query per call.
        plan: bound, budget and seed.
        clock: tells the time, and waits for the next arrival.
    """
    clock = clock or Clock()
    with collector_off():
        deadline = clock.now_ns() + int(plan.budget_s * 1e9)
        unloaded = _unloaded(workload, clock)
        best = _server(plan, 0.0, unloaded)
        if best.p99_ms <= plan.latency_bound_ms:
            best = _search(workload, plan, clock, unloaded, deadline) or best
    return best


def serve(
    workload: Workload,
    arrivals_s: npt.NDArray[np.float64],
    clock: Clock,
    bound_ms: float = float("inf"),
) -> list[float]:
    """Answers queries in the order of their arrival.

    Args:
        workload: answers one query per call.
        arrivals_s: when each query arrives, in seconds from the start, ascending.
        clock: tells the time, and waits for the next arrival.
        bound_ms: latency that `MAX_LATE` of the queries may exceed; once too many have, the rest is
            skipped.

    Returns:
        Milliseconds from arrival to answer.
    """
    start = clock.now_ns()
    latencies: list[float] = []
    most_late = MAX_LATE * len(arrivals_s) + 1  # so many put the 99th percentile above the bound
    num_late = 0
    for number, arrival_s in enumerate(arrivals_s):
        arrival = start + int(arrival_s * 1e9)
        clock.wait_until_ns(arrival)
        workload.call(number)
        workload.synchronize()
        latencies.append((clock.now_ns() - arrival) / 1e6)
        num_late += latencies[-1] > bound_ms
        if num_late >= most_late:
            break
    return latencies


def _unloaded(workload: Workload, clock: Clock) -> list[float]:
    """Latencies of queries that arrive when the previous one is done; the first is not counted."""
    latencies: list[float] = []
    for number in range(NUM_UNLOADED + 1):
        start = clock.now_ns()
        workload.call(number)
        workload.synchronize()
        latencies.append((clock.now_ns() - start) / 1e6)
    return latencies[1:]


def _search(
    workload: Workload, plan: ServerPlan, clock: Clock, unloaded: Sequence[float], deadline: int
) -> Server | None:
    """Bisects the arrival rate; returns the best one that met the bound, or None."""
    low, high = 0.0, 1e3 / float(np.median(unloaded))
    share_s = plan.budget_s / plan.num_tries
    most = max(LEAST_QUERIES, int(high * share_s))
    moments = np.cumsum(np.random.default_rng(plan.seed).exponential(size=most))
    best = None
    for _ in range(plan.num_tries):
        rate = (low + high) / 2
        arrivals_s = moments[: max(LEAST_QUERIES, int(rate * share_s))] / rate
        if clock.now_ns() + int(arrivals_s[-1] * 1e9) > deadline:
            break
        tried = _server(plan, rate, serve(workload, arrivals_s, clock, plan.latency_bound_ms))
        if tried.p99_ms <= plan.latency_bound_ms:
            best, low = tried, rate
        else:
            high = rate
    return best


def _server(plan: ServerPlan, rate: float, latencies_ms: Sequence[float]) -> Server:
    return Server(
        latency_bound_ms=plan.latency_bound_ms,
        arrivals_per_s=rate,
        p99_ms=summarize(latencies_ms).p99_ms,
        num_queries=len(latencies_ms),
        seed=plan.seed,
    )
