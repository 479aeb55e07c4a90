"""Adversarial terms of the critic and the generator, from patch scores.

    name           critic minimises                        generator minimises     source
    wgan-gp        E[D(fake)] - E[D(real)]                 -E[D(fake)]             Gulrajani 2017
    minimax        -E[log s(real)] - E[log(1 - s(fake))]   E[log(1 - s(fake))]     Goodfellow 2014
    nonsaturating  as minimax                              -E[log s(fake)]         Goodfellow 2014
    lsgan          1/2 E[(D(real)-1)^2] + 1/2 E[D(fake)^2] 1/2 E[(D(fake)-1)^2]    Mao 2017
    hinge          E[relu(1-D(real))] + E[relu(1+D(fake))] -E[D(fake)]             Lim 2017

with s the logistic function. The gradient penalty belongs to wgan-gp, and can be added to any term.
Without it wgan-gp leaves the critic unbounded, so families without a penalty refuse it.
"""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

AdversarialName = Literal["wgan-gp", "minimax", "nonsaturating", "lsgan", "hinge"]


def refuse_without_penalty(name: AdversarialName) -> None:
    """Refuse terms that need a gradient penalty, for a loss that has none.

    Raises:
        ValueError: the terms need one.
    """
    if name == "wgan-gp":
        others = [other for other in get_args(AdversarialName) if other != name]
        raise ValueError(
            f"adversarial cannot be {name!r}: it needs a gradient penalty, which this family's "
            f"losses do not have; choose one of {', '.join(others)}"
        )


def critic_terms(name: AdversarialName, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """The critic's terms on real and on fake scores, each a scalar."""
    if name == "wgan-gp":
        return -real.mean(), fake.mean()
    if name == "lsgan":
        return 0.5 * (real - 1).square().mean(), 0.5 * fake.square().mean()
    if name == "hinge":
        return relu(1 - real).mean(), relu(1 + fake).mean()
    return softplus(-real).mean(), softplus(fake).mean()


def generator_term(name: AdversarialName, fake: Tensor) -> Tensor:
    """The generator's term on the scores of its fakes, a scalar."""
    if name == "minimax":
        return -softplus(fake).mean()
    if name == "nonsaturating":
        return softplus(-fake).mean()
    if name == "lsgan":
        return 0.5 * (fake - 1).square().mean()
    return -fake.mean()


def gradient_penalty(
    critic: nn.Module, real_BCHW: Tensor, fake_BCHW: Tensor, alpha_B111: Tensor
) -> Tensor:
    """E[(|grad D(x)|_2 - 1)^2] on lines between real and fake images (Gulrajani 2017, eq. 3).

    Args:
        critic: scores images; only the first of several outputs counts. The scores are summed, so
            they may have any shape.
        real_BCHW: real images.
        fake_BCHW: fake images, detached here.
        alpha_B111: position of each point on its line, in [0, 1], 1 at the real image.

    The inner gradient is taken with `torch.func.grad`, because torch.compile does not support
    double backward otherwise; and without autocast, because it overflows in FP16 (apex#654).
    """

    def score(image_BCHW: Tensor) -> Tensor:
        scores = critic(image_BCHW)
        summed: Tensor = (scores[0] if isinstance(scores, tuple) else scores).sum()
        return summed

    fake_BCHW = fake_BCHW.detach().to(real_BCHW.dtype)
    with torch.autocast(real_BCHW.device.type, enabled=False):
        between_BCHW = alpha_B111 * real_BCHW + (1 - alpha_B111) * fake_BCHW
        gradient_BCHW = torch.func.grad(score)(between_BCHW)
        penalty: Tensor = (gradient_BCHW.flatten(1).norm(dim=1) - 1).square().mean()
    return penalty


def zero_centred_penalty(
    critic: Callable[[Tensor], Tensor], real_BCHW: Tensor
) -> tuple[Tensor, Tensor]:
    """R1, E[|grad D(x)|^2] / 2 on real images (Mescheder 2018, eq. 9), and the scores there.

    Args:
        critic: scores (B,) images.
        real_BCHW: real images.

    Returns:
        The penalty, and the scores (B,), from one pass. Computed like `gradient_penalty`.
    """

    def score(image_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        scores_B = critic(image_BCHW)
        return scores_B.sum(), scores_B

    with torch.autocast(real_BCHW.device.type, enabled=False):
        gradient_BCHW, scores_B = torch.func.grad(score, has_aux=True)(real_BCHW)
        penalty: Tensor = gradient_BCHW.square().flatten(1).sum(dim=1).mean() / 2
    return penalty, scores_B
