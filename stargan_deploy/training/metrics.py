"""Reads a run's metrics as curves, whatever state the file is in."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stargan_deploy.presentation.text import evenly

EVALUATION_PREFIX = "eval/"
"""Prefix of evaluation metrics, which have lines of their own."""

MAX_LINES = 5_000
"""Lines read from a long run, evenly spread, to keep reading fast; as many lines of evaluations,
which are rare, are read in addition."""

TOO_LARGE = 1e30
"""Values from this magnitude on count as not finite, because charts cannot show them."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One metric by step, in ascending order; NaN where it was not finite."""

    steps: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]

    @property
    def latest(self) -> float:
        """The last finite value, or NaN."""
        finite = self.values[np.isfinite(self.values)]
        return float(finite[-1]) if len(finite) else math.nan

    def thinned(self, max_points: int) -> "Curve":
        """At most so many points: both ends, and the minimum and maximum of each stretch."""
        count = len(self.steps)
        if count <= max_points:
            return self
        width = math.ceil(count / ((max_points - 2) // 2))
        padded = np.pad(self.values, (0, -count % width), mode="edge").reshape(-1, width)
        starts = np.arange(len(padded)) * width
        lows = starts + np.where(np.isnan(padded), np.inf, padded).argmin(axis=1)
        highs = starts + np.where(np.isnan(padded), -np.inf, padded).argmax(axis=1)
        kept = np.unique(np.concatenate([[0, count - 1], lows, highs]).clip(max=count - 1))
        return Curve(steps=self.steps[kept], values=self.values[kept])

    def smoothed(self, max_points: int, *, share: float = 0.03) -> "Curve":
        """Means over all finite points within a share of the run on either side."""
        is_finite = np.isfinite(self.values)
        steps, values = self.steps[is_finite], self.values[is_finite]
        if len(steps) < 2:
            return Curve(steps=steps, values=values)
        places = np.array(evenly(steps.tolist(), max_points))
        reach = share * (steps[-1] - steps[0])
        starts = np.searchsorted(steps, places - reach, side="left")
        ends = np.searchsorted(steps, places + reach, side="right")
        bounds = np.stack([starts, ends], axis=1).ravel()
        sums = np.add.reduceat(np.append(values, 0.0), bounds)[::2]
        return Curve(steps=places, values=sums / (ends - starts))


def read_metrics(path: Path, *, max_lines: int = MAX_LINES) -> dict[str, Curve]:
    """The curves of a `metrics.jsonl` by name.

    Torn lines and lines without a step are skipped; of several lines for one step the last counts.
    A missing file has no curves.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return {}
    mark = f'"{EVALUATION_PREFIX}'.encode()
    evaluations = [line for line in lines if mark in line]
    points: dict[str, dict[float, float]] = {}
    for line in [*evenly(lines, max_lines), *evenly(evaluations, max_lines)]:
        row = _read_row(line)
        step = row.pop("step", math.nan)
        if 0 <= step < TOO_LARGE:
            for name, value in row.items():
                points.setdefault(name, {})[step] = value
    ordered = {name: sorted(by_step.items()) for name, by_step in points.items()}
    return {
        name: Curve(steps=np.array([s for s, _ in rows]), values=np.array([v for _, v in rows]))
        for name, rows in ordered.items()
    }


def _read_row(line: bytes) -> dict[str, float]:
    """The numbers of one line; empty if it cannot be read."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(row, dict):
        return {}
    return {
        name: float(value) if abs(value) < TOO_LARGE else math.nan
        for name, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
