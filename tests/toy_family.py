"""A family from outside the package: two images, a latent, styles in and out, three entry points.

`encode` makes a style of a reference image, `restyle` an image of an image and a style, and
`translate` does both at once, with a latent on top.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stargan_deploy.card.card import EntryPoint, ModelCard, Preprocessing, new_entry_point
from stargan_deploy.card.labels import NO_LABELS
from stargan_deploy.card.tensors import Dim, image_spec, vector_spec
from stargan_deploy.families.base import Family
from stargan_deploy.families.checkpoint import network_tensors, save_checkpoint

SIZE = 16

STYLE_WIDTH, LATENT_WIDTH = 6, 4

BEHIND = {
    "encode": ("encoder",),
    "restyle": ("painter",),
    "translate": ("painter", "encoder", "mapper"),
}


class Painter(nn.Module):
    """Shifts the colours of an image by a style, through a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3 + STYLE_WIDTH, 12, 3, padding=1)
        self.last = nn.Conv2d(12, 3, 3, padding=1)

    def forward(self, image_BCHW: Tensor, style_BS: Tensor) -> Tensor:
        height, width = image_BCHW.shape[2:]
        planes_BSHW = style_BS[:, :, None, None].expand(-1, -1, height, width)
        features = torch.relu(self.first(torch.cat([image_BCHW, planes_BSHW], dim=1)))
        return torch.tanh(image_BCHW + self.last(features))


class Encoder(nn.Module):
    """A style of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 4, stride=2, padding=1)
        self.head = nn.Linear(8 * (SIZE // 2) ** 2, STYLE_WIDTH)

    def forward(self, reference_BCHW: Tensor) -> Tensor:
        return self.head(torch.relu(self.conv(reference_BCHW)).flatten(1))


class Translate(nn.Module):
    """All three networks."""

    def __init__(self, painter: nn.Module, encoder: nn.Module, mapper: nn.Module) -> None:
        super().__init__()
        self.painter, self.encoder, self.mapper = painter, encoder, mapper

    def forward(self, image_BCHW: Tensor, reference_BCHW: Tensor, latent_BZ: Tensor) -> Tensor:
        return self.painter(image_BCHW, self.encoder(reference_BCHW) + self.mapper(latent_BZ))


class ToyFamily(Family):
    name = "toy"

    def build_networks(self, network: Mapping[str, Any]) -> dict[str, nn.Module]:
        return {
            "painter": Painter(),
            "encoder": Encoder(),
            "mapper": nn.Linear(LATENT_WIDTH, STYLE_WIDTH),
        }

    def entry_points(
        self, networks: Mapping[str, nn.Module], card: ModelCard
    ) -> dict[str, EntryPoint]:
        sides = [Dim(symbol=side, min=8, multiple=4) for side in ("height", "width")]
        image, reference = (image_spec(name, SIZE, SIZE) for name in ("image", "reference"))
        latent = vector_spec("latent", "latent", LATENT_WIDTH)
        style = vector_spec("style", "style", STYLE_WIDTH)
        any_size, restyled = (image_spec(name, *sides) for name in ("image", "restyled"))
        return {
            "encode": new_entry_point([reference], style),
            "restyle": new_entry_point([any_size, style], restyled),
            "translate": new_entry_point(
                [image, reference, latent], image_spec("translated", SIZE, SIZE)
            ),
        }

    def entry_module(self, networks: Mapping[str, nn.Module], entry_point: str) -> nn.Module:
        behind = [networks[role] for role in BEHIND[entry_point]]
        return (behind[0] if len(behind) == 1 else Translate(*behind)).eval()

    def entry_networks(self, entry_point: str) -> tuple[str, ...]:
        return BEHIND[entry_point]


def save_toy(path: Path) -> Path:
    """A checkpoint with random weights."""
    family = ToyFamily()
    toy = ToyFamily()
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        networks = family.build_networks({})
    card = ModelCard(
        family=toy.name,
        network={},
        weights="raw",
        step=0,
        labels=NO_LABELS,
        preprocessing=Preprocessing(image_size=SIZE),
        entry_points={},
    )
    points = family.entry_points(networks, card)
    card = ModelCard(**{**vars(card), "entry_points": points})
    save_checkpoint(path, card, network_tensors(networks))
    return path
