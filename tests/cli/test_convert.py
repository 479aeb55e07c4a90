import json

import pytest
import torch

from stargan_deploy.backends.registry import read_card_of

ATTRS = "Black_Hair,Blond_Hair,Brown_Hair,Male,Young"


def test_both_networks(command, official, tmp_path):
    result = command(
        *("convert", official / "tiny-G.ckpt", "--discriminator", official / "tiny-D.ckpt"),
        *("--attrs", ATTRS, "--out", "model.safetensors"),
    )
    assert result.code == 0, result.err
    assert "32x32" in result.out
    assert (tmp_path / "model.safetensors").is_file()


def test_the_generator_alone_says_what_is_missing(command, official):
    result = command("convert", official / "tiny-2018-G.ckpt", "--attrs", ATTRS, "--json")
    assert result.code == 0
    assert "no discriminator given" in result.err
    assert "image size: 128" in result.err
    assert json.loads(result.out)["network"]["generator_conv_dim"] == 8


def test_another_model_is_not_replaced_without_a_word(command, official, tmp_path):
    words = ("convert", official / "tiny-2018-G.ckpt", "--out", "m.safetensors")
    assert command(*words, "--attrs", ATTRS).code == 0
    before = (tmp_path / "m.safetensors").read_bytes()
    again = command(*words, "--attrs", ATTRS)
    assert (again.code, again.out.partition(":")[0]) == (0, "already there")
    other = ATTRS.replace("Male", "Female")
    refused = command(*words, "--attrs", other)
    assert refused.code == 2
    assert "m.safetensors is there already and holds a stargan model of 128x128" in refused.err
    assert (tmp_path / "m.safetensors").read_bytes() == before
    replaced = command(*words, "--attrs", other, "--overwrite")
    assert replaced.code == 0
    assert f"it held a stargan model of 128x128, step 0, labels {ATTRS.replace(',', ', ')}" in (
        replaced.out
    )
    (tmp_path / "m.safetensors").write_text("notes")
    assert "holds no checkpoint of stargan-deploy" in command(*words, "--attrs", ATTRS).err


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["none.ckpt", "--attrs", ATTRS], 4, "no such checkpoint: none.ckpt"),
        (["{G}", "--attrs", "Male"], 2, "5 labels, but 1 names"),
        (["{G}", "--attrs", ATTRS, "--discriminator", "{G}"], 4, "official StarGAN discriminator"),
        (["{D}", "--attrs", ATTRS], 4, "official StarGAN generator"),
        (["{G}", "--attrs", ATTRS, "--image-size", "0"], 2, "at least 1"),
        (["{G}", "--attrs", ATTRS, "--out", "{G}"], 2, "would overwrite"),
        (
            ["{G}", "--attrs", ATTRS, "--discriminator", "{D}", "--image-size", "64"],
            2,
            "contradicts",
        ),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(
    command, official, tmp_path, words, code, complaint
):
    names = {"G": official / "tiny-G.ckpt", "D": official / "tiny-D.ckpt"}
    result = command("convert", *[word.format(**names) for word in words])
    assert result.code == code, result.err
    assert complaint in result.err.splitlines()[-1]
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("role", ["G", "D"])
def test_weights_that_are_not_finite_are_refused(command, official, tmp_path, role):
    for name in "GD":
        state = torch.load(official / f"tiny-{name}.ckpt", weights_only=True)
        if name == role:
            state["main.0.weight"][0, 0, 0, 0] = float("nan")
        torch.save(state, tmp_path / f"{name}.ckpt")
    words = ("convert", "G.ckpt", "--discriminator", "D.ckpt", "--attrs", ATTRS)
    result = command(*words)
    assert result.code == 4
    assert f"{role}.ckpt holds weights that are not finite: main.0.weight" in result.err
    assert not (tmp_path / "model.safetensors").exists()


def test_groups_are_declared_kept_and_shown(command, official):
    names = "Black Hair,Blonde Hair,Beard,No_Beard,Young"
    words = ("convert", official / "tiny-G.ckpt", "--attrs", names)
    result = command(*words, "--exclusive", "Beard,no beard", "--exclusive", "Young,Beard")
    assert result.code == 0, result.err
    assert "at most one of: Black Hair, Blonde Hair" in result.err
    shown = command("info", "model.safetensors").out
    for group in ("Black Hair, Blonde Hair", "Beard, No_Beard", "Young, Beard"):
        assert f"at most one of: {group}" in shown
    result = command(*words, "--domains", "--exclusive", "Beard,No_Beard", "--out", "b.safetensors")
    assert (result.code, "--exclusive groups attributes" in result.err) == (2, True)


def test_domains_with_and_without_names_and_the_crop_that_was_taken(command, official, tmp_path):
    names = "a,b,c,d,e"
    for number, words in enumerate(
        [
            ("--domains", names, official / "tiny-2018-G.ckpt"),
            ("--domains", official / "tiny-2018-G.ckpt", "--attrs", names),
            (official / "tiny-2018-G.ckpt", "--attrs", names, "--domains"),
            (official / "tiny-2018-G.ckpt", f"--domains={names}"),
        ]
    ):
        result = command("convert", *words, "--out", f"{number}.safetensors")
        assert result.code == 0, result.err
        assert "centre crop: 256 (the official default; --crop-size changes it)" in result.err
        assert "128x128 of a centre crop of 256, labels a, b, c, d, e" in result.out
    kinds = {read_card_of(path).labels.sets[0].kind for path in tmp_path.glob("*.safetensors")}
    assert kinds == {"onehot"}
    result = command("convert", official / "tiny-2018-G.ckpt")
    assert result.code == 2
    assert "convert needs the names of the labels" in result.err


def test_a_crop_that_was_chosen_is_said_once(command, official):
    words = (official / "tiny-2018-G.ckpt", "--attrs", ATTRS, "--crop-size", "0")
    result = command("convert", *words)
    assert "centre crop" not in result.err
    assert "128x128 without a crop" in result.out
