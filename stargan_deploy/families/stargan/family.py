"""StarGAN as a family."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from stargan_deploy.card.card import (
    EntryPoint,
    ModelCard,
    Preprocessing,
    library_versions,
    new_entry_point,
)
from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.card.tensors import image_spec, vector_spec
from stargan_deploy.config import from_mapping, to_mapping
from stargan_deploy.errors import DataError
from stargan_deploy.families.base import Checkpoint, Family, OfficialOptions
from stargan_deploy.families.blocks.image_to_image import image_entry_point
from stargan_deploy.families.checkpoint import load_weights, network_tensors
from stargan_deploy.families.objectives.base import Networks, Objective, ObjectiveRequest
from stargan_deploy.families.stargan.distillation import StarGANDistillation
from stargan_deploy.families.stargan.networks import (
    Classifier,
    Discriminator,
    ModelConfig,
    StarGANNetwork,
    build_networks,
)
from stargan_deploy.families.stargan.networks_in import networks_of
from stargan_deploy.families.stargan.objective import LossConfig, StarGANObjective
from stargan_deploy.families.stargan.official import (
    SUFFIXES,
    discriminator_beside,
    official_crop,
    read_model,
)

CELEBA128: dict[str, Any] = {
    "data": {"kind": "celeba", "image_size": 128, "crop_size": 178},
    "train": {"steps": 200_000},
}
"""The paper's run."""

DEMO: dict[str, Any] = {
    "data": {
        "kind": "synthetic",
        "attributes": ["Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young"],
        "image_size": 64,
        "crop_size": 0,
        "num_synthetic": 4000,
    },
    "model": {
        "generator_conv_dim": 16,
        "generator_blocks": 6,
        "discriminator_conv_dim": 24,
        "discriminator_layers": 4,
    },
    "loss": {"lambda_rec": 40.0},
    "train": {
        "steps": 20_000,
        "batch_size": 4,
        "generator_lr": 3e-4,
        "discriminator_lr": 3e-4,
        "critic_steps": 2,
    },
    "output": {
        "log_every": 100,
        "sample_every": 1000,
        "evaluate_every": 2000,
        "checkpoint_every": 1000,
        "model_precision": "fp16",
    },
}
"""Synthetic faces, 20 minutes on two cores."""


class StarGAN(Family):
    """One generator for all labels, and a discriminator that classifies them."""

    name = "stargan"
    model_config = ModelConfig
    loss_config = LossConfig
    distillation = StarGANDistillation()
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"celeba128": CELEBA128, "demo": DEMO}
    official_suffixes = SUFFIXES

    def build_networks(self, network: Mapping[str, Any]) -> dict[str, nn.Module]:
        """Generator, and discriminator if there is one, with fresh weights."""
        return build_networks(network)

    def entry_points(self, networks: Networks, card: ModelCard) -> dict[str, EntryPoint]:
        """`translate`, and `classify` if there is a discriminator."""
        config = from_mapping(StarGANNetwork, card.network)
        label = vector_spec("label", "label", config.label_width)
        points = {"translate": image_entry_point(multiple=4, least=4, inputs=(label,))}
        if "discriminator" in networks:
            square = image_spec("image", config.image_size, config.image_size)
            logits = vector_spec("logits", "logits", config.num_labels)
            points["classify"] = new_entry_point([square], logits)
        return points

    def entry_networks(self, entry_point: str) -> tuple[str, ...]:
        """The generator translates, the discriminator classifies."""
        return {"translate": ("generator",), "classify": ("discriminator",)}[entry_point]

    def entry_module(self, networks: Networks, entry_point: str) -> nn.Module:
        """The generator, or the classifier inside the discriminator, in eval mode."""
        network = super().entry_module(networks, entry_point)
        return Classifier(network).eval() if isinstance(network, Discriminator) else network

    def create_objective(self, request: ObjectiveRequest) -> Objective:
        """Build networks and losses for a training.

        Raises:
            DataError: the data has no labels.
        """
        if not request.labels.sets:
            raise DataError(
                f"StarGAN learns to change labels, and images of kind {request.data_kind!r} have "
                "none",
                hint="set `data.kind` to a layout with labels, or take a recipe of another family",
            )
        return StarGANObjective(request)

    def label_layers(self, role: str) -> Mapping[str, int]:
        """Labels enter the generator's first layer and leave the discriminator's last."""
        return {"main.0.weight": 1} if role == "generator" else {"conv2.weight": 0}

    def label_channels(self, role: str, labels: LabelSpace) -> Sequence[str]:
        """The labels, and for a jointly trained generator the mask."""
        has_mask = labels.is_joint and role == "generator"
        return [*labels.names, *(f"mask of {s.name}" for s in labels.sets if has_mask)]

    def recognises_official(self, content: Any) -> bool:
        """Whether a generator or a discriminator is in it, however wrapped."""
        return bool(networks_of(content))

    def read_official(self, path: Path, options: OfficialOptions) -> Checkpoint:
        """Read `200000-G.ckpt`, and `200000-D.ckpt` if given, in any of their three formats."""
        content = read_model(path, options)
        networks = build_networks(to_mapping(content.network))
        for role, state in content.states.items():
            complaint = f"the official {role}'s weights do not fit"
            load_weights(networks[role], state, complaint=complaint)
        crop_size = official_crop(options) if options.crop_size is None else options.crop_size
        card = ModelCard(
            family=self.name,
            network=to_mapping(content.network),
            weights="raw",
            step=0,
            labels=content.labels,
            preprocessing=Preprocessing(
                image_size=content.network.image_size, crop_size=crop_size or None
            ),
            entry_points={},
            parents=dict(content.parents),
            training_data="",
            versions=library_versions("torch"),
        )
        card = replace(card, entry_points=self.entry_points(networks, card))
        return Checkpoint(card=card, tensors=network_tensors(networks))

    def official_companion(self, path: Path) -> Path | None:
        """`200000-D.ckpt` in the folder of a `200000-G.ckpt`, if there is one."""
        return discriminator_beside(path)
