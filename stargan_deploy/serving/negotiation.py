"""Content negotiation: which format a result has, by the request's `Accept` (RFC 9110, 12.5.1)."""

import math
from collections.abc import Sequence

from stargan_deploy.serving.photos import MEDIA_TYPES, ZIP
from stargan_deploy.serving.problems import NotAcceptableError


def choose_media_type(
    accept: str, usual: str, *, offered: Sequence[str] = tuple(MEDIA_TYPES)
) -> str:
    """The format that a client likes best.

    Args:
        accept: the header; empty takes anything.
        usual: the format where the client has no preference.
        offered: the formats that there are.

    Raises:
        NotAcceptableError: the client takes none of them.
    """
    ranges = _ranges(accept) or [("*/*", 1.0)]
    ordered = [usual, *(each for each in offered if each != usual)]
    best = max(ordered, key=lambda media_type: _quality(media_type, ranges))
    if _quality(best, ranges) <= 0:
        raise NotAcceptableError(
            f"`Accept` {accept[:100]} permits none of {', '.join(offered)}",
            hint="send one of these, or leave it out",
        )
    return best


def split_accept(accept: str) -> tuple[str, bool]:
    """What a client takes of pictures, and whether it asked for a ZIP of them."""
    parts = [part for part in accept.split(",") if part.strip()]
    pictures = [part for part in parts if part.partition(";")[0].strip().lower() != ZIP]
    return ",".join(pictures), len(pictures) < len(parts)


def _ranges(accept: str) -> list[tuple[str, float]]:
    found = []
    for part in accept.split(","):
        words = [word.strip().lower() for word in part.split(";")]
        if words[0]:
            found.append((words[0], _weight(words[1:])))
    return found


def _weight(parameters: Sequence[str]) -> float:
    text = next((p.partition("=")[2] for p in parameters if p.startswith("q=")), "1")
    try:
        weight = float(text)
    except ValueError:
        return 1.0
    return 1.0 if math.isnan(weight) else min(1.0, max(0.0, weight))


def _quality(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """How much a client likes a type, by the most specific range that covers it."""
    family = f"{media_type.partition('/')[0]}/*"
    for pattern in (media_type, family, "*/*"):
        for name, weight in ranges:
            if name == pattern:
                return weight
    return 0.0
