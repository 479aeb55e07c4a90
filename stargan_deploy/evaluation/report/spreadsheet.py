"""An evaluation as a spreadsheet: a line for each photo, target and model."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from stargan_deploy.evaluation.measures import measure_of
from stargan_deploy.evaluation.results import ModelFigures, Results
from stargan_deploy.files.atomic import write_text
from stargan_deploy.presentation.text import cell_text

CSV_NAME = "results.csv"


def write_csv(results: Results, path: Path) -> None:
    """Write `results.csv`: model, photo, its SHA-256, target, and a column for each measure.

    A cell is empty where a photo does not count. Values that do not depend on the target are
    repeated for each.

    Raises:
        OutputError: the file cannot be written.
    """
    names = sorted({name for model in results.models for name in model.values})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "photo", "sha256", "target", *names])
    for model in results.models:
        writer.writerows(_lines(results, model, names))
    write_text(path, text.getvalue())


def _lines(results: Results, model: ModelFigures, names: list[str]) -> Iterator[list[object]]:
    for t, target in enumerate(results.targets):
        for p, photo in enumerate(results.photos):
            cells = [_cell(model, name, t, p) for name in names]
            if any(cell != "" for cell in cells):
                yield [model.name, cell_text(photo.name), photo.sha256, target, *cells]


def _cell(model: ModelFigures, name: str, t: int, p: int) -> object:
    rows = model.values.get(name)
    if rows is None:
        return ""
    value = rows[0 if measure_of(name).is_of_photo else t][p]
    return "" if value is None else f"{value:.6g}"
