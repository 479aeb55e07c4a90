"""The entry point `sample`: images from a latent, and from a class if the model has classes.

Outside a family all images are RGB: a grey network repeats its channel here.

Shape legend: B batch, C channels, H height, W width, Z latent width.
"""

from typing import Any, ClassVar

from torch import Tensor, nn

from stargan_deploy.card.card import SAMPLE, EntryPoint, ModelCard, new_entry_point
from stargan_deploy.card.tensors import NUM_COLOURS, class_spec, image_spec, vector_spec
from stargan_deploy.config import from_mapping
from stargan_deploy.families.base import Family
from stargan_deploy.families.objectives.base import Networks


class Sampler(nn.Module):
    """A generator whose images are RGB even where its own are grey."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, *inputs: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] from the generator's inputs."""
        return as_rgb(self.generator(*inputs)).clamp(-1.0, 1.0)


def as_rgb(image_BCHW: Tensor) -> Tensor:
    """Grey images with their channel three times; colour images as they are."""
    return image_BCHW.expand(-1, NUM_COLOURS, -1, -1)


def as_channels(image_BCHW: Tensor, channels: int) -> Tensor:
    """RGB images with as many channels as a network has: 3, or 1 for their mean."""
    if image_BCHW.shape[1] == channels:
        return image_BCHW
    return image_BCHW.mean(dim=1, keepdim=True)


def sample_entry_point(*, latent_width: int, image_size: int, num_classes: int = 0) -> EntryPoint:
    """`sample`: latent (B, Z) from N(0, 1), and class_index (B,) if there are classes."""
    inputs = [vector_spec("latent", "latent", latent_width)]
    if num_classes:
        inputs.append(class_spec("class_index", num_classes))
    return new_entry_point(inputs, image_spec("image", image_size, image_size))


class SamplingFamily(Family):
    """A family whose only entry point makes images from latents, and from classes if it has any."""

    network_config: ClassVar[type[Any]]
    """Dataclass of the card's `network` table, with `latent_width` and `image_size`."""

    def entry_points(self, networks: Networks, card: ModelCard) -> dict[str, EntryPoint]:
        """`sample`."""
        config = from_mapping(self.network_config, card.network)
        point = sample_entry_point(
            latent_width=config.latent_width,
            image_size=config.image_size,
            num_classes=getattr(config, "num_classes", 0),
        )
        return {SAMPLE: point}

    def entry_module(self, networks: Networks, entry_point: str) -> nn.Module:
        """The generator in eval mode, with RGB images."""
        return Sampler(super().entry_module(networks, entry_point)).eval()
