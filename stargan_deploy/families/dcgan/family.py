"""DCGAN as a family (Radford, Metz and Chintala, ICLR 2016): the GAN's losses, convolutions.

    L_D = -E[log D(x)] - E[log(1 - D(G(z)))]
    L_G = -E[log D(G(z))]

Adam (0.5, 0.999); one generator step per discriminator step, on the same noise, as in PyTorch's
example. The first author's code draws new noise and adds a weight decay.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from stargan_deploy.families.dcgan import networks
from stargan_deploy.families.objectives.unconditional import UnconditionalFamily
from stargan_deploy.families.presets import SMALL_DCGAN


class DCGAN(UnconditionalFamily):
    """Convolutional networks with batch norm."""

    name = "dcgan"
    model_config = networks.ModelConfig
    network_config = networks.DCGANNetwork
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"dcgan": SMALL_DCGAN}

    def build_networks(self, network: Mapping[str, Any]) -> dict[str, nn.Module]:
        """Generator and discriminator with fresh weights."""
        return networks.build_networks(network)
