import dataclasses

import pytest
import torch

from stargan_deploy.benchmarking.measure.fastest_call import fastest_call_s
from stargan_deploy.benchmarking.results import Roof
from stargan_deploy.benchmarking.roofline import roofline
from stargan_deploy.benchmarking.roofline.roofline import measure_roofs, roofline_share
from stargan_deploy.devices import CPU, Device
from stargan_deploy.errors import BackendError
from stargan_deploy.families.counting import CallCounts

ARRAY_BYTES = roofline._array_bytes
SIZES = ((64, 64, 64), (64, 32, 128))
ROOF = Roof(
    precision="float32",
    gemm_gmacs_per_s=100.0,
    gemm_library="torch",
    gemm_size=(1, 1, 1),
    bandwidth_gb_per_s=10.0,
)
COUNTS = CallCounts(
    macs=2_000_000_000, padding_macs=100_000_000, winograd_macs=1_000_000_000, num_bytes=50_000_000
)
"""20 ms of computing and 5 ms of moving at `ROOF`."""


@pytest.fixture(scope="module", autouse=True)
def small_arrays():
    """Arrays of 4 MiB are copied as those of 256 are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roofline, "_array_bytes", lambda device: 2**22)
        yield


@pytest.fixture(scope="module")
def roofs(small_arrays):
    return measure_roofs(["fp32", "bf16", "int8"], sizes=SIZES, budget_s=0.5)


def test_every_precision_has_a_roof(roofs):
    assert {name: roof.precision for name, roof in roofs.items()} == {
        "fp32": "float32",
        "bf16": "bfloat16",
        "int8": "int8",
    }
    for roof in roofs.values():
        assert roof.gemm_gmacs_per_s > 0
        assert roof.bandwidth_gb_per_s > 0
        assert roof.gemm_size in SIZES
        assert roof.gemm_library.split()[0] in ("torch", "onnxruntime", "openvino")


def test_float32_can_stand_in_for_every_type(roofs):
    lowest = roofs["fp32"].gemm_gmacs_per_s
    assert all(roof.gemm_gmacs_per_s >= lowest for roof in roofs.values())


def test_a_stand_in_is_named():
    (roof,) = measure_roofs(
        ["bf16"], sizes=SIZES, libraries=("onnxruntime",), budget_s=0.1
    ).values()
    assert roof.precision == "bfloat16"
    assert roof.gemm_library == "onnxruntime (float32)"


def test_no_time_at_all_still_gives_roofs():
    roofs = measure_roofs(["fp32", "int8"], sizes=SIZES, libraries=("torch",), budget_s=0)
    assert all(roof.gemm_gmacs_per_s > 0 for roof in roofs.values())


@pytest.mark.parametrize("libraries", [(), ("no-such-library",)])
def test_nothing_that_multiplies(libraries):
    with pytest.raises(BackendError, match="multiplies"):
        measure_roofs(["fp32"], libraries=libraries, sizes=SIZES, budget_s=0)


def test_a_device_without_a_roof():
    with pytest.raises(BackendError, match="the roofline of mps"):
        measure_roofs(["fp32"], device=Device("mps"))


@pytest.mark.gpu
def test_a_gpus_roof_is_above_its_hosts():
    if not torch.cuda.is_available():
        pytest.skip("no usable GPU")
    on_gpu = measure_roofs(["fp16"], device=Device("cuda"), budget_s=2)["fp16"]
    on_cpu = measure_roofs(["fp16"], budget_s=2)["fp16"]
    assert on_gpu.gemm_gmacs_per_s > on_cpu.gemm_gmacs_per_s
    assert on_gpu.bandwidth_gb_per_s > 0


def test_a_share_of_what_computing_takes():
    share = roofline_share(ROOF, COUNTS, 40.0)
    assert share.bound == "compute"
    assert share.share == pytest.approx(0.5)
    assert (share.counted_gmacs, share.counted_gb) == (2.0, 0.05)
    assert share.note == ""


def test_a_share_of_what_moving_takes():
    heavy = dataclasses.replace(COUNTS, num_bytes=1_000_000_000)
    share = roofline_share(ROOF, heavy, 200.0)
    assert share.bound == "bandwidth"
    assert share.share == pytest.approx(0.5)
    assert "cache" in roofline_share(ROOF, heavy, 90.0).note


def test_a_model_without_counted_layers_is_bound_by_memory():
    nothing = CallCounts(macs=0, padding_macs=0, winograd_macs=0, num_bytes=10_000_000)
    assert roofline_share(ROOF, nothing, 0.5).bound == "bandwidth"


@pytest.mark.parametrize(
    ("precision", "measured_ms", "word"),
    [
        ("float32", 20.0, ""),
        ("float32", 19.2, "5.0%"),  # what skipping the padding saves is just not reached
        ("float32", 18.9, "Winograd"),
        ("float32", 12.0, "Winograd"),
        ("float32", 11.0, "unexplained"),
        ("int8", 18.9, "unexplained"),
        ("int8", 19.2, "5.0%"),
    ],
)
def test_a_share_above_the_roof_is_explained_as_far_as_it_can_be(precision, measured_ms, word):
    roof = dataclasses.replace(ROOF, precision=precision)
    share = roofline_share(roof, COUNTS, measured_ms)
    assert (share.share > 1) == bool(word)
    assert word in share.note
    assert bool(share.note) == bool(word)


@pytest.mark.parametrize("installed", [2**20, 2**30, 2**40])
def test_arrays_beyond_any_cache_that_fit_the_machine(monkeypatch, installed):
    monkeypatch.setattr(roofline.processor, "memory_bytes", lambda: installed)
    size = ARRAY_BYTES(CPU)
    assert size % 4 == 0
    assert 0 < size <= min(2**28, installed // 32)


def test_the_fastest_call_is_called_at_least_once():
    calls = []
    assert fastest_call_s(lambda: calls.append(1), CPU, 0.0) >= 0
    assert len(calls) == 1
