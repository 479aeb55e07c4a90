from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stargan_deploy.benchmarking.machine import processor

INTEL = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8480+
cpu MHz\t\t: 3100.042
flags\t\t: fpu sse2 fma avx f16c avx2 avx512f avx512bw avx512vl avx512_vnni avx512_bf16 amx_bf16 \
avx512_fp16 amx_tile amx_int8

processor\t: 1
vendor_id\t: GenuineIntel
cpu MHz\t\t: 2900.500
flags\t\t: fpu sse2
"""
AMD = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD Ryzen 7 3700X 8-Core Processor
cpu MHz\t\t: 2200.000
flags\t\t: fpu fma f16c avx avx2 clzero
"""
ARM = """processor\t: 0
BogoMIPS\t: 2100.00
Features\t: fp asimd evtstrm aes asimdhp cpuid asimddp sve i8mm bf16
CPU implementer\t: 0x41
CPU part\t: 0xd40
"""


def tree(root: Path, **files: str) -> Path:
    """A file system of a few files; "__" stands for "/" and "_DOT_" for "."."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "allowed_cores", lambda: [0])


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "allowed_cores", lambda: list(range(8)))


def test_instruction_sets_of_the_three_makers(tmp_path):
    intel = processor.instruction_sets(tree(tmp_path / "intel", proc__cpuinfo=INTEL))
    assert {"avx2", "avx512f", "avx512_bf16", "amx_int8", "amx_bf16"} <= set(intel)
    assert "sse2" not in intel
    amd = processor.instruction_sets(tree(tmp_path / "amd", proc__cpuinfo=AMD))
    assert amd == ("avx2", "fma", "f16c")
    arm = processor.instruction_sets(tree(tmp_path / "arm", proc__cpuinfo=ARM))
    assert arm == ("asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve")


def test_clock_of_each_allowed_core(monkeypatch, one_core):
    clocks = [SimpleNamespace(current=3412.0), SimpleNamespace(current=2900.5)]
    monkeypatch.setattr(psutil, "cpu_freq", lambda percpu: clocks if percpu else None)
    assert processor.clocks_mhz() == (3412.0,)


def test_a_processor_that_reports_no_clock(monkeypatch, eight_cores):
    monkeypatch.setattr(psutil, "cpu_freq", lambda percpu: [])
    assert processor.clocks_mhz() == ()
    monkeypatch.delattr(psutil, "cpu_freq")
    assert processor.clocks_mhz() == ()


@pytest.mark.parametrize("name", ["k10temp", "coretemp", "cpu_thermal", "x86_pkg_temp", "CPU-zone"])
def test_temperature_is_the_processors_and_not_the_disks(monkeypatch, name):
    readings = {"nvme": (88.0,), name: (51.25, 53.5), "acpitz": (64.0,)}
    sensors = {
        name: [SimpleNamespace(current=celsius) for celsius in celsiuses]
        for name, celsiuses in readings.items()
    }
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: sensors, raising=False)
    assert processor.temperature_celsius() == 53.5


def test_a_machine_without_sensors(monkeypatch):
    monkeypatch.setattr(psutil, "sensors_temperatures", dict, raising=False)
    assert processor.temperature_celsius() is None
    monkeypatch.delattr(psutil, "sensors_temperatures")
    assert processor.temperature_celsius() is None


def test_a_containers_quota_limits_the_cores(tmp_path, eight_cores):
    quota = "sys__fs__cgroup__cpu_DOT_max"
    root = tree(tmp_path, proc__self__cgroup="0::/\n", **{quota: "250000 100000\n"})
    assert processor.num_cores(root) == 3
    tree(tmp_path, **{quota: "max 100000\n"})
    assert processor.num_cores(root) == 8
    tree(tmp_path, **{quota: "1000 100000\n"})
    assert processor.num_cores(root) == 1


def test_the_tightest_group_around_the_process_counts(tmp_path, eight_cores):
    files = {
        "sys__fs__cgroup__a__cpu_DOT_max": "200000 100000\n",
        "sys__fs__cgroup__a__b__cpu_DOT_max": "600000 100000\n",
        "sys__fs__cgroup__a__memory_DOT_max": "1048576\n",
        "sys__fs__cgroup__a__b__memory_DOT_max": "max\n",
    }
    root = tree(tmp_path, proc__self__cgroup="0::/a/b\n", **files)
    assert processor.num_cores(root) == 2
    assert processor.memory_bytes(root) == 2**20


def test_the_first_version_of_control_groups(tmp_path, eight_cores):
    files = {
        "sys__fs__cgroup__cpu,cpuacct__job__cpu_DOT_cfs_quota_us": "400000\n",
        "sys__fs__cgroup__cpu,cpuacct__job__cpu_DOT_cfs_period_us": "100000\n",
        "sys__fs__cgroup__memory__memory_DOT_limit_in_bytes": "2097152\n",
    }
    groups = "4:memory:/elsewhere\n3:cpu,cpuacct:/job\n0::/\n"
    root = tree(tmp_path, proc__self__cgroup=groups, **files)
    assert processor.num_cores(root) == 4
    assert processor.memory_bytes(root) == 2**21
    tree(tmp_path, **{"sys__fs__cgroup__cpu,cpuacct__job__cpu_DOT_cfs_quota_us": "-1\n"})
    assert processor.num_cores(root) == 8


def test_an_unlimited_group_leaves_the_machines_memory(tmp_path):
    limit = "sys__fs__cgroup__memory__memory_DOT_limit_in_bytes"
    installed = processor.memory_bytes(tmp_path)
    root = tree(tmp_path, proc__self__cgroup="4:memory:/\n", **{limit: "9223372036854771712\n"})
    assert processor.memory_bytes(root) == installed


def test_an_empty_file_system_answers_nothing(tmp_path):
    assert processor.instruction_sets(tmp_path) == ()
    assert processor.num_cores(tmp_path) >= 1


def test_this_machine_answers():
    assert processor.num_cores() >= 1
    assert processor.memory_bytes() > 2**20
    assert all(clock > 0 for clock in processor.clocks_mhz())
    assert processor.load_average() >= 0


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.binary(max_size=200), group=st.text(max_size=30))
def test_damaged_files_never_raise(tmp_path, text, group):
    for name in ("proc/cpuinfo", "sys/fs/cgroup/cpu.max", "sys/fs/cgroup/memory.max"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    groups = tmp_path / "proc/self/cgroup"
    groups.parent.mkdir(parents=True, exist_ok=True)
    groups.write_bytes(f"0::/{group}\n".encode("utf-8", "replace") + text)
    assert processor.num_cores(tmp_path) >= 1
    assert processor.memory_bytes(tmp_path) > 0
    processor.instruction_sets(tmp_path)
