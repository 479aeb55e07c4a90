"""Checkpoints: safetensors files whose header holds the model card.

Tensor names start with the part they belong to: `generator.main.0.weight`, `discriminator...`,
`ema.generator...` (moving average of a network), and in training checkpoints also
`optimizer.<player>.<role>.<parameter>.<slot>` and `objective...`. Only the weights of the networks
behind an entry point count for its payload hash, so that the optimizer state can be left out.
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

from stargan_deploy.card.card import CARD_KEY, ModelCard, parse_card
from stargan_deploy.errors import CardError, ModelError, StarganDeployError, UsageError, brief
from stargan_deploy.families.base import Checkpoint, check_finite
from stargan_deploy.families.objectives.base import AUXILIARY, Networks
from stargan_deploy.families.registry import load_family
from stargan_deploy.files.atomic import atomic_path
from stargan_deploy.files.runs import run_folders

EMA_PREFIX = "ema."
STATE_PREFIXES = ("optimizer.", AUXILIARY)
RECIPE_KEY = "stargan_deploy.recipe"


def save_checkpoint(
    path: Path,
    card: ModelCard,
    tensors: Mapping[str, Tensor],
    *,
    recipe: Mapping[str, Any] | None = None,
) -> ModelCard:
    """Write a checkpoint atomically; the card's entry points get file name and payload hash.

    Returns:
        The card as written.

    Raises:
        OutputError: the file cannot be written.
    """
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    card = signed_card(card, held, Path(path).name)
    header = {CARD_KEY: card.to_json()}
    if recipe is not None:
        header[RECIPE_KEY] = json.dumps(recipe)
    with atomic_path(Path(path)) as temporary:
        save_file(held, temporary, metadata=header)
    return card


def read_card(path: Path) -> ModelCard:
    """Read the card in a checkpoint's header without its weights.

    Raises:
        ModelError: not one of our checkpoints.
    """
    header = _read_header(path)
    return parse_card(header[CARD_KEY], where=str(path))


def read_recipe_of(path: Path) -> dict[str, Any]:
    """Read the recipe of the training that wrote a checkpoint; empty if none did.

    Raises:
        ModelError: not one of our checkpoints.
    """
    recipe: dict[str, Any] = json.loads(_read_header(path).get(RECIPE_KEY, "{}"))
    return recipe


def load_checkpoint(path: Path, *, with_training_state: bool = False) -> Checkpoint:
    """Read a checkpoint and check its weights against its card.

    Args:
        path: a file written by `save_checkpoint`.
        with_training_state: whether to read the optimizers' tensors too.

    Raises:
        ModelError: not one of our checkpoints, or damaged, or weights that are not finite.
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
    for name, point in card.entry_points.items():
        if payload_sha256(_behind(card, name, tensors)) != point.payload_sha256:
            raise CardError(
                f"the weights behind {name!r} in {path} do not match its model card: the file was "
                "changed or damaged"
            )
    check_finite(path, {name: t for name, t in tensors.items() if not _is_state(name)})
    return Checkpoint(card=card, tensors=tensors, recipe=recipe)


def build_model(
    checkpoint: Checkpoint, *, weights: Literal["ema", "raw"] | None = None
) -> dict[str, nn.Module]:
    """Rebuild a checkpoint's networks in FP32 and eval mode.

    Args:
        checkpoint: a checkpoint from `load_checkpoint`.
        weights: moving average or last weights; None takes the card's choice.

    Raises:
        UsageError: the checkpoint does not hold the requested weights.
        ModelError: the weights do not fit the card's networks.
    """
    wanted = weights or checkpoint.card.weights
    networks = load_family(checkpoint.card.family).build_networks(checkpoint.card.network)
    averaged = {role for role in networks if checkpoint.part(f"{EMA_PREFIX}{role}")}
    if wanted == "ema" and not averaged:
        raise UsageError("this checkpoint holds no moving average", hint="set `weights` to raw")
    if wanted == "raw" and not all(checkpoint.part(role) for role in networks):
        raise UsageError("this model holds only the moving average", hint="set `weights` to ema")
    for role, network in networks.items():
        prefix = EMA_PREFIX if wanted == "ema" and role in averaged else ""
        complaint = f"the weights of the {role} do not fit its card"
        load_weights(network, checkpoint.part(f"{prefix}{role}"), complaint=complaint)
        network.float().eval().requires_grad_(False)
    return networks


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], *, complaint: str) -> None:
    """Load weights into a network.

    Raises:
        ModelError: they do not fit; the message starts with the complaint.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"{complaint}: {brief(error)}") from error


def deployable(
    tensors: Mapping[str, Tensor], *, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """The weights to publish: without optimizer state, and of averaged networks only the average.

    Args:
        tensors: content of a training checkpoint.
        dtype: type to store the weights in; networks still compute in FP32.
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


def network_tensors(networks: Networks) -> dict[str, Tensor]:
    """The state dicts of networks under `<role>.<key>`."""
    return {
        f"{role}.{key}": tensor
        for role, network in networks.items()
        for key, tensor in network.state_dict().items()
    }


def signed_card(card: ModelCard, tensors: Mapping[str, Tensor], file: str) -> ModelCard:
    """A card whose entry points have the name of a file and the hashes of its weights."""
    points = {
        name: dataclasses.replace(
            point, file=file, payload_sha256=payload_sha256(_behind(card, name, tensors))
        )
        for name, point in card.entry_points.items()
    }
    return dataclasses.replace(card, entry_points=points)


def _behind(card: ModelCard, entry_point: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of all networks behind an entry point, raw and averaged."""
    roles = load_family(card.family).entry_networks(entry_point)
    starts = tuple(f"{prefix}{role}." for role in roles for prefix in ("", EMA_PREFIX))
    return {name: tensor for name, tensor in tensors.items() if name.startswith(starts)}


def _read_header(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="pt") as stream:
            header = stream.metadata() or {}
    except FileNotFoundError as error:
        raise ModelError(f"no such checkpoint: {path}") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{path} is not a whole safetensors checkpoint ({error})",
            hint="turn an official .ckpt into one with: stargan-deploy convert",
        ) from error
    if CARD_KEY not in header:
        raise CardError(f"{path} carries no model card, so it is not one of our checkpoints")
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
    """The last whole checkpoint by name; None if there is none."""
    return next((path for path in sorted(paths, reverse=True) if is_whole(path)), None)


def newest_run() -> Path | None:
    """The newest run folder under ./runs with a whole checkpoint; None if there is none."""
    found = (folder for folder in run_folders() if newest_of_run(folder))
    return next(found, None)


def newest_of_run(folder: Path) -> Path | None:
    """The newest whole checkpoint in a run folder; None if there is none."""
    return newest_whole(folder.glob("checkpoints/*.safetensors"))
