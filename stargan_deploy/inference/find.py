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
    """The checkpoints of all runs under ./runs, the newest first, and the demo model."""
    for folder in run_folders():
        yield from sorted(folder.glob("checkpoints/*.safetensors"), reverse=True)
    yield DEMO_MODEL


def possible_checkpoints(artefact: Path, checkpoint: Path | None = None) -> Iterator[Path]:
    """Files that may be what an artefact was made from; the given one is the only candidate.

    Raises:
        ModelError: the given one does not exist.
    """
    if checkpoint is not None:
        if not checkpoint.is_file():
            raise ModelError(f"no such checkpoint: {checkpoint}")
        yield checkpoint
        return
    yield from sorted(artefact.parent.glob(f"*{CHECKPOINT_SUFFIX}"))
    yield from known_checkpoints()


def exports_of(checkpoint_sha256: str, weights: str) -> Iterator[ModelFile]:
    """The artefacts in ./exports that were made from a checkpoint's "ema" or "raw" weights."""
    for path in sorted(EXPORTS.glob("*")):
        if path.suffix not in known_suffixes() or ".classifier" in path.suffixes:
            continue
        try:
            found = read_model(path)
        except StarganDeployError as error:
            _log.debug("not a candidate: %s", error)
            continue
        card = found.card
        if card.parents.get("checkpoint") == checkpoint_sha256 and card.weights == weights:
            yield found


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
