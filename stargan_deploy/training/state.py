"""Everything that a training changes: weights, their moving averages, and optimizers."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from stargan_deploy.distributed import Ranks
from stargan_deploy.errors import ModelError
from stargan_deploy.families.base import Checkpoint
from stargan_deploy.families.checkpoint import load_weights, network_tensors
from stargan_deploy.families.objectives.base import Losses, Objective, Player, Training, Update
from stargan_deploy.families.objectives.precision import PrecisionName, gradient_scaler
from stargan_deploy.families.registry import load_family
from stargan_deploy.training.averaging import MovingAverage

_SCALER_SLOTS = ("scale", "_growth_tracker")


class TrainingState:
    """An objective's networks on their device, with one Adam per player, and moving averages.

    Args:
        objective: owner of the networks.
        family: the objective's family, which builds the copies that make samples.
        ema_decay: decay of the averages per step in which their network moves; 0 keeps none.
        device: where to compute.
        precision: format that the networks compute in; FP16 gradients are scaled.
        channels_last: whether images and weights are laid out N H W C in memory.
        ranks: the processes over which gradients are averaged.
    """

    def __init__(
        self,
        objective: Objective,
        *,
        family: str,
        ema_decay: float,
        device: torch.device,
        precision: PrecisionName = "fp32",
        channels_last: bool = False,
        ranks: Ranks | None = None,
    ) -> None:
        self._objective = objective
        self._family = family
        self._ema_decay = ema_decay
        self._device = device
        layout = torch.channels_last if channels_last else torch.contiguous_format
        for network in (*objective.networks.values(), *objective.frozen.values()):
            network.to(device).to(memory_format=layout).train()
        for network in objective.frozen.values():
            network.requires_grad_(False)
        together = ranks or Ranks()
        called = {
            role: together.wrap(network, device, grows=objective.grows)
            for role, network in objective.networks.items()
        }
        self.training = Training(called, together)
        """The surroundings in which the objective computes its losses."""
        self._optimizers = {player.name: self._adam(player) for player in objective.players}
        self._averages = self._start_averages()
        self._scalers = {u.name: gradient_scaler(precision, device) for u in objective.updates}

    @property
    def has_averages(self) -> bool:
        """Whether moving averages are kept."""
        return bool(self._averages)

    @property
    def learning_rates(self) -> dict[str, float]:
        """The present learning rate of each player's first network."""
        return {name: o.param_groups[0]["lr"] for name, o in self._optimizers.items()}

    def scale_learning_rates(self, factor: float) -> None:
        """Set all learning rates to a factor of their first ones."""
        for player in self._objective.players:
            groups = self._optimizers[player.name].param_groups
            for role, group in zip(player.networks, groups, strict=True):
                group["lr"] = player.rate_of(role) * factor

    def select(self, *updates: Update) -> None:
        """Let gradients flow into these updates' networks only."""
        roles = _roles(updates)
        for role, network in self._objective.networks.items():
            network.requires_grad_(role in roles)

    def descend(self, update: Update, losses: Losses) -> None:
        """Move an update's networks against the gradient of its loss."""
        optimizers = [self._optimizers[name] for name in update.players]
        scaler = self._scalers[update.name]
        for optimizer in optimizers:
            optimizer.zero_grad()
        scaler.scale(losses.total).backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            scaler.step(optimizer)
        scaler.update()

    def average(self, *updates: Update) -> None:
        """Let the averages of the networks that these updates moved follow."""
        for role in self._averages.keys() & _roles(updates):
            self._averages[role].update(self._objective.networks[role])

    def best_networks(self) -> dict[str, nn.Module]:
        """Copies of the networks in eval mode, with averaged weights where there are some.

        The networks in training keep their mode and their batch statistics.
        """
        networks = load_family(self._family).build_networks(self._objective.network_table())
        for role, network in networks.items():
            network.load_state_dict(self._best_weights(role))
            network.to(self._device).eval()
        return networks

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a training checkpoint holds, by name."""
        tensors = network_tensors(self._objective.networks)
        for role, average in self._averages.items():
            tensors |= {f"ema.{role}.{key}": value for key, value in average.weights.items()}
            tensors[f"objective.ema_updates.{role}"] = torch.tensor(average.num_updates)
        for player in self._objective.players:
            tensors |= self._optimizer_tensors(player)
        for update in self._objective.updates:
            tensors |= self._scaler_tensors(update.name)
        state = self._objective.state_dict()
        return tensors | {f"objective.state.{name}": value for name, value in state.items()}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore what `tensors` returned.

        Raises:
            ModelError: the checkpoint holds no training state, or does not fit.
        """
        if not checkpoint.part("optimizer"):
            raise ModelError("this checkpoint holds no training state, so it cannot be resumed")
        for role, network in self._objective.networks.items():
            complaint = f"the checkpoint's {role} does not fit"
            load_weights(network, checkpoint.part(role), complaint=complaint)
        for player in self._objective.players:
            self._restore_optimizer(player, checkpoint.part(f"optimizer.{player.name}"))
        for update in self._objective.updates:
            self._restore_scale(update.name, checkpoint)
        for role, average in self._averages.items():
            updates = int(checkpoint.tensors[f"objective.ema_updates.{role}"])
            average.load(checkpoint.part(f"ema.{role}"), updates)
        self._objective.load_state_dict(checkpoint.part("objective.state"))

    def _best_weights(self, role: str) -> Mapping[str, Tensor]:
        if role in self._averages:
            return self._averages[role].weights
        weights: Mapping[str, Tensor] = self._objective.networks[role].state_dict()
        return weights

    def _start_averages(self) -> dict[str, MovingAverage]:
        objective = self._objective
        roles = objective.averaged if self._ema_decay else ()
        return {
            role: MovingAverage(
                objective.networks[role], self._ema_decay, warms_up=objective.warms_up_averages
            )
            for role in roles
        }

    def _adam(self, player: Player) -> torch.optim.Adam:
        """An optimizer with one group of parameters per network."""
        groups = [
            {
                "params": list(self._objective.networks[role].parameters()),
                "lr": player.rate_of(role),
            }
            for role in player.networks
        ]
        fused = self._device.type in ("cpu", "cuda")
        return torch.optim.Adam(
            groups, betas=player.betas, weight_decay=player.weight_decay, fused=fused
        )

    def _parameters(self, player: Player) -> list[tuple[str, nn.Parameter]]:
        return [
            (f"{role}.{name}", parameter)
            for role in player.networks
            for name, parameter in self._objective.networks[role].named_parameters()
        ]

    def _scaler_tensors(self, update: str) -> dict[str, Tensor]:
        """The FP16 loss scale and the steps since it last changed; nothing at other precisions."""
        state = self._scalers[update].state_dict()
        return {
            f"objective.loss_scale.{update}.{slot}": torch.tensor(float(state[slot]))
            for slot in _SCALER_SLOTS
            if slot in state
        }

    def _restore_scale(self, update: str, checkpoint: Checkpoint) -> None:
        scaler = self._scalers[update]
        saved = checkpoint.part(f"objective.loss_scale.{update}")
        if scaler.is_enabled() and saved:
            scale, tracker = (float(saved[slot]) for slot in _SCALER_SLOTS)
            state = scaler.state_dict() | {"scale": scale, "_growth_tracker": int(tracker)}
            scaler.load_state_dict(state)

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
            start = f"{name}."
            slots = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
            if any(slot != "step" and v.shape != parameter.shape for slot, v in slots.items()):
                raise ModelError(f"the checkpoint's optimizer state of {name} does not fit")
            if slots:
                table["state"][index] = {k: _laid_out_as(parameter, v) for k, v in slots.items()}
        optimizer.load_state_dict(table)


def _roles(updates: Iterable[Update]) -> set[str]:
    return {role for update in updates for role in update.networks}


def _laid_out_as(parameter: nn.Parameter, value: Tensor) -> Tensor:
    """A slot of Adam's state with its parameter's strides, which fused kernels rely on.

    A checkpoint holds contiguous tensors, and the parameters may be channels-last.
    """
    if value.shape != parameter.shape:
        return value  # the number of steps
    return torch.empty_like(parameter, requires_grad=False).copy_(value)
