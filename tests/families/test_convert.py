import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from stargan_deploy.errors import LabelError, ModelError, UsageError
from stargan_deploy.families.base import OfficialOptions
from stargan_deploy.families.checkpoint import build_model, load_checkpoint
from stargan_deploy.families.convert import convert_official

NAMES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")


def convert(path, out, **options):
    return convert_official(path, out, OfficialOptions(**options)).card


@pytest.mark.parametrize("name", ["tiny-G", "tiny-2018-G", "tiny-legacy-G"])
def test_a_converted_checkpoint_gives_the_official_outputs(official, tmp_path, name):
    out = tmp_path / "model.safetensors"
    card = convert(
        official / f"{name}.ckpt", out, names=NAMES, discriminator_path=official / "tiny-D.ckpt"
    )
    assert card.preprocessing.image_size == 32
    assert card.network["generator_conv_dim"] == 8
    assert card.network["generator_blocks"] == 2
    assert card.network["discriminator_layers"] == 3
    assert set(card.entry_points) == {"translate", "classify"}
    assert len(card.parents) == 2
    networks = build_model(load_checkpoint(out))
    expected = np.load(official / "forward.npz")
    with torch.no_grad():
        image, label = (torch.from_numpy(expected[key]) for key in ("image", "label"))
        translated = networks["generator"](image, label)
        _, logits = networks["discriminator"](image)
    assert np.abs(translated.numpy() - expected["output"]).max() < 1e-5
    assert np.abs(logits.numpy() - expected["d_cls"]).max() < 1e-5


def test_without_a_discriminator_the_size_is_the_official_one(official, tmp_path):
    card = convert(official / "tiny-2018-G.ckpt", tmp_path / "g.safetensors", names=NAMES)
    assert card.preprocessing.image_size == 128
    assert set(card.entry_points) == {"translate"}


def test_domains_become_one_hot_labels(official, tmp_path):
    card = convert(
        official / "tiny-G.ckpt", tmp_path / "g.safetensors", names=tuple("abcde"), domains=True
    )
    assert card.labels.sets[0].kind == "onehot"


def test_too_few_names_are_refused(official, tmp_path):
    with pytest.raises(LabelError, match="5 labels, but 2 names"):
        convert(official / "tiny-G.ckpt", tmp_path / "x.safetensors", names=NAMES[:2])


def test_a_contradicting_image_size_is_refused(official, tmp_path):
    with pytest.raises(UsageError, match="contradicts"):
        convert(
            official / "tiny-G.ckpt",
            tmp_path / "x.safetensors",
            names=NAMES,
            discriminator_path=official / "tiny-D.ckpt",
            image_size=128,
        )


def test_generator_and_discriminator_mixed_up(official, tmp_path):
    with pytest.raises(ModelError, match="does not hold an official StarGAN generator"):
        convert(official / "tiny-D.ckpt", tmp_path / "x.safetensors", names=NAMES)
    with pytest.raises(ModelError, match="does not hold an official StarGAN discriminator"):
        convert(
            official / "tiny-G.ckpt",
            tmp_path / "x.safetensors",
            names=NAMES,
            discriminator_path=official / "tiny-G.ckpt",
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 torn"])
def test_a_foreign_file_is_refused(tmp_path, content):
    (tmp_path / "foreign.ckpt").write_bytes(content)
    with pytest.raises(ModelError, match="not an official StarGAN checkpoint"):
        convert(tmp_path / "foreign.ckpt", tmp_path / "x.safetensors", names=NAMES)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("owned",))

    torch.save({"x": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(ModelError, match="not an official StarGAN checkpoint"):
        convert(tmp_path / "evil.ckpt", tmp_path / "x.safetensors", names=NAMES)


@pytest.mark.parametrize("wrap", [dict, lambda state: {f"module.{k}": v for k, v in state.items()}])
def test_official_weights_in_safetensors_are_converted(official, tmp_path, wrap):
    state = torch.load(official / "tiny-G.ckpt", weights_only=True)
    save_file(wrap(state), tmp_path / "200000-G.safetensors")
    convert(tmp_path / "200000-G.safetensors", tmp_path / "a.safetensors", names=NAMES)
    convert(official / "tiny-G.ckpt", tmp_path / "b.safetensors", names=NAMES)
    one, two = (load_checkpoint(tmp_path / f"{name}.safetensors").tensors for name in "ab")
    assert len(one) > 20
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_checkpoint_of_ours_needs_no_conversion(official, tmp_path):
    convert(official / "tiny-G.ckpt", tmp_path / "a.safetensors", names=NAMES)
    with pytest.raises(ModelError, match="already") as error:
        convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", names=NAMES)
    assert error.value.hint == "use it as it is"


def test_weights_as_arrays_are_converted(official, tmp_path):
    state = torch.load(official / "tiny-G.ckpt", weights_only=True)
    torch.save({name: value.numpy() for name, value in state.items()}, tmp_path / "arrays.pth")
    card = convert(tmp_path / "arrays.pth", tmp_path / "a.safetensors", names=NAMES)
    assert card.network["generator_conv_dim"] == 8


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"error": "not found"}', 'a text that begins with \'{"error": "not found"}\''),
        (b"\n404\n", "a text that begins with '404'"),
        (b"\x08\x07\x12\x07pytorch", "an ONNX graph"),
        (b"\x30\0\0\0\0\0\0\0" + b'{"a":{"dtype":"F32"}}', "not a whole safetensors file"),
    ],
)
def test_files_of_other_kinds_are_named(tmp_path, content, words):
    (tmp_path / "foreign.ckpt").write_bytes(content)
    with pytest.raises(ModelError, match="not an official StarGAN checkpoint") as error:
        convert(tmp_path / "foreign.ckpt", tmp_path / "x.safetensors", names=NAMES)
    assert words in str(error.value)


@pytest.mark.parametrize("name", ["", "model", "model.ckpt"])
def test_a_checkpoint_is_written_only_where_commands_find_it(official, tmp_path, name):
    with pytest.raises(UsageError, match=r"is a folder|must end in"):
        convert(official / "tiny-G.ckpt", tmp_path / name, names=NAMES)
    assert not list(tmp_path.iterdir())
