"""The tables of an evaluation."""

from collections.abc import Callable, Iterator, Sequence

from rich.console import Console

from stargan_deploy.evaluation.measures import (
    BY_READERS,
    JUDGE,
    MEASURES,
    OWN,
    key,
    measure_of,
)
from stargan_deploy.evaluation.report.words import (
    READER_WORDS,
    amount,
    change,
    change_interval,
    figure,
    measure_words,
    set_words,
)
from stargan_deploy.evaluation.results import (
    Answers,
    Confusion,
    Difference,
    Figure,
    ModelFigures,
    Results,
)
from stargan_deploy.presentation.numbers import digits
from stargan_deploy.presentation.tables import Column, Table
from stargan_deploy.presentation.text import NOTHING

DISPENSABLE = ("device", "images", "ms per image", "change")
"""Columns that a narrow terminal can do without."""


def answers_of(model: ModelFigures, reader: str) -> Answers | None:
    """What a reader saw of a model."""
    return model.judge if reader == JUDGE else model


def models_table(results: Results) -> Table:
    """A line for each model: what it is."""
    columns: list[Column] = [
        ("model", lambda model: model.name),
        ("backend", lambda model: model.backend),
        ("device", lambda model: model.device),
        ("precision", lambda model: model.precision),
        ("weights", lambda model: model.weights),
        ("step", lambda model: f"{model.step:,}"),
        ("size", lambda model: f"{model.image_size}x{model.image_size}"),
        ("images", lambda model: f"{model.num_images:,}"),
        ("ms per image", lambda model: digits(model.ms_per_image)),
    ]
    return Table.of("Models", results.models, columns, num_names=5)


def figures_table(results: Results) -> Table:
    """All measures, a line for each, a column for each model."""
    lines = [
        (measure_words(name), *(figure(name, find(model)) for model in results.models))
        for name, find in _figures(results)
    ]
    return Table(
        title="Means over the targets, with intervals at 95 %",
        columns=("measure", *(model.name for model in results.models)),
        lines=tuple(lines),
    )


def _figures(
    results: Results,
) -> Iterator[tuple[str, Callable[[ModelFigures], Figure | None]]]:
    """The measures that some model has, and where a model has them."""
    for reader in (OWN, JUDGE):
        for name in BY_READERS:

            def seen(model: ModelFigures, reader: str = reader, name: str = name) -> Figure | None:
                found: Figure | None = getattr(answers_of(model, reader), name, None)
                return found

            if any(map(seen, results.models)):
                yield key(reader, name), seen
    for name in MEASURES:

        def measured(model: ModelFigures, name: str = name) -> Figure | None:
            return model.measures.get(name)

        if any(map(measured, results.models)):
            yield name, measured


def sets_table(results: Results) -> Table:
    """Figures of whole sets of images, a line for each."""
    names = dict.fromkeys(name for model in results.models for name in model.sets)
    lines = [
        (name, *(set_words(name, model.sets.get(name)) for model in results.models))
        for name in names
    ]
    return Table(
        title="Sets of images as a whole, with intervals at 95 %",
        columns=("figure", *(model.name for model in results.models)),
        lines=tuple(lines),
    )


def targets_table(results: Results, reader: str) -> Table:
    """Accuracy by target, a group of lines for each."""
    lines = []
    for target in results.targets:
        for model in results.models:
            answers = answers_of(model, reader)
            found = answers.attributes.get(target) if answers else None
            if found is not None:
                others = (found.untranslated, found.real, found.kept)
                cells = (amount("accuracy", each.value) if each else NOTHING for each in others)
                accuracy = figure("accuracy", found.accuracy)
                num = found.accuracy.num if found.accuracy else 0
                lines.append((target, model.name, accuracy, *cells, f"{num:,}"))
    return Table(
        title=f"By target, as the {READER_WORDS[reader]} sees it",
        columns=(
            *("target", "model", "accuracy", "untranslated", "on real photos", "kept", "photos"),
        ),
        lines=tuple(lines),
        num_names=2,
        group_columns=("target",) if len(results.models) > 1 else (),
    )


def differences_table(differences: Sequence[Difference], *, title: str) -> Table:
    """Differences, a line for each."""
    columns: list[Column] = [
        ("measure", lambda each: measure_words(each.measure)),
        ("target", lambda each: each.target or "all"),
        ("model", lambda each: each.model),
        ("against", lambda each: each.against),
        ("difference", change),
        ("95% interval", change_interval),
        ("verdict", lambda each: each.verdict),
    ]
    return Table.of(title, differences, columns, num_names=4)


def comparable(differences: Sequence[Difference]) -> list[Difference]:
    """Differences of measures that have a better end."""
    return [each for each in differences if measure_of(each.measure).is_better != "neither"]


def main_differences(differences: Sequence[Difference]) -> list[Difference]:
    """Those over all targets, of measures that have a better end."""
    return [each for each in comparable(differences) if not each.target]


def confusion_table(model: str, targets: Sequence[str], found: Confusion, reader: str) -> Table:
    """What is read after translation to each target."""
    words = "seen" if found.meaning == "seen" else "read otherwise than before"
    return Table(
        title=f"{model}: labels {words} after translation ({READER_WORDS[reader]})",
        columns=("target", *found.labels),
        lines=tuple(
            (target, *(NOTHING if x is None else amount("accuracy", x) for x in row))
            for target, row in zip(targets, found.shares, strict=True)
        ),
    )


def show_results(results: Results, console: Console) -> None:
    """Print the tables of an evaluation."""
    models_table(results).print(console, dispensable=DISPENSABLE)
    figures_table(results).print(console)
    if (sets := sets_table(results)).lines:
        sets.print(console)
    for reader in (OWN, JUDGE):
        table = targets_table(results, reader)
        if table.lines:
            table.merged("model").print(console, dispensable=("photos", "kept"))
    whole = main_differences(results.differences)
    if whole:
        title = f"Differences to {results.models[0].name}, on the same photos"
        table = differences_table(whole, title=title)
        table.without("target", "against").print(console)
