"""pix2pix as a family."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.card.tensors import mask_spec
from stargan_deploy.config import from_mapping
from stargan_deploy.families.base import Family
from stargan_deploy.families.blocks.image_to_image import image_entry_point
from stargan_deploy.families.objectives.base import Networks, Objective, ObjectiveRequest
from stargan_deploy.families.pix2pix.distillation import Pix2PixDistillation
from stargan_deploy.families.pix2pix.networks import (
    ModelConfig,
    Pix2PixNetwork,
    UNet,
    build_networks,
)
from stargan_deploy.families.pix2pix.objective import LossConfig, Pix2PixObjective
from stargan_deploy.families.presets import FREQUENT_OUTPUT, IMAGE_TO_IMAGE


class Pix2Pix(Family):
    """A U-Net that learns from pairs of an input and an output."""

    name = "pix2pix"
    model_config = ModelConfig
    loss_config = LossConfig
    distillation = Pix2PixDistillation()
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "pix2pix": {
            "data": {"kind": "paired", "image_size": 256, "crop_size": 0, "jitter": 30},
            "train": {**IMAGE_TO_IMAGE, "epochs": 200.0, "ema_decay": 0.0},
            "output": {**FREQUENT_OUTPUT, "evaluate_every": 1000},
        }
    }

    def build_networks(self, network: Mapping[str, Any]) -> dict[str, nn.Module]:
        """Generator and discriminator with fresh weights."""
        return build_networks(network)

    def entry_points(self, networks: Networks, card: ModelCard) -> dict[str, EntryPoint]:
        """`translate` takes an image alone, `translate_stochastic` the dropout masks too.

        Masks go with images of the training size.
        """
        config = from_mapping(Pix2PixNetwork, card.network)
        unit = 2**config.levels
        generator = networks["generator"]
        assert isinstance(generator, UNet)
        shapes = generator.mask_shapes(config.image_size, config.image_size)
        masks = tuple(mask_spec(name, shape) for name, shape in shapes.items())
        points = {"translate": image_entry_point(multiple=unit, least=unit)}
        if masks:
            points["translate_stochastic"] = image_entry_point(size=config.image_size, inputs=masks)
        return points

    def create_objective(self, request: ObjectiveRequest) -> Objective:
        """Build networks and losses for a training."""
        return Pix2PixObjective(request)

    def notes(self, network: Mapping[str, Any]) -> tuple[str, ...]:
        """Differences from the paper at inference."""
        config = from_mapping(Pix2PixNetwork, network)
        norm = "batch norm uses its running statistics; " if config.norm == "batch" else ""
        return (
            f"{norm}dropout is off at inference, while the paper keeps it and the batch's own "
            "statistics on; an export with `stochastic` takes the dropout masks as inputs",
        )
