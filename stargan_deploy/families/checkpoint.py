"""Checkpoints: safetensors files whose header holds the model card.

Tensor names start with the part they belong to: `generator.main.0.weight`, `discriminator...`,
`ema.generator...` (moving average of a network), and in checkpoints of a training also
`optimizer.<player>.<parameter>.<slot>` and `objective...`. Only the weights count for the payload
hash, so that the optimizer state can be left out.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from stargan_deploy.card.card import CARD_KEY, EntryPoint, ModelCard, parse_card
from stargan_deploy.errors import CardError, ModelError, StarganDeployError, UsageError, brief
from stargan_deploy.families.registry import load_family
from stargan_deploy.files.atomic import atomic_path

EMA_PREFIX = "ema."
STATE_PREFIXES = ("optimizer.", "objective.")
RECIPE_KEY = "stargan_deploy.recipe"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint's content in memory."""

    card: ModelCard
    tensors: dict[str, Tensor]
    recipe: dict[str, Any] | None = None
    """The resolved recipe of the training that wrote it, where one did."""

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names start with `prefix` and a dot, without it."""
        start = f"{prefix}."
        return {k.removeprefix(start): v for k, v in self.tensors.items() if k.startswith(start)}


def save_checkpoint(
    path: Path,
    card: ModelCard,
    tensors: Mapping[str, Tensor],
    *,
    recipe: Mapping[str, Any] | None = None,
) -> ModelCard:
    """Writes a checkpoint atomically; the card's entry points get file name and payload hash.

    Returns:
        The card as written.

    Raises:
        OutputError: the file cannot be written.
    """
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    card = dataclasses.replace(card, entry_points=_signed(card, held, Path(path).name))
    header = {CARD_KEY: card.to_json()}
    if recipe is not None:
        header[RECIPE_KEY] = json.dumps(recipe)
    with atomic_path(Path(path)) as temporary:
        save_file(held, temporary, metadata=header)
    return card


def read_card(path: Path) -> ModelCard:
    """Reads the card in a checkpoint's header without its weights.

    Raises:
        ModelError: not a checkpoint of ours.
    """
    header = _read_header(path)
    return parse_card(header[CARD_KEY], where=str(path))


def read_recipe_of(path: Path) -> dict[str, Any]:
    """Reads the recipe of the training that wrote a checkpoint; empty where none did.

    Raises:
        ModelError: not a checkpoint of ours.
    """
    recipe: dict[str, Any] = json.loads(_read_header(path).get(RECIPE_KEY, "{}"))
    return recipe


def load_checkpoint(path: Path, *, with_training_state: bool = False) -> Checkpoint:
    """Reads a checkpoint and checks its weights against its card.

    Args:
        path: a file that `save_checkpoint` wrote.
        with_training_state: whether to read the optimizers' tensors too.

    Raises:
        ModelError: not a checkpoint of ours, or damaged.
    """
    header = _read_header(path)
    card = parse_card(header[CARD_KEY], where=str(path))
    recipe = json.loads(header[RECIPE_KEY]) if RECIPE_KEY in header else None
    try:
        with safe_open(path, framework="pt") as stream:
            names = [n for n in stream.keys() if with_training_state or not _is_state(n)]  # noqa: SIM118
            tensors = {name: stream.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"checkpoint {path} is damaged: {error}") from error
    _check_payload(path, card, tensors)
    return Checkpoint(card=card, tensors=tensors, recipe=recipe)


def build_model(
    checkpoint: Checkpoint, *, weights: Literal["ema", "raw"] | None = None
) -> dict[str, nn.Module]:
    """Rebuilds a checkpoint's networks in FP32 and eval mode.

    Args:
        checkpoint: what `load_checkpoint` read.
        weights: moving average or last weights; None takes the card's choice.

    Raises:
        UsageError: the checkpoint does not hold the weights asked for.
        ModelError: the weights do not fit the card's networks.
    """
    wanted = weights or checkpoint.card.weights
    networks = load_family(checkpoint.card.family).build_networks(checkpoint.card.network)
    averaged = {role for role in networks if checkpoint.part(f"{EMA_PREFIX}{role}")}
    if wanted == "ema" and not averaged:
        raise UsageError("this checkpoint holds no moving average; use --weights raw")
    if wanted == "raw" and not all(checkpoint.part(role) for role in networks):
        raise UsageError("this model holds the moving average only; use --weights ema")
    for role, network in networks.items():
        prefix = EMA_PREFIX if wanted == "ema" and role in averaged else ""
        complaint = f"the weights of the {role} do not fit its card"
        load_weights(network, checkpoint.part(f"{prefix}{role}"), complaint=complaint)
        network.float().eval().requires_grad_(False)
    return networks


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], *, complaint: str) -> None:
    """Puts weights into a network.

    Raises:
        ModelError: they do not fit; starts with the complaint.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"{complaint}: {brief(error)}") from error


def deployable(
    tensors: Mapping[str, Tensor], *, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """The weights to hand on: no optimizer state, and of averaged networks the average only.

    Args:
        tensors: what a checkpoint of a training holds.
        dtype: type to keep the weights in; they are computed with in FP32 all the same.
    """
    averaged = tuple(
        f"{name.removeprefix(EMA_PREFIX).partition('.')[0]}."
        for name in tensors
        if name.startswith(EMA_PREFIX)
    )
    kept = {n: t for n, t in tensors.items() if not _is_state(n) and not n.startswith(averaged)}
    return {n: t.to(dtype) if t.is_floating_point() else t for n, t in kept.items()}


def payload_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes of tensors, independent of their order."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def network_tensors(networks: Mapping[str, nn.Module], *, prefix: str = "") -> dict[str, Tensor]:
    """The state dicts of networks under `<prefix><role>.<key>`."""
    return {
        f"{prefix}{role}.{key}": tensor
        for role, network in networks.items()
        for key, tensor in network.state_dict().items()
    }


def _signed(card: ModelCard, tensors: Mapping[str, Tensor], file: str) -> dict[str, EntryPoint]:
    return {
        name: dataclasses.replace(
            point, file=file, payload_sha256=payload_sha256(_behind(card, name, tensors))
        )
        for name, point in card.entry_points.items()
    }


def _behind(card: ModelCard, entry_point: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights behind an entry point, raw and averaged."""
    role = load_family(card.family).entry_network(entry_point)
    starts = (f"{role}.", f"{EMA_PREFIX}{role}.")
    return {name: tensor for name, tensor in tensors.items() if name.startswith(starts)}


def _check_payload(path: Path, card: ModelCard, tensors: Mapping[str, Tensor]) -> None:
    for name, point in card.entry_points.items():
        if payload_sha256(_behind(card, name, tensors)) != point.payload_sha256:
            raise CardError(
                f"the weights behind {name!r} in {path} are not those its model card was written "
                "for; the file was changed or damaged"
            )


def _read_header(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="pt") as stream:
            header = stream.metadata() or {}
    except FileNotFoundError as error:
        raise ModelError(f"no such checkpoint: {path}") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{path} is not a whole safetensors checkpoint ({error}); an official .ckpt becomes "
            "one with: stargan-deploy convert"
        ) from error
    if CARD_KEY not in header:
        raise CardError(f"{path} carries no model card, so it is not a checkpoint of this tool")
    return header


def _is_state(name: str) -> bool:
    return name.startswith(STATE_PREFIXES)


def is_whole(path: Path) -> bool:
    """Whether a file is a checkpoint with a readable card, without reading its weights."""
    try:
        read_card(path)
    except StarganDeployError:
        return False
    return True


def newest_whole(paths: Iterable[Path]) -> Path | None:
    """The last of some checkpoints, by name, that is whole; None where there is none."""
    return next((path for path in sorted(paths, reverse=True) if is_whole(path)), None)
