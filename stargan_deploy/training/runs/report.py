"""A run in one page: images over time, accuracies, losses, speed and settings.

The page is made from the files of the run alone, so it can be made at any time, also of a run
that is still running, was interrupted, or has lost some of its files. It needs no network.
"""

import base64
import io
import math
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from stargan_deploy.config import flatten
from stargan_deploy.errors import ImageError
from stargan_deploy.files.images import load_image
from stargan_deploy.presentation.curves import Line, LineChart
from stargan_deploy.presentation.numbers import digits, percent
from stargan_deploy.presentation.page import Tile, write_page
from stargan_deploy.presentation.text import NOTHING, evenly
from stargan_deploy.training.metrics import EVALUATION_PREFIX, Curve
from stargan_deploy.training.runs.run_reader import RunRecord, Table, read_run, table_of

REPORT_NAME = "report.html"
MAX_POINTS = 500
"""Points of one line of a chart."""
MAX_SAMPLES = 12
MAX_SAMPLE_PX = 1280
"""Longer side that sample grids are shrunk to, so that the page stays small enough to mail."""
SAMPLE_QUALITY = 80

TILES: tuple[tuple[str, str, str, Callable[[float], str]], ...] = (
    (
        f"{EVALUATION_PREFIX}accuracy_mean",
        "Attribute accuracy",
        "of translated held-out images",
        percent,
    ),
    (
        f"{EVALUATION_PREFIX}judge_accuracy_mean",
        "Accuracy by the judge",
        "of translated held-out images",
        percent,
    ),
    (
        f"{EVALUATION_PREFIX}accuracy_real",
        "Classifier on real images",
        "the judge of the accuracy itself",
        percent,
    ),
    (
        f"{EVALUATION_PREFIX}change_levels",
        "Change",
        "8-bit levels; 0: nothing is translated",
        digits,
    ),
    (
        f"{EVALUATION_PREFIX}reconstruction_levels",
        "Reconstruction error",
        "8-bit levels, there and back",
        digits,
    ),
    (
        f"{EVALUATION_PREFIX}diversity",
        "Diversity",
        "1: as the photos; near 0: mode collapse",
        digits,
    ),
    (
        f"{EVALUATION_PREFIX}label_accuracy",
        "Classifier",
        "share of held-out labels predicted rightly",
        percent,
    ),
    ("steps_per_s", "Speed", "steps per second", digits),
)
"""Metrics to look at first, with how to read and write them."""


Looks = Mapping[str, tuple[str, str]]
"""Metrics with their names in the legend and the styles of their lines."""

EVALUATION_CHARTS: tuple[tuple[str, str, tuple[float, float], Looks], ...] = (
    (
        "accuracy",
        "share of images that carry the attribute after a translation to it",
        (0.0, 1.0),
        {"accuracy_mean": ("mean", "strong"), "accuracy_real": ("real images", "dashed")},
    ),
    (
        "change and reconstruction",
        "mean difference from the photo in 8-bit levels",
        (0.0, 0.0),
        {
            "change_levels": ("after a translation", ""),
            "reconstruction_levels": ("there and back", ""),
        },
    ),
    (
        "diversity",
        "differences among translations over those among photos; near 0: mode collapse",
        (0.0, 1.0),
        {"diversity": ("mean", ""), "diversity_min": ("least of the attributes", "")},
    ),
    (
        "accuracy of the classifier",
        "share of held-out images whose label is predicted rightly",
        (0.0, 1.0),
        {"label_accuracy": ("mean", "strong")},
    ),
    (
        "accuracy by the judge",
        "share of images in which the independent judge sees the target",
        (0.0, 1.0),
        {
            "judge_accuracy_mean": ("mean", "strong"),
            "judge_accuracy_real": ("real images", "dashed"),
            "judge_kept": ("other labels kept", "dashed"),
        },
    ),
)
"""Titles, notes, bounds of the vertical axis, and lines."""

BY_LABEL = {
    "accuracy_mean": "accuracy",
    "label_accuracy": "label_accuracy",
    "judge_accuracy_mean": "judge_accuracy",
}
"""Metrics whose charts have a line more for each label: the names of those end in the label."""


class Sample(NamedTuple):
    """A grid of images at one step."""

    step: int
    uri: str
    width: int
    height: int


def write_report(run_folder: Path) -> Path:
    """Writes `report.html` from what a run folder holds; returns its path.

    Raises:
        OutputError: the file cannot be written.
    """
    run = read_run(run_folder)
    groups = {
        heading: [chart for chart in charts if not chart.is_empty]
        for heading, charts in _chart_groups(run).items()
    }
    path = run_folder / REPORT_NAME
    write_page(
        path,
        "training.html",
        title=run.recipe.get("name") or run_folder.resolve().name,
        facts=_facts(run),
        progress=_progress(run),
        share=None if math.isnan(run.num_steps) else min(1.0, run.step / run.num_steps),
        tiles=[
            Tile(title, words(value), note)
            for name, title, note, words in TILES
            if not math.isnan(value := run.latest(name))
        ],
        samples=_samples(run_folder / "samples"),
        chart_groups={heading: charts for heading, charts in groups.items() if charts},
        settings=_settings(run),
    )
    return path


def _facts(run: RunRecord) -> list[str]:
    """The line under the title: data, machine, versions, time."""
    data, versions = table_of(run.recipe, "data"), table_of(run.surroundings, "versions")
    facts = [run.folder.resolve().name, str(run.recipe.get("family", ""))]
    if "image_size" in data:
        source = " + ".join(table_of(data, "sets")) or Path(str(data.get("root", ""))).name
        facts.append(f"{source or 'synthetic'} at {data['image_size']}x{data['image_size']}")
    facts += [str(run.surroundings.get("device", ""))]
    facts += [f"{k} {versions[k]}" for k in ("stargan-deploy", "torch") if k in versions]
    revision = str(run.surroundings.get("git_revision", ""))
    facts.append(f"git {revision[:10]}" if revision else "")
    facts.append(_last_written(run.folder / "metrics.jsonl"))
    return [fact for fact in facts if fact]


def _last_written(path: Path) -> str:
    try:
        moment = time.gmtime(path.stat().st_mtime)
    except OSError:
        return ""
    return time.strftime("%Y-%m-%d %H:%M UTC", moment)


def _progress(run: RunRecord) -> str:
    text = f"Step {run.step:,.0f}"
    if math.isnan(run.num_steps):
        return f"{text}{', finished' if run.is_finished else ''}"
    share = min(1.0, run.step / run.num_steps)
    rest = "finished" if run.is_finished else f"{share:.0%}{_time_left(run)}"
    return f"{text} of {run.num_steps:,.0f} · {rest}"


def _time_left(run: RunRecord) -> str:
    left_s = (run.num_steps - run.step) / (run.latest("steps_per_s") or math.nan)
    if not 0 < left_s < 1e8:
        return ""
    hours, minutes = divmod(math.ceil(left_s / 60), 60)
    return f" · {f'{hours} h ' if hours else ''}{minutes} min to go at the latest speed"


def _samples(folder: Path) -> list[Sample]:
    """Sample grids, evenly spread over the run, the latest one last."""
    steps = {_step_of(path): path for path in folder.glob("step-*.jpg")}
    kept = evenly([step for step in sorted(steps) if step >= 0], MAX_SAMPLES)
    return [sample for step in kept if (sample := _sample(step, steps[step]))]


def _step_of(path: Path) -> int:
    number = path.stem.removeprefix("step-")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 16 else -1


def _sample(step: int, path: Path) -> Sample | None:
    try:
        return Sample(step, *_shrunk(path, path.stat().st_mtime_ns))
    except (ImageError, OSError):
        return None


@lru_cache(maxsize=64)
def _shrunk(path: Path, mtime_ns: int) -> tuple[str, int, int]:  # noqa: ARG001 - part of the key
    """An image as a data URI with its width and height; kept, as reports come again and again."""
    image = load_image(path)
    image.thumbnail((MAX_SAMPLE_PX, MAX_SAMPLE_PX), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=SAMPLE_QUALITY)
    content = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/jpeg;base64,{content}", image.width, image.height


def _chart_groups(run: RunRecord) -> dict[str, list[LineChart]]:
    """Headings with their charts: evaluation, losses, and how the training goes."""
    rates = {name: (name.removeprefix("lr_"), "") for name in run.curves if name.startswith("lr_")}
    speeds = [name for name in run.curves if name.endswith("_per_s")]
    others = {*rates, *speeds}
    losses = [n for n in run.curves if n not in others and not n.startswith(EVALUATION_PREFIX)]
    rate = _chart(run, "learning rates", rates, bounds=(0.0, 0.0))
    return {
        "Evaluation on held-out images": _evaluation_charts(run),
        "Losses": [_smoothed(run, name) for name in losses],
        "Speed and learning rates": [*(_smoothed(run, name) for name in speeds), rate],
    }


def _evaluation_charts(run: RunRecord) -> list[LineChart]:
    charts = []
    for title, note, bounds, looks in EVALUATION_CHARTS:
        names = {f"{EVALUATION_PREFIX}{name}": look for name, look in looks.items()}
        starts = [f"{EVALUATION_PREFIX}{BY_LABEL[name]}/" for name in looks if name in BY_LABEL]
        for start in starts:
            names |= {n: (n.removeprefix(start), "") for n in run.curves if n.startswith(start)}
        charts.append(_chart(run, title, names, note=note, bounds=bounds, is_share=bool(starts)))
    return charts


def _chart(run: RunRecord, title: str, looks: Looks, **settings: Any) -> LineChart:
    """A chart of the metrics that there are, with their names in the legend and styles."""
    lines = [
        line_of(run.curves[metric], name, style=style)
        for metric, (name, style) in looks.items()
        if metric in run.curves
    ]
    return LineChart(title=title, lines=tuple(lines), last_step=run.step, **settings)


def _smoothed(run: RunRecord, name: str) -> LineChart:
    line = line_of(run.curves[name], name, is_smoothed=True)
    return LineChart(title=name, lines=(line,), last_step=run.step)


def line_of(curve: Curve, name: str, *, style: str = "", is_smoothed: bool = False) -> Line:
    """A curve as the line of a chart: thinned, or its moving average over faint raw values."""
    thin = curve.thinned(MAX_POINTS)
    shown = curve.smoothed(MAX_POINTS) if is_smoothed else thin
    raw = (thin.steps, thin.values) if is_smoothed else None
    return Line(
        name=name,
        steps=shown.steps,
        values=shown.values,
        raw=raw,
        latest=curve.latest,
        style=style,
    )


def _settings(run: RunRecord) -> dict[str, list[tuple[str, str]]]:
    """Tables of settings by their names."""
    plain = {key: value for key, value in run.recipe.items() if not isinstance(value, Mapping)}
    tables: dict[str, Table] = {"recipe": plain}
    tables |= {key: value for key, value in run.recipe.items() if isinstance(value, Mapping)}
    tables["environment"] = run.surroundings
    return {
        name: [(key, _in_words(value)) for key, value in flatten(table).items()]
        for name, table in tables.items()
        if table
    }


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or NOTHING
    return str(value) if value != "" else NOTHING
