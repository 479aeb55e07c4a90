"""Training of StarGAN v2: half precision, and starts from other weights."""

import pytest
import torch

from stargan_deploy.errors import ModelError
from stargan_deploy.families.base import OfficialOptions
from stargan_deploy.families.checkpoint import load_checkpoint
from stargan_deploy.families.convert import convert_official
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.session import create_trainer
from tests.tiny_families import save_noise, tiny_family_recipe, write_data

OFFICIAL = {
    "conv_dim": 8,
    "max_conv_dim": 32,
    "style_width": 12,
    "latent_width": 8,
    "mapping_width": 32,
}


def trainer_on(folder, tmp_path, name="run", init_from=None, **changes):
    recipe = tiny_family_recipe("starganv2", folder, **changes)
    return create_trainer(recipe, Run(tmp_path / name), init_from=init_from)


def write_folders(folder, names):
    for number, name in enumerate(names):
        for index in range(3):
            save_noise(folder / name / f"{index}.png", 70, 70, seed=10 * number + index)
    return folder


def test_bf16_keeps_weights_and_losses_in_fp32(tmp_path):
    folder = write_data("starganv2", tmp_path / "data")
    trainer = trainer_on(folder, tmp_path, train={"precision": "bf16"})
    next(trainer.steps())
    assert {p.dtype for n in trainer.objective.networks.values() for p in n.parameters()} == {
        torch.float32
    }
    assert all(term.dtype == torch.float32 for term in trainer._terms.values())
    assert len(trainer._terms) == 14


def test_an_official_checkpoint_learns_new_domains(official, tmp_path):
    path = official / "stargan_v2" / "tiny-afhq-nets.ckpt"
    out = tmp_path / "model.safetensors"
    old = convert_official(path, out, OfficialOptions(names=("cat", "dog", "wild")))
    assert old.card.family == "starganv2"
    folder = write_folders(tmp_path / "data", ("bird", "cat", "dog"))
    changes = {"data": {"image_size": 64}, "model": OFFICIAL}
    trainer = trainer_on(folder, tmp_path, init_from=out, **changes)
    assert trainer.labels.names == ("bird", "cat", "dog")
    before, after = load_checkpoint(out).tensors, trainer.state.tensors()
    assert torch.equal(before["generator.from_rgb.weight"], after["generator.from_rgb.weight"])
    for key in ("mapping_network.unshared.{}.0.weight", "style_encoder.unshared.{}.bias"):
        assert torch.equal(before[key.format(0)], after[key.format(1)])
        assert torch.equal(before[key.format(1)], after[key.format(2)])
    assert torch.equal(
        before["discriminator.main.8.weight"][:2], after["discriminator.main.8.weight"][1:]
    )
    assert torch.equal(after["ema.generator.from_rgb.weight"], before["generator.from_rgb.weight"])
    next(trainer.steps())


def test_an_official_file_itself_starts_a_training_on_its_domains(official, tmp_path):
    path = official / "stargan_v2" / "tiny-afhq-nets.ckpt"
    folder = write_folders(tmp_path / "data", ("cat", "dog", "wild"))
    changes = {"data": {"image_size": 64}, "model": OFFICIAL}
    trainer = trainer_on(folder, tmp_path, init_from=path, **changes)
    weights = torch.load(path, weights_only=True)["style_encoder"]
    for name, tensor in trainer.objective.networks["style_encoder"].state_dict().items():
        assert torch.equal(tensor, weights[name]), name


def test_other_models_are_refused_as_a_start(official, tmp_path):
    folder = write_folders(tmp_path / "data", ("cat", "dog", "wild"))
    with pytest.raises(ModelError, match="is of the family stargan, and this training is of"):
        trainer_on(folder, tmp_path, init_from=official / "tiny-G.ckpt")
    faces = official / "stargan_v2" / "tiny-celeba_hq-nets_ema.ckpt"
    changes = {"data": {"image_size": 64}, "model": OFFICIAL}
    with pytest.raises(ModelError, match=r"w_hpf 1.0 -> 0.0"):
        trainer_on(folder, tmp_path, init_from=faces, **changes)
