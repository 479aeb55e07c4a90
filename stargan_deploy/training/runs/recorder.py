"""Writes a training's metrics, sample grids, checkpoints and report when they are due."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from stargan_deploy.card.card import ModelCard
from stargan_deploy.card.pixels import tensor_to_pixels
from stargan_deploy.config import to_mapping
from stargan_deploy.data.batches.loading import (
    Batch,
    all_images,
    first_images,
    to_model_range,
)
from stargan_deploy.data.source import ImageSource
from stargan_deploy.families.checkpoint import deployable, save_checkpoint
from stargan_deploy.families.objectives.base import (
    LabelTranslation,
    Objective,
    SelfEvaluating,
    Tensors,
)
from stargan_deploy.presentation.grids import image_grid
from stargan_deploy.training.evaluation import Examiner, evaluate, score
from stargan_deploy.training.metrics import EVALUATION_PREFIX
from stargan_deploy.training.recipe import Recipe
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.state import TrainingState

_log = logging.getLogger(__name__)

EVALUATED_AT_ONCE = 64
"""Held-out images in memory at a time, for the figures of the finished model."""

EXAMINED = "examined.safetensors"
"""Name of the model that an examiner gets, and that is gone afterwards."""

MODEL_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a training is."""

    step: int
    num_steps: int
    steps_per_s: float
    images_per_s: float
    eta_s: float
    losses: Mapping[str, float]


Report = Callable[[Progress], None]
"""Receives the progress of a training after each line of metrics."""


class Recorder:
    """Writes a run's files; one process per training is enough.

    Args:
        run: the run folder.
        recipe: says what is due when.
        objective: makes and evaluates samples.
        state: content of the checkpoints.
        sample_source: held-out images.
        is_held_out: whether none of them is trained on, so that the card may have figures on them.
        card: makes the card of the present step.
        device: device of the networks.
        num_steps: length of the whole training, at whose end everything is due.
        report: called after each line of metrics.
    """

    def __init__(
        self,
        run: Run,
        recipe: Recipe,
        objective: Objective,
        state: TrainingState,
        *,
        sample_source: ImageSource,
        is_held_out: bool,
        card: Callable[[], ModelCard],
        device: torch.device,
        num_steps: int,
        report: Report,
    ) -> None:
        self._run = run
        self._recipe = recipe
        self._output = recipe.output
        self._objective = objective
        self._state = state
        self._card = card
        self._device = device
        self._report = report
        self._samples = first_images(sample_source, recipe.data, recipe.output.num_samples)
        self._held_out = first_images(sample_source, recipe.data, recipe.output.num_evaluated)
        self._held_out_source = sample_source if is_held_out else None
        self._clock = _Clock()
        self._num_steps = num_steps
        self._best = float("-inf")
        self.examiner: Examiner | None = None
        """Chooses the best checkpoint, in place of the run's own evaluation."""

    def begin(self, step: int, parents: Mapping[str, str]) -> None:
        """Write settings and surroundings, and what the weights started from."""
        self._run.begin(
            self._recipe,
            device=str(self._device),
            first_step=step,
            num_steps=self._num_steps,
            parents=parents,
        )
        self._best = self._run.best_score(step)

    def start_clock(self, step: int) -> None:
        """Measure speed from here on."""
        self._clock.start(step)

    def announce(self, step: int) -> None:
        """Say after the first step that the training is under way, and what follows when."""
        output = self._output
        _log.info(
            "training: step %d of %d done; losses every %d steps, checkpoints every %d",
            step,
            self._num_steps,
            output.log_every,
            output.checkpoint_every,
        )

    def logs_at(self, step: int) -> bool:
        """Whether a line of metrics is due."""
        return self._is_due(step, self._output.log_every)

    def saves_at(self, step: int) -> bool:
        """Whether a checkpoint is due."""
        return self._is_due(step, self._output.checkpoint_every)

    def write_due(self, step: int, terms: Mapping[str, Tensor]) -> None:
        """Write everything that is due at a step, each before what needs it."""
        if self.logs_at(step):
            self._log(step, terms)
        evaluates = bool(self._output.evaluate_every) and self._is_due(
            step, self._output.evaluate_every
        )
        samples = self._is_due(step, self._output.sample_every)
        result = self._evaluate(step) if evaluates else None
        if self.examiner is not None:
            examines = self._is_due(step, self._recipe.evaluate.every)
            result = self._examine(step, self.examiner) if examines else None
            evaluates |= examines
        if samples:
            self._save_sample(step)
        if self.saves_at(step) or self._is_best(result):
            self._save(step, result)
        if samples:
            self._run.write_report()
        if evaluates or samples or self.saves_at(step):
            self._clock.start(step)

    def stop(self, step: int) -> None:
        """Save a training that is asked to stop, unless this step was saved already."""
        if not self._run.checkpoint_path(step).exists():
            self._save(step, None)
        self._run.write_report()

    def finish(self, step: int) -> None:
        """Write the finished model: a checkpoint without the training state."""
        if step == self._num_steps:
            dtype = MODEL_DTYPES[self._output.model_precision]
            tensors = deployable(self._state.tensors(), dtype=dtype)
            card = replace(self._card(), held_out=self._held_out_figures())
            save_checkpoint(self._run.model_path, card, tensors)
        self._run.write_report()

    def _is_due(self, step: int, every: int) -> bool:
        return step % every == 0 or step == self._num_steps

    def _log(self, step: int, terms: Mapping[str, Tensor]) -> None:
        values = {name: float(term) for name, term in terms.items()}
        steps_per_s = self._clock.steps_per_s(step)
        rates = {f"lr_{name}": rate for name, rate in self._state.learning_rates.items()}
        self._run.log(step, {**values, **rates, "steps_per_s": steps_per_s})
        self._report(
            Progress(
                step=step,
                num_steps=self._num_steps,
                steps_per_s=steps_per_s,
                images_per_s=steps_per_s * self._recipe.train.batch_size,
                eta_s=(self._num_steps - step) / steps_per_s,
                losses=values,
            )
        )

    def _evaluate(self, step: int) -> float | None:
        """Evaluate the networks on held-out images, if the family can; return the score."""
        objective = self._objective.evaluated
        if isinstance(objective, LabelTranslation):
            values = evaluate(
                objective,
                self._state.best_networks(),
                self._held_out,
                objective.labels,
                device=self._device,
            )
        elif isinstance(objective, SelfEvaluating):
            values = self._evaluate_itself(objective)
        else:
            return None
        self._run.log(step, values)
        return score(values)

    def _examine(self, step: int, examiner: Examiner) -> float | None:
        """Have the model that would be left now judged; return the score."""
        path = self._run.folder / EXAMINED
        save_checkpoint(path, self._card(), deployable(self._state.tensors(), dtype=torch.float32))
        try:
            found = examiner.examine(path)
        finally:
            path.unlink(missing_ok=True)
        named = {f"{EVALUATION_PREFIX}{name}": value for name, value in found.figures.items()}
        self._run.log(step, named)
        return found.score

    @torch.no_grad()
    def _evaluate_itself(self, objective: SelfEvaluating) -> dict[str, float]:
        held_out = to_device(self._held_out, self._device)
        figures = objective.evaluate(self._state.best_networks(), held_out)
        return {f"{EVALUATION_PREFIX}{name}": value for name, value in figures.items()}

    @torch.no_grad()
    def _held_out_figures(self) -> dict[str, float]:
        """Figures on all held-out images, for the finished model's card."""
        if self._held_out_source is None:
            return {}
        batches = all_images(self._held_out_source, self._recipe.data, batch_size=EVALUATED_AT_ONCE)
        on_device = (to_device(batch, self._device) for batch in batches)
        return self._objective.held_out_figures(self._state.best_networks(), on_device)

    def _is_best(self, result: float | None) -> bool:
        return self._output.keep_best and result is not None and result > self._best

    @torch.no_grad()
    def _save_sample(self, step: int) -> None:
        batch = to_device(self._samples, self._device)
        samples = self._objective.sample(self._state.best_networks(), batch)
        rows = [tensor_to_pixels(row.cpu().numpy()) for row in samples.images]
        images = [[Image.fromarray(pixels) for pixels in row] for row in rows]
        self._run.save_sample(step, image_grid(images, samples.headings))

    def _save(self, step: int, result: float | None) -> None:
        """Write a checkpoint, keep it if it is the best, and delete old ones."""
        path, tensors = self._run.checkpoint_path(step), self._state.tensors()
        save_checkpoint(path, self._card(), tensors, recipe=to_mapping(self._recipe))
        if result is not None and self._is_best(result):
            self._best = result
            self._run.keep_as_best(step, result)
        self._run.drop_old_checkpoints(self._output.keep_checkpoints)


def to_device(batch: Batch, device: torch.device, *, channels_last: bool = False) -> Tensors:
    """Move a batch to the device, with images in [-1, 1] and the requested memory layout."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    named = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
    return {
        name: to_model_range(tensor).contiguous(memory_format=layout)
        if tensor.dtype == torch.uint8
        else tensor
        for name, tensor in named.items()
    }


class _Clock:
    """Measures speed."""

    def __init__(self) -> None:
        self.start(0)

    def start(self, step: int) -> None:
        self._step, self._time_s = step, time.perf_counter()

    def steps_per_s(self, step: int) -> float:
        """Steps per second since the last call."""
        now_s = time.perf_counter()
        speed = max(step - self._step, 1) / max(now_s - self._time_s, 1e-9)
        self._step, self._time_s = step, now_s
        return speed
