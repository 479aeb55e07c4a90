from pathlib import Path

import numpy as np
import pytest
import torch

from stargan_deploy.backends.base import OpenOptions
from stargan_deploy.backends.compile.inductor import computes_in
from stargan_deploy.backends.compile.runtime import CompiledRuntime
from stargan_deploy.backends.eager.runtime import EagerRuntime
from stargan_deploy.backends.registry import open_runtime
from stargan_deploy.errors import BackendError, UsageError
from stargan_deploy.families.checkpoint import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
IMAGE = RNG.uniform(-1, 1, (2, 3, 32, 32)).astype(np.float32)
LABEL = np.eye(5, dtype=np.float32)[:2]
INPUTS = {"image": IMAGE, "label": LABEL}
ON_CPU = OpenOptions(device="cpu")
NO_BF16 = pytest.mark.skipif(not computes_in("bf16", "cpu"), reason="no fast bf16 here")


def run_eager(path, inputs, entry_point="translate"):
    with EagerRuntime(path, ON_CPU) as runtime:
        return next(iter(runtime.run(inputs, entry_point=entry_point).values()))


@pytest.fixture
def halved(checkpoint: Path, tmp_path: Path) -> Path:
    """The same network with other weights."""
    content = load_checkpoint(checkpoint)
    path = tmp_path / "halved.safetensors"
    save_checkpoint(path, content.card, {n: t * 0.5 for n, t in content.tensors.items()})
    return path


def test_it_gives_what_eager_gives_and_is_quiet_about_it(checkpoint, capfd):
    with open_runtime(checkpoint, backend="compile", device="cpu") as runtime:
        found = runtime.run(INPUTS)["translated"]
        assert (runtime.backend, str(runtime.device)) == ("compile", "cpu")
        assert runtime.card.precision == {"conv": "float32", "norm": "float32"}
        more = {"image": np.tile(IMAGE, (3, 1, 1, 1)), "label": np.tile(LABEL, (3, 1))}
        found_more = runtime.run(more)["translated"]
    assert capfd.readouterr() == ("", "")
    np.testing.assert_allclose(found, run_eager(checkpoint, INPUTS), atol=1e-5)
    np.testing.assert_allclose(found_more, run_eager(checkpoint, more), atol=1e-5)


def test_other_weights_in_the_same_process_are_not_mixed_up(checkpoint, halved):
    """torch may take the code that it compiled for one for the other."""
    for path in (checkpoint, halved):
        with CompiledRuntime(path, ON_CPU) as runtime:
            found = runtime.run(INPUTS)["translated"]
        np.testing.assert_allclose(found, run_eager(path, INPUTS), atol=1e-5)


@NO_BF16
def test_half_precision_is_measured_and_close_to_fp32(checkpoint):
    inputs = {"image": IMAGE}
    options = OpenOptions(device="cpu", precision="bf16")
    with CompiledRuntime(checkpoint, options) as runtime:
        found = runtime.run(inputs, entry_point="classify")["logits"]
        assert runtime.card.precision == {"conv": "bfloat16", "norm": "float32"}
    expected = run_eager(checkpoint, inputs, "classify")
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    assert 1e-5 < difference < 0.05
    assert found.dtype == np.float32


def test_int8_is_refused_with_the_way_to_it(checkpoint):
    with pytest.raises(UsageError, match=r"not in int8; .*export --precision int8"):
        CompiledRuntime(checkpoint, OpenOptions(precision="int8"))


@pytest.mark.skipif(computes_in("fp16", "cpu"), reason="this processor has fast fp16")
def test_a_precision_that_would_be_emulated_is_refused_on_entry(checkpoint):
    runtime = CompiledRuntime(checkpoint, OpenOptions(device="cpu", precision="fp16"))
    with pytest.raises(BackendError, match="no fast fp16 convolutions for cpu"), runtime:
        pass


def test_a_missing_compiler_is_named_on_entry(checkpoint, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with (
        pytest.raises(BackendError, match="there is no no-such-compiler here; install it"),
        CompiledRuntime(checkpoint, ON_CPU),
    ):
        pass
    with pytest.raises(BackendError, match="no-such-compiler"):
        CompiledRuntime.self_test()


def test_what_cannot_be_compiled_is_one_line(checkpoint):
    """4x4 leaves one pixel in the middle, of which there is no variance."""
    inputs = {"image": IMAGE[:, :, :4, :4], "label": LABEL}
    with (
        CompiledRuntime(checkpoint, ON_CPU) as runtime,
        pytest.raises(BackendError, match=r"failed on 'translate' .*eager backend") as caught,
    ):
        runtime.run(inputs)
    assert "\n" not in str(caught.value)


def test_inputs_are_checked_before_anything_is_compiled(checkpoint):
    with (
        CompiledRuntime(checkpoint, ON_CPU) as runtime,
        pytest.raises(UsageError, match="multiple of 4"),
    ):
        runtime.run({"image": IMAGE[:, :, :30], "label": LABEL})


def test_a_device_call_runs_the_compiled_network(checkpoint):
    runtime = CompiledRuntime(checkpoint, ON_CPU)
    with pytest.raises(UsageError, match="closed"):
        runtime.device_call("translate", INPUTS)
    with runtime:
        assert runtime.device_call("translate", INPUTS)() is None


def test_the_self_test_compiles_something():
    text = CompiledRuntime.self_test().text
    assert text.startswith(f"torch {torch.__version__}: fp32")
    assert ("bf16" in text) == computes_in("bf16", "cpu") or torch.cuda.is_available()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("fp32", 1e-4), ("fp16", 0.02), ("bf16", 0.1)]
)
@pytest.mark.parametrize("batch_size", [None, 2])
def test_a_gpu_computes_the_same(checkpoint, precision, tolerance, batch_size):
    options = OpenOptions(device="cuda", precision=precision, batch_size=batch_size)
    with CompiledRuntime(checkpoint, options) as runtime:
        found = runtime.run(INPUTS)["translated"]
    np.testing.assert_allclose(found, run_eager(checkpoint, INPUTS), atol=tolerance)
