"""An evaluation in one page: charts, every table, and the worst photos.

The page is one file that needs no network and no script.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from stargan_deploy.evaluation.measures import BY_READERS, JUDGE, MEASURES, OWN
from stargan_deploy.evaluation.report.charts import accuracy_chart, speed_chart
from stargan_deploy.evaluation.report.gallery import MARGIN, Gallery, WorstPhoto
from stargan_deploy.evaluation.report.tables import (
    answers_of,
    comparable,
    confusion_table,
    differences_table,
    figures_table,
    models_table,
    sets_table,
    targets_table,
)
from stargan_deploy.evaluation.report.words import READER_WORDS, amount, figure, measure_words
from stargan_deploy.evaluation.results import Confusion, ModelFigures, Results
from stargan_deploy.presentation.bars import BarChart
from stargan_deploy.presentation.numbers import digits
from stargan_deploy.presentation.page import Tile, png_uri, write_page
from stargan_deploy.presentation.points import PointChart
from stargan_deploy.presentation.text import NOTHING

REPORT_NAME = "report.html"

IMAGE_NAMES = ("photo", "result", "truth")

INTERVALS = (
    "Photos are drawn with replacement a thousand times, the same for all models and measures; an "
    "interval holds 95 % of the means. Where all photos agree, the exact bound of Clopper and "
    "Pearson stands in. A difference between models is taken photo by photo, and is called noise "
    "where its interval holds 0."
)


class Heat(NamedTuple):
    """A table of shares, shaded by them."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, float], ...]], ...]


def write_report(results: Results, galleries: Mapping[str, Gallery], path: Path) -> None:
    """Write `report.html`.

    Args:
        results: what was measured.
        galleries: the worst photos by model; may be empty.
        path: the file.

    Raises:
        OutputError: the file cannot be written.
    """
    names = ", ".join(model.name for model in results.models)
    tables = [figures_table(results), sets_table(results), *_target_tables(results)]
    tables = [table for table in tables if table.lines]
    if compared := comparable(results.differences):
        title = f"Differences to {results.models[0].name}, on the same photos"
        tables.append(differences_table(compared, title=title).without("against").merged("model"))
    write_page(
        path,
        "evaluation.html",
        title=f"Evaluation of {names}",
        facts=_facts(results),
        tiles=_tiles(results),
        notes=_notes(results),
        chart_groups=dict(_charts(results)),
        tables=[*tables, models_table(results).merged()],
        confusions=list(_confusions(results)),
        worst={name: _worst(gallery) for name, gallery in galleries.items() if gallery.worst},
        images_note="Left the photo, next to it the result.",
        how_to_read=_how_to_read(results),
    )


def _facts(results: Results) -> list[str]:
    facts = [
        f"{len(results.photos):,} photos of {results.data}",
        f"{len(results.targets)} targets",
        f"stargan-deploy {results.version}",
        results.created.replace("T", " ").removesuffix("+00:00") + " UTC",
    ]
    if results.judge:
        held_out = results.judge.held_out.get("accuracy")
        words = f", {100 * held_out:.1f}% on held-out images" if held_out else ""
        facts.insert(2, f"judge: {results.judge.name}{words}")
    return facts


def _notes(results: Results) -> list[str]:
    failed = [f"{name} was not evaluated: {why}" for name, why in results.failures.items()]
    more = [f"and {len(failed) - 5} more photos"] if len(failed) > 5 else []
    return [*results.notes, *failed[:5], *more]


def _tiles(results: Results) -> list[Tile]:
    """The first model's main figures."""
    model = results.models[0]
    found = []
    for reader in (JUDGE, OWN):
        answers = answers_of(model, reader)
        if answers and answers.accuracy:
            real = amount("real", answers.real.value) if answers.real else NOTHING
            value = amount("accuracy", answers.accuracy.value)
            note = f"{READER_WORDS[reader]}; {real} on real photos"
            found.append(Tile("Accuracy", value, note))
    for name, each in model.measures.items():
        note = f"{MEASURES[name].unit}, {figure(name, each).partition('(')[2].rstrip(')')}"
        found.append(Tile(MEASURES[name].title.capitalize(), amount(name, each.value), note))
    return found


def _target_tables(results: Results) -> Iterator[Any]:
    for reader in (OWN, JUDGE):
        table = targets_table(results, reader)
        if table.lines:
            yield table.merged("model")


def _charts(results: Results) -> Iterator[tuple[str, list[BarChart | PointChart]]]:
    for reader in (JUDGE, OWN):
        models = [(model, answers_of(model, reader)) for model in results.models]
        lanes = [
            accuracy_chart(answers, number, model.name)
            for number, (model, answers) in enumerate(models)
            if answers is not None
        ]
        seen = {
            model.name: (model, answers.accuracy)
            for model, answers in models
            if answers and answers.accuracy
        }
        title = READER_WORDS[reader]
        charts: list[BarChart | PointChart] = [speed_chart(seen, f"by the {title}"), *lanes]
        if drawn := [chart for chart in charts if not chart.is_empty]:
            yield f"Accuracy, as the {title} sees it", drawn


def _confusions(results: Results) -> Iterator[Heat]:
    for model in results.models:
        for reader in (JUDGE, OWN):
            answers = answers_of(model, reader)
            if answers and answers.confusion:
                yield _heat(model, results.targets, answers.confusion, reader)


def _heat(model: ModelFigures, targets: tuple[str, ...], found: Confusion, reader: str) -> Heat:
    table = confusion_table(model.name, targets, found, reader)
    rows = (
        (line[0], tuple(zip(line[1:], (share or 0.0 for share in shares), strict=True)))
        for line, shares in zip(table.lines, found.shares, strict=True)
    )
    return Heat(title=table.title, columns=table.columns, rows=tuple(rows))


def _worst(gallery: Gallery) -> dict[str, list[dict[str, Any]]]:
    """The worst photos by heading."""
    return {
        _heading(measure): [_shown(photo) for photo in photos]
        for measure, photos in sorted(gallery.worst.items())
    }


def _heading(measure: str) -> str:
    reader, _, name = measure.rpartition(".")
    if name == MARGIN:
        return f"Target seen least ({READER_WORDS[reader]}, logits)"
    return f"{measure_words(measure).capitalize()}, {MEASURES[name].unit}"


def _shown(photo: WorstPhoto) -> dict[str, Any]:
    uris = [png_uri(Image.fromarray(pixels)) for pixels in photo.images]
    value = digits(photo.value) if photo.value >= 0 else f"-{digits(-photo.value)}"
    words = f"{photo.photo} to {photo.target}: {value}"
    return {"images": list(zip(uris, IMAGE_NAMES, strict=False)), "words": words}


def _how_to_read(results: Results) -> list[tuple[str, str]]:
    seen = {name.rpartition(".")[2] for model in results.models for name in model.values}
    kept = [MEASURES[name] for name in (*BY_READERS, *MEASURES) if name in seen]
    words = {measure.title.capitalize(): measure.meaning for measure in kept}
    return [*words.items(), ("Intervals", INTERVALS)]
