import numpy as np
import pytest
import torch
from torch.nn import functional as F

from stargan_deploy.card.labels import multilabel_space, onehot_space
from stargan_deploy.errors import DataError, TrainingError
from stargan_deploy.families.base import OfficialOptions
from stargan_deploy.families.objectives.base import ObjectiveRequest, OptimizerSettings
from stargan_deploy.families.registry import load_family
from stargan_deploy.families.stargan_v2.networks import ModelConfig
from stargan_deploy.families.stargan_v2.objective import LossConfig, StarGANv2Objective
from stargan_deploy.training.state import TrainingState
from tests.float64 import in_float64

NAMES = ("cat", "dog", "wild")
SMALL = {"conv_dim": 8, "max_conv_dim": 32, "style_width": 12, "latent_width": 8}
MODEL = ModelConfig(**SMALL, mapping_width=32)


def request(model=MODEL, labels=None, image_size=64, **loss):
    settings = OptimizerSettings(
        generator_lr=1e-3, discriminator_lr=1e-3, beta1=0.0, beta2=0.99, critic_steps=1
    )
    return ObjectiveRequest(
        model=model,
        loss=LossConfig(**loss),
        labels=labels or onehot_space(NAMES),
        image_size=image_size,
        batch_size=2,
        num_steps=2,
        optimizers=settings,
        data_kind="folders",
    )


@pytest.fixture
def steps(official):
    return np.load(official / "stargan_v2" / "steps_afhq.npz")


def start(official, dtype):
    """The recorded training's objective with its first weights, and everything that it changes."""
    path = official / "stargan_v2" / "tiny-afhq-nets.ckpt"
    checkpoint = load_family("starganv2").read_official(path, OfficialOptions(names=NAMES))
    objective = StarGANv2Objective(request(lambda_ds=2.0, ds_steps=100))
    for role, network in objective.networks.items():
        network.load_state_dict(checkpoint.part(role))
        network.to(dtype)
    objective.players = tuple(
        type(player)(**{**vars(player), "learning_rate": 1e-6})
        if player.name == "mapping_network"
        else player
        for player in objective.players
    )
    state = TrainingState(
        objective, family="starganv2", ema_decay=0.999, device=torch.device("cpu")
    )
    return objective, state


def batch_of(steps, dtype):
    images = {n: torch.from_numpy(steps[n]).to(dtype) for n in ("image", "reference")}
    images["reference_2"] = torch.from_numpy(steps["reference2"]).to(dtype)
    source, target = (F.one_hot(torch.from_numpy(steps[n]), 3) for n in ("source", "target"))
    return images | {"label": source.to(dtype), "reference_label": target.to(dtype)}


def play(objective, state, steps, dtype):
    """Repeats the recorded steps; returns the greatest deviation of a loss."""
    batch, worst = batch_of(steps, dtype), 0.0
    for step in range(2):
        objective.begin_step(step)
        draws = objective.draw(batch, torch.Generator().manual_seed(0))
        draws |= {
            "latent": torch.from_numpy(steps["latent"]),
            "latent_2": torch.from_numpy(steps["latent2"]),
        }
        draws = {name: draw.to(dtype) for name, draw in draws.items()}
        assert float(draws["lambda_ds"][0]) == pytest.approx(float(steps[f"step{step}_lambda_ds"]))
        due = objective.updates
        state.select(*due)
        draws |= objective.share(batch, draws, tuple(u.name for u in due), state.training)
        seen = {"lambda_ds"}
        for update in due:
            state.select(update)
            losses = objective.losses(update.name, batch, draws, state.training)
            state.descend(update, losses)
            for name, term in losses.terms.items():
                worst = max(worst, abs(term.item() - float(steps[f"step{step}_{name}"])))
                seen.add(name)
        state.average(*due)
        assert seen == {
            n.removeprefix(f"step{step}_") for n in steps if n.startswith(f"step{step}")
        }
    return worst


def test_float64_losses_weights_and_averages_equal_the_official_code(official, steps):
    with in_float64():
        objective, state = start(official, torch.float64)
        assert play(objective, state, steps, torch.float64) < 1e-6
    tensors = state.tensors()
    recorded = [name for name in steps if name.startswith(("after/", "ema/"))]
    assert len(recorded) > 160
    for name in recorded:
        kind, role, key = name.split("/")
        own = tensors[f"{'ema.' if kind == 'ema' else ''}{role}.{key}"]
        assert np.abs(own.numpy() - steps[name]).max() < 1e-6, name


def test_each_network_has_an_adam_of_its_own():
    players = StarGANv2Objective(request(weight_decay=0.5)).players
    assert {p.name: p.networks for p in players} == {
        role: (role,) for role in ("generator", "mapping_network", "style_encoder", "discriminator")
    }
    rates = {player.name: player.learning_rate for player in players}
    assert rates["mapping_network"] == pytest.approx(rates["generator"] / 100)
    assert {player.weight_decay for player in players} == {0.5}


def test_diversity_falls_to_zero():
    objective = StarGANv2Objective(request(lambda_ds=2.0, ds_steps=4))
    batch, weights = {"label": torch.zeros(2, 3)}, []
    for step in range(6):
        objective.begin_step(step)
        weights.append(float(objective.draw(batch, torch.Generator())["lambda_ds"][1]))
    assert weights == [2.0, 1.5, 1.0, 0.5, 0.0, 0.0]


@torch.no_grad()
def test_samples_and_figures():
    objective = StarGANv2Objective(request(image_size=32))
    label = F.one_hot(torch.tensor([0, 2]), 3).float()
    batch = {"image": torch.rand(2, 3, 32, 32) * 2 - 1, "label": label}
    samples = objective.sample(objective.networks, batch)
    assert samples.headings == (
        *("source", "cat, random", "reference", "cat", "dog, random"),
        *("wild, random", "reference", "wild"),
    )
    assert samples.images.shape == (2, 8, 3, 32, 32)
    figures = objective.evaluate(objective.networks, batch)
    assert set(figures) == {
        "change_levels", "diversity_levels", "reconstruction_levels", "style_error"
    }  # fmt: skip
    assert all(np.isfinite(value) for value in figures.values())


def test_what_cannot_be_learned_is_refused():
    with pytest.raises(DataError, match="labels of which an image has several"):
        StarGANv2Objective(request(labels=multilabel_space(NAMES)))
    with pytest.raises(TrainingError, match="high-pass skip"):
        StarGANv2Objective(request(model=ModelConfig(w_hpf=1.0)))
    with pytest.raises(ValueError, match="lambda_ds cannot be negative"):
        LossConfig(lambda_ds=-1.0)
