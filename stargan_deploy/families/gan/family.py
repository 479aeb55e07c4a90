"""The first GAN as a family (Goodfellow et al., NIPS 2014, algorithm 1).

    min_G max_D V(D, G) = E_x[log D(x)] + E_z[log(1 - D(G(z)))]                          (eq. 1)

with x from the data and z the noise. k discriminator steps per generator step
(`train.critic_steps`). Early in learning log(1 - D(G(z))) saturates, so the generator maximises
log D(G(z)) instead (section 3): this is "nonsaturating", the default and what the authors' code
does; "minimax" is eq. 1 itself. Their code halves -V for the discriminator, which makes no
difference to Adam; it uses momentum and a falling rate where Adam is used here.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from stargan_deploy.families.gan import networks
from stargan_deploy.families.objectives.unconditional import UnconditionalFamily
from stargan_deploy.families.presets import DIGITS, FREQUENT_OUTPUT, FROM_NOISE


class GAN(UnconditionalFamily):
    """Fully connected networks for small images."""

    name = "gan"
    model_config = networks.ModelConfig
    network_config = networks.GANNetwork
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gan": {
            "data": DIGITS,
            "train": {**FROM_NOISE, "steps": 30_000, "batch_size": 100},
            "output": FREQUENT_OUTPUT,
        }
    }

    def build_networks(self, network: Mapping[str, Any]) -> dict[str, nn.Module]:
        """Generator and discriminator with fresh weights."""
        return networks.build_networks(network)
