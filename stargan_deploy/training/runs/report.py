"""A run in one page: pictures over time, accuracies, losses, speed and settings.

The page is made from the files of the run alone, so it can be made at any time, also of a run
that goes on, was broken off, or has lost some of its files. It needs no network.
"""

import base64
import io
import math
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from stargan_deploy.config import join
from stargan_deploy.errors import ImageError
from stargan_deploy.files.images import load_image
from stargan_deploy.presentation.charts import format_value
from stargan_deploy.presentation.page import NOTHING, charts_section, escaped, tile, write_page
from stargan_deploy.presentation.text import evenly
from stargan_deploy.training.metrics import EVALUATION_PREFIX, Curve
from stargan_deploy.training.runs.charts import Chart, Series, chart_figure
from stargan_deploy.training.runs.run_reader import RunRecord, Table, read_run, table_of

REPORT_NAME = "report.html"
MAX_SAMPLES = 12
MAX_SAMPLE_PX = 1280
"""Longer side that sample grids are shrunk to, so that the page stays small enough to mail."""
SAMPLE_QUALITY = 80


def write_report(run_folder: Path) -> Path:
    """Writes `report.html` from what a run folder holds; returns its path.

    Raises:
        OutputError: the file cannot be written.
    """
    run = read_run(run_folder)
    sections = [_samples_section(run_folder / "samples")]
    sections += [_charts_section(*group, run.step) for group in _chart_groups(run.curves)]
    sections.append(_settings_section(run))
    path = run_folder / REPORT_NAME
    write_page(
        path,
        "stargan_deploy.training.runs",
        "report.html",
        title=escaped(run.recipe.get("name") or run_folder.resolve().name),
        facts="".join(f"<li>{escaped(fact)}</li>" for fact in _facts(run)),
        progress=_progress(run),
        tiles="\n".join(_tiles(run)),
        sections="\n".join(section for section in sections if section),
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
        return f"<p>{text}{', finished' if run.is_finished else ''}</p>"
    share = min(1.0, run.step / run.num_steps)
    rest = "finished" if run.is_finished else f"{share:.0%}{_time_left(run)}"
    return (
        f"<p>{text} of {run.num_steps:,.0f} · {rest}</p>"
        f'<div class="progress"><span style="width: {100 * share:.2f}%"></span></div>'
    )


def _time_left(run: RunRecord) -> str:
    left_s = (run.num_steps - run.step) / (run.latest("steps_per_s") or math.nan)
    if not 0 < left_s < 1e8:
        return ""
    hours, minutes = divmod(math.ceil(left_s / 60), 60)
    return f" · {f'{hours} h ' if hours else ''}{minutes} min to go at the latest speed"


def _tiles(run: RunRecord) -> list[str]:
    """The numbers to look at first, each with how to read it."""
    shown = [
        ("accuracy_mean", "Attribute accuracy", "of translated held-out images", True),
        ("accuracy_real", "Classifier on real images", "the judge of the accuracy itself", True),
        ("change_levels", "Change", "8-bit levels; 0: nothing is translated", False),
        ("reconstruction_levels", "Reconstruction error", "8-bit levels, there and back", False),
        ("diversity", "Diversity", "1: as the photos; near 0: mode collapse", False),
    ]
    tiles = [
        tile(title, format_value(value, is_share=is_share), note)
        for name, title, note, is_share in shown
        if not math.isnan(value := run.latest(f"{EVALUATION_PREFIX}{name}"))
    ]
    speed = run.latest("steps_per_s")
    if not math.isnan(speed):
        tiles.append(tile("Speed", format_value(speed), "steps per second"))
    return tiles


def _samples_section(folder: Path) -> str:
    """Sample grids, evenly spread over the run, the latest one last."""
    steps = {_step_of(path): path for path in folder.glob("step-*.jpg")}
    paths = [steps[step] for step in sorted(steps) if step >= 0]
    frames = [frame for path in evenly(paths, MAX_SAMPLES) if (frame := _frame(path))]
    if not frames:
        return ""
    return (
        "<section>\n<h2>Held-out images over time</h2>\n"
        f'<div class="film">\n{chr(10).join(frames)}\n</div>\n</section>'
    )


def _step_of(path: Path) -> int:
    digits = path.stem.removeprefix("step-")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 16 else -1


def _frame(path: Path) -> str:
    try:
        uri, width, height = _shrunk(path, path.stat().st_mtime_ns)
    except (ImageError, OSError):
        return ""
    step = f"step {_step_of(path):,}"
    return (
        f'<figure><img src="{uri}" width="{width}" height="{height}" alt="samples at {step}">'
        f"<figcaption>{step}</figcaption></figure>"
    )


@lru_cache(maxsize=64)
def _shrunk(path: Path, mtime_ns: int) -> tuple[str, int, int]:  # noqa: ARG001 - part of the key
    """A picture as a data URI with its width and height; kept, as reports come again and again."""
    image = load_image(path)
    image.thumbnail((MAX_SAMPLE_PX, MAX_SAMPLE_PX), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=SAMPLE_QUALITY)
    content = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/jpeg;base64,{content}", image.width, image.height


def _chart_groups(curves: Mapping[str, Curve]) -> list[tuple[str, list[Chart]]]:
    """Headings with their charts: evaluation, losses, and how the training goes."""
    rates = {name: name.removeprefix("lr_") for name in curves if name.startswith("lr_")}
    speeds = [name for name in curves if name.endswith("_per_s")]
    others = {*rates, *speeds}
    losses = [n for n in curves if n not in others and not n.startswith(EVALUATION_PREFIX)]
    rate = Chart(title="learning rates", series=_series(curves, rates), bounds=(0.0, 0.0))
    return [
        ("Evaluation on held-out images", _evaluation_charts(curves)),
        ("Losses", [_smoothed(curves, name) for name in losses]),
        ("Speed and learning rates", [*(_smoothed(curves, s) for s in speeds), rate]),
    ]


def _evaluation_charts(curves: Mapping[str, Curve]) -> list[Chart]:
    start = f"{EVALUATION_PREFIX}accuracy/"
    by_label = {name: name.removeprefix(start) for name in curves if name.startswith(start)}
    return [
        Chart(
            title="accuracy",
            note="share of images that carry the attribute after a translation to it",
            series=(
                *_series(curves, {f"{EVALUATION_PREFIX}accuracy_mean": "mean"}, style="strong"),
                *_series(
                    curves, {f"{EVALUATION_PREFIX}accuracy_real": "real images"}, style="dashed"
                ),
                *_series(curves, by_label),
            ),
            bounds=(0.0, 1.0),
            is_share=True,
        ),
        Chart(
            title="change and reconstruction",
            note="mean difference from the photo in 8-bit levels",
            series=_series(
                curves,
                {
                    f"{EVALUATION_PREFIX}change_levels": "after a translation",
                    f"{EVALUATION_PREFIX}reconstruction_levels": "there and back",
                },
            ),
            bounds=(0.0, 0.0),
        ),
        Chart(
            title="diversity",
            note="differences among translations over those among photos; near 0: mode collapse",
            series=_series(
                curves,
                {
                    f"{EVALUATION_PREFIX}diversity": "mean",
                    f"{EVALUATION_PREFIX}diversity_min": "least of the attributes",
                },
            ),
            bounds=(0.0, 1.0),
        ),
    ]


def _series(
    curves: Mapping[str, Curve], words: Mapping[str, str], *, style: str = ""
) -> tuple[Series, ...]:
    """Lines of the metrics that there are, by the words of the legend."""
    return tuple(
        Series(name=word, curve=curves[name], style=style)
        for name, word in words.items()
        if name in curves
    )


def _smoothed(curves: Mapping[str, Curve], name: str) -> Chart:
    return Chart(title=name, series=_series(curves, {name: name}), is_smoothed=True)


def _charts_section(heading: str, charts: Sequence[Chart], last_step: float) -> str:
    shown = [chart_figure(chart, last_step) for chart in charts if chart.series]
    return charts_section(heading, shown)


def _settings_section(run: RunRecord) -> str:
    plain = {key: value for key, value in run.recipe.items() if not isinstance(value, Mapping)}
    tables: dict[str, Table] = {"recipe": plain}
    tables |= {key: value for key, value in run.recipe.items() if isinstance(value, Mapping)}
    tables["surroundings"] = run.surroundings
    shown = "\n".join(_settings_table(name, table) for name, table in tables.items() if table)
    if not shown:
        return ""
    return f'<section>\n<h2>Settings</h2>\n<div class="settings">\n{shown}\n</div>\n</section>'


def _settings_table(name: str, table: Table) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escaped(key)}</th><td>{escaped(_in_words(value))}</td></tr>'
        for key, value in _flat(table)
    )
    return f"<table><caption>{escaped(name)}</caption><tbody>{rows}</tbody></table>"


def _flat(table: Table, path: str = "") -> list[tuple[str, Any]]:
    """All values with their dotted names."""
    rows: list[tuple[str, Any]] = []
    for key, value in table.items():
        name = join(path, key)
        rows += _flat(value, name) if isinstance(value, Mapping) else [(name, value)]
    return rows


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or NOTHING
    return str(value) if value != "" else NOTHING
