"""Figures of an evaluation in words."""

from stargan_deploy.evaluation.measures import JUDGE, OWN, is_share, measure_of
from stargan_deploy.evaluation.results import Difference, Figure
from stargan_deploy.presentation.numbers import digits
from stargan_deploy.presentation.text import NOTHING

READER_WORDS = {OWN: "own classifier", JUDGE: "judge"}

SHARES = ("judge on real images", "precision", "recall")
"""Starts of the names of sets' figures that are shares."""


def amount(name: str, value: float) -> str:
    """A value of a measure: `97.2%` or `7.67`."""
    return f"{100 * value:.1f}%" if is_share(name) else digits(value)


def figure(name: str, found: Figure | None) -> str:
    """A value with its interval: `97.2% (95.0 to 98.8)`."""
    if found is None:
        return NOTHING
    ends = (amount(name, end).rstrip("%") for end in (found.low, found.high))
    return f"{amount(name, found.value)} ({' to '.join(ends)})"


def change(found: Difference) -> str:
    """A difference: `-1.2 points`, `+0.35`."""
    if is_share(found.measure):
        return f"{100 * found.value:+.1f} points"
    return f"{'+' if found.value >= 0 else '-'}{digits(abs(found.value))}"


def change_interval(found: Difference) -> str:
    """A difference's interval: `-2.0 to -0.4`."""
    scale = 100 if is_share(found.measure) else 1
    return f"{scale * found.low:+.3g} to {scale * found.high:+.3g}"


def measure_words(name: str) -> str:
    """The name of values for people: `accuracy (judge)`."""
    reader = name.rpartition(".")[0]
    title = measure_of(name).title
    return f"{title} ({READER_WORDS[reader]})" if reader else title


def set_words(name: str, found: Figure | None) -> str:
    """A figure of a set with its interval: `12.3 (11.0 to 13.9)`."""
    if found is None:
        return NOTHING
    if name.startswith(SHARES):
        return figure("accuracy", found)
    return f"{found.value:.4g} ({found.low:.4g} to {found.high:.4g})"
