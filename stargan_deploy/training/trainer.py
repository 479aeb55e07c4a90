"""The training loop: batches in, updates of the networks, and a run folder that records them.

A step is one batch; an update takes place at every `every`-th step. Everything random comes from
(seed, step), so that a resumed run repeats what an uninterrupted one does.
"""

import logging
import signal
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stargan_deploy.card.card import ModelCard, Preprocessing, library_versions
from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.data.batches.loading import Batch
from stargan_deploy.data.batches.open import open_loader
from stargan_deploy.data.source import ImageSource, have_images_in_common
from stargan_deploy.devices import choose_device
from stargan_deploy.distributed import Ranks, local_device
from stargan_deploy.errors import StoppedError, TrainingError
from stargan_deploy.families.base import Checkpoint
from stargan_deploy.families.objectives.base import Objective, Phase, Tensors, Update
from stargan_deploy.families.objectives.precision import autocast
from stargan_deploy.families.registry import load_family
from stargan_deploy.files.images import SQUARES
from stargan_deploy.stop_signals import StopSignals
from stargan_deploy.training.compiling import compiled
from stargan_deploy.training.evaluation import Examiner
from stargan_deploy.training.guard import FP16_PATIENCE, FiniteGuard
from stargan_deploy.training.recipe import Recipe, TrainConfig
from stargan_deploy.training.runs.recorder import Recorder, Report, to_device
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.runs.training_images import write_digests
from stargan_deploy.training.schedule import learning_rate_factor
from stargan_deploy.training.state import TrainingState

_log = logging.getLogger(__name__)


class Trainer:
    """Trains an objective's networks on a data set.

    Args:
        recipe: the resolved settings.
        objective: the networks and their losses.
        train_source: images to train on.
        sample_source: held-out images for the sample grids.
        run: the run folder to write.
        parents: SHA-256 of the files that the weights started from, by what they are.
        ranks: this process among those that train together.
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
        ranks: Ranks | None = None,
        report: Report = lambda _: None,
    ) -> None:
        self.recipe = recipe
        self.objective = objective
        self.run = run
        self.device = choose_device(local_device(recipe.train.device) or None).to_torch()
        self.ranks = ranks or Ranks()
        self._part = self.ranks.share_of(objective.phases[0].batch_size)
        self._guard = FiniteGuard(FP16_PATIENCE if recipe.train.precision == "fp16" else 0)
        self.step = 0
        self.source, self.sample_source = train_source, sample_source
        self._parents = dict(parents or {})
        self._terms: dict[str, Tensor] = {}
        """The loss terms of the latest step."""
        self._since_log: dict[str, list[Tensor]] = {}
        """All terms since the last line of metrics, which holds their means."""
        self._channels_last = uses_channels_last(recipe.train, self.device)
        self.state = TrainingState(
            objective,
            family=recipe.family,
            ema_decay=recipe.train.ema_decay,
            device=self.device,
            precision=recipe.train.precision,
            channels_last=self._channels_last,
            ranks=self.ranks,
        )
        build: Any = compiled if recipe.train.compile else lambda function: function
        self._share, self._losses = build(objective.share), build(objective.losses)
        self._recorder = Recorder(
            run,
            recipe,
            objective,
            self.state,
            sample_source=sample_source,
            is_held_out=not have_images_in_common(train_source, sample_source),
            card=self._card,
            device=self.device,
            num_steps=self.num_steps,
            report=report,
        )

    def examine_with(self, examiner: Examiner) -> None:
        """Have an examiner choose the best checkpoint, every `evaluate.every` steps."""
        self._recorder.examiner = examiner

    @property
    def num_steps(self) -> int:
        """Length of the whole training."""
        return sum(phase.num_steps for phase in self.objective.phases)

    @property
    def labels(self) -> LabelSpace:
        """The labels that the networks take."""
        return self.objective.labels

    def train(self) -> Path:
        """Train from the present step to the last; return the last checkpoint's path.

        A run folder that is made here is removed again if the first step fails.

        Raises:
            DataError: images that cannot be read.
            TrainingError: a loss is no longer finite, or another rank died.
            StoppedError: a signal asked to stop; the present step was saved.
            OutputError: the run folder cannot be written.
        """
        first_step = self.step
        with self.run.removed_on_failure(unless=lambda: self.step > first_step):
            self._train_to_the_end()
        if self.ranks.is_writer:
            self._recorder.finish(self.step)
        return self.run.checkpoint_path(self.step)

    def _train_to_the_end(self) -> None:
        first_step = self.step
        if self.ranks.is_writer:
            self._recorder.begin(first_step, self._parents)
            write_digests(self.run.folder, self.source)
        try:
            with StopSignals() as signals:
                for step in self.steps():
                    if step == first_step + 1 and self.ranks.is_writer:
                        self._recorder.announce(step)
                    self._write_due()
                    self._stop_if_asked(signals)
        finally:
            self.run.close()

    def steps(self) -> Iterator[int]:
        """Train step by step without writing anything; yield the number of steps done.

        Raises:
            TrainingError: a loss is no longer finite.
        """
        for batch in self._batches():
            schedule = self.recipe.train.schedule
            factor = learning_rate_factor(schedule, self.step, self.num_steps)
            self.state.scale_learning_rates(factor)
            self._terms = self._step(batch)
            self.step += 1
            self._refuse_non_finite(self._guard.watch(self.step, self._terms))
            yield self.step

    def _stop_if_asked(self, signals: StopSignals) -> None:
        """Save and raise if a signal reached any rank."""
        asked = self.ranks.any(signals.received is not None, self.device)
        if not asked or self.step == self.num_steps:
            return
        path = self.run.checkpoint_path(self.step)
        if self.ranks.is_writer:
            self._refuse_non_finite(self._guard.check())
            self._recorder.stop(self.step)
        number = signals.received or signal.SIGTERM
        raise StoppedError(
            f"stopped by {number.name} at step {self.step}; saved {path}; report: "
            f"{self.run.report_path}",
            signal=number,
            hint=f"continue with: stargan-deploy train `resume` `out` {self.run.folder}",
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue where a checkpoint of this training left off.

        Raises:
            ModelError: the checkpoint holds no training state, or does not fit.
        """
        self.state.restore(checkpoint)
        self.step = checkpoint.card.step
        self.objective.begin_step(max(0, self.step - 1))  # the state in which it was saved

    def _batches(self) -> Iterator[Batch]:
        """The batches of all phases that are still to come."""
        end = 0
        for phase in self.objective.phases:
            end += phase.num_steps
            if self.step < end:
                self._part = self.ranks.share_of(phase.batch_size)
                stream = self._stream(phase)
                yield from (next(stream) for _ in range(self.step, end))

    def _stream(self, phase: Phase) -> Iterator[Batch]:
        """A phase's batches from the present step on."""
        loader = open_loader(
            self.source,
            replace(self.recipe.data, image_size=phase.image_size),
            batch_size=phase.batch_size,
            seed=self.recipe.seed,
            round_steps=max(update.every for update in self.objective.updates),
            part=self._part,
            with_references=self.objective.takes_references,
        )
        if loader.notice:
            _log.info(loader.notice)
        self._recorder.start_clock(self.step)
        return loader.batches(self.step)

    def _step(self, batch: Batch) -> dict[str, Tensor]:
        """Make all updates that are due; returns the terms of their losses."""
        self.objective.begin_step(self.step)
        draws = self.objective.draw(batch, step_generator(self.recipe.seed, self.step))
        draws = {name: draw[self._part].to(self.device) for name, draw in draws.items()}
        # The loader gives only this rank's rows of the images, but the whole batch of all else.
        own = {n: t if t.dtype == torch.uint8 else t[self._part] for n, t in batch.items()}
        named = to_device(own, self.device, channels_last=self._channels_last)
        due = [u for u in self.objective.updates if (self.step + 1) % u.every == 0]
        self.state.select(*due)
        with self._autocast():
            names = tuple(update.name for update in due)
            draws |= self._share(named, draws, names, self.state.training)
        terms: dict[str, Tensor] = {}
        for update in due:
            terms |= self._update(update, named, draws)
        self.state.average(*due)
        return terms

    def _update(self, update: Update, batch: Tensors, draws: Tensors) -> Mapping[str, Tensor]:
        """Descend once on an update's loss; returns its terms."""
        self.state.select(update)
        with self._autocast():
            losses = self._losses(update.name, batch, draws, self.state.training)
        self.state.descend(update, losses)
        return {name: term.detach() for name, term in losses.terms.items()}

    def _write_due(self) -> None:
        """Write the metrics, samples and checkpoints that are due."""
        for name, term in self._terms.items():
            self._since_log.setdefault(name, []).append(term)
        means = self._mean_terms() if self._recorder.logs_at(self.step) else {}
        if self.ranks.is_writer:
            if self._recorder.saves_at(self.step):
                self._refuse_non_finite(self._guard.check())
            self._recorder.write_due(self.step, means)

    def _mean_terms(self) -> dict[str, Tensor]:
        """Means since the last line, as one process would compute them; resets them."""
        own = torch.stack([torch.stack(values).mean() for values in self._since_log.values()])
        means = dict(zip(self._since_log, self.ranks.mean(own), strict=True))
        self._since_log = {}
        return means

    def _refuse_non_finite(self, bad: tuple[int, str, float] | None) -> None:
        if bad is None:
            return
        step, term, value = bad
        last_good = self.run.newest_checkpoint()
        raise TrainingError(
            f"{term} is {value} at step {step}; the last good checkpoint is {last_good or 'none'}",
            hint="lower the learning rates and start a new run from it with `init_from`",
        )

    def _card(self) -> ModelCard:
        recipe, ratio = self.recipe, self.source.pair_ratio
        is_paired = "condition" in self.source.panels and ratio is not None
        card = ModelCard(
            family=recipe.family,
            network=self.objective.network_table(),
            weights="ema" if self.state.has_averages else "raw",
            step=self.step,
            labels=self.objective.labels,
            preprocessing=Preprocessing(
                image_size=self._image_size(),
                crop_size=recipe.data.crop_size or None,
                value_range=recipe.data.range,
                condition=recipe.data.condition if is_paired else None,
                pair_ratio=ratio if is_paired and ratio != SQUARES else None,
            ),
            entry_points={},
            parents=self._parents,
            teacher=self.objective.teacher,
            training_data=self.source.description,
            data_licence=recipe.data.licence,
            intended_use=recipe.intended_use,
            versions=library_versions("torch"),
        )
        family = load_family(recipe.family)
        return replace(
            card,
            entry_points=family.entry_points(self.objective.networks, card),
            notes=family.notes(card.network),
        )

    def _image_size(self) -> int:
        """Present image size in pixels."""
        end = 0
        for phase in self.objective.phases:
            end += phase.num_steps
            if self.step <= end:
                break
        return phase.image_size

    def _autocast(self) -> AbstractContextManager[object]:
        return autocast(self.recipe.train.precision, self.device)


def uses_channels_last(train: TrainConfig, device: torch.device) -> bool:
    """Whether tensors are laid out N H W C: as requested, else where it pays off.

    On a CPU instance norm loses in this layout what convolutions gain.
    """
    if train.channels_last is not None:
        return train.channels_last
    return device.type == "cuda"


def step_generator(seed: int, step: int) -> torch.Generator:
    """The CPU generator of all draws of one step."""
    (state,) = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state) % 2**63)
