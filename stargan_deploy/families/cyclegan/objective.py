"""CycleGAN's objective (Zhu et al., ICCV 2017, equations 1 to 3 and sections 4 and 5.2).

    L_GAN(G, D_B)  : G minimises E[(D_B(G(a)) - 1)^2],
                     D_B minimises 1/2 E[(D_B(b) - 1)^2] + 1/2 E[D_B(G(a))^2]
    L_cyc(G, F)    = E[|F(G(a)) - a|_1] + E[|G(F(b)) - b|_1]
    L_identity     = E[|G(b) - b|_1] + E[|F(a) - a|_1]
    L(G, F)        = L_GAN(G, D_B) + L_GAN(F, D_A) + lambda L_cyc + 0.5 lambda L_identity

with G from A to B ("a2b"), F back ("b2a") and lambda = 10; L_GAN(F, D_A) is the same with the
domains swapped; |.|_1 is the mean over pixels and channels. Both generators are updated first,
together; the discriminators see fakes from a history of 50.

Shape legend: B batch, C channels, H height, W width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from stargan_deploy.config import refuse_below, to_mapping
from stargan_deploy.distributed import Ranks
from stargan_deploy.families.blocks.image_to_image import levels_between
from stargan_deploy.families.cyclegan.networks import (
    DIRECTIONS,
    CycleGANNetwork,
    build_networks,
    check_training_size,
)
from stargan_deploy.families.objectives.adversarial import critic_terms
from stargan_deploy.families.objectives.base import (
    Losses,
    Networks,
    Objective,
    ObjectiveRequest,
    Samples,
    SelfEvaluating,
    Tensors,
    Training,
)
from stargan_deploy.families.objectives.history import CAPACITY, ImageHistory
from stargan_deploy.families.objectives.players import alternating, single_phase
from stargan_deploy.families.objectives.precision import at_least_fp32

DISCRIMINATORS = {"a": "discriminator_a", "b": "discriminator_b"}


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the losses."""

    lambda_cycle: float = 10.0
    """Weight of the reconstruction after a translation there and back."""
    lambda_identity: float = 0.5
    """Weight of leaving an image of the target domain unchanged, relative to `lambda_cycle`."""

    def __post_init__(self) -> None:
        refuse_below(0, vars(self))


class CycleGANObjective(Objective, SelfEvaluating):
    """Two generators against two discriminators."""

    averaged = DIRECTIONS
    takes = ("image_a", "image_b")

    def __init__(self, request: ObjectiveRequest) -> None:
        network = CycleGANNetwork(**to_mapping(request.model))
        halvings = network.discriminator_halvings
        check_training_size(request.image_size, discriminator_halvings=halvings)
        players, updates = alternating(
            request.optimizers,
            discriminators=tuple(DISCRIMINATORS.values()),
            generators=DIRECTIONS,
            generator_first=True,
        )
        super().__init__(
            build_networks(to_mapping(network)),
            network_table=to_mapping(network),
            players=players,
            updates=updates,
            phases=single_phase(request),
        )
        self._loss: LossConfig = request.loss
        self._histories = {domain: ImageHistory() for domain in DISCRIMINATORS}

    def draw(self, batch: Tensors, random: torch.Generator) -> Tensors:
        """Draw which fakes the histories show: `place_a`, `is_old_a` (B,), and the same for b."""
        rows = len(batch["label"])
        draws: Tensors = {}
        for domain in DISCRIMINATORS:
            draws[f"place_{domain}"] = torch.randint(CAPACITY, (rows,), generator=random)
            draws[f"is_old_{domain}"] = torch.rand(rows, generator=random) < 0.5
        return draws

    def share(
        self, batch: Tensors, draws: Tensors, due: tuple[str, ...], training: Training
    ) -> Tensors:
        """Make the fakes `fake_a`, `fake_b`, and choose those to show the discriminators."""
        networks = training.called if "generator" in due else self.networks
        with torch.set_grad_enabled("generator" in due):
            fakes = {
                "a": networks["b2a"](batch["image_b"]),
                "b": networks["a2b"](batch["image_a"]),
            }
        shared = {f"fake_{domain}": fake for domain, fake in fakes.items()}
        for domain, fake in fakes.items():
            shared[f"shown_{domain}"] = self._exchange(domain, fake, draws, training.ranks)
        return shared

    def losses(self, update: str, batch: Tensors, draws: Tensors, training: Training) -> Losses:
        """The loss of "generator" (both) or "discriminator" (both) on images in [-1, 1]."""
        if update == "generator":
            return self._generator_losses(batch, draws, training)
        total = torch.zeros((), device=batch["image_a"].device)
        terms: Tensors = {}
        for domain, role in DISCRIMINATORS.items():
            real = at_least_fp32(training.called[role](batch[f"image_{domain}"]))
            shown = at_least_fp32(training.called[role](draws[f"shown_{domain}"]))
            on_real, on_fake = critic_terms("lsgan", real, shown)
            total = total + on_real + on_fake
            terms |= {f"d_real_{domain}": on_real, f"d_fake_{domain}": on_fake}
        return Losses(total=total, terms=terms)

    def sample(self, networks: Networks, batch: Tensors) -> Samples:
        """Rows: images of both domains; columns: translated, and back again."""
        a, b = batch["image_a"], batch["image_b"]
        fake_b, fake_a = networks["a2b"](a), networks["b2a"](b)
        back_a, back_b = networks["b2a"](fake_b), networks["a2b"](fake_a)
        images = torch.stack([a, fake_b, back_a, b, fake_a, back_b], dim=1)
        headings = ("A", "A to B", "and back", "B", "B to A", "and back")
        return Samples(images=images, headings=headings)

    def evaluate(self, networks: Networks, held_out: Tensors) -> dict[str, float]:
        """How far a translation changes an image, and the error after the way back, in levels."""
        figures = {}
        for there, back, domain in (("a2b", "b2a", "a"), ("b2a", "a2b", "b")):
            own = held_out[f"image_{domain}"]
            made = torch.cat([networks[there](row) for row in torch.split(own, 1)])
            again = torch.cat([networks[back](row) for row in torch.split(made, 1)])
            figures[f"change_levels_{there}"] = levels_between(own, made)
            figures[f"cycle_levels_{domain}"] = levels_between(own, again)
        return figures

    def state_dict(self) -> Tensors:
        """The histories."""
        state: Tensors = {}
        for domain, history in self._histories.items():
            state |= history.state_dict(f"history_{domain}")
        return state

    def load_state_dict(self, state: Tensors) -> None:
        """Restore the histories."""
        for domain, history in self._histories.items():
            history.load_state_dict(state, f"history_{domain}")

    def _exchange(self, domain: str, fake_BCHW: Tensor, draws: Tensors, ranks: Ranks) -> Tensor:
        """The images to show for this rank's fakes; all ranks keep one history of all fakes."""
        new = (fake_BCHW.detach(), draws[f"place_{domain}"], draws[f"is_old_{domain}"])
        shown = self._histories[domain].exchange(*map(ranks.gather, new))
        return shown[ranks.share_of(len(shown))]

    def _generator_losses(self, batch: Tensors, draws: Tensors, training: Training) -> Losses:
        a, b = batch["image_a"], batch["image_b"]
        terms = {
            "g_fake_a": self._fooling("a", draws["fake_a"]),
            "g_fake_b": self._fooling("b", draws["fake_b"]),
        }
        cycle, identity = self._loss.lambda_cycle, self._loss.lambda_identity
        total = terms["g_fake_a"] + terms["g_fake_b"]
        if not cycle:
            return Losses(total=total, terms=terms)
        terms["g_cycle_a"] = _distance(training.called["b2a"](draws["fake_b"]), a)
        terms["g_cycle_b"] = _distance(training.called["a2b"](draws["fake_a"]), b)
        total = total + cycle * (terms["g_cycle_a"] + terms["g_cycle_b"])
        if identity:
            terms["g_same_a"] = _distance(training.called["b2a"](a), a)
            terms["g_same_b"] = _distance(training.called["a2b"](b), b)
            total = total + cycle * identity * (terms["g_same_a"] + terms["g_same_b"])
        return Losses(total=total, terms=terms)

    def _fooling(self, domain: str, fake_BCHW: Tensor) -> Tensor:
        """E[(D(fake) - 1)^2], not halved."""
        scores = self.networks[DISCRIMINATORS[domain]](fake_BCHW)
        return (at_least_fp32(scores) - 1).square().mean()


def _distance(image_BCHW: Tensor, wanted_BCHW: Tensor) -> Tensor:
    return F.l1_loss(image_BCHW.to(wanted_BCHW.dtype), wanted_BCHW)
