"""What a student is taught by its teacher's images and features.

Shape legend: B batch, C channels, H height, W width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stargan_deploy.families.distillation.base import Layer
from stargan_deploy.families.distillation.config import FeaturesName
from stargan_deploy.families.objectives.precision import at_least_fp32

WINDOW, SIGMA = 11, 1.5
"""Side and deviation of SSIM's Gaussian window in pixels (Wang et al. 2004, section III.B)."""

C1, C2 = 0.01**2, 0.03**2
"""SSIM's constants for values in [0, 1]."""

LEAST_ENERGY = 1e-6
"""Added to the mean square of features, which may be zero everywhere."""


class Adapters(nn.Module):
    """1x1 convolutions from the student's channels to the teacher's, one for each layer compared.

    Args:
        layers: the student's layers.
        teacher: the teacher's layers, in the same order.
    """

    def __init__(self, layers: Sequence[Layer], teacher: Sequence[Layer]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(own.channels, theirs.channels, 1, bias=False)
            for own, theirs in zip(layers, teacher, strict=True)
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Features (B, C, H, W) in the teacher's channels."""
        return [adapt(own) for adapt, own in zip(self.convolutions, features, strict=True)]


def feature_distance(
    name: FeaturesName, student: Sequence[Tensor], teacher: Sequence[Tensor]
) -> Tensor:
    """The squared distance of features, relative to the teacher's, averaged over layers.

    Args:
        name: the part of the features that is compared.
        student: features (B, C, H, W) in the teacher's channels.
        teacher: the teacher's, of the same shapes.

    A ratio for each image, so that neither the depth nor the batch weighs anything.
    """
    distances = []
    for own_BCHW, their_BCHW in zip(student, teacher, strict=True):
        own, theirs = (_part(name, at_least_fp32(x)) for x in (own_BCHW, their_BCHW))
        squares_B = (own - theirs).square().flatten(1).mean(dim=1)
        energy_B = theirs.square().flatten(1).mean(dim=1)
        distances.append((squares_B / (energy_B + LEAST_ENERGY)).mean())
    return torch.stack(distances).mean()


def _part(name: FeaturesName, x_BCHW: Tensor) -> Tensor:
    if name == "channel":
        return x_BCHW.mean(dim=(2, 3))
    return x_BCHW.square().mean(dim=1) if name == "spatial" else x_BCHW


def structural_similarity(a_BCHW: Tensor, b_BCHW: Tensor) -> Tensor:
    """The mean SSIM of images in [-1, 1] (Wang et al. 2004, equation 13), channel by channel.

    Windows lie inside the image; smaller images have a single window of their size. Computed
    without autocast, because its variances are small differences.
    """
    with torch.autocast(a_BCHW.device.type, enabled=False):
        x, y = ((at_least_fp32(image) + 1) / 2 for image in (a_BCHW, b_BCHW))
        window = _gaussian(min(WINDOW, *x.shape[2:])).to(x)
        both = torch.cat([x, y, x * x, y * y, x * y])
        mean_x, mean_y, square_x, square_y, product = _smooth(both, window).chunk(5)
        var_x, var_y = square_x - mean_x.square(), square_y - mean_y.square()
        similar = (2 * mean_x * mean_y + C1) * (2 * (product - mean_x * mean_y) + C2)
        scaled = (mean_x.square() + mean_y.square() + C1) * (var_x + var_y + C2)
        return (similar / scaled).mean()


def _smooth(x_BCHW: Tensor, window: Tensor) -> Tensor:
    """Weighted means of all windows that lie inside."""
    flat = x_BCHW.flatten(0, 1)[:, None]
    flat = F.conv2d(F.conv2d(flat, window[None, None, :, None]), window[None, None, None])
    return flat.view(*x_BCHW.shape[:2], *flat.shape[2:])


def _gaussian(length: int) -> Tensor:
    places = torch.arange(length, dtype=torch.float64) - (length - 1) / 2
    weights = torch.exp(-places.square() / (2 * SIGMA**2))
    return weights / weights.sum()
