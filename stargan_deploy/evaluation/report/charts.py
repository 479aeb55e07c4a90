"""The charts of an evaluation."""

from collections.abc import Mapping

from stargan_deploy.evaluation.report.words import figure
from stargan_deploy.evaluation.results import Answers, AttributeFigures, Figure, ModelFigures
from stargan_deploy.presentation.bars import Bar, BarChart
from stargan_deploy.presentation.numbers import digits, percent
from stargan_deploy.presentation.points import Path, Point, PointChart

NUM_COLOURS = 8
"""Colours of the page, `--c0` and so on; further models begin again."""

SHAPES = {"untranslated": "ring", "accuracy": "circle", "real": "diamond"}
"""Marks of an accuracy chart."""


def accuracy_chart(answers: Answers, number: int, title: str) -> BarChart:
    """A lane for each target: before translation, after it, and on real photos.

    Args:
        answers: what one reader saw of one model.
        number: of the model, which has its own colour.
        title: name of the model.
    """
    bars = [
        _lane(target, found, number)
        for target, found in answers.attributes.items()
        if found.accuracy is not None
    ]
    return BarChart(
        title=title, axis="○ before, ● after, ◆ real", bars=tuple(bars), limit=1.0, is_share=True
    )


def _lane(target: str, found: AttributeFigures, number: int) -> Bar:
    figures = {name: getattr(found, name) for name in SHAPES}
    words = [f"{name}: {figure('accuracy', each)}" for name, each in figures.items()]
    return Bar(
        name=target,
        colour=colour(number),
        marks=tuple((SHAPES[name], each.value) for name, each in figures.items() if each),
        value=percent(found.accuracy.value) if found.accuracy else "",
        tooltip="\n".join((target, *words)),
    )


def speed_chart(models: Mapping[str, tuple[ModelFigures, Figure]], title: str) -> PointChart:
    """Accuracy against time: a mark for each model whose speed is known.

    Args:
        models: figures and accuracy by name.
        title: of the chart.
    """
    paths, times, shares = [], [0.0], [0.0]
    for number, (name, (model, accuracy)) in enumerate(models.items()):
        if model.ms_per_image is None:
            continue
        words = f"{name}\n{figure('accuracy', accuracy)}, {digits(model.ms_per_image, 'ms')}"
        point = Point(x=model.ms_per_image, y=100 * accuracy.value, shape="circle", tooltip=words)
        paths.append(Path(name=name, colour=colour(number), points=(point,)))
        times.append(point.x)
        shares.append(point.y)
    low = max(0.0, min(shares[1:], default=0.0) - 5)
    return PointChart(
        title=title,
        x_axis="ms per image",
        y_axis="accuracy in percent",
        paths=tuple(paths),
        x_range=(0.0, 1.15 * max(times) or 1.0),
        y_range=(low, max(min(104.0, max(shares) + 4), low + 1)),
    )


def colour(number: int) -> str:
    """The page's name for a model's colour."""
    return f"c{number % NUM_COLOURS}"
