"""Where the labels of a chart go, so that none lies on another or on a mark.

All lengths are in a drawing's own units; text is as the style sheet has it, 11 units high.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CHARACTER = 6.9
"""Width of a character on average, in a wide face (DejaVu Sans); others are narrower."""

LINE = 13.0
"""Height of a line of text."""

CLEARANCE = 6.0
"""Half the side of the square around a mark that no label enters."""

_Line = list[tuple[float, float]]
"""Points along the line from a mark to its label."""

_DISTANCES = (9.0, 16.0, 26.0, 38.0, 54.0, 74.0, 98.0)
_ANGLES = (0, 180, 270, 90, 330, 30, 210, 150, 300, 60, 240, 120)
"""Degrees clockwise from the right, the ones that read best first."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Box") -> bool:
        """Whether the two have any area in common."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def inside(self, other: "Box") -> bool:
        """Whether all of it lies in another one."""
        across = other.left <= self.left and self.right <= other.right
        return across and other.top <= self.top and self.bottom <= other.bottom

    def holds(self, x: float, y: float) -> bool:
        """Whether a point lies in it."""
        return self.left < x < self.right and self.top < y < self.bottom

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The point of the rectangle that is nearest to another point."""
        return min(max(x, self.left), self.right), min(max(y, self.top), self.bottom)


def text_width(text: str) -> float:
    """About how wide a text is; rather too much than too little."""
    return CHARACTER * len(text)


def shortened(text: str, width: float) -> str:
    """A text that fits a width, with an ellipsis where something is left out."""
    room = max(1, int(width / CHARACTER))
    return text if len(text) <= room else f"{text[: room - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"


def spread(places: Sequence[float], low: float, high: float, gap: float = LINE) -> list[float]:
    """Places nearby that are a gap apart, in the same order along the axis.

    Args:
        places: where things would like to be.
        low: least place.
        high: greatest place, where there is room for all; else they go on beyond it.
        gap: least distance.
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = [0.0] * len(places)
    edge = low
    for index in order:
        moved[index] = edge = max(edge, places[index])
        edge += gap
    edge = max(high, low + gap * (len(places) - 1))
    for index in reversed(order):
        moved[index] = edge = min(edge, moved[index])
        edge -= gap
    return moved


def place_labels(
    points: Sequence[tuple[float, float]], texts: Sequence[str], frame: Box
) -> list[Box | None]:
    """A place for the label of each point, as near to it as the others allow.

    Args:
        points: centres of the marks.
        texts: their labels.
        frame: what labels stay inside.

    Returns:
        A box for each label, none overlapping another or a mark; None where nothing was free.
    """
    marks = [_mark(x, y) for x, y in points]
    placed: dict[int, Box] = {}
    for index in sorted(range(len(points)), key=lambda i: -_num_near(marks, i)):
        lines = [_line(points[other], box) for other, box in placed.items()]
        labels = list(placed.values())
        for obstacles, crossed in ((lines, [*marks, *labels]), ((), labels), ((), ())):
            box = _free_place(
                points[index],
                (text_width(texts[index]), LINE),
                frame,
                taken=[*marks, *labels],
                lines=obstacles,
                walls=crossed,
            )
            if box is not None:
                placed[index] = box
                break
    return [placed.get(index) for index in range(len(points))]


def _mark(x: float, y: float) -> Box:
    return Box(left=x - CLEARANCE, top=y - CLEARANCE, right=x + CLEARANCE, bottom=y + CLEARANCE)


def _num_near(marks: Sequence[Box], index: int) -> int:
    """How crowded it is around a mark: the crowded ones choose first."""
    x, y = marks[index].left, marks[index].top
    return sum(abs(mark.left - x) < 60 and abs(mark.top - y) < 30 for mark in marks)


def _free_place(
    point: tuple[float, float],
    size: tuple[float, float],
    frame: Box,
    *,
    taken: Sequence[Box],
    lines: Sequence[_Line],
    walls: Sequence[Box],
) -> Box | None:
    """The nearest place that overlaps nothing taken and lies on no other label's line.

    Its own line to its mark crosses no wall.
    """
    others = [wall for wall in walls if not wall.holds(*point)]
    for box in _candidates(point, size, frame):
        if (
            box.inside(frame)
            and not any(box.overlaps(other) for other in taken)
            and not any(box.holds(*place) for line in lines for place in line)
            and not any(wall.holds(*place) for wall in others for place in _line(point, box))
        ):
            return box
    return None


def _candidates(point: tuple[float, float], size: tuple[float, float], frame: Box) -> Iterator[Box]:
    """Places around a point, the nearest first, and then any place in the frame."""
    width, height = size
    for distance in _DISTANCES:
        for angle in _ANGLES:
            x = point[0] + distance * math.cos(math.radians(angle))
            y = point[1] + distance * math.sin(math.radians(angle))
            left = x - width / 2 * (1 - round(math.cos(math.radians(angle)), 6))
            top = y - height / 2 * (1 - round(math.sin(math.radians(angle)), 6))
            yield Box(left=left, top=top, right=left + width, bottom=top + height)
    rows = int((frame.bottom - frame.top) / height)
    anywhere = [
        Box(left=left, top=top, right=left + width, bottom=top + height)
        for top in (frame.top + row * height for row in range(rows))
        for left in (frame.left, point[0] - width / 2, frame.right - width)
    ]
    yield from sorted(anywhere, key=lambda box: math.dist(box.nearest(*point), point))


def _line(point: tuple[float, float], box: Box) -> _Line:
    x, y = box.nearest(*point)
    return [
        (point[0] + step / 12 * (x - point[0]), point[1] + step / 12 * (y - point[1]))
        for step in range(1, 12)
    ]
