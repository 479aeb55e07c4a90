import math

import pytest
import torch

from stargan_deploy.families.objectives.adversarial import (
    critic_terms,
    generator_term,
    gradient_penalty,
)

REAL, FAKE = torch.tensor([2.0]), torch.tensor([-1.0])


def softplus(x):
    return math.log(1 + math.exp(x))


@pytest.mark.parametrize(
    ("name", "critic", "generator"),
    [
        ("wgan-gp", (-2.0, -1.0), 1.0),
        ("minimax", (softplus(-2), softplus(-1)), -softplus(-1)),
        ("nonsaturating", (softplus(-2), softplus(-1)), softplus(1)),
        ("lsgan", (0.5, 0.5), 2.0),
        ("hinge", (0.0, 0.0), 1.0),
    ],
)
def test_terms_by_their_equations(name, critic, generator):
    assert [t.item() for t in critic_terms(name, REAL, FAKE)] == pytest.approx(critic)
    assert generator_term(name, FAKE).item() == pytest.approx(generator)


def test_the_penalty_of_a_linear_critic_is_known():
    weight = torch.full((1, 3, 4, 4), 0.5)
    real, fake = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    critic = torch.nn.Conv2d(3, 1, 4, bias=False)
    critic.weight = torch.nn.Parameter(weight)
    penalty = gradient_penalty(critic, real, fake, torch.rand(2, 1, 1, 1))
    assert penalty.item() == pytest.approx((0.5 * math.sqrt(48) - 1) ** 2, rel=1e-5)
