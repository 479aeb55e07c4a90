"""Students of CycleGAN's two generators."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from stargan_deploy.families.cyclegan.networks import DIRECTIONS, ModelConfig
from stargan_deploy.families.distillation.base import Translation
from stargan_deploy.families.distillation.residual import ResidualDistillation
from stargan_deploy.families.objectives.base import Tensors


class CycleGANDistillation(ResidualDistillation):
    """Both directions at once; without the cycle, which the teacher's images imply."""

    roles = DIRECTIONS
    model_settings = tuple(entry.name for entry in dataclasses.fields(ModelConfig))
    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {"loss": {"lambda_cycle": 0.0}}
    first = 1
    inner = (1, 5)
    has_scales = False

    def translations(self, batch: Tensors, draws: Tensors) -> tuple[Translation, ...]:
        """Images of both domains, each translated to the other."""
        return tuple(
            Translation(
                role=role,
                inputs=(batch[f"image_{role[0]}"],),
                image_BCHW=draws[f"fake_{role[-1]}"],
            )
            for role in DIRECTIONS
        )
