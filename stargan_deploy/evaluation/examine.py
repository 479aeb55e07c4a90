"""An evaluation every few steps of a training, which chooses the best checkpoint by it."""

from pathlib import Path

from stargan_deploy.card.pixels import HALF_RANGE
from stargan_deploy.data.source import ImageSource
from stargan_deploy.devices import Device, parse_device
from stargan_deploy.evaluation.judge import Judge
from stargan_deploy.evaluation.plan import EvaluationOptions, EvaluationRequest
from stargan_deploy.evaluation.results import Answers, ModelFigures
from stargan_deploy.evaluation.run import evaluate
from stargan_deploy.inference.find import find_model_path, read_model
from stargan_deploy.training.evaluation import Examination, Examiner
from stargan_deploy.training.recipe import EvaluateConfig
from stargan_deploy.training.trainer import Trainer


class EvaluatingExaminer(Examiner):
    """Evaluates a checkpoint on held-out images.

    Args:
        config: judge and number of photos.
        source: held-out images.
        device: where the training runs.
    """

    def __init__(self, config: EvaluateConfig, source: ImageSource, device: Device) -> None:
        judge = find_model_path(Path(config.judge)) if config.judge else None
        self._options = EvaluationOptions(
            judge=judge, count=config.count, device=device, allow_training_photos=True
        )
        self._source = source

    def examine(self, checkpoint: Path) -> Examination:
        """Evaluate a checkpoint."""
        request = EvaluationRequest(
            models=(read_model(checkpoint),), options=self._options, source=self._source
        )
        (model,) = evaluate(request).results.models
        return Examination(figures=figures_of(model), score=score_of(model))


def examine_as_asked(trainer: Trainer) -> None:
    """Have a trainer evaluated as its recipe says; if that fails, a folder just made is removed.

    Raises:
        ModelError: no such judge, or one without a classifier.
        LabelError: it does not know a label that the training teaches.
    """
    config = trainer.recipe.evaluate
    if not config.every:
        return
    device = parse_device(str(trainer.device))
    with trainer.run.removed_on_failure():
        examiner = EvaluatingExaminer(config, trainer.sample_source, device)
        if config.judge:
            Judge.open(Path(config.judge), device=str(device)).columns(trainer.labels.names)
    trainer.examine_with(examiner)


def figures_of(model: ModelFigures) -> dict[str, float]:
    """The figures of a run's metrics: `judge_accuracy/Male`, `judge_accuracy_mean`, ..."""
    found = dict[str, float]()
    for reader, answers in (("judge", model.judge), ("own", model)):
        if answers is not None:
            found |= {f"{reader}_{name}": value for name, value in _answers(answers).items()}
    return found | {name: figure.value for name, figure in model.measures.items()}


def _answers(answers: Answers) -> dict[str, float]:
    by_target = {
        f"accuracy/{name}": each.accuracy.value
        for name, each in answers.attributes.items()
        if each.accuracy
    }
    means = {
        "accuracy_mean": answers.accuracy,
        "accuracy_real": answers.real,
        "kept": answers.kept,
        "sure": answers.sure,
    }
    return by_target | {name: figure.value for name, figure in means.items() if figure}


def score_of(model: ModelFigures) -> float | None:
    """Accuracy by the judge, or else by the own classifier, less the reconstruction error.

    The error counts as a share of half the pixel range, as in the evaluation of a run itself: a
    classifier alone does not notice blur. Of models that have no accuracy, images are to be clear
    to the judge, or near to the truth.
    """
    answers = model.judge or model
    seen = answers.accuracy or answers.sure
    reconstruction, l1 = (model.measures.get(name) for name in ("reconstruction", "l1"))
    errors = [figure.value / HALF_RANGE for figure in (reconstruction, l1) if figure]
    if seen is None and not errors:
        return None
    return (seen.value if seen else 0.0) - sum(errors)
