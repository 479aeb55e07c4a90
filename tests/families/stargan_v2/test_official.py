"""Official StarGAN v2 files as people have them, and other files in their place."""

import shutil

import pytest
import torch

from stargan_deploy.errors import LabelError, ModelError, UsageError
from stargan_deploy.families.base import OfficialOptions
from stargan_deploy.families.checkpoint import build_model, load_checkpoint
from stargan_deploy.families.convert import convert_official
from stargan_deploy.families.registry import load_family, official_families

NAMES = ("cat", "dog", "wild")


@pytest.fixture
def afhq(official):
    return official / "stargan_v2" / "tiny-afhq-nets.ckpt"


@pytest.fixture
def faces(official):
    return official / "stargan_v2" / "tiny-celeba_hq-nets_ema.ckpt"


def read(path, names=NAMES, **options):
    return load_family("starganv2").read_official(path, OfficialOptions(names=names, **options))


def changed(path, tmp_path, change, name="changed.ckpt"):
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, tmp_path / name)
    return tmp_path / name


def test_sizes_are_read_off_the_weights(afhq, faces):
    without, with_skip = read(afhq).card.network, read(faces).card.network
    assert without == {
        "image_size": 64,
        "num_domains": 3,
        "conv_dim": 8,
        "max_conv_dim": 32,
        "style_width": 12,
        "latent_width": 8,
        "mapping_width": 32,
        "w_hpf": 0.0,
        "has_discriminator": True,
    }
    assert with_skip == without | {"w_hpf": 1.0, "has_discriminator": False}


def test_conversion_finds_the_family(afhq, official, tmp_path):
    out = tmp_path / "model.safetensors"
    card = convert_official(afhq, out, OfficialOptions(names=NAMES)).card
    assert card.family == "starganv2"
    assert set(build_model(load_checkpoint(out))) == {
        "generator", "mapping_network", "style_encoder", "discriminator"
    }  # fmt: skip
    assert official_families(official / "tiny-G.ckpt") == ["stargan"]
    assert official_families(official / "forward.npz") == []


def test_entry_points_say_what_goes_in(afhq, faces):
    points = read(afhq).card.entry_points
    assert {name: [spec.name for spec in p.inputs] for name, p in points.items()} == {
        "translate": ["image", "style"],
        "map": ["latent", "domain"],
        "encode": ["reference", "domain"],
        "translate_latent": ["image", "latent", "domain"],
        "translate_reference": ["image", "reference", "domain"],
    }
    assert points["map"].inputs[1].dtype == "int64"
    assert all(point.batch.is_free for point in points.values())
    card = read(faces).card
    assert [s.name for s in card.entry_points["translate"].inputs[2:]] == ["mask_0", "mask_1"]
    assert not card.entry_points["translate"].is_stochastic
    assert "heat maps" in card.notes[0]
    assert card.main_entry_point == "translate"


def test_wrapped_weights_and_files_without_the_filter(faces, tmp_path):
    def wrap(content):
        for role, state in content.items():
            content[role] = {f"module.{key}": value for key, value in state.items()}
        del content["generator"]["module.hpf.filter"]
        content["fan"] = {"conv1.weight": torch.zeros(1)}

    found = read(changed(faces, tmp_path, wrap))
    assert found.card.network["w_hpf"] == 1.0
    assert torch.equal(
        found.tensors["generator.hpf.filter"], read(faces).tensors["generator.hpf.filter"]
    )
    assert "landmark network was left out" in found.card.notes[1]


def test_the_discriminator_is_taken_from_the_file_beside(afhq, tmp_path):
    shutil.copy(afhq, tmp_path / "100000_nets.ckpt")
    ema = changed(afhq, tmp_path, lambda c: c.pop("discriminator"), "100000_nets_ema.ckpt")
    found = read(ema)
    assert found.card.network["has_discriminator"]
    assert set(found.card.parents) == {"official networks", "official discriminator"}
    assert load_family("starganv2").official_companion(ema) == tmp_path / "100000_nets.ckpt"
    (tmp_path / "100000_nets.ckpt").unlink()
    assert not read(ema).card.network["has_discriminator"]
    assert load_family("starganv2").official_companion(ema) is None
    with pytest.raises(ModelError, match="holds no discriminator"):
        read(ema, discriminator_path=ema)


def test_what_does_not_fit_is_named(afhq, official, tmp_path):
    with pytest.raises(LabelError, match="trained with 3 domains, but 2 names were given"):
        read(afhq, NAMES[:2])
    with pytest.raises(UsageError, match="`image_size` 128 contradicts"):
        read(afhq, image_size=128)
    with pytest.raises(UsageError, match="`exclusive` groups attributes"):
        read(afhq, exclusive=[["cat", "dog"]])
    with pytest.raises(ModelError, match="does not hold StarGAN v2's generator, mapping_network"):
        read(official / "tiny-G.ckpt")
    with pytest.raises(ModelError, match="generator or discriminator; it holds generator, mapping"):
        load_family("stargan").read_official(afhq, OfficialOptions(names=NAMES))
    lacking = changed(afhq, tmp_path, lambda c: c["style_encoder"].pop("unshared.0.weight"))
    with pytest.raises(ModelError, match="holds no weights of StarGAN v2: 'unshared"):
        read(lacking)
    spoiled = changed(afhq, tmp_path, lambda c: c["generator"]["from_rgb.bias"].fill_(torch.nan))
    with pytest.raises(ModelError, match=r"not finite: from_rgb\.bias"):
        read(spoiled)
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(ModelError, match="it holds a list"):
        read(tmp_path / "list.ckpt")


def test_the_command_names_domains_and_says_nothing_of_classifiers(command, afhq, faces, tmp_path):
    result = command("convert", afhq, "--domains", "cat,dog,wild", "--out", "afhq.safetensors")
    assert result.code == 0, result.err
    assert "64x64 without a crop, labels cat, dog, wild" in result.out
    assert "discriminator given" not in result.err
    assert "centre crop" not in result.err
    result = command("convert", faces, "--domains", "a,b,c")
    assert (result.code, "heat maps of the face" in result.err) == (0, True)
