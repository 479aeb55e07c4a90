"""A generator from noise against a discriminator, whatever their networks.

    min_G max_D  E[log D(x)] + E[log(1 - D(G(z)))],   z ~ N(0, 1)      (Goodfellow 2014, eq. 1)

The discriminator sees real and fake images in separate batches, because batch norm would let it
tell them apart by the rest of their batch. The step's fakes are made once: they update the
discriminator, and then the generator against the updated discriminator.

Shape legend: B batch, C channels, H height, W width, Z latent width, R rows of samples.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stargan_deploy.card.labels import NO_LABELS, LabelSpace
from stargan_deploy.config import to_mapping
from stargan_deploy.families.blocks.latent import SamplingFamily, as_channels, as_rgb
from stargan_deploy.families.objectives.adversarial import (
    AdversarialName,
    critic_terms,
    generator_term,
    refuse_without_penalty,
)
from stargan_deploy.families.objectives.base import (
    Losses,
    Networks,
    Objective,
    ObjectiveRequest,
    Phase,
    Samples,
    Tensors,
    Training,
)
from stargan_deploy.families.objectives.players import alternating, single_phase
from stargan_deploy.families.objectives.precision import at_least_fp32

SAMPLE_SEED = 0
"""Seed of the latents in sample grids, so that one grid can be compared with the next."""

SAMPLE_COLUMNS = 8


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The losses of both networks."""

    adversarial: AdversarialName = "nonsaturating"
    """The adversarial terms: "minimax" as in eq. 1, or "nonsaturating", in which the generator
    minimises -log D(G(z)) instead (Goodfellow 2014, section 3); or "lsgan" or
    "hinge" of `families.objectives.adversarial`. "wgan-gp" is refused: these losses have no
    gradient penalty."""

    def __post_init__(self) -> None:
        refuse_without_penalty(self.adversarial)


class UnconditionalObjective(Objective):
    """Generator from noise against discriminator.

    Args:
        networks: "generator" and "discriminator".
        network: the dataclass that they were built from, with `latent_width`.
        request: the settings of the training.
        adversarial: the adversarial terms.
        channels: channels of the images: 3, or 1 for grey ones.
        phases: the stretches of the training; None makes one of it.
        labels: the labels that the networks take, if any.
    """

    def __init__(
        self,
        networks: dict[str, nn.Module],
        *,
        network: Any,
        request: ObjectiveRequest,
        adversarial: AdversarialName,
        channels: int = 3,
        phases: tuple[Phase, ...] | None = None,
        labels: LabelSpace = NO_LABELS,
    ) -> None:
        players, updates = alternating(request.optimizers)
        super().__init__(
            networks,
            network_table=to_mapping(network),
            players=players,
            updates=updates,
            phases=single_phase(request) if phases is None else phases,
            labels=labels,
        )
        self._adversarial = adversarial
        self._channels = channels
        self._latent_width = int(network.latent_width)

    def draw(self, batch: Tensors, random: torch.Generator) -> Tensors:
        """Draw `latent` (B, Z) from N(0, 1)."""
        return {"latent": self._latents(len(batch["label"]), random)}

    def share(
        self, batch: Tensors, draws: Tensors, due: tuple[str, ...], training: Training
    ) -> Tensors:
        """Make the batch's fakes once for both updates, `fake` (B, C, H, W) in [-1, 1]."""
        networks = training.called if "generator" in due else self.networks
        with torch.set_grad_enabled("generator" in due):
            return {"fake": self.generate(networks["generator"], batch, draws["latent"])}

    def losses(self, update: str, batch: Tensors, draws: Tensors, training: Training) -> Losses:
        """The loss of "discriminator" or "generator"."""
        name = self._adversarial
        if update == "generator":
            scores = self._scores(self.networks, batch, draws["fake"])
            term = generator_term(name, scores)
            return Losses(total=term, terms={"g_fake": term})
        real = as_channels(batch["image"], self._channels)
        real_scores = self._scores(training.called, batch, real)
        fake_scores = self._scores(training.called, batch, draws["fake"].detach())
        on_real, on_fake = critic_terms(name, real_scores, fake_scores)
        return Losses(total=on_real + on_fake, terms={"d_real": on_real, "d_fake": on_fake})

    def sample(self, networks: Networks, batch: Tensors) -> Samples:
        """As many rows as the batch has, always of the same latents."""
        rows, device = len(batch["label"]), batch["label"].device
        random = torch.Generator().manual_seed(SAMPLE_SEED)
        latent = self._latents(rows * SAMPLE_COLUMNS, random).to(device)
        images = as_rgb(networks["generator"](latent))
        table = images.reshape(rows, SAMPLE_COLUMNS, *images.shape[1:])
        return Samples(images=table, headings=("",) * SAMPLE_COLUMNS)

    def generate(self, generator: nn.Module, batch: Tensors, latent_BZ: Tensor) -> Tensor:
        """Fakes (B, C, H, W) in [-1, 1]."""
        fake: Tensor = generator(latent_BZ)
        return fake

    def score(self, discriminator: nn.Module, batch: Tensors, image_BCHW: Tensor) -> Tensor:
        """Scores of images, positive where real."""
        scores: Tensor = discriminator(image_BCHW)
        return scores

    def _scores(self, networks: Networks, batch: Tensors, image_BCHW: Tensor) -> Tensor:
        """Scores in at least FP32, in which the losses are computed."""
        return at_least_fp32(self.score(networks["discriminator"], batch, image_BCHW))

    def _latents(self, number: int, random: torch.Generator) -> Tensor:
        return torch.randn(number, self._latent_width, generator=random)


class UnconditionalFamily(SamplingFamily):
    """A family of images from noise, without labels and without growing."""

    loss_config = LossConfig

    def create_objective(self, request: ObjectiveRequest) -> Objective:
        """Build networks and losses for a training."""
        network = self.network_config(image_size=request.image_size, **to_mapping(request.model))
        return UnconditionalObjective(
            self.build_networks(to_mapping(network)),
            network=network,
            request=request,
            adversarial=request.loss.adversarial,
            channels=network.channels,
        )
