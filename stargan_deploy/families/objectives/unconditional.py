"""The game of a generator from noise against a discriminator, whatever their networks.

    min_G max_D  E[log D(x)] + E[log(1 - D(G(z)))],   z ~ N(0, 1)      (Goodfellow 2014, eq. 1)

The discriminator judges real and fake images in batches of their own, because batch norm would let
it tell them apart by the company they keep. The step's fakes are made once: the discriminator
moves on them, and then the generator, against the discriminator as it is by then.

Shape legend: B batch, C channels, H height, W width, Z latent width, R rows of samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stargan_deploy.card.labels import NO_LABELS, LabelSpace
from stargan_deploy.distributed import Ranks
from stargan_deploy.families.blocks.latent import as_channels, as_rgb
from stargan_deploy.families.objectives.adversarial import (
    AdversarialName,
    critic_terms,
    generator_term,
    refuse_without_penalty,
)
from stargan_deploy.families.objectives.base import Losses, Phase, Player, Samples, Tensors
from stargan_deploy.families.objectives.precision import at_least_fp32
from stargan_deploy.families.registry import load_family

SAMPLE_SEED = 0
"""Of the latents in sample grids, so that one grid can be compared with the next."""

SAMPLE_COLUMNS = 8


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What the two players minimise."""

    adversarial: AdversarialName = "nonsaturating"
    """The adversarial terms: "minimax" as in eq. 1, or "nonsaturating", in which the generator
    minimises -log D(G(z)) instead (Goodfellow 2014, section 3); or "lsgan" or
    "hinge" of `families.objectives.adversarial`. "wgan-gp" will not do: there is no gradient
    penalty here."""

    def __post_init__(self) -> None:
        refuse_without_penalty(self.adversarial)


@dataclass(frozen=True, kw_only=True)
class NoiseGame:
    """What a game from noise is made of, besides its networks."""

    family: str
    network: Mapping[str, Any]
    """The card's table, with `latent_width`."""
    channels: int
    """Of the pictures: 3, or 1 for grey ones."""
    adversarial: AdversarialName
    players: tuple[Player, ...]
    phases: tuple[Phase, ...]


class NoiseObjective:
    """Generator from noise against discriminator; satisfies `Objective`."""

    averaged: tuple[str, ...] = ("generator",)
    grows = False
    takes: tuple[str, ...] = ("image",)
    labels: LabelSpace = NO_LABELS

    def __init__(self, game: NoiseGame) -> None:
        self._game = game
        self.players = game.players
        self.networks = load_family(game.family).build_networks(game.network)
        self.called: dict[str, nn.Module] = dict(self.networks)
        self.frozen: dict[str, nn.Module] = {}
        self.ranks = Ranks()

    def phases(self) -> tuple[Phase, ...]:
        """One phase: the networks do not grow."""
        return self._game.phases

    def begin_step(self, step: int) -> None:
        """Nothing changes with the step."""

    def draw(self, batch: Tensors, random: torch.Generator) -> Tensors:
        """Draws `latent` (B, Z) from N(0, 1)."""
        return {"latent": self._latents(len(batch["label"]), random)}

    def share(self, batch: Tensors, draws: Tensors, moving: tuple[str, ...]) -> Tensors:
        """Makes the batch's fakes once for both players, `fake` (B, C, H, W) in [-1, 1]."""
        if "generator" in moving:
            return {"fake": self.generate(self.called["generator"], batch, draws["latent"])}
        with torch.no_grad():
            return {"fake": self.generate(self.networks["generator"], batch, draws["latent"])}

    def losses(self, player: str, batch: Tensors, draws: Tensors) -> Losses:
        """The loss of "discriminator" or "generator"."""
        name = self._game.adversarial
        if player == "generator":
            scores = self._judge(self.networks, batch, draws["fake"])
            term = generator_term(name, scores)
            return Losses(total=term, terms={"g_fake": term})
        real = as_channels(batch["image"], self._game.channels)
        real_scores = self._judge(self.called, batch, real)
        fake_scores = self._judge(self.called, batch, draws["fake"].detach())
        terms = critic_terms(name, real_scores, fake_scores)
        return Losses(total=sum(terms, start=torch.zeros_like(terms[0])), terms=_named(*terms))

    def sample(self, networks: Mapping[str, nn.Module], batch: Tensors) -> Samples:
        """As many rows as the batch has, always of the same latents."""
        rows, device = len(batch["label"]), batch["label"].device
        random = torch.Generator().manual_seed(SAMPLE_SEED)
        latent = self._latents(rows * SAMPLE_COLUMNS, random).to(device)
        images = as_rgb(networks["generator"](latent))
        table = images.reshape(rows, SAMPLE_COLUMNS, *images.shape[1:])
        return Samples(images=table, headings=("",) * SAMPLE_COLUMNS)

    def network_table(self) -> dict[str, Any]:
        """The networks' shape, for the card."""
        return dict(self._game.network)

    def state_dict(self) -> Tensors:
        """Nothing: the game remembers nothing beside its networks."""
        return {}

    def load_state_dict(self, state: Tensors) -> None:
        """Takes back nothing."""

    def generate(self, generator: nn.Module, batch: Tensors, latent_BZ: Tensor) -> Tensor:  # noqa: ARG002 - conditional games look at it
        """Fakes (B, C, H, W) in [-1, 1]."""
        fake: Tensor = generator(latent_BZ)
        return fake

    def judge(self, discriminator: nn.Module, batch: Tensors, image_BCHW: Tensor) -> Tensor:  # noqa: ARG002
        """Scores of images, positive where real."""
        scores: Tensor = discriminator(image_BCHW)
        return scores

    def _judge(
        self, networks: Mapping[str, nn.Module], batch: Tensors, image_BCHW: Tensor
    ) -> Tensor:
        """Scores in at least FP32, in which the losses are computed."""
        return at_least_fp32(self.judge(networks["discriminator"], batch, image_BCHW))

    def _latents(self, number: int, random: torch.Generator) -> Tensor:
        return torch.randn(number, int(self._game.network["latent_width"]), generator=random)


def _named(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    return {"d_real": real, "d_fake": fake}
