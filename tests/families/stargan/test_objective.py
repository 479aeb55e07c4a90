import numpy as np
import pytest
import torch
from torch.nn import functional as F

from stargan_deploy.card.labels import multilabel_space, onehot_space
from stargan_deploy.families.objectives.base import (
    ObjectiveRequest,
    OptimizerSettings,
    Training,
)
from stargan_deploy.families.stargan.networks import ModelConfig
from stargan_deploy.families.stargan.networks_in import networks_in
from stargan_deploy.families.stargan.objective import LossConfig, StarGANObjective

NAMES = ("a", "b", "c", "d", "e")
SPACES = {"multilabel": multilabel_space(NAMES), "onehot": onehot_space(NAMES)}
MODEL = ModelConfig(
    generator_conv_dim=8,
    generator_blocks=2,
    discriminator_conv_dim=8,
    discriminator_layers=3,
)


def make_objective(official, kind, dtype, loss=None):
    objective = StarGANObjective(
        ObjectiveRequest(
            model=MODEL,
            loss=loss or LossConfig(),
            labels=SPACES[kind],
            image_size=32,
            batch_size=4,
            num_steps=4,
            optimizers=OptimizerSettings(generator_lr=1e-3, discriminator_lr=1e-3, critic_steps=2),
        )
    )
    objective.generator.load_state_dict(networks_in(official / "tiny-G.ckpt")[0].weights)
    objective.discriminator.load_state_dict(networks_in(official / "tiny-D.ckpt")[0].weights)
    for network in objective.networks.values():
        network.to(dtype).train()
    return objective


def step_tensors(steps, index, dtype):
    def label(name):
        values = torch.from_numpy(steps[name][index])
        return (values if values.ndim == 2 else F.one_hot(values, 5)).to(dtype)

    batch = {
        "image": torch.from_numpy(steps["image"][index]).to(dtype),
        "label": label("label_source"),
    }
    alpha = torch.from_numpy(steps["alpha"][index]).to(dtype)
    return batch, {"label_target": label("label_target"), "alpha": alpha}


def shared_step(objective, steps):
    batch, draws = step_tensors(steps, 0, torch.float32)
    return batch, draws | objective.share(
        batch, draws, ("discriminator", "generator"), Training(objective.networks)
    )


def play(objective, steps, dtype):
    """Repeats the recorded steps; returns the greatest deviation of a loss."""
    optimizers = {
        p.name: torch.optim.Adam(
            objective.networks[p.name].parameters(), lr=p.learning_rate, betas=p.betas
        )
        for p in objective.players
    }
    worst = 0.0
    for index in range(len(steps["image"])):
        batch, draws = step_tensors(steps, index, dtype)
        due = [update for update in objective.updates if (index + 1) % update.every == 0]
        for network in objective.networks.values():
            network.requires_grad_(True)
        training = Training(objective.networks)
        draws |= objective.share(batch, draws, tuple(update.name for update in due), training)
        for update in due:
            for role, network in objective.networks.items():
                network.requires_grad_(role in update.networks)
            losses = objective.losses(update.name, batch, draws, training)
            optimizers[update.name].zero_grad()
            losses.total.backward()
            optimizers[update.name].step()
            for name, term in losses.terms.items():
                worst = max(worst, abs(term.item() - float(steps[f"loss_{name}"][index])))
    return worst


@pytest.mark.parametrize("kind", ["multilabel", "onehot"])
def test_float64_losses_and_weights_equal_the_official_code(official, kind):
    steps = np.load(official / f"steps_{kind}.npz")
    objective = make_objective(official, kind, torch.float64)
    assert play(objective, steps, torch.float64) < 1e-6
    for role, network in objective.networks.items():
        for name, weight in network.state_dict().items():
            assert np.abs(weight.numpy() - steps[f"{role}.{name}"]).max() < 1e-6, name


@pytest.mark.parametrize("kind", ["multilabel", "onehot"])
def test_float32_losses_equal_the_official_code(official, kind):
    steps = np.load(official / f"steps_{kind}.npz")
    assert play(make_objective(official, kind, torch.float32), steps, torch.float32) < 1e-4


def test_targets_are_the_batch_s_own_labels_permuted(official):
    objective = make_objective(official, "multilabel", torch.float32)
    label = torch.arange(40.0).reshape(8, 5)
    draws = objective.draw({"label": label}, torch.Generator().manual_seed(3))
    assert sorted(draws["label_target"][:, 0].tolist()) == label[:, 0].tolist()
    assert draws["alpha"].shape == (8, 1, 1, 1)


@pytest.mark.parametrize("name", ["wgan-gp", "minimax", "nonsaturating", "lsgan", "hinge"])
def test_every_adversarial_term_gives_gradients(official, name):
    steps = np.load(official / "steps_multilabel.npz")
    loss = LossConfig(adversarial=name)
    objective = make_objective(official, "multilabel", torch.float32, loss)
    batch, draws = shared_step(objective, steps)
    training = Training(objective.networks)
    for update in ("discriminator", "generator"):
        losses = objective.losses(update, batch, draws, training)
        losses.total.backward()
        assert torch.isfinite(losses.total)
        weight = objective.networks[update].main[0].weight
        assert weight.grad.abs().sum() > 0
    terms = objective.losses("discriminator", batch, draws, training).terms
    assert ("d_gp" in terms) == (name == "wgan-gp")


def test_a_penalty_can_be_added_to_any_term(official):
    steps = np.load(official / "steps_multilabel.npz")
    loss = LossConfig(adversarial="hinge", lambda_gp=1.0)
    objective = make_objective(official, "multilabel", torch.float32, loss)
    training = Training(objective.networks)
    losses = objective.losses("discriminator", *shared_step(objective, steps), training)
    assert "d_gp" in losses.terms


def test_samples_show_the_source_and_each_target(official):
    objective = make_objective(official, "onehot", torch.float32)
    label = F.one_hot(torch.tensor([0, 3]), 5).float()
    samples = objective.sample(
        objective.networks, {"image": torch.zeros(2, 3, 32, 32), "label": label}
    )
    assert samples.images.shape == (2, 6, 3, 32, 32)
    assert samples.headings == ("source", *NAMES)


def test_negative_weights_are_refused():
    with pytest.raises(ValueError, match="lambda_rec cannot be negative"):
        LossConfig(lambda_rec=-1)
