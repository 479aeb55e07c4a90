"""A clock that stands still until a call or a wait moves it, and workloads that move it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from stargan_deploy.benchmarking.measure.workloads import Clock, Workload


@dataclass
class FakeClock(Clock):
    """Time as a test wants it."""

    moment: int = 0
    num_waits: int = 0

    def now_ns(self) -> int:
        return self.moment

    def wait_until_ns(self, moment: int) -> None:
        self.num_waits += 1
        self.moment = max(self.moment, moment)

    @property
    def seconds(self) -> float:
        return self.moment / 1e9


@dataclass
class FakeWorkload(Workload):
    """A workload whose calls take as long as a function of their number says, in milliseconds."""

    name: str
    clock: FakeClock
    duration_ms: Callable[[int], float]
    device_share: float | None = None
    """Share of the time that the device's events report; None has no events."""
    queues: bool = False
    """Whether calls return at once, and the work is done when it is waited for."""
    pending_ns: int = 0
    log: list[tuple[str, int]] = field(default_factory=list)
    """Name and number of waits so far, for each call; several workloads may share one."""
    numbers: list[int] = field(default_factory=list)
    taken_ms: list[float] = field(default_factory=list)

    def call(self, number: int) -> None:
        self.numbers.append(number)
        self.log.append((self.name, self.clock.num_waits))
        self.taken_ms.append(self.duration_ms(number))
        self.pending_ns += round(self.taken_ms[-1] * 1e6)
        if not self.queues:
            self.synchronize()

    def synchronize(self) -> None:
        self.clock.moment += self.pending_ns
        self.pending_ns = 0

    def device_ms(self) -> float | None:
        return None if self.device_share is None else self.device_share * self.taken_ms[-1]
