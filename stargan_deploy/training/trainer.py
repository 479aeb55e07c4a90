"""The training loop: batches in, players' moves, and a run folder that tells of it.

A step is one batch; each player moves at every `every`-th step. Everything random comes from
(seed, step), so that a resumed run does what an undisturbed one does.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stargan_deploy.card import ModelCard, Preprocessing, library_versions
from stargan_deploy.config import to_mapping
from stargan_deploy.data.loading import Batch, BatchLoader, first_images, to_model_range
from stargan_deploy.data.source import ImageSource
from stargan_deploy.devices import pick_device
from stargan_deploy.errors import TrainingError
from stargan_deploy.grids import picture_grid
from stargan_deploy.images import tensor_to_pixels
from stargan_deploy.models.checkpoint import Checkpoint, deployable, save_checkpoint
from stargan_deploy.models.family import load_family
from stargan_deploy.training.objective import Objective, Player, Tensors
from stargan_deploy.training.recipe import Recipe
from stargan_deploy.training.run import Run
from stargan_deploy.training.schedule import learning_rate_factor
from stargan_deploy.training.state import TrainingState


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a training is."""

    step: int
    num_steps: int
    steps_per_s: float
    images_per_s: float
    eta_s: float
    losses: Mapping[str, float]


class Trainer:
    """Plays an objective's game on a data set.

    Args:
        recipe: the resolved settings.
        objective: the family's game.
        train_source: images to train on.
        sample_source: held-out images for the sample grids.
        run: where everything is written.
        parents: SHA-256 of what the weights started from, by role.
        report: called after each line of metrics.
    """

    def __init__(
        self,
        recipe: Recipe,
        objective: Objective,
        *,
        train_source: ImageSource,
        sample_source: ImageSource,
        run: Run,
        parents: Mapping[str, str] | None = None,
        report: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self.recipe = recipe
        self.objective = objective
        self.run = run
        self.device = pick_device(recipe.train.device or None)
        self.step = 0
        self._source = train_source
        self._parents = dict(parents or {})
        self._terms: dict[str, Tensor] = {}
        """The latest of each loss term: not every player moves at every step."""
        self._report = report
        self.state = TrainingState(
            objective,
            family=recipe.family,
            ema_decay=recipe.train.ema_decay,
            device=self.device,
        )
        self._samples = first_images(sample_source, recipe.data, recipe.output.num_samples)
        self._clock = _Clock()

    @property
    def num_steps(self) -> int:
        """Length of the whole training."""
        return sum(phase.num_steps for phase in self.objective.phases())

    def train(self) -> Path:
        """Trains from the present step to the last; returns the last checkpoint's path.

        Raises:
            DataError: images that cannot be read.
            TrainingError: a loss is not finite any more.
            OutputError: the run folder cannot be written.
        """
        self.run.begin(self.recipe, device=str(self.device), first_step=self.step)
        try:
            for batch in self._batches():
                self.state.scale_learning_rates(self._learning_rate_factor())
                self._terms |= self._play(batch)
                self.step += 1
                self._write_due()
        finally:
            self.run.close()
        self._save_model()
        return self.run.checkpoint_path(self.step)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes on where a checkpoint of this training left off.

        Raises:
            ModelError: the checkpoint holds no training state, or does not fit.
        """
        self.state.restore(checkpoint)
        self.step = checkpoint.card.step

    def _batches(self) -> Iterator[Batch]:
        """The batches of all phases that are still to come."""
        start = 0
        for phase in self.objective.phases():
            end = start + phase.num_steps
            if self.step < end:
                data = replace(self.recipe.data, image_size=phase.image_size)
                loader = BatchLoader(
                    self._source, data, batch_size=phase.batch_size, seed=self.recipe.seed
                )
                self._clock.start(self.step)
                stream = loader.batches(self.step)
                yield from (next(stream) for _ in range(self.step, end))
            start = end

    def _learning_rate_factor(self) -> float:
        return learning_rate_factor(self.recipe.train.schedule, self.step, self.num_steps)

    def _play(self, batch: Batch) -> dict[str, Tensor]:
        """Lets every player whose turn it is move once."""
        named = self._to_device(batch)
        draws = self.objective.draw(batch, step_generator(self.recipe.seed, self.step))
        draws = {name: draw.to(self.device) for name, draw in draws.items()}
        terms: dict[str, Tensor] = {}
        for player in self.objective.players:
            if (self.step + 1) % player.every == 0:
                terms |= self._move(player, named, draws)
        return terms

    def _move(self, player: Player, batch: Tensors, draws: Tensors) -> Mapping[str, Tensor]:
        """One update of one player's networks."""
        self.state.select(player)
        losses = self.objective.losses(player.name, batch, draws)
        self.state.descend(player, losses)
        return {name: term.detach() for name, term in losses.terms.items()}

    def _write_due(self) -> None:
        """Metrics, samples and checkpoints that this step owes."""
        output, last = self.recipe.output, self.step == self.num_steps
        if self.step % output.log_every == 0 or last:
            self._log()
        if self.step % output.sample_every == 0 or last:
            self._save_sample()
        if self.step % output.checkpoint_every == 0 or last:
            self.save()

    def _log(self) -> None:
        values = {name: float(term) for name, term in self._terms.items()}
        self._refuse_non_finite(values)
        steps_per_s = self._clock.steps_per_s(self.step)
        images_per_s = steps_per_s * self.recipe.train.batch_size
        rates = {f"lr_{name}": rate for name, rate in self.state.learning_rates.items()}
        self.run.log(self.step, {**values, **rates, "steps_per_s": steps_per_s})
        eta_s = (self.num_steps - self.step) / steps_per_s
        self._report(
            Progress(
                step=self.step,
                num_steps=self.num_steps,
                steps_per_s=steps_per_s,
                images_per_s=images_per_s,
                eta_s=eta_s,
                losses=values,
            )
        )

    def _refuse_non_finite(self, values: Mapping[str, float]) -> None:
        broken = [name for name, value in values.items() if not math.isfinite(value)]
        if broken:
            last_good = self.run.newest_checkpoint()
            raise TrainingError(
                f"{broken[0]} is {values[broken[0]]} at step {self.step}; lower the learning rate "
                f"and start again from {last_good or 'the beginning'} with --init-from"
            )

    @torch.no_grad()
    def _save_sample(self) -> None:
        batch = self._to_device(self._samples)
        samples = self.objective.sample(self.state.best_networks(), batch)
        rows = [tensor_to_pixels(row.cpu().numpy()) for row in samples.images]
        pictures = [[Image.fromarray(pixels) for pixels in row] for row in rows]
        self.run.save_sample(self.step, picture_grid(pictures, samples.headings))

    def save(self) -> Path:
        """Writes a checkpoint of the present step and deletes the ones that are too old."""
        path = self.run.checkpoint_path(self.step)
        save_checkpoint(path, self._card(), self.state.tensors(), recipe=to_mapping(self.recipe))
        self.run.drop_old_checkpoints(self.recipe.output.keep_checkpoints)
        return path

    def _save_model(self) -> None:
        """Writes the finished model: what a checkpoint holds, without what training needs."""
        dtype = {"fp32": torch.float32, "fp16": torch.float16}[self.recipe.output.model_precision]
        tensors = deployable(self.state.tensors(), dtype=dtype)
        save_checkpoint(self.run.model_path, self._card(), tensors)

    def _card(self) -> ModelCard:
        recipe = self.recipe
        card = ModelCard(
            family=recipe.family,
            network=self.objective.network_table(),
            weights="ema" if self.state.has_averages else "raw",
            step=self.step,
            labels=self._source.label_space,
            preprocessing=Preprocessing(
                image_size=recipe.data.image_size, crop_size=recipe.data.crop_size or None
            ),
            entry_points={},
            parents=self._parents,
            training_data=self._source.description,
            data_licence=recipe.data.licence,
            intended_use=recipe.intended_use,
            versions=library_versions("torch"),
        )
        family = load_family(recipe.family)
        return replace(card, entry_points=family.entry_points(self.objective.networks, card))

    def _to_device(self, batch: Batch) -> Tensors:
        named = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
        named["image"] = to_model_range(named["image"])
        return named


class _Clock:
    """Speed since the last look."""

    def __init__(self) -> None:
        self.start(0)

    def start(self, step: int) -> None:
        self._step, self._time_s = step, time.perf_counter()

    def steps_per_s(self, step: int) -> float:
        """Steps per second since the last call."""
        now_s = time.perf_counter()
        speed = (step - self._step) / max(now_s - self._time_s, 1e-9)
        self._step, self._time_s = step, now_s
        return speed


def step_generator(seed: int, step: int) -> torch.Generator:
    """The CPU generator of everything that is drawn in one step."""
    (state,) = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state) % 2**63)
