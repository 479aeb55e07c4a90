"""The conditional GAN's objective (Mirza and Osindero, 2014, eq. 2) on DCGAN's networks.

    min_G max_D V(D, G) = E_x[log D(x|y)] + E_z[log(1 - D(G(z|y)))]

with y the class, which D is given in both terms. The fakes of a step have the classes of its real
images. As in DCGAN, the generator minimises -E_z[log D(G(z|y))].

Shape legend: B batch, C channels, H height, W width, Z latent width, K classes.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.config import to_mapping
from stargan_deploy.errors import DataError
from stargan_deploy.families.blocks.latent import as_rgb
from stargan_deploy.families.cgan.networks import CGANNetwork
from stargan_deploy.families.dcgan.objective import ModelConfig
from stargan_deploy.families.objectives.base import Samples, Tensors
from stargan_deploy.families.objectives.players import (
    discriminator_player,
    generator_player,
    single_phase,
)
from stargan_deploy.families.objectives.unconditional import (
    SAMPLE_SEED,
    LossConfig,
    NoiseGame,
    NoiseObjective,
)
from stargan_deploy.training.recipe import Recipe

__all__ = ["LossConfig", "ModelConfig", "create_objective"]


class ConditionalObjective(NoiseObjective):
    """Generator of classes against discriminator; satisfies `Objective`.

    Args:
        game: what the game is made of.
        labels: one set of classes.
    """

    def __init__(self, game: NoiseGame, labels: LabelSpace) -> None:
        super().__init__(game)
        self.labels = labels

    def generate(self, generator: nn.Module, batch: Tensors, latent_BZ: Tensor) -> Tensor:
        """Fakes (B, C, H, W) in [-1, 1] of the batch's classes."""
        fake: Tensor = generator(latent_BZ, batch["label"].argmax(dim=1))
        return fake

    def judge(self, discriminator: nn.Module, batch: Tensors, image_BCHW: Tensor) -> Tensor:
        """Scores of images of the batch's classes, positive where real."""
        scores: Tensor = discriminator(image_BCHW, batch["label"].argmax(dim=1))
        return scores

    def sample(self, networks: Mapping[str, nn.Module], batch: Tensors) -> Samples:
        """A column a class, and the same latent along a row."""
        rows, num_classes = len(batch["label"]), self.labels.num_labels
        device = batch["label"].device
        random = torch.Generator().manual_seed(SAMPLE_SEED)
        latent = self._latents(rows, random).to(device).repeat_interleave(num_classes, dim=0)
        classes = torch.arange(num_classes, device=device).repeat(rows)
        images = as_rgb(networks["generator"](latent, classes))
        table = images.reshape(rows, num_classes, *images.shape[1:])
        return Samples(images=table, headings=self.labels.names)


def create_objective(recipe: Recipe, labels: LabelSpace, *, num_steps: int) -> ConditionalObjective:
    """Builds networks, players and phases from a resolved recipe.

    Raises:
        DataError: the data has no classes.
    """
    if labels.is_joint or not labels.sets or labels.sets[0].kind != "onehot":
        raise DataError(
            "the conditional GAN learns classes, one an image: MNIST's files (data.kind idx) or a "
            "folder a class (data.kind folders); this data has none"
        )
    network = CGANNetwork(
        image_size=recipe.data.image_size,
        num_classes=labels.num_labels,
        **to_mapping(recipe.model),
    )
    game = NoiseGame(
        family="cgan",
        network=to_mapping(network),
        channels=network.channels,
        adversarial=recipe.loss.adversarial,
        players=(discriminator_player(recipe.train), generator_player(recipe.train)),
        phases=single_phase(recipe, num_steps),
    )
    return ConditionalObjective(game, labels)
