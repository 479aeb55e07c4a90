"""The conditional GAN's objective (Mirza and Osindero, 2014, eq. 2) on DCGAN's networks.

    min_G max_D V(D, G) = E_x[log D(x|y)] + E_z[log(1 - D(G(z|y)))]

with y the class, which D receives in both terms. A step's fakes have the classes of its real
images. As in DCGAN, the generator minimises -E_z[log D(G(z|y))].

Shape legend: B batch, C channels, H height, W width, Z latent width, K classes.
"""

import torch
from torch import Tensor, nn

from stargan_deploy.families.blocks.latent import as_rgb
from stargan_deploy.families.objectives.base import Networks, Samples, Tensors
from stargan_deploy.families.objectives.unconditional import SAMPLE_SEED, UnconditionalObjective


class ConditionalObjective(UnconditionalObjective):
    """Generator of classes against discriminator."""

    def generate(self, generator: nn.Module, batch: Tensors, latent_BZ: Tensor) -> Tensor:
        """Fakes (B, C, H, W) in [-1, 1] of the batch's classes."""
        fake: Tensor = generator(latent_BZ, batch["label"].argmax(dim=1))
        return fake

    def score(self, discriminator: nn.Module, batch: Tensors, image_BCHW: Tensor) -> Tensor:
        """Scores of images of the batch's classes, positive where real."""
        scores: Tensor = discriminator(image_BCHW, batch["label"].argmax(dim=1))
        return scores

    def sample(self, networks: Networks, batch: Tensors) -> Samples:
        """One column per class, and the same latent along a row."""
        rows, num_classes = len(batch["label"]), self.labels.num_labels
        device = batch["label"].device
        random = torch.Generator().manual_seed(SAMPLE_SEED)
        latent = self._latents(rows, random).to(device).repeat_interleave(num_classes, dim=0)
        classes = torch.arange(num_classes, device=device).repeat(rows)
        images = as_rgb(networks["generator"](latent, classes))
        table = images.reshape(rows, num_classes, *images.shape[1:])
        return Samples(images=table, headings=self.labels.names)
