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
from torch import Tensor, nn

from stargan_deploy.card import ModelCard, Preprocessing, library_versions
from stargan_deploy.config import to_mapping
from stargan_deploy.data.loading import Batch, BatchLoader, first_images, to_model_range
from stargan_deploy.data.source import ImageSource
from stargan_deploy.devices import pick_device
from stargan_deploy.errors import ModelError, TrainingError
from stargan_deploy.grids import picture_grid
from stargan_deploy.images import tensor_to_pixels
from stargan_deploy.models.checkpoint import Checkpoint, network_tensors, save_checkpoint
from stargan_deploy.models.family import load_family
from stargan_deploy.training.averaging import MovingAverage
from stargan_deploy.training.objective import Objective, Player, Tensors
from stargan_deploy.training.recipe import Recipe
from stargan_deploy.training.run import Run
from stargan_deploy.training.schedule import learning_rate_factor


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
        self._report = report
        for network in (*objective.networks.values(), *objective.frozen.values()):
            network.to(self.device).train()
        self._optimizers = {player.name: self._adam(player) for player in objective.players}
        self._averages = self._start_averages()
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
                self._set_learning_rates()
                losses = self._play(batch)
                self.step += 1
                self._write_due(losses)
        finally:
            self.run.close()
        return self.run.checkpoint_path(self.step)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes on where a checkpoint of this training left off.

        Raises:
            ModelError: the checkpoint holds no training state, or does not fit.
        """
        if not checkpoint.part("optimizer"):
            raise ModelError("this checkpoint holds no training state, so nothing can resume it")
        self.start_from(checkpoint)
        for player in self.objective.players:
            self._restore_optimizer(player, checkpoint.part(f"optimizer.{player.name}"))
        for role, average in self._averages.items():
            updates = int(checkpoint.tensors[f"objective.ema_updates.{role}"])
            average.load(checkpoint.part(f"ema.{role}"), updates)
        self.objective.load_state_dict(checkpoint.part("objective.state"))
        self.step = checkpoint.card.step

    def start_from(self, checkpoint: Checkpoint) -> None:
        """Takes a checkpoint's weights as the first ones; averages start from them.

        Raises:
            ModelError: they do not fit these networks.
        """
        for role, network in self.objective.networks.items():
            weights = checkpoint.part(role)
            if not weights:
                raise ModelError(f"the checkpoint holds no {role}, which a training needs")
            try:
                network.load_state_dict(weights)
            except RuntimeError as error:
                reason = " ".join(str(error).split())[:300]
                raise ModelError(f"the checkpoint's {role} does not fit: {reason}") from error
        self._averages = self._start_averages()

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
        for role, network in self.objective.networks.items():
            network.requires_grad_(role in player.networks)
        losses = self.objective.losses(player.name, batch, draws)
        optimizer = self._optimizers[player.name]
        optimizer.zero_grad()
        losses.total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        for role in player.networks:
            if role in self._averages:
                self._averages[role].update(self.objective.networks[role])
        return {name: term.detach() for name, term in losses.terms.items()}

    def _write_due(self, losses: Mapping[str, Tensor]) -> None:
        """Metrics, samples and checkpoints that this step owes."""
        output, last = self.recipe.output, self.step == self.num_steps
        if self.step % output.log_every == 0 or last:
            self._log(losses)
        if self.step % output.sample_every == 0 or last:
            self._save_sample()
        if self.step % output.checkpoint_every == 0 or last:
            self.save()

    def _log(self, losses: Mapping[str, Tensor]) -> None:
        values = {name: float(term) for name, term in losses.items()}
        self._refuse_non_finite(values)
        steps_per_s = self._clock.steps_per_s(self.step)
        images_per_s = steps_per_s * self.recipe.train.batch_size
        rates = {f"lr_{name}": o.param_groups[0]["lr"] for name, o in self._optimizers.items()}
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
        networks = {role: self._averaged(role) for role in self.objective.networks}
        samples = self.objective.sample(networks, self._to_device(self._samples))
        rows = [tensor_to_pixels(row.cpu().numpy()) for row in samples.images]
        self.run.save_sample(self.step, picture_grid([list(r) for r in rows], samples.headings))

    def save(self) -> Path:
        """Writes a checkpoint of the present step and deletes the ones that are too old."""
        path = self.run.checkpoint_path(self.step)
        save_checkpoint(path, self._card(), self._all_tensors(), recipe=to_mapping(self.recipe))
        self.run.drop_old_checkpoints(self.recipe.output.keep_checkpoints)
        return path

    def _all_tensors(self) -> dict[str, Tensor]:
        tensors = network_tensors(self.objective.networks)
        for role, average in self._averages.items():
            tensors |= {f"ema.{role}.{key}": value for key, value in average.weights.items()}
            tensors[f"objective.ema_updates.{role}"] = torch.tensor(average.num_updates)
        for player in self.objective.players:
            tensors |= self._optimizer_tensors(player)
        state = self.objective.state_dict()
        return tensors | {f"objective.state.{name}": value for name, value in state.items()}

    def _card(self) -> ModelCard:
        recipe = self.recipe
        card = ModelCard(
            family=recipe.family,
            network=self.objective.network_table(),
            weights="ema" if self._averages else "raw",
            step=self.step,
            labels=self._source.label_space,
            preprocessing=Preprocessing(
                image_size=recipe.data.image_size, crop_size=recipe.data.crop_size or None
            ),
            entry_points={},
            parents=self._parents,
            training_data=self._source.description,
            data_licence=recipe.data.licence,
            versions=library_versions("torch"),
        )
        family = load_family(recipe.family)
        return replace(card, entry_points=family.entry_points(self.objective.networks, card))

    def _averaged(self, role: str) -> nn.Module:
        """A network with its averaged weights where it has some."""
        network = self.objective.networks[role]
        if role not in self._averages:
            return network
        module = load_family(self.recipe.family).build_networks(self.objective.network_table())[
            role
        ]
        module.load_state_dict(self._averages[role].weights)
        return module.to(self.device).eval()

    def _start_averages(self) -> dict[str, MovingAverage]:
        decay = self.recipe.train.ema_decay
        roles = self.objective.averaged if decay else ()
        return {role: MovingAverage(self.objective.networks[role], decay) for role in roles}

    def _set_learning_rates(self) -> None:
        factor = learning_rate_factor(self.recipe.train.schedule, self.step, self.num_steps)
        for player in self.objective.players:
            for group in self._optimizers[player.name].param_groups:
                group["lr"] = player.learning_rate * factor

    def _adam(self, player: Player) -> torch.optim.Adam:
        parameters = [tensor for _, tensor in self._parameters(player)]
        return torch.optim.Adam(parameters, lr=player.learning_rate, betas=player.betas)

    def _parameters(self, player: Player) -> list[tuple[str, nn.Parameter]]:
        return [
            (f"{role}.{name}", parameter)
            for role in player.networks
            for name, parameter in self.objective.networks[role].named_parameters()
        ]

    def _optimizer_tensors(self, player: Player) -> dict[str, Tensor]:
        """Adam's state as `optimizer.<player>.<role>.<parameter>.<slot>`."""
        state = self._optimizers[player.name].state
        return {
            f"optimizer.{player.name}.{name}.{slot}": value
            for name, parameter in self._parameters(player)
            for slot, value in state[parameter].items()
        }

    def _restore_optimizer(self, player: Player, tensors: Mapping[str, Tensor]) -> None:
        optimizer = self._optimizers[player.name]
        table = optimizer.state_dict()
        for index, (name, parameter) in enumerate(self._parameters(player)):
            slots = {
                k.removeprefix(f"{name}."): v
                for k, v in tensors.items()
                if k.startswith(f"{name}.")
            }
            if any(slot != "step" and v.shape != parameter.shape for slot, v in slots.items()):
                raise ModelError(f"the checkpoint's optimizer state of {name} does not fit")
            if slots:
                table["state"][index] = slots
        optimizer.load_state_dict(table)

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
