"""Numbers formatted for people."""

import math
from collections.abc import Sequence

from stargan_deploy.presentation.text import NOTHING

MAX_TICK_LENGTH = 8


def digits(value: float | None, unit: str = "") -> str:
    """A number with three digits and its unit; larger ones whole."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == 0:
        text = "0"
    elif abs(value) >= 100:
        text = f"{value:,.0f}"
    else:
        places = 2 if abs(value) < 10 else 1
        text = f"{value:.{places}f}" if abs(value) >= 0.1 else f"{value:.2g}"
    return f"{text} {unit}" if unit else text


def percent(share: float | None) -> str:
    """A share: "81%"."""
    if share is None or not math.isfinite(share):
        return NOTHING
    return f"{100 * share:.{0 if share >= 0.0995 else 1}f}%"


def tick_texts(ticks: Sequence[float], *, is_share: bool = False) -> list[str]:
    """The texts of an axis' evenly spaced ticks, with as many digits as tell them apart."""
    if is_share:
        return [f"{tick:.0%}" for tick in ticks]
    step = ticks[1] - ticks[0] if len(ticks) > 1 else abs(ticks[0]) or 1.0
    num_digits = max(0, -math.floor(math.log10(step) + 1e-6))
    texts = [f"{tick:,.{num_digits}f}" for tick in ticks]
    return texts if max(map(len, texts)) <= MAX_TICK_LENGTH else [f"{tick:.3g}" for tick in ticks]
