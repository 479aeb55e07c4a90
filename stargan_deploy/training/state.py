"""Everything that a training changes: weights, their moving averages, and the optimizers."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from stargan_deploy.distributed import Ranks
from stargan_deploy.errors import ModelError
from stargan_deploy.families.checkpoint import Checkpoint, load_weights, network_tensors
from stargan_deploy.families.objectives.base import Losses, Objective, Player
from stargan_deploy.families.objectives.precision import PrecisionName, gradient_scaler
from stargan_deploy.families.registry import load_family
from stargan_deploy.training.averaging import MovingAverage

_SCALER_SLOTS = ("scale", "_growth_tracker")


class TrainingState:
    """An objective's networks on their device, with one Adam a player and averages.

    Args:
        objective: whose networks these are.
        family: rebuilds the networks, to show them.
        ema_decay: decay of the averages a move; 0 keeps none.
        precision: format that the networks compute in; FP16 gradients are scaled.
        ranks: the processes over which gradients are averaged.
        channels_last: whether images and weights are laid out N H W C in memory.
        device: where to compute.
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
        together = objective.ranks = ranks or Ranks()
        for role, network in objective.networks.items():
            objective.called[role] = together.wrap(network, device, grows=objective.grows)
        self._optimizers = {player.name: self._adam(player) for player in objective.players}
        self._averages = self._start_averages()
        self._scalers = {p.name: gradient_scaler(precision, device) for p in objective.players}

    @property
    def has_averages(self) -> bool:
        """Whether moving averages are kept."""
        return bool(self._averages)

    @property
    def learning_rates(self) -> dict[str, float]:
        """The present learning rate of each player."""
        return {name: o.param_groups[0]["lr"] for name, o in self._optimizers.items()}

    def scale_learning_rates(self, factor: float) -> None:
        """Sets each player's learning rate to a factor of its first one."""
        for player in self._objective.players:
            for group in self._optimizers[player.name].param_groups:
                group["lr"] = player.learning_rate * factor

    def select(self, *players: Player) -> None:
        """Lets gradients flow into these players' networks only."""
        roles = {role for player in players for role in player.networks}
        for role, network in self._objective.networks.items():
            network.requires_grad_(role in roles)

    def descend(self, player: Player, losses: Losses) -> None:
        """Moves a player's networks against the gradient of its loss, and their averages along."""
        optimizer = self._optimizers[player.name]
        scaler = self._scalers[player.name]
        optimizer.zero_grad()
        scaler.scale(losses.total).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimizer)
        scaler.update()
        for role in player.networks:
            if role in self._averages:
                self._averages[role].update(self._objective.networks[role])

    def best_networks(self) -> dict[str, nn.Module]:
        """The networks to show: with averaged weights where there are some, in eval mode.

        They are copies: those in training keep their mode, and their batch statistics.
        """
        networks = load_family(self._family).build_networks(self._objective.network_table())
        for role, network in networks.items():
            network.load_state_dict(self._shown_weights(role))
            network.to(self._device).eval()
        return networks

    def tensors(self) -> dict[str, Tensor]:
        """All that a checkpoint of a training holds, by name."""
        tensors = network_tensors(self._objective.networks)
        for role, average in self._averages.items():
            tensors |= {f"ema.{role}.{key}": value for key, value in average.weights.items()}
            tensors[f"objective.ema_updates.{role}"] = torch.tensor(average.num_updates)
        for player in self._objective.players:
            tensors |= self._optimizer_tensors(player)
            tensors |= self._scaler_tensors(player)
        state = self._objective.state_dict()
        return tensors | {f"objective.state.{name}": value for name, value in state.items()}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Takes back what `tensors` gave.

        Raises:
            ModelError: the checkpoint holds no training state, or does not fit.
        """
        if not checkpoint.part("optimizer"):
            raise ModelError("this checkpoint holds no training state, so nothing can resume it")
        for role, network in self._objective.networks.items():
            complaint = f"the checkpoint's {role} does not fit"
            load_weights(network, checkpoint.part(role), complaint=complaint)
        for player in self._objective.players:
            self._restore_optimizer(player, checkpoint.part(f"optimizer.{player.name}"))
            self._restore_scale(player, checkpoint)
        for role, average in self._averages.items():
            updates = int(checkpoint.tensors[f"objective.ema_updates.{role}"])
            average.load(checkpoint.part(f"ema.{role}"), updates)
        self._objective.load_state_dict(checkpoint.part("objective.state"))

    def _shown_weights(self, role: str) -> Mapping[str, Tensor]:
        if role in self._averages:
            return self._averages[role].weights
        weights: Mapping[str, Tensor] = self._objective.networks[role].state_dict()
        return weights

    def _start_averages(self) -> dict[str, MovingAverage]:
        roles = self._objective.averaged if self._ema_decay else ()
        networks = self._objective.networks
        return {role: MovingAverage(networks[role], self._ema_decay) for role in roles}

    def _adam(self, player: Player) -> torch.optim.Adam:
        parameters = [tensor for _, tensor in self._parameters(player)]
        fused = self._device.type in ("cpu", "cuda")
        return torch.optim.Adam(
            parameters, lr=player.learning_rate, betas=player.betas, fused=fused
        )

    def _parameters(self, player: Player) -> list[tuple[str, nn.Parameter]]:
        return [
            (f"{role}.{name}", parameter)
            for role in player.networks
            for name, parameter in self._objective.networks[role].named_parameters()
        ]

    def _scaler_tensors(self, player: Player) -> dict[str, Tensor]:
        """The FP16 loss scale and the steps since it last changed; nothing at other precisions."""
        state = self._scalers[player.name].state_dict()
        return {
            f"objective.loss_scale.{player.name}.{slot}": torch.tensor(float(state[slot]))
            for slot in _SCALER_SLOTS
            if slot in state
        }

    def _restore_scale(self, player: Player, checkpoint: Checkpoint) -> None:
        scaler = self._scalers[player.name]
        saved = checkpoint.part(f"objective.loss_scale.{player.name}")
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


def _laid_out_as(parameter: nn.Parameter, value: Tensor) -> Tensor:
    """A slot of Adam's state with its parameter's strides: fused kernels walk both as they lie.

    A checkpoint holds contiguous tensors, and the parameters may be channels-last.
    """
    if value.shape != parameter.shape:
        return value  # the number of steps
    return torch.empty_like(parameter, requires_grad=False).copy_(value)
