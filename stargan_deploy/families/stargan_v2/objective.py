"""StarGAN v2's objective (Choi et al., CVPR 2020, section 3.2).

    L_D = BCE(D(x, y), 1) + BCE(D(G(x, s), t), 0) + lambda_reg R1(x)
    L_G = BCE(D(G(x, s), t), 1) + lambda_sty |E(G(x, s), t) - s|_1
          - lambda_ds |G(x, s) - G(x, s')|_1 + lambda_cyc |G(G(x, s), E(x, y)) - x|_1

with y the image's own domain, t the target, and styles s, s' of latents (F) or of reference images
(E). A step has four updates: the discriminator by latents and by references, then generator,
mapping network and style encoder by latents, and the generator alone by references. Each network
has one Adam. `lambda_ds` falls linearly to zero.

The generator's fakes of the step's first latents serve the discriminator's update and then the
generator's own: neither network moves in between.

Shape legend: B batch, C channels, H height, W width, Z latent width, S style width, K domains.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from stargan_deploy.config import refuse_below, to_mapping
from stargan_deploy.errors import DataError, TrainingError
from stargan_deploy.families.blocks.image_to_image import levels_between
from stargan_deploy.families.objectives.adversarial import (
    AdversarialName,
    critic_terms,
    generator_term,
    zero_centred_penalty,
)
from stargan_deploy.families.objectives.base import (
    Losses,
    Networks,
    Objective,
    ObjectiveRequest,
    Player,
    Samples,
    SelfEvaluating,
    Tensors,
    Training,
    Update,
)
from stargan_deploy.families.objectives.players import single_phase
from stargan_deploy.families.objectives.precision import at_least_fp32
from stargan_deploy.families.stargan_v2.networks import (
    WIDTH_TIMES_SIZE,
    ModelConfig,
    StarGANv2Network,
    build_networks,
    check_training_size,
)

STYLED = ("generator", "mapping_network", "style_encoder")
"""The networks that make images together, of which averages are kept."""

ADVERSARIAL: AdversarialName = "nonsaturating"

MAPPING_RATE = 0.01
"""Learning rate of the mapping network, as a share of the generator's."""

SAMPLE_SEED = 0
"""Seed of the latents in sample grids, so that one grid can be compared with the next."""


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of StarGAN v2's losses."""

    lambda_reg: float = 1.0
    """Weight of R1, half the squared gradient of the discriminator on real images."""
    lambda_sty: float = 1.0
    """Weight of the style reconstruction."""
    lambda_ds: float = 1.0
    """Weight of the diversity of styles at the first step; the paper takes 2 for animal faces."""
    ds_steps: int | None = None
    """Steps in which the weight of diversity falls to zero; absent means the whole training."""
    lambda_cyc: float = 1.0
    """Weight of the cycle consistency."""
    weight_decay: float = 1e-4
    """Adam's L2 penalty on the weights of all networks."""

    def __post_init__(self) -> None:
        refuse_below(0, {name: v for name, v in vars(self).items() if v is not None})
        if self.ds_steps is not None:
            refuse_below(1, {"ds_steps": self.ds_steps})


class StarGANv2Objective(Objective, SelfEvaluating):
    """Generator, mapping network and style encoder against a discriminator with a head a domain."""

    averaged = STYLED
    warms_up_averages = False
    takes_references = True
    updates_of: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "d_latent": ("discriminator",),
        "d_reference": ("discriminator",),
        "g_latent": STYLED,
        "g_reference": ("generator",),
    }
    """Networks that each update moves, in the order of the updates."""

    def __init__(self, request: ObjectiveRequest) -> None:
        table = to_mapping(_network_of(request))
        super().__init__(
            build_networks(table),
            network_table=table,
            players=_players(request),
            updates=tuple(
                Update(name=name, players=roles, networks=roles)
                for name, roles in self.updates_of.items()
            ),
            phases=single_phase(request),
            labels=request.labels,
        )
        self._loss: LossConfig = request.loss
        self._ds_steps = request.loss.ds_steps or request.num_steps
        self._latent_width = int(table["latent_width"])
        self._step = 0

    def begin_step(self, step: int) -> None:
        """Note the step, on which the weight of diversity depends."""
        self._step = step

    def draw(self, batch: Tensors, random: torch.Generator) -> Tensors:
        """Draw `latent` and `latent_2` (B, Z); `lambda_ds` (B,) is the weight of diversity now."""
        rows = len(batch["label"])
        weight = self._loss.lambda_ds * max(0.0, 1 - self._step / self._ds_steps)
        return {
            "latent": torch.randn(rows, self._latent_width, generator=random),
            "latent_2": torch.randn(rows, self._latent_width, generator=random),
            "lambda_ds": torch.full((rows,), weight),
        }

    def share(
        self, batch: Tensors, draws: Tensors, due: tuple[str, ...], training: Training
    ) -> Tensors:
        """Make the fakes of the first latents once for two updates, with the styles behind them."""
        style_BS = training.called["mapping_network"](draws["latent"], _target(batch))
        fake_BCHW = training.called["generator"](batch["image"], style_BS)
        return {"style": style_BS, "fake": fake_BCHW}

    def losses(self, update: str, batch: Tensors, draws: Tensors, training: Training) -> Losses:
        """The loss of one of the four updates on images (B, 3, H, W) in [-1, 1]."""
        if update == "d_latent":
            return self._critic_losses(update, batch, draws["fake"].detach(), training)
        if update == "d_reference":
            fake_BCHW = self._fake_by_reference(batch, batch["reference"])
            return self._critic_losses(update, batch, fake_BCHW, training)
        if update == "g_latent":
            with torch.no_grad():
                style_BS = self.networks["mapping_network"](draws["latent_2"], _target(batch))
                other_BCHW = self.networks["generator"](batch["image"], style_BS)
            return self._generator_losses(update, batch, draws, other_BCHW, training)
        with torch.no_grad():
            style_BS = self.networks["style_encoder"](batch["reference"], _target(batch))
        fake_BCHW = training.called["generator"](batch["image"], style_BS)
        other_BCHW = self._fake_by_reference(batch, batch["reference_2"])
        made = {"style": style_BS, "fake": fake_BCHW}
        return self._generator_losses(update, batch, draws | made, other_BCHW, training)

    def sample(self, networks: Networks, batch: Tensors) -> Samples:
        """Rows: images; columns: the source, and each domain in a random and in a found style.

        The references are the grid's own images of the domain, in turn, each one row further up.
        """
        image_BCHW, source_B = batch["image"], batch["label"].argmax(dim=1)
        random = torch.Generator().manual_seed(SAMPLE_SEED)
        columns, headings = [image_BCHW], ["source"]
        for domain, name in enumerate(self.labels.names):
            target_B = torch.full_like(source_B, domain)
            latent_BZ = torch.randn(len(target_B), self._latent_width, generator=random)
            style_BS = networks["mapping_network"](latent_BZ.to(image_BCHW), target_B)
            columns.append(networks["generator"](image_BCHW, style_BS))
            headings.append(f"{name}, random")
            (rows,) = torch.nonzero(source_B == domain, as_tuple=True)
            if len(rows):
                next_B = (torch.arange(len(source_B)) + 1) % len(rows)
                reference = image_BCHW[rows[next_B]]
                style_BS = networks["style_encoder"](reference, target_B)
                columns += [reference, networks["generator"](image_BCHW, style_BS)]
                headings += ["reference", name]
        return Samples(images=torch.stack(columns, dim=1), headings=tuple(headings))

    def evaluate(self, networks: Networks, held_out: Tensors) -> dict[str, float]:
        """Changes by random styles of the next domain, between two of them, and after a cycle.

        All are mean distances in 8-bit levels; `style_error` is the mean distance of a style from
        the one found in the image made with it.
        """
        random = torch.Generator().manual_seed(SAMPLE_SEED)
        found: dict[str, list[float]] = {}
        domains_B = held_out["label"].argmax(dim=1)
        rows = zip(torch.split(held_out["image"], 1), torch.split(domains_B, 1), strict=True)
        for image_1CHW, domain_1 in rows:
            for name, value in self._figures(networks, image_1CHW, domain_1, random).items():
                found.setdefault(name, []).append(value)
        return {name: sum(values) / len(values) for name, values in found.items()}

    def _figures(
        self,
        networks: Networks,
        image_1CHW: Tensor,
        domain_1: Tensor,
        random: torch.Generator,
    ) -> dict[str, float]:
        """The figures of `evaluate` for one image."""
        target_2 = ((domain_1 + 1) % len(self.labels.names)).expand(2)
        latent_2Z = torch.randn(2, self._latent_width, generator=random).to(image_1CHW)
        style_2S = networks["mapping_network"](latent_2Z, target_2)
        fake_2CHW = networks["generator"](image_1CHW.expand(2, -1, -1, -1), style_2S)
        own_2S = networks["style_encoder"](image_1CHW, domain_1).expand(2, -1)
        again_2CHW = networks["generator"](fake_2CHW, own_2S)
        found_2S = networks["style_encoder"](fake_2CHW, target_2)
        return {
            "change_levels": levels_between(image_1CHW, fake_2CHW),
            "diversity_levels": levels_between(fake_2CHW[:1], fake_2CHW[1:]),
            "reconstruction_levels": levels_between(image_1CHW, again_2CHW),
            "style_error": float((found_2S - style_2S).abs().mean()),
        }

    @torch.no_grad()
    def _fake_by_reference(self, batch: Tensors, reference_BCHW: Tensor) -> Tensor:
        style_BS = self.networks["style_encoder"](reference_BCHW, _target(batch))
        fake_BCHW: Tensor = self.networks["generator"](batch["image"], style_BS)
        return fake_BCHW

    def _critic_losses(
        self, update: str, batch: Tensors, fake_BCHW: Tensor, training: Training
    ) -> Losses:
        real_BCHW, source_B = batch["image"], batch["label"].argmax(dim=1)
        scores = training.called["discriminator"](fake_BCHW.to(real_BCHW.dtype), _target(batch))
        discriminator = self.networks["discriminator"]
        penalty, real_scores = zero_centred_penalty(
            lambda image_BCHW: discriminator(image_BCHW, source_B), real_BCHW
        )
        on_real, on_fake = critic_terms(ADVERSARIAL, real_scores, at_least_fp32(scores))
        terms = {f"{update}_real": on_real, f"{update}_fake": on_fake, f"{update}_reg": penalty}
        return Losses(total=on_real + on_fake + self._loss.lambda_reg * penalty, terms=terms)

    def _generator_losses(
        self,
        update: str,
        batch: Tensors,
        draws: Tensors,
        other_BCHW: Tensor,
        training: Training,
    ) -> Losses:
        """The loss of fakes `fake` in styles `style`; others in other styles come without graph."""
        # Called where they are trained by this update, so that ranks average their gradients.
        networks = self.networks | {role: training.called[role] for role in self.updates_of[update]}
        fake_BCHW, target_B = draws["fake"], _target(batch)
        scores = self.networks["discriminator"](fake_BCHW, target_B)
        found_BS = networks["style_encoder"](fake_BCHW, target_B)
        own_BS = networks["style_encoder"](batch["image"], batch["label"].argmax(dim=1))
        rebuilt_BCHW = networks["generator"](fake_BCHW, own_BS)
        adversarial = generator_term(ADVERSARIAL, at_least_fp32(scores))
        style, diversity, cycle = (
            F.l1_loss(at_least_fp32(a), at_least_fp32(b))
            for a, b in (
                (found_BS, draws["style"]),
                (fake_BCHW, other_BCHW),
                (rebuilt_BCHW, batch["image"]),
            )
        )
        total = (
            adversarial
            + self._loss.lambda_sty * style
            - draws["lambda_ds"][0] * diversity
            + self._loss.lambda_cyc * cycle
        )
        names = ("adv", "sty", "ds", "cyc")
        values = (adversarial, style, diversity, cycle)
        terms = {f"{update}_{name}": value for name, value in zip(names, values, strict=True)}
        return Losses(total=total, terms=terms)


def _target(batch: Tensors) -> Tensor:
    """The domain (B,) that each image is to get: that of its references."""
    return batch["reference_label"].argmax(dim=1)


def _network_of(request: ObjectiveRequest) -> StarGANv2Network:
    """The networks for a training.

    Raises:
        DataError: the data has no domains.
        TrainingError: a model with a high-pass skip.
        UsageError: a size that the networks cannot have.
    """
    labels, model = request.labels, request.model
    assert isinstance(model, ModelConfig)
    if [each.kind for each in labels.sets] != ["onehot"]:
        has = "labels of which an image has several" if labels.sets else "none"
        raise DataError(
            f"StarGAN v2 learns domains, and images of kind {request.data_kind!r} have {has}",
            hint="set `data.kind` to folders, with a folder for each domain",
        )
    if model.w_hpf:
        raise TrainingError(
            "a model with a high-pass skip (w_hpf above 0) needs the heat maps of a landmark "
            "network at every step, so it cannot be trained here",
            hint="leave out `model.w_hpf`",
        )
    check_training_size(request.image_size)
    table = to_mapping(model) | {"conv_dim": conv_dim_of(model, request.image_size)}
    num_domains = labels.num_labels
    return StarGANv2Network(image_size=request.image_size, num_domains=num_domains, **table)


def conv_dim_of(model: ModelConfig, image_size: int) -> int:
    """Channels of the first layers: those set, or the paper's for an image size in pixels."""
    return model.conv_dim or WIDTH_TIMES_SIZE // image_size


def _players(request: ObjectiveRequest) -> tuple[Player, ...]:
    """One per network; the mapping network's rate is a hundredth of the generator's."""
    settings: Any = request.optimizers
    rates = {
        "discriminator": settings.discriminator_lr,
        "generator": settings.generator_lr,
        "mapping_network": MAPPING_RATE * settings.generator_lr,
        "style_encoder": settings.generator_lr,
    }
    return tuple(
        Player(
            name=role,
            networks=(role,),
            learning_rate=rate,
            betas=(settings.beta1, settings.beta2),
            weight_decay=request.loss.weight_decay,
        )
        for role, rate in rates.items()
    )
