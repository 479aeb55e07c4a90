"""The losses of each family are the equations of its paper."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from stargan_deploy.data.batches.open import open_loader
from stargan_deploy.data.open import open_source
from stargan_deploy.errors import DataError
from stargan_deploy.families.objectives.base import Training
from stargan_deploy.training.runs.recorder import to_device
from stargan_deploy.training.session import build_objective
from tests.tiny_families import (
    TINY,
    tiny_family_recipe,
    write_data,
    write_pairs,
)

CPU = torch.device("cpu")


def started(family, folder, **changes):
    """An objective with a batch and the draws of its first step, the shared part included."""
    recipe = tiny_family_recipe(family, write_data(family, folder / family), **changes)
    source = open_source(recipe.data, "train")
    torch.manual_seed(0)
    objective = build_objective(recipe, source)
    first = replace(recipe.data, image_size=objective.phases[0].image_size)
    references = objective.takes_references
    loader = open_loader(source, first, batch_size=4, seed=0, with_references=references)
    batch = to_device(next(loader.batches(0)), CPU)
    for network in objective.networks.values():
        network.eval()  # so that asking twice gives the same
    draws = objective.draw(batch, torch.Generator().manual_seed(0))
    due = tuple(update.name for update in objective.updates)
    return objective, batch, draws | objective.share(batch, draws, due, alone(objective))


def alone(objective):
    """One process without wrappers."""
    return Training(objective.networks)


def loss(objective, update, batch, draws):
    return objective.losses(update, batch, draws, alone(objective)).total


def real(score):
    return bce(score, torch.ones_like(score))


def fake(score):
    return bce(score, torch.zeros_like(score))


@pytest.mark.parametrize("family", ["gan", "dcgan"])
def test_the_game_from_noise(family, tmp_path):
    objective, batch, draws = started(family, tmp_path)
    judge = objective.networks["discriminator"]
    made = objective.networks["generator"](draws["latent"])
    image = batch["image"][:, :1]
    on_discriminator = loss(objective, "discriminator", batch, draws)
    expected = real(judge(image)) + fake(judge(made))
    torch.testing.assert_close(on_discriminator, expected)
    torch.testing.assert_close(loss(objective, "generator", batch, draws), real(judge(made)))


def test_minimax_is_equation_1_as_it_stands(tmp_path):
    objective, batch, draws = started("gan", tmp_path, loss={"adversarial": "minimax"})
    score = objective.networks["discriminator"](draws["fake"])
    expected = torch.log(1 - torch.sigmoid(score)).mean()
    torch.testing.assert_close(loss(objective, "generator", batch, draws), expected)


def test_the_conditional_game_gives_both_networks_the_class(tmp_path):
    objective, batch, draws = started("cgan", tmp_path)
    judge, classes = objective.networks["discriminator"], batch["label"].argmax(dim=1)
    made = objective.networks["generator"](draws["latent"], classes)
    torch.testing.assert_close(draws["fake"], made)
    expected = real(judge(batch["image"][:, :1], classes)) + fake(judge(made, classes))
    torch.testing.assert_close(loss(objective, "discriminator", batch, draws), expected)
    expected = real(judge(made, classes))
    torch.testing.assert_close(loss(objective, "generator", batch, draws), expected)


def test_data_without_classes_is_refused(tmp_path):
    write_pairs(tmp_path)
    recipe = tiny_family_recipe("cgan", tmp_path, data={"kind": "plain"})
    source = open_source(recipe.data, "train")
    with pytest.raises(DataError, match="learns classes, one per image"):
        build_objective(recipe, source)


def test_pix2pix(tmp_path):
    objective, batch, draws = started("pix2pix", tmp_path)
    judge, x, y = objective.networks["discriminator"], batch["condition"], batch["image"]
    made = objective.networks["generator"](x, draws["mask_4"])
    assert set(draws["mask_4"].unique().tolist()) == {0.0, 1.0}
    expected = 0.5 * (real(judge(x, y)) + fake(judge(x, made)))
    torch.testing.assert_close(loss(objective, "discriminator", batch, draws), expected)
    expected = real(judge(x, made)) + 100 * (made - y).abs().mean()
    torch.testing.assert_close(loss(objective, "generator", batch, draws), expected)


def test_cyclegan(tmp_path):
    objective, batch, draws = started("cyclegan", tmp_path)
    a, b, nets = batch["image_a"], batch["image_b"], objective.networks
    there, back = nets["a2b"], nets["b2a"]
    d_a, d_b = nets["discriminator_a"], nets["discriminator_b"]
    expected = (d_b(there(a)) - 1).square().mean() + (d_a(back(b)) - 1).square().mean()
    expected = expected + 10 * (back(there(a)) - a).abs().mean()
    expected = expected + 10 * (there(back(b)) - b).abs().mean()
    expected = expected + 5 * ((there(b) - b).abs().mean() + (back(a) - a).abs().mean())
    torch.testing.assert_close(loss(objective, "generator", batch, draws), expected)
    expected = 0.5 * ((d_a(a) - 1).square().mean() + d_a(back(b)).square().mean())
    expected = expected + 0.5 * ((d_b(b) - 1).square().mean() + d_b(there(a)).square().mean())
    torch.testing.assert_close(loss(objective, "discriminator", batch, draws), expected)


def test_progan(tmp_path):
    objective, batch, draws = started("progan", tmp_path)
    judge, x, made = objective.networks["discriminator"], batch["image"], draws["fake"].detach()
    between = (draws["between"] * x + (1 - draws["between"]) * made).requires_grad_()
    (slope,) = torch.autograd.grad(judge(between).sum(), between, create_graph=True)
    expected = judge(made).mean() - judge(x).mean()
    expected = expected + 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean()
    expected = expected + 0.001 * judge(x).square().mean()
    torch.testing.assert_close(loss(objective, "discriminator", batch, draws), expected)
    expected = -judge(made).mean()
    torch.testing.assert_close(loss(objective, "generator", batch, draws), expected)


def test_real_images_are_faded_like_the_fakes(tmp_path):
    objective, _, _ = started("progan", tmp_path, train={"steps": 9})
    image = torch.rand(2, 3, 8, 8)
    objective.begin_step(3)
    blurred = torch.nn.functional.avg_pool2d(image, 2).repeat_interleave(2, 2)
    blurred = blurred.repeat_interleave(2, 3)
    torch.testing.assert_close(objective._faded(image), blurred + (image - blurred) / 3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize("family", sorted(TINY))
def test_losses_compile_whole(family, tmp_path):
    """Traced to one graph with its backward; `aot_eager` leaves out the C++ compiler alone."""
    objective, batch, draws = started(family, tmp_path)
    torch._dynamo.reset()
    compiled = torch.compile(objective.losses, backend="aot_eager", fullgraph=True)
    for update in objective.updates:
        for role, network in objective.networks.items():
            network.requires_grad_(role in update.networks)
        total = compiled(update.name, batch, draws, alone(objective)).total
        torch.testing.assert_close(total, loss(objective, update.name, batch, draws))
        total.backward(retain_graph=True)
