"""Reasons why the figures of a benchmark are less certain than they look."""

from collections.abc import Sequence
from statistics import fmean

from stargan_deploy.benchmarking.measure.timing import AGREEMENT
from stargan_deploy.benchmarking.report.format import (
    FEW_CALLS,
    is_hardly_timed,
    name_across,
)
from stargan_deploy.benchmarking.results import Machine, Results, Row, Snapshot
from stargan_deploy.presentation.numbers import digits

FALLEN_CLOCK = 0.85
"""Share of its clock before below which a CPU's clock after a run counts as fallen."""

BUSY_LOAD = 0.5
"""Load average for each core from which a machine counts as busy before a run."""


def cautions(results: Results) -> list[str]:
    """In plain words, what makes the figures less certain than they look."""
    rows = results.rows
    return [*_of_machine(results.machine), *_of_timings(rows), *_of_proofs(rows), *_of_roofs(rows)]


def _of_machine(machine: Machine) -> list[str]:
    found = [*_throttling(machine.before, machine.after), *_fallen_clock(machine)]
    load = machine.before.load_average
    if load is not None and load > BUSY_LOAD * machine.num_cores:
        found.append(
            f"Other programs kept the machine busy before the start (load {digits(load)} on "
            f"{machine.num_cores} cores): times may be too long, and vary more than they should."
        )
    return found


def _throttling(before: Snapshot, after: Snapshot) -> list[str]:
    """A sentence where the GPU said that it was held back."""
    reasons = dict.fromkeys((*before.gpu_throttling, *after.gpu_throttling))
    if not reasons:
        return []
    moments = (("before", before), ("after", after))
    when = " and ".join(word for word, snapshot in moments if snapshot.gpu_throttling)
    return [
        f"The GPU was throttled: held below its clock {when} the run ({', '.join(reasons)}). With "
        "cooling and power to spare it may be faster than these figures."
    ]


def _fallen_clock(machine: Machine) -> list[str]:
    """A sentence where the CPU's clock is much lower than it was."""
    before, after = machine.before.cpu_mhz, machine.after.cpu_mhz
    if not before or not after or fmean(after) >= FALLEN_CLOCK * fmean(before):
        return []
    return [
        f"The CPU's clock fell from {fmean(before):,.0f} to {fmean(after):,.0f} MHz during the run "
        "(throttling, or saving power): figures measured late may be too slow."
    ]


def _of_timings(rows: Sequence[Row]) -> list[str]:
    timings = [timing for row in rows for timing in row.timings]
    unstable = sum(timing.stopped_by != "stable" for timing in timings)
    unwarmed = sum(not timing.warm_up_stable for timing in timings)
    found = []
    if unstable:
        found.append(
            f"{unstable} of {len(timings)} measurements ended at a limit before three windows "
            f"agreed within {AGREEMENT:.0%}; the full table names them."
        )
    if unwarmed:
        found.append(
            f"{unwarmed} of {len(timings)} measurements began before the calls had become alike."
        )
    few = [
        f"{name_across(row, rows)} at batch {row.batch_size}"
        for row in rows
        if is_hardly_timed(row)
    ]
    if few:
        found.append(
            f"Under {FEW_CALLS} calls, and so no figures to rely on, nor speed-ups over them: "
            f"{', '.join(few)}."
        )
    return found


def _of_proofs(rows: Sequence[Row]) -> list[str]:
    names = dict.fromkeys(name_across(row, rows) for row in rows if not row.verified)
    if not names:
        return []
    return [
        f"Not proven equal to PyTorch within the tolerance of its precision: {', '.join(names)}."
    ]


def _of_roofs(rows: Sequence[Row]) -> list[str]:
    """Shares above the roof are explained, or a mistake of the measurement."""
    above: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.roofline and row.roofline.share > 1:
            above.setdefault(row.roofline.note, {})[name_across(row, rows)] = None
    unexplained = "unexplained: do not trust this share"
    return [
        f"Above the roofline: {', '.join(names)} ({note or unexplained})."
        for note, names in above.items()
    ]
