"""Official checkpoints as people have them: wrapped, compiled, joint, in pairs, broken."""

import argparse
import shutil
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from stargan_deploy.card.labels import Target
from stargan_deploy.errors import LabelError, ModelError
from stargan_deploy.families.base import OfficialOptions
from stargan_deploy.families.checkpoint import build_model, load_checkpoint
from stargan_deploy.families.convert import convert_official
from stargan_deploy.families.stargan.networks import Discriminator, Generator

NAMES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")


@pytest.fixture
def states(official):
    return {r: torch.load(official / f"tiny-{r}.ckpt", weights_only=True) for r in "GD"}


def convert(path, *, names=NAMES, overwrite=False, **options):
    out = path.parent / "model.safetensors"
    options = OfficialOptions(names=names, **options)
    card = convert_official(path, out, options, overwrite=overwrite).card
    return card, build_model(load_checkpoint(out))


def prefixed(state, prefix):
    return {prefix + key: value for key, value in state.items()}


def weight_of(networks, role="generator"):
    return networks[role].state_dict()["main.0.weight"]


WRAPPINGS = {
    "state_dict": lambda s: {"state_dict": s["G"], "epoch": 3},
    "module and compiled": lambda s: prefixed(s["G"], "module._orig_mod."),
    "compiled and module": lambda s: prefixed(s["G"], "_orig_mod.module."),
    "G.": lambda s: prefixed(s["G"], "G."),
    "module.G.": lambda s: prefixed(s["G"], "module.G._orig_mod."),
    "model of lightning": lambda s: {"state_dict": prefixed(s["G"], "generator."), "loops": {}},
    "with an optimizer": lambda s: {
        "netG": s["G"],
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}},
    },
    "with arguments": lambda s: {
        "model": s["G"],
        "args": argparse.Namespace(lr=1e-4),
        "loss": np.float64(0.5),
    },
}


@pytest.mark.parametrize("suffix", [".pth", ".pth.tar"])
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_wrapped_and_compiled_generators_are_read(states, tmp_path, wrapping, suffix):
    path = tmp_path / f"w{suffix}"
    torch.save(WRAPPINGS[wrapping](states), path)
    card, networks = convert(path)
    assert torch.equal(weight_of(networks), states["G"]["main.0.weight"])
    assert set(card.entry_points) == {"translate"}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"G": s["G"], "D": s["D"]},
        lambda s: {"state_dict": {**prefixed(s["G"], "G."), **prefixed(s["D"], "D.")}},
        lambda s: {"models": {"generator": s["G"], "discriminator": s["D"]}},
    ],
)
def test_the_discriminator_is_taken_from_the_same_file(states, tmp_path, wrap):
    torch.save(wrap(states), tmp_path / "both.pth")
    card, networks = convert(tmp_path / "both.pth")
    assert card.preprocessing.image_size == 32
    assert torch.equal(weight_of(networks, "discriminator"), states["D"]["main.0.weight"])


@pytest.mark.parametrize(
    ("own", "partner"),
    [
        ("200000-G.ckpt", "200000-D.ckpt"),
        ("G.pth", "D.pth"),
        ("netG_10.pth", "netD_10.pth"),
        ("generator.pth.tar", "discriminator.pth.tar"),
    ],
)
def test_the_discriminator_is_found_next_to_the_generator(official, tmp_path, caplog, own, partner):
    shutil.copy(official / "tiny-G.ckpt", tmp_path / own)
    shutil.copy(official / "tiny-D.ckpt", tmp_path / partner)
    with caplog.at_level("INFO", "stargan_deploy"):
        card, _ = convert(tmp_path / own)
    assert set(card.entry_points) == {"translate", "classify"}
    assert f"{partner}, which lies next to the generator" in caplog.text


def test_averaged_weights_are_preferred_and_that_is_said(states, tmp_path, caplog):
    averaged = {key: value * 2 for key, value in states["G"].items()}
    torch.save({"G": states["G"], "G_ema": averaged}, tmp_path / "both.pth")
    with caplog.at_level("INFO", "stargan_deploy"):
        _, networks = convert(tmp_path / "both.pth")
    assert torch.equal(weight_of(networks), averaged["main.0.weight"])
    assert (
        "both.pth: took the generator from G_ema, the averaged weights; left out: G" in caplog.text
    )


def joint_files(folder, *, attributes=2, domains=3):
    """G and D of `--dataset Both`."""
    torch.manual_seed(0)
    generator = Generator(label_width=attributes + domains + 2, conv_dim=8, num_blocks=1)
    discriminator = Discriminator(
        image_size=32, num_labels=attributes + domains, conv_dim=8, num_layers=3
    )
    torch.save(generator.state_dict(), folder / "9-G.ckpt")
    torch.save(discriminator.state_dict(), folder / "9-D.ckpt")
    return folder / "9-G.ckpt"


def test_joint_checkpoints_have_both_label_sets_and_their_mask(tmp_path):
    path = joint_files(tmp_path)
    card, _ = convert(path, names=("Male", "Young"), domain_names=("happy", "sad", "angry"))
    assert card.labels.is_joint
    assert [(each.kind, each.names) for each in card.labels.sets] == [
        ("multilabel", ("Male", "Young")),
        ("onehot", ("happy", "sad", "angry")),
    ]
    target: Target = card.labels.parse("sad")
    assert card.labels.target_vector(target).tolist() == [0, 0, 0, 1, 0, 0, 1]
    assert card.labels.target_vector(card.labels.parse("Male")).tolist() == [1, 0, 0, 0, 0, 1, 0]
    assert card.preprocessing.crop_size == 178


def test_joint_checkpoints_are_recognised_where_names_are_missing(tmp_path):
    with pytest.raises(LabelError, match="trained with 7 labels, but 2 names") as found:
        convert(joint_files(tmp_path), names=("Male", "Young"))
    assert "trained jointly (--dataset Both): name its 5 labels" in found.value.hint


@pytest.mark.parametrize(
    ("options", "crop"),
    [
        ({}, 178),
        ({"domains": True}, 256),
        ({"names": (), "domain_names": NAMES}, 256),
        ({"domains": True, "crop_size": 100}, 100),
        ({"domains": True, "crop_size": 0}, None),
    ],
)
def test_domains_have_the_official_crop_of_rafd(official, tmp_path, options, crop):
    shutil.copy(official / "tiny-2018-G.ckpt", tmp_path)
    card, _ = convert(tmp_path / "tiny-2018-G.ckpt", **options)
    assert card.preprocessing.crop_size == crop


class Whole(nn.Module):
    """A module saved as a whole."""


def write_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("models/200000-G.ckpt", b"x")
        archive.writestr("models/200000-D.ckpt", b"x")


def write_script(path):
    torch.jit.trace(nn.Conv2d(3, 3, 1), torch.zeros(1, 3, 8, 8)).save(str(path))


WRONG = {
    "html": (lambda p: p.write_text("\n<!DOCTYPE html><html>"), "is a web page (HTML)"),
    "lfs": (
        lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n"),
        "is a Git LFS pointer; fetch it with: git lfs pull",
    ),
    "zip": (
        write_zip,
        "a zip archive of models/200000-G.ckpt, models/200000-D.ckpt; unpack it and",
    ),
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "folder": (lambda p: p.mkdir(), "is a folder; name the checkpoint in it"),
    "gzip": (lambda p: p.write_bytes(b"\x1f\x8b\x08\0\0\0\0\0"), "compressed with gzip; unpack it"),
    "script": (write_script, "is TorchScript"),
    "module": (lambda p: torch.save(Whole(), p), "holds more than weights: "),
    "text": (lambda p: p.write_bytes(b"hello"), "it is a text that begins with 'hello'"),
    "random": (
        lambda p: p.write_bytes(bytes([0x93, 0xFE, 0x00, 0xC1] * 20)),
        "it was cut off or never written by torch.save",
    ),
    "keys": (
        lambda p: torch.save({"conv.weight": torch.zeros(1), "head.bias": torch.zeros(1)}, p),
        "generator or discriminator; it holds conv.weight, head.bias",
    ),
    "nested keys": (
        lambda p: torch.save({"step": 3, "net": {"a.weight": torch.zeros(1)}}, p),
        "it holds step, net, net/a.weight",
    ),
    "list": (lambda p: torch.save([torch.zeros(1)], p), "it holds an object of type list"),
}


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("kind", WRONG)
def test_wrong_files_are_explained_in_our_words(tmp_path, kind):
    path = tmp_path / "x.ckpt"
    write, words = WRONG[kind]
    write(path)
    with pytest.raises(ModelError) as found:
        convert(path)
    assert words in str(found.value)


def test_a_truncated_download_is_named(official, tmp_path):
    content = (official / "tiny-G.ckpt").read_bytes()
    path = tmp_path / "x.ckpt"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="was cut off"):
        convert(path)
