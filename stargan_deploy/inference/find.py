"""Finds the model that a command or a program means, and reads its card."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stargan_deploy.backends.registry import backends_for, known_suffixes, read_card_of
from stargan_deploy.backends.spec import CHECKPOINT_SUFFIX
from stargan_deploy.card.card import ModelCard
from stargan_deploy.errors import ModelError, StarganDeployError
from stargan_deploy.export.destination import EXPORTS
from stargan_deploy.files.runs import RUNS, run_folders

DEMO_MODEL = Path(__file__).parent.parent / "assets" / "demo.safetensors"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A checkpoint or artefact whose card has been read."""

    path: Path
    card: ModelCard

    @property
    def is_checkpoint(self) -> bool:
        """Whether it holds weights, and not an exported graph."""
        return self.path.suffix.lower() == CHECKPOINT_SUFFIX

    @property
    def backends(self) -> tuple[str, ...]:
        """The backends that run the file as it is, the default first."""
        return backends_for(self.path)


def read_model(path: Path) -> ModelFile:
    """Reads the card of a checkpoint or artefact.

    Raises:
        ModelError: no such file, or neither a checkpoint nor an artefact.
    """
    return ModelFile(path=path, card=read_card_of(path))


def find_model(model: Path | None = None, *, not_the_demo: str = "") -> ModelFile:
    """`find_model_path`, with the card read.

    Raises:
        ModelError: there is no usable model.
    """
    return read_model(find_model_path(model, not_the_demo=not_the_demo))


def find_model_path(model: Path | None = None, *, not_the_demo: str = "") -> Path:
    """Return the given model, else the newest run's newest whole checkpoint, else the demo model.

    A run's folder stands for its newest whole checkpoint. Logs the choice where none was given.

    Args:
        model: a file or a run's folder.
        not_the_demo: why the demo model is of no use and what to do instead, where it is not.

    Raises:
        ModelError: there is no such file or no whole checkpoint in the folder, or nothing but a
            demo model that is of no use.
    """
    if model is None:
        found = _newest_in_runs() or DEMO_MODEL
        if not_the_demo and is_demo_model(found):
            raise ModelError(f"there is no run in ./{RUNS} yet, and {not_the_demo}")
        _log.info("model: %s", _describe(found))
        return found
    if model.is_dir():
        return _newest_in(model)
    if not model.is_file():
        raise ModelError(f"no such model: {model}")
    return model


def is_demo_model(model: Path) -> bool:
    """Whether a path is the demo model inside the package."""
    return model.resolve() == DEMO_MODEL.resolve()


def known_checkpoints() -> Iterator[Path]:
    """Checkpoints in the current folder, those of all runs, newest first, and the demo model."""
    yield from _checkpoints_in(Path())
    for folder in run_folders():
        yield from _checkpoints_in(folder / "checkpoints")
        yield from _checkpoints_in(folder)
    yield DEMO_MODEL


def find_source(artefact: Path, card: ModelCard, checkpoint: Path | None = None) -> Path:
    """The checkpoint that an artefact was made from, by its content.

    Args:
        artefact: one of its files, next to which checkpoints are looked for first.
        card: the artefact's card.
        checkpoint: the only candidate, or a run's folder; None looks next to the artefact, in the
            current folder, in ./runs and in the package.

    Raises:
        ModelError: it is not there.
    """
    from stargan_deploy.export.proof.verify import find_checkpoint

    if checkpoint is None:
        return find_checkpoint(card, [*_checkpoints_in(artefact.parent), *known_checkpoints()])
    if not checkpoint.exists():
        raise ModelError(f"no such checkpoint: {checkpoint}")
    given = [checkpoint]
    if checkpoint.is_dir():
        given = [*_checkpoints_in(checkpoint / "checkpoints"), *_checkpoints_in(checkpoint)]
    try:
        return find_checkpoint(card, given)
    except ModelError as error:
        raise ModelError(
            f"{artefact} was not made from {checkpoint}, but from a checkpoint whose SHA-256 "
            f"starts with {card.parents.get('checkpoint', 'unknown')[:12]}",
            hint="name that one, or leave out `checkpoint` to look for it",
        ) from error


def _checkpoints_in(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{CHECKPOINT_SUFFIX}"), reverse=True)


def exports_of(checkpoint_sha256: str, weights: str) -> Iterator[ModelFile]:
    """The artefacts in ./exports that were made from a checkpoint's "ema" or "raw" weights."""
    for path in sorted(EXPORTS.glob("*")):
        if path.suffix not in known_suffixes():
            continue
        try:
            found = read_model(path)
        except StarganDeployError as error:
            _log.debug("not a candidate: %s", error)
            continue
        card = found.card
        if path.name in _companions(card):
            continue
        if card.parents.get("checkpoint") == checkpoint_sha256 and card.weights == weights:
            yield found


def _companions(card: ModelCard) -> set[str]:
    """Names of the files that an artefact has besides its main one."""
    main = card.main_entry_point
    return {point.file for name, point in card.entry_points.items() if name != main}


def _newest_in_runs() -> Path | None:
    from stargan_deploy.families.checkpoint import newest_of_run, newest_run

    folder = newest_run()
    return newest_of_run(folder) if folder else None


def _newest_in(folder: Path) -> Path:
    from stargan_deploy.families.checkpoint import newest_of_run, newest_whole

    found = newest_of_run(folder) or newest_whole(folder.glob("*.safetensors"))
    if found is None:
        raise ModelError(f"{folder} holds no whole checkpoint")
    return found


def _describe(found: Path) -> str:
    if is_demo_model(found):
        return "the demo model in the package (synthetic faces, 64x64)"
    return f"{found} (newest run)"
