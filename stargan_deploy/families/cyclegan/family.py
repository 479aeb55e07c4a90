"""CycleGAN as a family."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from torch import nn

from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.families.base import Direction, Family
from stargan_deploy.families.blocks.image_to_image import image_entry_point
from stargan_deploy.families.cyclegan.distillation import CycleGANDistillation
from stargan_deploy.families.cyclegan.networks import (
    DIRECTIONS,
    MIN_SIZE,
    NUM_DOWNSAMPLINGS,
    ModelConfig,
    build_networks,
    paper_blocks,
)
from stargan_deploy.families.cyclegan.objective import CycleGANObjective, LossConfig
from stargan_deploy.families.objectives.base import Networks, Objective, ObjectiveRequest
from stargan_deploy.families.presets import FREQUENT_OUTPUT, IMAGE_TO_IMAGE


class CycleGAN(Family):
    """Two generators that translate between two domains, one per direction."""

    name = "cyclegan"
    model_config = ModelConfig
    loss_config = LossConfig
    distillation = CycleGANDistillation()
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cyclegan": {
            "data": {"kind": "unpaired", "image_size": 128, "crop_size": 0, "jitter": 15},
            "train": {**IMAGE_TO_IMAGE, "steps": 100_000, "ema_decay": 0.0},
            "output": {**FREQUENT_OUTPUT, "evaluate_every": 1000, "num_evaluated": 16},
        }
    }

    def build_networks(self, network: Mapping[str, Any]) -> dict[str, nn.Module]:
        """Both generators and both discriminators with fresh weights."""
        return build_networks(network)

    def entry_points(self, networks: Networks, card: ModelCard) -> dict[str, EntryPoint]:
        """`a2b` and `b2a`."""
        point = image_entry_point(multiple=2**NUM_DOWNSAMPLINGS, least=MIN_SIZE)
        return dict.fromkeys(DIRECTIONS, point)

    def entry_networks(self, entry_point: str) -> tuple[str, ...]:
        """The generator of a direction, which has the direction's name."""
        return (entry_point,)

    def direction(self, entry_point: str) -> Direction | None:
        """`a2b` leads from images A to images B, `b2a` back."""
        source, _, goal = entry_point.partition("2")
        return Direction(takes=f"image_{source}", makes=f"image_{goal}", back=f"{goal}2{source}")

    def create_objective(self, request: ObjectiveRequest) -> Objective:
        """Build networks and losses for a training.

        Raises:
            UsageError: a training size that one of the networks cannot halve often enough.
        """
        return CycleGANObjective(request)

    def resolve_model(self, model: ModelConfig, image_size: int) -> ModelConfig:
        """Fill in the paper's number of blocks where none is given."""
        return replace(model, generator_blocks=model.generator_blocks or paper_blocks(image_size))
