"""Optimizers apart from updates: several updates may move the same networks."""

import pytest
import torch
from torch import nn

from stargan_deploy.families.base import Checkpoint
from stargan_deploy.families.objectives.base import (
    Losses,
    Objective,
    Phase,
    Player,
    Samples,
    Training,
    Update,
)
from stargan_deploy.training.state import TrainingState

CPU = torch.device("cpu")
RATES = {"generator": 1e-2, "mapping": 1e-4}
BETAS, DECAY = (0.0, 0.99), 1e-3


class TwoUpdates(Objective):
    """One loss moves generator and mapping, another the generator alone, by the same Adam."""

    averaged = ("generator", "mapping")

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(
            {"generator": nn.Linear(3, 3), "mapping": nn.Linear(3, 3)},
            network_table={},
            players=(
                Player(
                    name="both",
                    networks=("generator", "mapping"),
                    learning_rate=RATES["generator"],
                    betas=BETAS,
                    weight_decay=DECAY,
                    network_rates={"mapping": RATES["mapping"]},
                ),
            ),
            updates=(
                Update(name="latent", players=("both",), networks=("generator", "mapping")),
                Update(name="reference", players=("both",), networks=("generator",), every=2),
            ),
            phases=(Phase(num_steps=4, image_size=4, batch_size=2),),
        )

    def draw(self, batch, random):
        return {}

    def share(self, batch, draws, due, training):
        return {}

    def losses(self, update, batch, draws, training):
        style = training.called["mapping"](batch["x"]) if update == "latent" else batch["x"]
        total = training.called["generator"](style).square().mean()
        return Losses(total=total, terms={update: total})

    def sample(self, networks, batch):
        return Samples(images=torch.zeros(1, 1, 3, 4, 4))


def batch(step):
    return {"x": torch.randn(2, 3, generator=torch.Generator().manual_seed(step))}


def make_state(objective, **changes):
    return TrainingState(objective, family="", ema_decay=0.9, device=CPU, **changes)


def step(state, objective, number):
    """A step as the trainer makes it."""
    due = [update for update in objective.updates if (number + 1) % update.every == 0]
    for update in due:
        state.select(update)
        state.descend(update, objective.losses(update.name, batch(number), {}, state.training))
    state.average(*due)


def by_hand(num_steps):
    """The same with torch alone: one Adam of two groups."""
    networks = TwoUpdates().networks
    groups = [{"params": networks[r].parameters(), "lr": RATES[r]} for r in networks]
    adam = torch.optim.Adam(groups, betas=BETAS, weight_decay=DECAY, fused=True)
    for number in range(num_steps):
        x = batch(number)["x"]
        adam.zero_grad()
        networks["generator"](networks["mapping"](x)).square().mean().backward()
        adam.step()
        if number % 2:
            adam.zero_grad()
            networks["generator"](x).square().mean().backward()
            adam.step()
    return networks


def weights(networks):
    return {f"{r}.{k}": v for r, n in networks.items() for k, v in n.state_dict().items()}


def test_two_updates_share_one_adam_with_two_rates_and_weight_decay():
    objective = TwoUpdates()
    state = make_state(objective)
    for number in range(4):
        step(state, objective, number)
    expected, found = weights(by_hand(4)), weights(objective.networks)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    tensors = state.tensors()
    assert tensors["optimizer.both.generator.weight.step"] == 6
    assert tensors["optimizer.both.mapping.weight.step"] == 4


def test_an_average_follows_once_a_step():
    objective = TwoUpdates()
    state = make_state(objective)
    for number in range(4):
        step(state, objective, number)
    assert state.tensors()["objective.ema_updates.generator"] == 4


def test_rates_fall_from_their_own_starts():
    objective = TwoUpdates()
    state = make_state(objective)
    state.scale_learning_rates(0.5)
    groups = state._optimizers["both"].param_groups
    assert [group["lr"] for group in groups] == [5e-3, 5e-5]
    assert state.learning_rates == {"both": 5e-3}


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_resumed_state_ends_bit_identical(stop):
    objective = TwoUpdates()
    state = make_state(objective)
    for number in range(stop):
        step(state, objective, number)
    saved = {name: tensor.clone() for name, tensor in state.tensors().items()}
    again = TwoUpdates()
    with torch.no_grad():
        for parameter in again.networks["generator"].parameters():
            parameter.zero_()
    resumed = make_state(again)
    resumed.restore(Checkpoint(card=None, tensors=saved))
    for number in range(stop, 4):
        step(state, objective, number)
        step(resumed, again, number)
    one, other = state.tensors(), resumed.tensors()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_nothing_is_written_into_an_objective():
    objective = TwoUpdates()
    before = dict(vars(objective))
    state = make_state(objective)
    step(state, objective, 0)
    assert vars(objective) == before
    assert isinstance(state.training, Training)
