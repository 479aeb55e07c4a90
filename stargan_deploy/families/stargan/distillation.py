"""Students of StarGAN's generator."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from stargan_deploy.families.distillation.base import Translation
from stargan_deploy.families.distillation.residual import ResidualDistillation
from stargan_deploy.families.objectives.base import Tensors
from stargan_deploy.families.stargan.networks import ModelConfig


class StarGANDistillation(ResidualDistillation):
    """One generator, taught to all targets of a batch.

    Without the cycle, which the teacher's images imply, and with one step of the discriminator,
    which is trained already, for each of the generator.
    """

    model_settings = tuple(entry.name for entry in dataclasses.fields(ModelConfig))
    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "loss": {"lambda_rec": 0.0},
        "train": {"critic_steps": 1},
    }

    def translations(self, batch: Tensors, draws: Tensors) -> tuple[Translation, ...]:
        """The batch, translated to its permuted labels."""
        inputs = (batch["image"], draws["label_target"])
        return (Translation(role="generator", inputs=inputs, image_BCHW=draws["fake"]),)
