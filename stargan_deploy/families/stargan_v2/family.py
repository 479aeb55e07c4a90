"""StarGAN v2 as a family."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from stargan_deploy.card.card import (
    EntryPoint,
    ModelCard,
    Preprocessing,
    library_versions,
    new_entry_point,
)
from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.card.tensors import (
    Dim,
    Size,
    TensorSpec,
    class_spec,
    heat_map_spec,
    image_spec,
    vector_spec,
)
from stargan_deploy.config import from_mapping, to_mapping
from stargan_deploy.errors import CardError
from stargan_deploy.families.base import Checkpoint, Family, OfficialOptions
from stargan_deploy.families.blocks.relabelling import fit_labels
from stargan_deploy.families.checkpoint import load_weights, network_tensors
from stargan_deploy.families.objectives.base import Networks, Objective, ObjectiveRequest
from stargan_deploy.families.stargan_v2.networks import (
    NUM_MASKS,
    ModelConfig,
    StarGANv2Network,
    build_networks,
)
from stargan_deploy.families.stargan_v2.objective import (
    LossConfig,
    StarGANv2Objective,
    conv_dim_of,
)
from stargan_deploy.families.stargan_v2.official import (
    SUFFIXES,
    holds_networks,
    networks_beside,
    read_model,
)

BEHIND = {
    "translate": ("generator",),
    "map": ("mapping_network",),
    "encode": ("style_encoder",),
    "translate_latent": ("generator", "mapping_network"),
    "translate_reference": ("generator", "style_encoder"),
}
"""Roles of the networks behind each entry point."""

LEAST_MIDDLE = 4
"""Least side of the generator's features in the middle."""

PAPER: dict[str, Any] = {
    "data": {"kind": "folders", "image_size": 256, "crop_size": 0},
    "train": {
        "steps": 100_000,
        "batch_size": 8,
        "generator_lr": 1e-4,
        "discriminator_lr": 1e-4,
        "beta1": 0.0,
        "beta2": 0.99,
        "critic_steps": 1,
        "schedule": "constant",
        "ema_decay": 0.999,
    },
    "output": {"evaluate_every": 5000, "sample_every": 5000, "checkpoint_every": 5000},
}
"""The paper's run, on images of its own size."""


class StyledTranslation(nn.Module):
    """A generator with the network that makes its styles, as one graph."""

    def __init__(self, generator: nn.Module, styles: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self.styles = styles

    def forward(
        self, image_BCHW: Tensor, origin: Tensor, domain_B: Tensor, *masks_B1HW: Tensor
    ) -> Tensor:
        """Images in the styles that come of latents or references for domains (B,)."""
        out: Tensor = self.generator(image_BCHW, self.styles(origin, domain_B), *masks_B1HW)
        return out


class StarGANv2(Family):
    """Translates to domains in styles that are drawn, or found in references."""

    name = "starganv2"
    model_config = ModelConfig
    loss_config = LossConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"starganv2": PAPER}
    official_suffixes = SUFFIXES

    def build_networks(self, network: Mapping[str, Any]) -> dict[str, nn.Module]:
        """Generator, mapping network, style encoder, and discriminator if there is one."""
        return build_networks(network)

    def entry_points(self, networks: Networks, card: ModelCard) -> dict[str, EntryPoint]:
        """`translate`, `map` and `encode`, and the first with each of the others in one graph."""
        config = from_mapping(StarGANv2Network, card.network)
        size = config.image_size
        height, width = _sides(config)
        image, made = (image_spec(name, height, width) for name in ("image", "translated"))
        style = vector_spec("style", "style", config.style_width)
        latent = vector_spec("latent", "latent", config.latent_width)
        reference = image_spec("reference", size, size)
        domain = class_spec("domain", config.num_domains)
        masks = _masks(config)
        return {
            "translate": new_entry_point([image, style, *masks], made),
            "map": new_entry_point([latent, domain], style),
            "encode": new_entry_point([reference, domain], style),
            "translate_latent": new_entry_point([image, latent, domain, *masks], made),
            "translate_reference": new_entry_point([image, reference, domain, *masks], made),
        }

    def entry_networks(self, entry_point: str) -> tuple[str, ...]:
        """The networks behind an entry point."""
        return BEHIND[entry_point]

    def entry_module(self, networks: Networks, entry_point: str) -> nn.Module:
        """One network, or two in a row, in eval mode."""
        roles = BEHIND[entry_point]
        for role in roles:
            if role not in networks:
                raise CardError(
                    f"this model has no {entry_point!r}: it was saved without its {role}"
                )
        behind = [networks[role] for role in roles]
        return (behind[0] if len(behind) == 1 else StyledTranslation(*behind)).eval()

    def create_objective(self, request: ObjectiveRequest) -> Objective:
        """Build networks and losses for a training.

        Raises:
            DataError: the data has no domains.
            TrainingError: a model with a high-pass skip.
            UsageError: an image size that the networks cannot have.
        """
        return StarGANv2Objective(request)

    def resolve_model(self, model: ModelConfig, image_size: int) -> ModelConfig:
        """Fill in the paper's width for the image size where none is given."""
        return replace(model, conv_dim=conv_dim_of(model, image_size))

    def relabel(
        self,
        role: str,
        weights: Mapping[str, Tensor],
        fresh: Mapping[str, Tensor],
        *,
        old: LabelSpace,
        new: LabelSpace,
    ) -> dict[str, Tensor]:
        """Keep the heads of domains that both have; the generator has none."""
        if role == "generator":
            return dict(weights)
        if role == "discriminator":
            return _with_scores(weights, fresh, old=old, new=new)
        start = "unshared."
        heads = {name: fresh[name] for name in fresh if name.startswith(start)}
        for index, name in enumerate(new.names):
            if name in old.names:
                own, place = f"{start}{index}.", f"{start}{old.names.index(name)}."
                heads |= {
                    own + key.removeprefix(place): value
                    for key, value in weights.items()
                    if key.startswith(place)
                }
        return {k: v for k, v in weights.items() if not k.startswith(start)} | heads

    def notes(self, network: Mapping[str, Any]) -> tuple[str, ...]:
        """The need for heat maps, where there is one."""
        if from_mapping(StarGANv2Network, network).w_hpf <= 0:
            return ()
        return (
            "mask_0 and mask_1 are heat maps of the face in [0, 1], for coarse and for fine "
            "features; zeros switch the high-pass skip off",
        )

    def recognises_official(self, content: Any) -> bool:
        """Whether a file's content has the networks under their official names."""
        return holds_networks(content)

    def read_official(self, path: Path, options: OfficialOptions) -> Checkpoint:
        """Read `100000_nets_ema.ckpt` or `100000_nets.ckpt`."""
        content = read_model(path, options)
        table = to_mapping(content.network)
        networks = build_networks(table)
        for role, state in content.states.items():
            complaint = f"the official {role}'s weights do not fit"
            load_weights(networks[role], state, complaint=complaint)
        card = ModelCard(
            family=self.name,
            network=table,
            weights="raw",
            step=0,
            labels=content.labels,
            preprocessing=Preprocessing(
                image_size=content.network.image_size, crop_size=options.crop_size or None
            ),
            entry_points={},
            parents=dict(content.parents),
            notes=(*self.notes(table), *content.notes),
            versions=library_versions("torch"),
        )
        card = replace(card, entry_points=self.entry_points(networks, card))
        return Checkpoint(card=card, tensors=network_tensors(networks))

    def official_companion(self, path: Path) -> Path | None:
        """`100000_nets.ckpt` next to the averaged networks, which holds the discriminator."""
        return networks_beside(path)


def _sides(config: StarGANv2Network) -> tuple[Size, Size]:
    """Height and width: any that the generator halves; with a high-pass skip those of training."""
    if config.w_hpf > 0:
        return config.image_size, config.image_size
    unit = 2**config.num_halvings
    height, width = (
        Dim(symbol=side, min=LEAST_MIDDLE * unit, multiple=unit) for side in ("height", "width")
    )
    return height, width


def _masks(config: StarGANv2Network) -> tuple[TensorSpec, ...]:
    if config.w_hpf <= 0:
        return ()
    size = config.image_size
    return tuple(heat_map_spec(f"mask_{number}", size, size) for number in range(NUM_MASKS))


def _with_scores(
    weights: Mapping[str, Tensor],
    fresh: Mapping[str, Tensor],
    *,
    old: LabelSpace,
    new: LabelSpace,
) -> dict[str, Tensor]:
    """The discriminator with the scores of other domains, which leave its last layer."""
    last = max(int(name.split(".")[1]) for name in fresh)
    fitted = dict(weights)
    for kind in ("weight", "bias"):
        key = f"main.{last}.{kind}"
        fitted = fit_labels(fitted, fresh, key, axis=0, old=old.names, new=new.names)
    return fitted
