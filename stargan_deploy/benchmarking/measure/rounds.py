"""Work that takes turns in rounds, so that a drift of the machine's speed affects all alike."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from stargan_deploy.benchmarking.results import BatchRow, TrainingRow, Unusable

Key = TypeVar("Key")
RowT = TypeVar("RowT", TrainingRow, BatchRow)


@dataclass(frozen=True, kw_only=True)
class Speed(Generic[RowT]):
    """The outcome of a benchmark in rounds."""

    rows: tuple[RowT, ...] = ()
    """The baseline first, if there is one."""
    unusable: tuple[Unusable, ...] = ()
    """Setups that do not run here, with the reason."""


def take_rounds(
    turns: Mapping[Key, Callable[[], float]],
    num_rounds: int,
    on_round: Callable[[int], None] = lambda _: None,
) -> dict[Key, list[float]]:
    """Take all turns in each round, every second round backwards.

    Args:
        turns: each returns the seconds that it took.
        num_rounds: how many rounds.
        on_round: called with the number of each round before it.

    Returns:
        The seconds of every round.
    """
    seconds: dict[Key, list[float]] = {key: [] for key in turns}
    for number in range(num_rounds):
        on_round(number)
        for key in [*turns] if number % 2 == 0 else reversed([*turns]):
            seconds[key].append(turns[key]())
    return seconds


def median_ratio(others_s: Sequence[float], own_s: Sequence[float]) -> float:
    """How many times as long others took, as the median of the rounds."""
    return statistics.median(other / own for other, own in zip(others_s, own_s, strict=True))
