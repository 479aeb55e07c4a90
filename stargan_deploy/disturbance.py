"""What disturbs a measurement of time on this machine: other programs, and running on a battery."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

BUSY_SHARE = 0.2
"""Share of the processors that other programs use from which a machine counts as busy."""

SAMPLE_S = 0.2
"""How long `sample_disturbance` watches the machine, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """How far a machine was from idle, apart from the own process."""

    others: float = 0.0
    """Share of the processors' time that other programs used, 0 to 1."""
    on_battery: bool = False
    """Whether the machine ran on its battery, where most are slower."""

    @property
    def is_quiet(self) -> bool:
        """Whether a measurement under it can be relied on."""
        return self.others < BUSY_SHARE and not self.on_battery

    @property
    def words(self) -> str:
        """The disturbances as a clause; empty where it was quiet."""
        found = []
        if self.others >= BUSY_SHARE:
            found.append(f"other programs used {self.others:.0%} of the processors")
        if self.on_battery:
            found.append("the machine ran on its battery")
        return " and ".join(found)

    def is_worse_than(self, other: "Disturbance") -> bool:
        """Whether another measurement would be more reliable; small differences do not count."""
        return (self.on_battery and not other.on_battery) or (
            self.others >= BUSY_SHARE and other.others < self.others / 2
        )


@dataclass(kw_only=True)
class Watch:
    """The disturbance of a block, known when the block has ended."""

    found: Disturbance = field(default_factory=Disturbance)


@contextmanager
def watch_disturbance() -> Iterator[Watch]:
    """Measure how busy other programs keep the processors during a block."""
    watch = Watch()
    busy_s, all_s = _machine_s()
    own_s = _own_s()
    try:
        yield watch
    finally:
        busy_end_s, all_end_s = _machine_s()
        spent_s = all_end_s - all_s
        others_s = busy_end_s - busy_s - (_own_s() - own_s)
        share = others_s / spent_s if spent_s > 0 else 0.0
        watch.found = Disturbance(others=min(1.0, max(0.0, share)), on_battery=_is_on_battery())


def sample_disturbance() -> Disturbance:
    """Watch the machine for a moment."""
    with watch_disturbance() as watch:
        time.sleep(SAMPLE_S)
    return watch.found


def _machine_s() -> tuple[float, float]:
    """Seconds that all processors were busy, and that they were there, since the start."""
    times = psutil.cpu_times()._asdict()
    guests = times.get("guest", 0.0) + times.get("guest_nice", 0.0)  # in user and nice as well
    all_s = sum(times.values()) - guests
    return all_s - times.get("idle", 0.0) - times.get("iowait", 0.0), all_s


def _own_s() -> float:
    own = psutil.Process().cpu_times()
    return own.user + own.system


def _is_on_battery() -> bool:
    try:
        battery = psutil.sensors_battery()
    except (OSError, AttributeError, NotImplementedError):
        return False
    return battery is not None and battery.power_plugged is False
