"""The conditional GAN as a family."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from stargan_deploy.config import to_mapping
from stargan_deploy.errors import DataError
from stargan_deploy.families.blocks.latent import SamplingFamily
from stargan_deploy.families.cgan.networks import CGANNetwork, build_networks
from stargan_deploy.families.cgan.objective import ConditionalObjective
from stargan_deploy.families.dcgan.networks import ModelConfig
from stargan_deploy.families.objectives.base import Objective, ObjectiveRequest
from stargan_deploy.families.objectives.unconditional import LossConfig
from stargan_deploy.families.presets import SMALL_DCGAN


class CGAN(SamplingFamily):
    """DCGAN's networks with a class as a further input."""

    name = "cgan"
    model_config = ModelConfig
    loss_config = LossConfig
    network_config = CGANNetwork
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"cgan": SMALL_DCGAN}

    def build_networks(self, network: Mapping[str, Any]) -> dict[str, nn.Module]:
        """Generator and discriminator with fresh weights."""
        return build_networks(network)

    def create_objective(self, request: ObjectiveRequest) -> Objective:
        """Build networks and losses for a training.

        Raises:
            DataError: the data has no classes.
        """
        labels = request.labels
        if labels.is_joint or not labels.sets or labels.sets[0].kind != "onehot":
            raise DataError(
                "the conditional GAN learns classes, one per image, and this data has none",
                hint="take MNIST's files (`data.kind` idx) or one folder per class (folders)",
            )
        network = CGANNetwork(
            image_size=request.image_size,
            num_classes=labels.num_labels,
            **to_mapping(request.model),
        )
        return ConditionalObjective(
            build_networks(to_mapping(network)),
            network=network,
            request=request,
            adversarial=request.loss.adversarial,
            channels=network.channels,
            labels=labels,
        )

    def label_layers(self, role: str) -> Mapping[str, int]:
        """Classes enter the first layer of both networks."""
        axis = 0 if role == "generator" else 1  # a transposed convolution has its inputs first
        return {f"{role}.main.0.weight": axis}
