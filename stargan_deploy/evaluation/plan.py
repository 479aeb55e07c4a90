"""What an evaluation asks of its models, the same of all: targets, or directions, or samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stargan_deploy.backends.registry import AUTO, REFERENCE
from stargan_deploy.card.card import SAMPLE, ModelCard
from stargan_deploy.card.labels import LabelSpace, Target
from stargan_deploy.card.tensors import ROWS_PER_CALL
from stargan_deploy.data.source import ImageSource
from stargan_deploy.devices import Device
from stargan_deploy.errors import UsageError
from stargan_deploy.families.base import Direction
from stargan_deploy.families.registry import load_family
from stargan_deploy.inference.choose import RuntimeRequest
from stargan_deploy.inference.find import ModelFile
from stargan_deploy.inference.targets import NamedTarget, name_targets, only_target
from stargan_deploy.inference.translator import choose_direction, is_direct


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Photos, judge, and how models are run."""

    data: Path | None = None
    """A data set, whose held-out photos are taken: any folder that `data check` knows, or the file
    of its labels; None takes drawn faces."""
    judge: Path | None = None
    """Independent classifier: any model with a classifier, for example a run of train/judge.toml;
    None takes the models' own classifiers alone."""
    features: tuple[str, ...] = ()
    """Features to compare made with real images on: efficientnet-lite0, inception:FILE, or an ONNX
    file; empty takes the judge's alone."""
    identity: str | None = None
    """Descriptor of faces: face-api, or an ONNX file; None takes none."""
    count: int | None = None
    """Largest number of photos, or number of images from noise; None takes 1,000 of a data set, of
    drawn faces as many as take a minute or two."""
    seed: int = 0
    """Decides which photos are taken of more, and the latents of images from noise."""
    direction: str | None = None
    """Direction of models with several; None takes all of them."""
    allow_training_photos: bool = False
    """Whether to evaluate even on photos that a model was trained on."""
    backend: str | None = None
    """Backend that runs the models, or auto for the fastest that is proven here; None takes PyTorch
    for a checkpoint, and an artefact's own."""
    device: Device | None = None
    """Device to compute on: cpu, cuda, cuda:N or mps; None takes a GPU if usable, else cpu."""
    weights: Literal["ema", "raw"] | None = None
    """Moving average or last weights of a checkpoint; None takes ema if there are any."""
    batch_size: int = ROWS_PER_CALL
    """Batch size; smaller batches are padded to it."""

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 2:
            raise UsageError(f"`count` must be at least 2, not {self.count}")
        if self.seed < 0:
            raise UsageError(f"a seed cannot be negative: {self.seed}")

    def runtime(self, model: ModelFile) -> RuntimeRequest:
        """How to run a model."""
        own = REFERENCE if model.is_checkpoint else AUTO
        return RuntimeRequest(
            backend=self.backend or own,
            device=self.device,
            weights=self.weights,
            batch_size=self.batch_size,
        )


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """Everything that is asked of an evaluation."""

    models: tuple[ModelFile, ...]
    """Checkpoints and artefacts, compared with the first."""
    targets: tuple[str, ...] = ()
    """Targets in words; none for each label that all models have."""
    options: EvaluationOptions = EvaluationOptions()
    source: ImageSource | None = None
    """Held-out images of any origin, instead of a folder."""

    def __post_init__(self) -> None:
        if not self.models:
            raise UsageError("there is no model to evaluate")


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One entry point of a model, and what it is asked for."""

    entry_point: str
    targets: tuple[NamedTarget, ...]
    first_row: int = 0
    """Place of its first target among all targets."""
    domains: Direction | None = None
    """Domains that it leads between, where there are two."""

    @property
    def rows(self) -> slice:
        """Places of its targets among all targets."""
        return slice(self.first_row, self.first_row + len(self.targets))


def makes_samples(card: ModelCard) -> bool:
    """Whether a model makes images from noise and not from photos."""
    return SAMPLE in card.entry_points and not any(map(is_direct, card.entry_points.values()))


def target_names(request: EvaluationRequest) -> tuple[str, ...]:
    """Names of what all models are asked for: targets, directions, or classes.

    Raises:
        UsageError: models that have nothing in common, or targets for models without labels.
        LabelError: a target that a model does not know.
    """
    cards = [model.card for model in request.models]
    if len({(makes_samples(card), bool(card.labels.sets)) for card in cards}) > 1:
        kinds = ", ".join(f"{m.path.name} ({_kind(m.card)})" for m in request.models)
        raise UsageError(
            f"these models do different things: {kinds}", hint="evaluate each kind by itself"
        )
    if makes_samples(cards[0]):
        return _sample_names(request)
    legs = [legs_of(card, request) for card in cards]
    names = [tuple(name for leg in own for name in leg_names(leg)) for own in legs]
    if len(set(names)) > 1:
        raise UsageError(
            "these models do not translate to the same: "
            f"{', '.join(names[0])}, and {', '.join(next(n for n in names if n != names[0]))}",
            hint="name the targets with `targets`",
        )
    return names[0]


def _sample_names(request: EvaluationRequest) -> tuple[str, ...]:
    if request.targets or request.options.direction:
        raise UsageError(
            "these models make images from noise, of all classes in turn",
            hint="leave out `targets` and `direction`",
        )
    names = {model.card.labels.names for model in request.models}
    if len(names) > 1:
        raise UsageError("these models do not have the same classes")
    return names.pop() or (SAMPLE,)


def legs_of(card: ModelCard, request: EvaluationRequest) -> tuple[Leg, ...]:
    """What a model that translates photos is asked for.

    Raises:
        UsageError, LabelError: it does not know that.
    """
    if card.labels.sets:
        words = request.targets or default_targets([model.card.labels for model in request.models])
        targets = name_targets(card.labels, words)
        return (
            Leg(entry_point=choose_direction(card, request.options.direction), targets=targets),
        )
    if request.targets:
        only_target(card.labels, "", request.targets)  # refuses
    known = [name for name, point in card.entry_points.items() if is_direct(point)]
    several = request.options.direction is None and len(known) > 1
    chosen = sorted(known) if several else [choose_direction(card, request.options.direction)]
    family = load_family(card.family)
    return tuple(
        Leg(
            entry_point=name,
            targets=(only_target(card.labels, name, ()),),
            first_row=row,
            domains=family.direction(name),
        )
        for row, name in enumerate(chosen)
    )


def default_targets(spaces: Sequence[LabelSpace]) -> tuple[str, ...]:
    """A target for each label that all models have: exclusive ones set, others flipped.

    Raises:
        UsageError: they have no label in common.
    """
    words = [{t.text for t in space.single_targets()} for space in spaces]
    common = set.intersection(*words)
    found = tuple(t.text for t in spaces[0].single_targets() if t.text in common)
    if not found:
        raise UsageError(
            f"these models have no label in common: {', '.join(spaces[0].names)}, and "
            f"{', '.join(spaces[1].names)}",
            hint="name targets that each of them knows with `targets`",
        )
    return found


def leg_names(leg: Leg) -> tuple[str, ...]:
    """Names of a leg's targets in results: that of the label where one is set or flipped."""
    targets = [named.target for named in leg.targets]
    short = [_short_name(target) for target in targets]
    return tuple(
        name if short.count(name) == 1 else target.text
        for name, target in zip(short, targets, strict=True)
    )


def _short_name(target: Target) -> str:
    changes = list(target.changes.items())
    is_plain = len(changes) == 1 and changes[0][1] != "off"
    return changes[0][0] if is_plain else target.text


def _kind(card: ModelCard) -> str:
    if makes_samples(card):
        return "images from noise"
    return "translation to labels" if card.labels.sets else "translation without labels"
