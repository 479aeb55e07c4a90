"""Progressive GAN as a family."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from stargan_deploy.card.card import SAMPLE, EntryPoint, ModelCard
from stargan_deploy.config import from_mapping, to_mapping
from stargan_deploy.families.blocks.latent import SamplingFamily, sample_entry_point
from stargan_deploy.families.objectives.base import Networks, Objective, ObjectiveRequest
from stargan_deploy.families.presets import FREQUENT_OUTPUT
from stargan_deploy.families.progan.networks import (
    FIRST_SIDE,
    ModelConfig,
    ProGANNetwork,
    build_networks,
)
from stargan_deploy.families.progan.objective import GrowingObjective, LossConfig


class ProGAN(SamplingFamily):
    """Networks that grow from 4x4 pixels on."""

    name = "progan"
    model_config = ModelConfig
    loss_config = LossConfig
    network_config = ProGANNetwork
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "progan": {
            "data": {"kind": "plain", "image_size": 128, "crop_size": 0},
            "train": {
                "steps": 550_000,
                "batch_size": 16,
                "generator_lr": 1e-3,
                "discriminator_lr": 1e-3,
                "beta1": 0.0,
                "beta2": 0.99,
                "critic_steps": 1,
                "schedule": "constant",
            },
            "output": FREQUENT_OUTPUT,
        }
    }

    def build_networks(self, network: Mapping[str, Any]) -> dict[str, nn.Module]:
        """Generator and discriminator of all stages, with fresh weights."""
        return build_networks(network)

    def entry_points(self, networks: Networks, card: ModelCard) -> dict[str, EntryPoint]:
        """`sample`, at the size of the present stage."""
        config = from_mapping(ProGANNetwork, card.network)
        side = FIRST_SIDE << config.present_stage
        return {SAMPLE: sample_entry_point(latent_width=config.latent_width, image_size=side)}

    def create_objective(self, request: ObjectiveRequest) -> Objective:
        """Build networks and losses for a training."""
        network = ProGANNetwork(image_size=request.image_size, **to_mapping(request.model))
        return GrowingObjective(network, request)

    def notes(self, network: Mapping[str, Any]) -> tuple[str, ...]:
        """The present stage, unless the networks are fully grown."""
        config = from_mapping(ProGANNetwork, network)
        if config.present_stage == config.last_stage and config.alpha == 1:
            return ()
        side = FIRST_SIDE << config.present_stage
        return (
            f"still growing: at {side}x{side} of {config.image_size}x{config.image_size}, faded in "
            f"by {config.alpha:.0%}",
        )
