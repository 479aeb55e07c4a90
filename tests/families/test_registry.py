"""A family from outside the package is registered by name, and everything else follows."""

import sys
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from stargan_deploy.card.card import Dim, EntryPoint, TensorSpec
from stargan_deploy.errors import CardError, ConfigError, ModelError, UsageError
from stargan_deploy.families import registry
from stargan_deploy.families.base import Family, OfficialOptions
from stargan_deploy.families.checkpoint import build_model, load_checkpoint, save_checkpoint
from stargan_deploy.families.objectives.base import Losses, Objective, Samples
from stargan_deploy.families.objectives.players import alternating, single_phase
from stargan_deploy.families.registry import (
    FAMILIES,
    find_preset,
    load_family,
    presets,
    register_family,
)
from stargan_deploy.training.recipe import resolve_recipe
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.session import create_trainer, resume_trainer

TARGET = f"{__name__}:Toy"


@dataclass(frozen=True, kw_only=True)
class ToyModel:
    width: int | None = None


@dataclass(frozen=True, kw_only=True)
class ToyLoss:
    weight: float = 1.0


class Toy(Family):
    """Two linear layers, one behind the other, and a third that scores them."""

    name = "toy"
    model_config = ToyModel
    loss_config = ToyLoss
    presets = {"toy": {"data": {"kind": "synthetic", "image_size": 8, "num_synthetic": 4}}}

    def build_networks(self, network):
        width = network["width"]
        return {
            "encoder": nn.Linear(3, width),
            "generator": nn.Linear(width, 3),
            "discriminator": nn.Linear(3, 1),
        }

    def entry_points(self, networks, card):
        vector = TensorSpec(
            name="x", kind="latent", dtype="float32", layout="NZ", shape=(Dim(symbol="batch"), 3)
        )
        point = EntryPoint(file="", payload_sha256="", inputs=(vector,), outputs=(vector,))
        return {"whole": point, "score": point}

    def entry_networks(self, entry_point):
        return {"whole": ("encoder", "generator"), "score": ("discriminator",)}[entry_point]

    def entry_module(self, networks, entry_point):
        return nn.Sequential(*(networks[r] for r in self.entry_networks(entry_point))).eval()

    def create_objective(self, request):
        return ToyObjective(request, self.build_networks(vars(request.model)))

    def resolve_model(self, model, image_size):
        return model if model.width else ToyModel(width=image_size // 2)


class ToyObjective(Objective):
    """Means of pixels through the layers and back."""

    averaged = ("encoder", "generator")

    def __init__(self, request, networks):
        players, updates = alternating(request.optimizers, generators=("encoder", "generator"))
        super().__init__(
            networks,
            network_table=vars(request.model),
            players=players,
            updates=updates,
            phases=single_phase(request),
        )

    def draw(self, batch, random):
        return {}

    def share(self, batch, draws, due, training):
        mean = batch["image"].mean(dim=(2, 3))
        return {
            "mean": mean,
            "fake": training.called["generator"](training.called["encoder"](mean)),
        }

    def losses(self, update, batch, draws, training):
        if update == "discriminator":
            scores = training.called["discriminator"](draws["fake"].detach())
            return Losses(total=scores.square().mean(), terms={"d": scores.mean()})
        error = (draws["fake"] - draws["mean"]).square().mean()
        return Losses(total=error, terms={"g": error})

    def sample(self, networks, batch):
        return Samples(images=batch["image"][:, None])


@pytest.fixture
def toy(monkeypatch):
    """The toy family in the registry, and gone afterwards."""
    monkeypatch.setattr(registry, "FAMILIES", dict(FAMILIES))
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Toy.__module__])
    register_family("toy", f"{Toy.__module__}:Toy")


def recipe(**changes):
    train = {"steps": 4, "batch_size": 2, "critic_steps": 2, "device": "cpu"}
    output = {"log_every": 1, "sample_every": 2, "checkpoint_every": 2, "num_samples": 2}
    return resolve_recipe({"family": "toy", "train": train, "output": output | changes})


def test_a_family_from_outside_trains_saves_and_resumes(toy, tmp_path):
    run = Run(tmp_path / "run")
    last = create_trainer(recipe(), run).train()
    checkpoint = load_checkpoint(last, with_training_state=True)
    assert checkpoint.card.network == {"width": 4}
    assert {"encoder", "generator"} == {
        name.split(".")[1] for name in checkpoint.tensors if name.startswith("ema.")
    }
    assert set(build_model(checkpoint)) == {"encoder", "generator", "discriminator"}
    assert resume_trainer(run.newest_checkpoint(), run).step == 4


def test_the_hash_of_an_entry_point_covers_every_network_behind_it(toy, tmp_path):
    """Only one network's weights once were covered."""
    checkpoint = load_checkpoint(create_trainer(recipe(), Run(tmp_path / "run")).train())
    points = checkpoint.card.entry_points
    for role, touched in (("encoder", "whole"), ("generator", "whole"), ("discriminator", "score")):
        changed = {
            name: tensor + 1 if name.startswith(f"{role}.") else tensor
            for name, tensor in checkpoint.tensors.items()
        }
        card = save_checkpoint(tmp_path / "changed.safetensors", checkpoint.card, changed)
        different = [
            n for n in points if card.entry_points[n].payload_sha256 != points[n].payload_sha256
        ]
        assert different == [touched]


def test_its_preset_is_known_by_name(toy):
    assert find_preset("toy")["family"] == "toy"
    assert resolve_recipe({"preset": "toy"}) == resolve_recipe({"family": "toy"})


def test_a_name_stands_for_one_family(toy):
    register_family("toy", f"{Toy.__module__}:Toy")
    with pytest.raises(UsageError, match="'gan' is registered already"):
        register_family("gan", "elsewhere:GAN")


def test_a_class_that_is_not_a_family_is_refused(monkeypatch):
    monkeypatch.setitem(FAMILIES, "dict", "builtins:dict")
    with pytest.raises(TypeError, match="builtins:dict is not a Family"):
        load_family("dict")


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(CardError, match="did you mean 'stargan'"):
        load_family("strgan")
    with pytest.raises(ConfigError, match="did you mean 'celeba128'"):
        find_preset("celeba182")


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_says_its_own_name(name):
    assert load_family(name).name == name


def test_every_preset_says_name_and_family():
    assert all(tables["name"] == name for name, tables in presets().items())
    assert {tables["family"] for tables in presets().values()} == set(FAMILIES)


def test_families_without_an_official_format_say_so(tmp_path):
    with pytest.raises(ModelError, match="no official format of the gan family"):
        load_family("gan").read_official(tmp_path / "x.ckpt", OfficialOptions(names=()))


def test_a_model_saved_without_a_network_has_no_entry_point_of_it():
    networks = {"generator": torch.nn.Identity()}
    with pytest.raises(CardError, match="no 'classify': it was saved without its discriminator"):
        load_family("stargan").entry_module(networks, "classify")
