"""The method of measurement, on a clock that the tests move."""

import gc
from itertools import groupby

import numpy as np
import pytest

from stargan_deploy.benchmarking.measure.timing import (
    AGREEMENT,
    NUM_WINDOWS,
    Limits,
    measure,
    summarize,
    window_spread,
)
from stargan_deploy.benchmarking.measure.workloads import Clock, CudaWorkload, HostWorkload
from stargan_deploy.benchmarking.results import Timing
from stargan_deploy.devices import Device
from stargan_deploy.errors import BackendError
from tests.benchmarking.fake_clock import FakeClock, FakeWorkload


def measure_one(duration_ms, limits=None, **options):
    """Measures one workload on a clock of its own."""
    clock = FakeClock()
    workload = FakeWorkload("one", clock, duration_ms, **options)
    return measure([workload], limits, clock).measured["one"], workload


def growing(number):
    """Ever slower, so that no two windows agree for long."""
    return 5 * 1.04**number


def test_percentiles_are_exact():
    found = summarize(np.random.default_rng(0).permutation(np.arange(101.0)))
    assert (found.num, found.min_ms, found.max_ms, found.mean_ms) == (101, 0, 100, 50)
    assert (found.p50_ms, found.p90_ms, found.p95_ms, found.p99_ms) == (50, 90, 95, 99)


def test_percentiles_between_samples_are_interpolated():
    found = summarize([4.0, 1.0, 3.0, 2.0])
    assert (found.p50_ms, found.p90_ms) == (2.5, pytest.approx(3.7))
    assert found.std_ms == pytest.approx((5 / 3) ** 0.5)


def test_one_sample_has_no_spread():
    assert summarize([7.0]).std_ms == 0


def test_samples_are_what_the_calls_took():
    durations = (3.0, 3.25, 3.5, 9.0)
    measured, workload = measure_one(lambda number: durations[number % 4])
    assert set(measured.samples_ms) == set(durations)
    assert measured.statistics == summarize(measured.samples_ms)
    assert measured.statistics.num == len(measured.samples_ms) < len(workload.taken_ms)
    assert measured.statistics.p50_ms == pytest.approx(3.375, abs=0.15)


def test_the_wall_clock_waits_for_a_device():
    measured, _ = measure_one(lambda number: 2.0 + number % 2, queues=True)
    assert set(measured.samples_ms) == {2.0, 3.0}


def test_every_call_gets_its_number():
    _, workload = measure_one(lambda _: 2.0)
    assert workload.numbers == list(range(len(workload.numbers)))


def test_a_steady_subject_is_stable_after_three_rounds():
    measured, workload = measure_one(lambda _: 4.0)
    assert measured.stopped_by == "stable"
    assert workload.clock.num_waits == NUM_WINDOWS
    assert measured.warm_up_stable


def test_nothing_is_stable_with_too_few_calls():
    measured, workload = measure_one(lambda _: 100.0, Limits(least_calls=40))
    assert measured.stopped_by == "stable"
    assert 40 <= len(measured.samples_ms) < 44
    assert workload.clock.num_waits > NUM_WINDOWS


def test_a_subject_that_never_settles_runs_into_the_time_limit():
    measured, workload = measure_one(growing, Limits(budget_s=30))
    assert measured.stopped_by == "time limit"
    assert window_spread(measured.samples_ms) > AGREEMENT
    assert 30 <= workload.clock.seconds < 30 + 2 * measured.samples_ms[-1] / 1e3


def test_a_subject_that_never_settles_runs_into_the_call_limit():
    measured, _ = measure_one(lambda number: 5 + number, Limits(budget_s=1e4, max_calls=50))
    assert measured.stopped_by == "call limit"
    assert len(measured.samples_ms) == 50


def test_the_rule_fires_as_soon_as_the_thirds_agree_and_not_before():
    """A slow spell at the start ends; then it takes until the spell is less than half a third."""
    random = np.random.default_rng(3)
    durations = np.round(10 * random.lognormal(0, 0.05, 5000), 6)  # whole nanoseconds
    durations[60:160] *= 2
    measured, workload = measure_one(lambda number: durations[number])
    assert measured.stopped_by == "stable"
    assert window_spread(measured.samples_ms) <= AGREEMENT
    waits = dict(zip(workload.taken_ms, (waits for _, waits in workload.log), strict=True))
    rounds = [len(list(group)) for _, group in groupby(measured.samples_ms, key=waits.get)]
    assert len(rounds) > NUM_WINDOWS
    for end in np.cumsum(rounds)[NUM_WINDOWS - 1 : -1]:
        assert window_spread(measured.samples_ms[:end]) > AGREEMENT


def test_a_noisy_subject_gets_more_calls_than_a_quiet_one():
    def num_calls(sigma):
        factors = np.random.default_rng(1).lognormal(0, sigma, 20_000)
        measured, _ = measure_one(lambda number: 20 * factors[number], Limits(budget_s=300))
        assert measured.stopped_by == "stable"
        return len(measured.samples_ms)

    assert num_calls(0.01) < num_calls(0.5)


def test_the_warm_up_waits_for_the_slow_calls_to_end():
    measured, workload = measure_one(lambda number: 400 * 0.8**number if number < 20 else 4.0)
    assert measured.warm_up_stable
    assert measured.warm_up_calls > 20
    assert set(measured.samples_ms) == {4.0}
    assert workload.log[measured.warm_up_calls - 1] == ("one", 0)


def test_a_warm_up_that_never_settles_ends_at_its_share_of_the_budget():
    measured, workload = measure_one(lambda number: 30 * 1.1**number, Limits(budget_s=30))
    assert not measured.warm_up_stable
    warm_up = workload.taken_ms[: measured.warm_up_calls]
    assert sum(warm_up[:-1]) < 10_000 <= sum(warm_up)


def test_the_fewest_calls_of_a_warm_up_are_made_in_any_case():
    measured, workload = measure_one(lambda _: 5000.0, Limits(budget_s=1, warm_up_calls=4))
    assert measured.warm_up_calls == 4
    assert len(measured.samples_ms) == 1
    assert len(workload.taken_ms) == 5
    assert measured.stopped_by == "time limit"


def test_a_fast_subject_is_spread_over_many_turns():
    measured, workload = measure_one(lambda _: 0.01, Limits(max_calls=100, least_calls=100))
    assert workload.clock.num_waits == 10
    assert len(measured.samples_ms) == 100


def measure_several(durations, limits=None):
    """Measures workloads on one clock; each duration is a function of number and seconds."""
    clock, log = FakeClock(), []
    workloads = [
        FakeWorkload(name, clock, lambda n, f=duration: f(n, clock.seconds), log=log)
        for name, duration in durations.items()
    ]
    return measure(workloads, limits, clock), clock, log


def test_rounds_go_forward_and_backward():
    workloads = {name: lambda *_: 4.0 for name in "abc"}
    _, _, log = measure_several(workloads, Limits(budget_s=60, least_calls=300))
    turns = [name for (name, waits), _ in groupby(log) if waits]
    assert "".join(turns).startswith("abccbaabccba")
    assert [name for (name, waits), _ in groupby(log) if not waits] == ["a", "b", "c"]


def test_drift_of_the_machine_hits_all_alike():
    """The machine becomes half as fast; one after the other, the figures would be off by that."""
    workloads = {
        name: lambda _, seconds, base=base: base * (1 + seconds / 30)
        for name, base in {"a": 1.0, "b": 3.0, "c": 1.0}.items()
    }
    limits = Limits(budget_s=30, least_calls=10**6, max_calls=10**6)
    measured = measure_several(workloads, limits)[0].measured
    assert {m.stopped_by for m in measured.values()} == {"time limit"}
    assert max(measured["a"].samples_ms) > 1.3 * min(measured["a"].samples_ms)
    a, b, c = (measured[name].statistics.p50_ms for name in "abc")
    assert a == pytest.approx(c, rel=0.03)
    assert b == pytest.approx(3 * a, rel=0.03)


def test_a_stable_subject_waits_for_the_others():
    workloads = {"steady": lambda *_: 20.0, "restless": lambda number, _: growing(number)}
    measured = measure_several(workloads, Limits(budget_s=30))[0].measured
    assert measured["steady"].stopped_by == "stable"
    assert measured["restless"].stopped_by == "time limit"
    assert len(measured["steady"].samples_ms) > 30 * NUM_WINDOWS


def test_a_short_budget_is_shared_by_all():
    workloads = {f"s{number}": lambda *_: 2.0 for number in range(10)}
    found, clock, _ = measure_several(workloads, Limits(budget_s=8))
    counts = [len(measured.samples_ms) for measured in found.measured.values()]
    assert min(counts) > 0.7 * max(counts)
    assert clock.seconds < 8.2


def test_slow_subjects_get_one_sample_each_beyond_the_budget():
    workloads = {f"s{number}": lambda *_: 4000.0 for number in range(4)}
    found, clock, _ = measure_several(workloads, Limits(budget_s=10, warm_up_calls=1))
    assert [len(m.samples_ms) for m in found.measured.values()] == [1] * 4
    assert clock.seconds < 4 * 4 * 2 + 1


def test_a_slow_call_needs_no_lead_in():
    limits = Limits(budget_s=60, warm_up_calls=1)
    measured, workload = measure_one(lambda _: 2000.0, limits)
    assert len(workload.taken_ms) == measured.warm_up_calls + len(measured.samples_ms)
    measured, workload = measure_one(lambda _: 200.0, limits)
    assert len(workload.taken_ms) > measured.warm_up_calls + len(measured.samples_ms)


def test_a_subject_that_fails_leaves_the_others_alone():
    def failing(number, _):
        if number == 100:
            raise BackendError("too little memory")
        return 2.0

    found, *_ = measure_several({"good": lambda *_: 2.0, "bad": failing})
    assert list(found.measured) == ["good"]
    assert found.measured["good"].stopped_by == "stable"
    assert str(found.failed["bad"]) == "too little memory"


def test_a_bug_is_no_failure_of_a_subject():
    with pytest.raises(ZeroDivisionError):
        measure_several({"bug": lambda *_: 1 / 0})
    assert gc.isenabled()


def test_the_collector_is_off_during_calls_only():
    seen = set()
    clock = FakeClock()
    workload = FakeWorkload("one", clock, lambda _: seen.add(gc.isenabled()) or 2.0)
    measure([workload], None, clock)
    assert seen == {False}
    assert gc.isenabled()


def test_the_events_of_a_device_are_kept_beside_the_wall_clock():
    durations = (3.0, 3.1, 3.2)
    measured, _ = measure_one(lambda number: durations[number % 3], device_share=0.5)
    halves = [0.5 * ms for ms in measured.samples_ms]
    assert measured.device_samples_ms == pytest.approx(halves)


def test_the_entry_of_a_row():
    measured, _ = measure_one(lambda _: 4.0)
    timing = Timing.of(measured, "host to host", batch_size=8)
    assert timing.images_per_s == pytest.approx(2000)
    assert timing.samples_ms == measured.samples_ms
    assert (timing.path, timing.stopped_by) == ("host to host", "stable")


@pytest.mark.parametrize(
    "wrong", [{"budget_s": 0}, {"budget_s": float("nan")}, {"max_calls": 0}, {"least_calls": 0}]
)
def test_limits_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        Limits(**wrong)


def test_the_system_clock_waits_until_the_moment():
    clock = Clock()
    moment = clock.now_ns() + 5_000_000
    clock.wait_until_ns(moment)
    assert clock.now_ns() >= moment
    clock.wait_until_ns(moment)


def test_a_function_is_measured_on_the_real_clock():
    numbers = []
    workload = HostWorkload(name="append", function=numbers.append)
    found = measure([workload], Limits(budget_s=0.5, max_calls=20))
    measured = found.measured["append"]
    assert 1 <= len(measured.samples_ms) <= 20
    assert numbers == list(range(len(numbers)))
    assert measured.device_samples_ms == ()


@pytest.mark.gpu
def test_the_events_of_a_gpu_are_inside_the_wall_clock():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no usable GPU")
    image = torch.rand(2048, 2048, device="cuda")
    workload = CudaWorkload("matmul", lambda _: image @ image, Device("cuda"))
    measured = measure([workload], Limits(budget_s=2)).measured["matmul"]
    assert len(measured.device_samples_ms) == len(measured.samples_ms)
    pairs = zip(measured.device_samples_ms, measured.samples_ms, strict=True)
    assert all(0 < device_ms <= wall_ms for device_ms, wall_ms in pairs)
