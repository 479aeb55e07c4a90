import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from stargan_deploy.backends.base import OpenOptions
from stargan_deploy.backends.eager.runtime import EagerRuntime
from stargan_deploy.backends.pt2 import runtime as pt2
from stargan_deploy.backends.pt2.file import (
    TARGET_ENTRY,
    payload_sha256,
    read_card,
    read_entries,
    read_target,
    write_package,
)
from stargan_deploy.backends.pt2.runtime import Pt2Runtime
from stargan_deploy.backends.registry import open_runtime
from stargan_deploy.card.pixels import pixels_to_tensor, tensor_to_pixels
from stargan_deploy.card.tensors import Dim
from stargan_deploy.config import to_mapping
from stargan_deploy.errors import BackendError, CardError, ModelError, UsageError
from tests.pt2_packages import exported_packages, forge

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pt2")]  # which compiles its packages once

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
LABEL = np.eye(5, dtype=np.float32)[:3]
ON_CPU = OpenOptions(device="cpu")
NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")


@pytest.fixture(scope="session")
def package(checkpoint):
    return exported_packages(checkpoint).files[0]


@pytest.fixture
def copied(package, tmp_path):
    """A copy of the packages that a test may spoil."""
    for path in (package, package.with_suffix(".classifier.pt2")):
        shutil.copy(path, tmp_path)
    return tmp_path / package.name


def target_entry(path, **changes):
    """A changed record of what a package was compiled for."""
    target = replace(read_target(path), **changes)
    return {TARGET_ENTRY: json.dumps(to_mapping(target)).encode()}


@pytest.mark.parametrize("size", [(32, 32), (4, 8), (44, 20)])
@pytest.mark.parametrize("batch", [1, 2, 17])
def test_any_batch_and_size_gives_what_pytorch_gives(package, checkpoint, batch, size):
    pixels = RNG.integers(0, 256, (batch, *size, 3)).astype(np.uint8)
    label = RNG.integers(0, 2, (batch, 5)).astype(np.float32)
    with EagerRuntime(checkpoint, ON_CPU) as eager:
        expected = eager.run({"image": pixels_to_tensor(pixels), "label": label})["translated"]
    with Pt2Runtime(package, ON_CPU) as runtime:
        found = runtime.run({"image": pixels, "label": label})["translated"]
    differences = np.abs(found.astype(int) - tensor_to_pixels(expected))
    assert found.dtype == np.uint8
    assert differences.max() <= 1
    assert differences.mean() < 0.01


def test_the_classifier_is_another_file_of_the_same_package(package, checkpoint):
    with EagerRuntime(checkpoint, ON_CPU) as eager:
        image = pixels_to_tensor(PIXELS)
        expected = eager.run({"image": image}, entry_point="classify")["logits"]
    for path in (package, package.with_suffix(".classifier.pt2")):
        with Pt2Runtime(path, ON_CPU) as runtime:
            found = runtime.run({"image": PIXELS}, entry_point="classify")["logits"]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_it_takes_the_packages_device_and_what_the_card_names(package):
    with open_runtime(package) as runtime:
        assert (runtime.backend, str(runtime.device)) == ("pt2", "cpu")
        with pytest.raises(UsageError, match="multiple of 4"):
            runtime.run({"image": PIXELS[:, :30], "label": LABEL})
    with pytest.raises(UsageError, match="closed"):
        runtime.run({"image": PIXELS, "label": LABEL})


def test_reading_a_card_takes_neither_torch_nor_the_code(package):
    code = (
        "import sys; from pathlib import Path\n"
        "from stargan_deploy.backends.registry import open_runtime, read_card_of\n"
        "card = read_card_of(Path(sys.argv[1]))\n"
        "assert open_runtime(Path(sys.argv[1])).card == card\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, package], check=True)


def test_a_renamed_package_is_told_by_its_content(copied):
    renamed = copied.rename(copied.with_name("other.pt2"))
    with Pt2Runtime(renamed, ON_CPU) as runtime:
        runtime.run({"image": PIXELS, "label": LABEL})


def test_it_needs_no_compiler(package, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with Pt2Runtime(package, ON_CPU) as runtime:
        runtime.run({"image": PIXELS, "label": LABEL})


def test_changed_code_is_refused_before_it_is_loaded(copied, monkeypatch):
    monkeypatch.setattr(pt2, "load_code", lambda *_: pytest.fail("the code was loaded"))
    entries = read_entries(copied)
    library = next(name for name in entries if name.endswith(".so"))
    entries[library] = entries[library][:-1] + b"!"
    write_package(copied, entries, read_card(copied))
    with pytest.raises(CardError, match="changed"), Pt2Runtime(copied, ON_CPU):
        pass


def test_a_file_that_is_added_is_a_change(copied):
    entries = read_entries(copied) | {"data/aotinductor/model/another.so": b"\x7fELF"}
    write_package(copied, entries, read_card(copied))
    with pytest.raises(CardError, match="changed"), Pt2Runtime(copied, ON_CPU):
        pass


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"torch": "2.3.0"}, r"compiled for torch 2\.3, not"),
        ({"machine": "riscv64"}, "compiled for processor riscv64, not"),
        ({"cpu_features": ("avx1024_f",)}, "this processor lacks avx1024_f"),
    ],
)
def test_a_package_for_another_machine_is_refused(copied, changes, reason):
    forge(copied, target_entry(copied, **changes))
    with pytest.raises(BackendError, match=reason), Pt2Runtime(copied, ON_CPU):
        pass


@NO_GPU
def test_a_package_for_a_gpu_is_refused_without_one(copied):
    forge(copied, target_entry(copied, device="cuda", compute_capability="9.0"))
    with (
        pytest.raises(BackendError, match="for an NVIDIA GPU, and none is usable here"),
        Pt2Runtime(copied),
    ):
        pass
    with pytest.raises(BackendError, match="device cuda, not cpu"), Pt2Runtime(copied, ON_CPU):
        pass


@NO_GPU
def test_a_device_that_is_not_there_is_refused(package):
    with (
        pytest.raises(BackendError, match="use `device` cpu"),
        Pt2Runtime(package, OpenOptions(device="cuda")),
    ):
        pass


def test_a_card_that_names_other_inputs_is_refused(copied):
    """Native code trusts the shapes that it gets."""
    point = read_card(copied).entry_points["translate"]
    label = replace(point.inputs[1], shape=(point.inputs[1].shape[0], 3))
    forge(copied, {}, inputs=(point.inputs[0], label))
    with pytest.raises(CardError, match="compiled for other inputs"), Pt2Runtime(copied, ON_CPU):
        pass


def test_code_that_does_not_load_is_one_line(copied):
    entries = read_entries(copied)
    library = next(name for name in entries if name.endswith(".so"))
    forge(copied, {library: b"\x7fELF and nothing more"})
    with (
        pytest.raises(ModelError, match=r"torch cannot load .*tiny\.pt2: ") as caught,
        Pt2Runtime(copied, ON_CPU),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_larger_batches_than_the_card_allows_are_split(copied):
    card = read_card(copied)
    point = card.entry_points["translate"]

    def limited(specs):
        dim = Dim(symbol="batch", max=2)
        return tuple(replace(spec, shape=(dim, *spec.shape[1:])) for spec in specs)

    inputs, outputs = limited(point.inputs), limited(point.outputs)
    arrays = {"image": np.repeat(PIXELS, 2, axis=0)[:5], "label": np.repeat(LABEL, 2, axis=0)[:5]}
    with Pt2Runtime(copied, ON_CPU) as runtime:
        expected = runtime.run(arrays)["translated"]
    forge(
        copied,
        target_entry(copied, inputs=inputs, outputs=outputs),
        inputs=inputs,
        outputs=outputs,
    )
    sizes = []
    with Pt2Runtime(copied, ON_CPU) as runtime:
        code = runtime._engines["translate"]
        runtime._engines["translate"] = lambda tensors: (
            sizes.append(len(tensors[0])) or code(tensors)
        )
        found = runtime.run(arrays)["translated"]
    assert max(sizes) == 2
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_a_device_call_runs_again_and_again_until_it_is_closed(package):
    runtime = Pt2Runtime(package, ON_CPU)
    with pytest.raises(UsageError, match="closed"):
        runtime.device_call("translate", {"image": PIXELS, "label": LABEL})
    with runtime:
        call = runtime.device_call("translate", {"image": PIXELS, "label": LABEL})
        assert call() is None
        assert call() is None


def test_nothing_stays_in_the_temporary_folder(package, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Pt2Runtime(package, ON_CPU) as runtime:
        runtime.run({"image": PIXELS, "label": LABEL})
    assert not list(tmp_path.iterdir())


def test_the_self_test_makes_and_runs_a_package():
    text = Pt2Runtime.self_test().text
    assert f"torch {torch.__version__}: fp32" in text
    assert "on cpu" in text


def test_the_self_test_without_a_compiler_says_what_to_install(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BackendError, match="no no-such-compiler here; install it"):
        Pt2Runtime.self_test()


def test_the_hash_on_the_card_is_that_of_the_content(package):
    for name, path in (
        ("translate", package),
        ("classify", package.with_suffix(".classifier.pt2")),
    ):
        point = read_card(path).entry_points[name]
        assert point.payload_sha256 == payload_sha256(read_entries(path))


@pytest.fixture
def code(package):
    return pt2.load_code(read_entries(package), "cpu")


def test_views_and_other_layouts_are_read_as_what_they_are(code):
    generator = torch.Generator().manual_seed(0)
    whole = torch.randint(0, 256, (2, 40, 40, 3), generator=generator, dtype=torch.uint8)
    label = torch.zeros(2, 5)
    crop = whole[:, 4:36, 4:36]
    (expected,) = code([crop.clone(memory_format=torch.contiguous_format), label])
    planes = crop.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    for image, labels in ((crop, label), (planes, label), (crop, torch.zeros(1, 5).expand(2, 5))):
        assert not (image.is_contiguous() and labels.is_contiguous())
        (found,) = code([image, labels])
        assert torch.equal(found, expected)


def test_another_type_is_refused(code):
    image = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    with pytest.raises(UsageError, match="input 'label' must be float32, not float64"):
        code([image, torch.zeros(1, 5, dtype=torch.float64)])
    with pytest.raises(UsageError, match="input 'image' must be uint8, not float32"):
        code([image.float(), torch.zeros(1, 5)])


def test_code_that_was_made_under_one_thread_uses_more(package):
    """It never started a second one, whatever it ran on."""
    assert torch.get_num_threads() == 1
    entries = read_entries(package)
    assert read_target(package).threads == 0
    (library,) = (content for name, content in entries.items() if name.endswith(".so"))
    assert b"GOMP_parallel" in library or b"__kmpc_fork_call" in library
