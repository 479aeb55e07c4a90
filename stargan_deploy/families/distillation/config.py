"""The settings of a distillation."""

from dataclasses import dataclass
from typing import Literal

from stargan_deploy.config import refuse_below

ImportanceName = Literal["weights", "norms"]
FeaturesName = Literal["map", "channel", "spatial"]

WIDTH = 16
"""Channels of a student's first layer, where none are named."""


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """The teacher of a student, and the weights of what it teaches.

    The weights of the family's own losses, in the recipe's `loss` table, stay in force: the
    adversarial loss by the teacher's discriminator, the classification and the reconstruction.
    """

    teacher: str
    """Path of the teacher: a checkpoint, a run's folder, or an official generator."""
    sha256: str = ""
    """SHA-256 of the teacher's file; empty takes that of the file as it is. A training refuses to
    go on with another one."""
    start: Literal["pruned", "scratch"] = "pruned"
    """Where the student's weights come from: the teacher's most important channels, or fresh
    ones."""
    importance: ImportanceName = "weights"
    """How "pruned" ranks channels: "weights" by the L1 norm of the weights that make a channel (Li
    et al., ICLR 2017), "norms" by the scale of the norm behind them (Liu et al., ICCV 2017), where
    norms have scales."""
    discriminator: Literal["trained", "frozen"] = "trained"
    """Whether the teacher's discriminator, which supervises the student (Yu and Pool, NeurIPS
    2020), is trained on against the student, or stays as it is."""
    lambda_l1: float = 10.0
    """Weight of the L1 distance to the teacher's images, in [-1, 1]."""
    lambda_ssim: float = 1.0
    """Weight of 1 - SSIM to the teacher's images (Wang et al. 2004; Ren et al., ICCV 2021)."""
    lambda_features: float = 1.0
    """Weight of the distance to the teacher's features, relative to their size, averaged over four
    depths, through 1x1 convolutions that are not part of the student."""
    features: FeaturesName = "map"
    """The features that are compared: "map" all of them (Li et al., CVPR 2020), "channel" the mean
    of each channel (OMGD, Ren et al., ICCV 2021), "spatial" the mean square of each position
    (Zagoruyko and Komodakis, ICLR 2017). Instance norm fixes the means of the channels behind it,
    so that "channel" says little there."""

    def __post_init__(self) -> None:
        weights = ("lambda_l1", "lambda_ssim", "lambda_features")
        refuse_below(0, {name: getattr(self, name) for name in weights})
        if not self.teacher:
            raise ValueError("teacher must name a checkpoint")
