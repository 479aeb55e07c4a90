"""Offline and server on a clock that the tests move, against results of queueing theory."""

import numpy as np
import pytest

from stargan_deploy.backends.registry import open_runtime
from stargan_deploy.benchmarking.measure.scenarios import (
    NUM_UNLOADED,
    ServerPlan,
    measure_offline,
    measure_server,
    serve,
)
from stargan_deploy.benchmarking.measure.workloads import Clock, HostWorkload
from tests.benchmarking.fake_clock import FakeClock, FakeWorkload

SERVICE_MS = 10.0
CAPACITY = 1000 / SERVICE_MS


def make_server(duration_ms=lambda _: SERVICE_MS):
    return FakeWorkload("server", FakeClock(), duration_ms)


def poisson(rate, num, seed=0):
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, num))


def test_queries_wait_for_those_before_them():
    server = make_server()
    latencies = serve(server, np.array([0.0, 0.0, 0.004, 1.0]), server.clock)
    assert latencies == pytest.approx([10, 20, 26, 10])
    assert server.numbers == [0, 1, 2, 3]


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_the_mean_wait_is_that_of_a_queue_with_constant_service(load):
    """M/D/1: load / (2 (1 - load)) service times (Pollaczek and Khinchine)."""
    server = make_server()
    latencies = serve(server, poisson(load * CAPACITY, 60_000), server.clock)
    waits = np.array(latencies) - SERVICE_MS
    assert waits.mean() == pytest.approx(SERVICE_MS * load / (2 * (1 - load)), rel=0.05)


def test_random_service_waits_twice_as_long():
    """M/M/1: load / (1 - load) service times."""
    durations = np.random.default_rng(1).exponential(SERVICE_MS, 60_000)
    server = make_server(lambda number: durations[number])
    latencies = serve(server, poisson(0.5 * CAPACITY, 60_000), server.clock)
    assert np.mean(latencies) - SERVICE_MS == pytest.approx(SERVICE_MS, rel=0.05)


def test_an_overloaded_server_is_given_up_early():
    server = make_server()
    latencies = serve(server, poisson(2 * CAPACITY, 10_000), server.clock, bound_ms=50)
    assert len(latencies) < 500
    assert np.percentile(latencies, 99) > 50


def test_the_greatest_rate_keeps_the_bound_and_the_next_one_does_not():
    plan = ServerPlan(latency_bound_ms=40, budget_s=600, num_tries=7)
    server = make_server()
    found = measure_server(server, plan, server.clock)
    assert found.p99_ms <= 40
    assert found.num_queries == int(600 / 7 * found.arrivals_per_s)
    step = CAPACITY / 2**7
    arrivals = poisson(found.arrivals_per_s + step, found.num_queries)
    again = make_server()
    assert np.percentile(serve(again, arrivals, again.clock), 99) > 40


def test_a_looser_bound_allows_more():
    def rate(bound_ms):
        server = make_server()
        plan = ServerPlan(latency_bound_ms=bound_ms, budget_s=120)
        return measure_server(server, plan, server.clock).arrivals_per_s

    assert 0 < rate(25) < rate(40) < rate(100) < CAPACITY


def test_a_bound_below_the_service_time_allows_nothing():
    server = make_server()
    found = measure_server(server, ServerPlan(latency_bound_ms=9.9), server.clock)
    assert (found.arrivals_per_s, found.p99_ms) == (0, SERVICE_MS)
    assert found.num_queries == NUM_UNLOADED
    assert len(server.numbers) == NUM_UNLOADED + 1


def test_the_first_query_is_not_counted():
    server = make_server(lambda number: 5000.0 if number == 0 else SERVICE_MS)
    found = measure_server(server, ServerPlan(latency_bound_ms=9.9), server.clock)
    assert found.p99_ms == SERVICE_MS


def test_the_search_keeps_its_budget():
    server = make_server()
    measure_server(server, ServerPlan(latency_bound_ms=11, budget_s=30), server.clock)
    assert server.clock.seconds < 31


def test_the_seed_decides_the_arrivals():
    def run(seed):
        server = make_server()
        plan = ServerPlan(latency_bound_ms=40, seed=seed)
        return measure_server(server, plan, server.clock)

    assert run(1) == run(1)
    assert run(1).p99_ms != run(2).p99_ms
    assert run(2).seed == 2


@pytest.mark.parametrize("wrong", [{"latency_bound_ms": 0}, {"budget_s": -1}, {"num_tries": 0}])
def test_plans_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match="must be"):
        ServerPlan(**{"latency_bound_ms": 10, **wrong})


def test_offline_counts_whole_batches():
    server = make_server()
    found = measure_offline(server, batch_size=8, num_images=30, clock=server.clock)
    assert found.num_images == 32
    assert found.seconds == pytest.approx(0.04)
    assert found.images_per_s == pytest.approx(800)
    assert server.numbers == [0, 1, 2, 3, 4]


def test_offline_ends_at_its_time():
    server = make_server()
    found = measure_offline(server, batch_size=4, num_images=10**9, max_s=0.1, clock=server.clock)
    assert found.num_images == 40
    assert found.images_per_s == pytest.approx(400)


def test_offline_lets_a_device_queue_and_waits_at_the_end():
    device = FakeWorkload("device", FakeClock(), lambda _: SERVICE_MS, queues=True)
    found = measure_offline(device, batch_size=2, num_images=20, clock=device.clock)
    assert found.seconds == pytest.approx(0.1)
    assert device.pending_ns == 0


def test_a_real_model_in_real_time(checkpoint):
    with open_runtime(checkpoint, device="cpu") as runtime:
        random = np.random.default_rng(0)
        shapes = {"image": (1, 3, 32, 32), "label": (1, 5)}
        inputs = {
            spec.name: random.random(shapes[spec.kind], dtype=np.float32)
            for spec in runtime.card.entry_point("translate").inputs
        }
        workload = HostWorkload(name="eager", function=lambda _: runtime.run(inputs))
        arrivals, clock = poisson(50, 20), Clock()
        start = clock.now_ns()
        latencies = serve(workload, arrivals, clock)
    assert len(latencies) == 20
    assert min(latencies) > 0
    assert clock.now_ns() - start >= arrivals[-1] * 1e9
