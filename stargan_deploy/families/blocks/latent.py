"""The entry point `sample`: pictures from a latent, and from a class where there are some.

Outside of a family all pictures are RGB, so that every door takes them: a grey network repeats its
channel here.

Shape legend: B batch, C channels, H height, W width, Z latent width.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from stargan_deploy.card.card import EntryPoint, new_entry_point
from stargan_deploy.card.tensors import NUM_COLOURS, class_spec, image_spec, vector_spec

SAMPLE = "sample"


class Sampler(nn.Module):
    """A generator whose pictures are RGB, also where its own are grey."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, *inputs: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [-1, 1] from the generator's inputs."""
        return as_rgb(self.generator(*inputs)).clamp(-1.0, 1.0)


def as_rgb(image_BCHW: Tensor) -> Tensor:
    """Grey images with their channel three times; colour images as they are."""
    return image_BCHW.expand(-1, NUM_COLOURS, -1, -1)


def as_channels(image_BCHW: Tensor, channels: int) -> Tensor:
    """RGB images with as many channels as a network has: 3, or 1 for their mean."""
    if image_BCHW.shape[1] == channels:
        return image_BCHW
    return image_BCHW.mean(dim=1, keepdim=True)


def sample_point(*, latent_width: int, image_size: int, num_classes: int = 0) -> EntryPoint:
    """`sample`: latent (B, Z) from N(0, 1), and class_index (B,) of that many classes, if any."""
    inputs = [vector_spec("latent", "latent", latent_width)]
    if num_classes:
        inputs.append(class_spec("class_index", num_classes))
    return new_entry_point(inputs, image_spec("image", image_size, image_size))


def entry_module(
    networks: Mapping[str, nn.Module],
    entry_point: str,  # noqa: ARG001 - there is `sample` alone
) -> nn.Module:
    """The generator in eval mode, its pictures in RGB."""
    return Sampler(networks["generator"]).eval()


def entry_network(entry_point: str) -> str:  # noqa: ARG001 - there is `sample` alone
    """The generator's role."""
    return "generator"
