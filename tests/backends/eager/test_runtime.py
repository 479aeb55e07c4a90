from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from stargan_deploy.backends.base import OpenOptions
from stargan_deploy.backends.eager.runtime import EagerRuntime, layer_types
from stargan_deploy.errors import BackendError, ModelError, UsageError
from stargan_deploy.families.blocks.precision import lower_convolutions
from stargan_deploy.families.checkpoint import build_model, load_checkpoint, save_checkpoint

RNG = np.random.default_rng(0)
IMAGE = RNG.uniform(-1, 1, (3, 3, 32, 32)).astype(np.float32)
LABEL = np.eye(5, dtype=np.float32)[:3]


@pytest.fixture
def averaged(checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint whose moving average differs from its last weights."""
    content = load_checkpoint(checkpoint)
    tensors = dict(content.tensors)
    for name, tensor in content.part("generator").items():
        tensors[f"ema.generator.{name}"] = tensor * 0.5
    path = tmp_path / "averaged.safetensors"
    save_checkpoint(path, replace(content.card, weights="ema"), tensors)
    return path


def test_it_gives_what_the_network_gives(checkpoint):
    generator = build_model(load_checkpoint(checkpoint))["generator"]
    expected = generator(torch.from_numpy(IMAGE), torch.from_numpy(LABEL)).numpy()
    with EagerRuntime(checkpoint, OpenOptions(device="cpu")) as runtime:
        translated = runtime.run({"image": IMAGE, "label": LABEL})["translated"]
        assert str(runtime.device) == "cpu"
    np.testing.assert_array_equal(translated, expected)


def test_the_classifier_is_an_entry_point(checkpoint):
    discriminator = build_model(load_checkpoint(checkpoint))["discriminator"]
    _, expected = discriminator(torch.from_numpy(IMAGE))
    with EagerRuntime(checkpoint, OpenOptions(device="cpu")) as runtime:
        logits = runtime.run({"image": IMAGE}, entry_point="classify")["logits"]
    np.testing.assert_array_equal(logits, expected.numpy())


def test_splitting_into_batches_changes_nothing(checkpoint):
    inputs = {"image": IMAGE, "label": LABEL}
    with EagerRuntime(checkpoint, OpenOptions(device="cpu")) as whole:
        expected = whole.run(inputs)["translated"]
    with EagerRuntime(checkpoint, OpenOptions(device="cpu", batch_size=2)) as split:
        np.testing.assert_allclose(split.run(inputs)["translated"], expected, atol=1e-5)


def test_the_weights_are_the_cards_unless_others_are_asked_for(averaged, checkpoint):
    inputs = {"image": IMAGE, "label": LABEL}
    with EagerRuntime(checkpoint, OpenOptions(device="cpu")) as runtime:
        last = runtime.run(inputs)["translated"]
    with EagerRuntime(averaged, OpenOptions(device="cpu")) as runtime:
        assert runtime.card.weights == "ema"
        assert np.abs(runtime.run(inputs)["translated"] - last).max() > 1e-3
    with EagerRuntime(averaged, OpenOptions(device="cpu", weights="raw")) as runtime:
        assert runtime.card.weights == "raw"
        np.testing.assert_array_equal(runtime.run(inputs)["translated"], last)


def test_a_moving_average_that_is_not_there_is_refused(checkpoint):
    runtime = EagerRuntime(checkpoint, OpenOptions(device="cpu", weights="ema"))
    with pytest.raises(UsageError, match="no moving average"), runtime:
        pass


def test_inputs_are_checked_against_the_card(checkpoint):
    with EagerRuntime(checkpoint, OpenOptions(device="cpu")) as runtime:
        with pytest.raises(UsageError, match="multiple of 4"):
            runtime.run({"image": IMAGE[:, :, :30], "label": LABEL})
        with pytest.raises(UsageError, match=r"needs 'label' .label. too"):
            runtime.run({"image": IMAGE})


def test_read_only_and_reversed_arrays_are_taken(checkpoint):
    label = np.broadcast_to(LABEL[:1], (3, 5))
    with EagerRuntime(checkpoint, OpenOptions(device="cpu")) as runtime:
        expected = runtime.run({"image": IMAGE[:, :, ::-1].copy(), "label": label.copy()})
        found = runtime.run({"image": IMAGE[:, :, ::-1], "label": label})
    np.testing.assert_array_equal(found["translated"], expected["translated"])


def test_a_closed_runtime_does_not_run(checkpoint):
    with pytest.raises(UsageError, match="closed"):
        EagerRuntime(checkpoint).run({"image": IMAGE, "label": LABEL})


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_device_that_is_not_there_is_refused(checkpoint):
    with (
        pytest.raises(BackendError, match="use `device` cpu"),
        EagerRuntime(checkpoint, OpenOptions(device="cuda")),
    ):
        pass


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_computes_in_true_fp32(checkpoint):
    inputs = {"image": IMAGE, "label": LABEL}
    with (
        EagerRuntime(checkpoint, OpenOptions(device="cpu")) as cpu,
        EagerRuntime(checkpoint, OpenOptions(device="cuda")) as gpu,
    ):
        expected, found = (runtime.run(inputs)["translated"] for runtime in (cpu, gpu))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"gone\.safetensors"):
        EagerRuntime(tmp_path / "gone.safetensors")


def test_the_card_says_what_it_computes_in(checkpoint):
    runtime = EagerRuntime(checkpoint, OpenOptions(device="cpu"))
    with runtime:
        assert runtime.card.precision == {"conv": "float32", "norm": "float32"}


def test_layer_types_are_read_off_the_weights():
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.LayerNorm(4), nn.Linear(4, 4), nn.ReLU())
    assert layer_types([network]) == {"conv": "float32", "linear": "float32", "norm": "float32"}
    half = lower_convolutions(network, torch.bfloat16)
    assert layer_types([half]) == {"conv": "bfloat16", "linear": "bfloat16", "norm": "float32"}
    assert layer_types([network, half])["conv"] == "bfloat16+float32"
    assert layer_types([nn.InstanceNorm2d(4)]) == {}


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8"])
def test_other_precisions_are_refused(checkpoint, precision):
    with pytest.raises(UsageError, match=f"fp32 only, not in {precision}; the compile backend"):
        EagerRuntime(checkpoint, OpenOptions(precision=precision))


def test_a_device_call_runs_the_network_and_gives_nothing(checkpoint):
    runtime = EagerRuntime(checkpoint, OpenOptions(device="cpu"))
    with pytest.raises(UsageError, match="closed"):
        runtime.device_call("translate", {"image": IMAGE, "label": LABEL})
    with runtime:
        call = runtime.device_call("translate", {"image": IMAGE, "label": LABEL})
        assert call() is None
        assert call() is None


def test_the_self_test_names_version_and_devices():
    assert EagerRuntime.self_test().text.startswith(f"torch {torch.__version__}: fp32 on cpu")
