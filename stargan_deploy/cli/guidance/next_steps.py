"""The command that usually follows the one just done, in a line that begins with "next:"."""

import shlex
from contextlib import suppress
from pathlib import Path

from stargan_deploy.card.card import ModelCard
from stargan_deploy.cli.console import say
from stargan_deploy.errors import LabelError
from stargan_deploy.presentation.text import one_line


def say_next(*words: str | Path) -> None:
    """Print a command as it can be typed."""
    say(one_line(f"next: {shlex.join(['stargan-deploy', *map(str, words)])}"))


def say_use(model: Path, card: ModelCard) -> None:
    """Print the command that makes images with an artefact; none where it needs more inputs."""
    points = card.entry_points
    making = {n: p for n, p in points.items() if p.makes_images and p.file == model.name}
    translating = [n for n, p in making.items() if p.inputs_of("image") and not p.further_inputs]
    if translating:
        say_next("batch", "photos/", *_target(card, translating), "--model", model)
    elif not any(point.inputs_of("image") for point in making.values()) and making:
        say_next("sample", "--model", model)


def _target(card: ModelCard, directions: list[str]) -> list[str]:
    """Words for a first target, or for a direction where there are several."""
    if card.labels.sets:
        with suppress(LabelError):  # names that targets cannot have, in a card from elsewhere
            return ["--attrs", card.labels.single_targets()[0].text]
    return ["--direction", min(directions)] if len(directions) > 1 else []
