import platform
import sys
from dataclasses import replace

import pytest
import torch

from stargan_deploy.backends.pt2.target import (
    Target,
    check_fits,
    cpu_features,
    features_of,
    machine_here,
)
from stargan_deploy.errors import BackendError


@pytest.fixture
def target():
    """A package that was compiled here."""
    return Target(
        device="cpu",
        isa="AVX2",
        cpu_features=tuple(cpu_features()),
        inputs=(),
        outputs=(),
        **machine_here("cpu"),
    )


def test_what_was_compiled_here_fits(target):
    check_fits(target, "a.pt2", "cpu")
    assert (target.platform, target.machine) == (sys.platform, platform.machine())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"platform": "plan9"}, f"platform plan9, not {sys.platform}"),
        ({"machine": "riscv64"}, f"processor riscv64, not {platform.machine()}"),
        ({"torch": "2.3.1+cpu"}, r"torch 2\.3, not 2\.\d+"),
        ({"device": "cuda", "compute_capability": "9.0"}, "device cuda, not cpu"),
        (
            {"isa": "AVX1024", "cpu_features": ("avx1024_f", "fma9")},
            "AVX1024, and this processor lacks avx1024_f, fma9",
        ),
    ],
)
def test_what_was_compiled_for_another_machine_is_refused(target, changes, reason):
    with pytest.raises(BackendError, match=reason) as caught:
        check_fits(replace(target, **changes), "a.pt2", "cpu")
    assert str(caught.value).startswith("a.pt2 was compiled for ")
    assert "export the checkpoint again" in str(caught.value)


def test_another_build_of_the_same_torch_fits(target):
    major, minor, *_ = torch.__version__.split(".")
    check_fits(replace(target, torch=f"{major}.{minor}.9+xyz"), "a.pt2", "cpu")


def test_an_instruction_set_needs_what_the_compiler_was_told_to_use():
    assert features_of("AVX2", is_native=False) == ("avx2", "f16c", "fma3")
    avx512 = features_of("AVX512 AVX512_VNNI", is_native=False)
    assert {"avx512_f", "avx512_bw", "avx512_vnni", "fma3"} <= set(avx512)
    assert "avx512_bf16" not in avx512
    assert features_of("INVALID_VEC_ISA", is_native=False) == ()


@pytest.mark.parametrize(("isa", "is_native"), [("AVX2", True), ("SOMETHING_NEW", False)])
def test_code_for_this_very_processor_needs_all_that_it_has(isa, is_native):
    assert set(features_of(isa, is_native=is_native)) == cpu_features()


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="reads Linux's list for x86"
)
def test_the_features_are_those_that_the_kernel_reports():
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        flags = next(line for line in stream if line.startswith("flags")).split()
    assert ("avx2" in cpu_features()) == ("avx2" in flags)
    assert ("avx512_f" in cpu_features()) == ("avx512f" in flags)
    assert ("avx512_vnni" in cpu_features()) == ("avx512_vnni" in flags)


def test_a_gpu_is_named_with_its_capability(target):
    gpu = replace(target, device="cuda", compute_capability="9.0")
    assert gpu.text.startswith("NVIDIA GPUs of compute capability 9.0, ")
    assert target.text.endswith(f"torch {'.'.join(torch.__version__.split('.')[:2])}")
