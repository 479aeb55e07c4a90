import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stargan_deploy.benchmarking.machine import gpu

H200 = "GPU-5f0e1a3c-0000-1111-2222-333344445555"
L4 = "GPU-aaaaaaaa-0000-1111-2222-333344445555"
ROWS = {
    H200: "NVIDIA H200, 580.95.05, 1980, 3201, 612.34, 64, 18432",
    L4: "NVIDIA L4, 580.95.05, 2040, 6251, [N/A], 51, 1024",
}
MASKS = {H200: "0x0000000000000024", L4: "0x0000000000000001"}


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a tool of the driver's name on the path that answers as recorded."""

    def install(uuids=(H200,), *, known_field=gpu.REASON_FIELDS[0], script=""):
        states = "\n".join(f"{uuid}, {uuid}, {ROWS[uuid]}" for uuid in uuids)
        masks = "\n".join(f"{uuid}, {MASKS[uuid]}" for uuid in uuids)
        tool = tmp_path / "nvidia-smi"
        tool.write_text(
            script
            or "#!/bin/sh\n"
            f'case "$1" in\n*{known_field}*) echo "{masks}";;\n'
            '*reasons*) echo "Field is not a valid field to query."; exit 2;;\n'
            f'*) echo "{states}";;\nesac\n'
        )
        tool.chmod(tool.stat().st_mode | stat.S_IEXEC)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return install


def test_every_sensor_in_its_unit(driver):
    driver()
    state = gpu.read_gpu(H200)
    assert state == gpu.GpuState(
        uuid=H200,
        name="NVIDIA H200",
        driver="580.95.05",
        mhz=1980.0,
        memory_mhz=3201.0,
        watts=612.34,
        celsius=64.0,
        used_bytes=18432 * 2**20,
        throttling=("power cap", "software thermal slowdown"),
    )


@pytest.mark.parametrize("field", gpu.REASON_FIELDS)
def test_both_names_of_the_field_of_reasons(driver, field):
    driver(known_field=field)
    assert "power cap" in gpu.read_gpu(H200).throttling


def test_the_right_one_of_several(driver):
    driver((H200, L4))
    state = gpu.read_gpu(L4)
    assert state.name == "NVIDIA L4"
    assert state.watts is None  # which this card does not tell
    assert state.throttling == ()  # idle is no throttling
    assert gpu.read_gpu("GPU-of-somebody-else") is None
    assert gpu.read_gpu("") is None


def test_a_container_that_sees_one_under_another_name(driver):
    driver((L4,))
    assert gpu.read_gpu("MIG-12345").name == "NVIDIA L4"


@pytest.mark.parametrize(
    "script",
    [
        "#!/bin/sh\necho 'NVIDIA-SMI has failed because it could not communicate'; exit 9\n",
        "#!/bin/sh\necho 'No devices were found'\n",
        "#!/bin/sh\nexit 0\n",
        "#!/bin/sh\nkill -SEGV $$\n",
        "#!/bin/sh\nprintf '\\377\\376,\\000'\n",
    ],
)
def test_a_driver_that_does_not_work(driver, script):
    driver(script=script)
    assert gpu.read_gpu(H200) is None


def test_a_driver_that_hangs(driver, monkeypatch):
    driver(script="#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(gpu, "LIMIT_S", 0.2)
    assert gpu.read_gpu(H200) is None


def test_no_driver(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.read_gpu() is None


def test_a_device_that_torch_does_not_know():
    assert gpu.gpu_uuid("cuda:99") == ""


@pytest.mark.parametrize("text", ["[N/A]", "N/A", "[Not Supported]", "", "nan", "inf", "64 C"])
def test_readings_that_are_none(text):
    assert gpu.number(text) is None


@pytest.mark.parametrize("mask", ["[N/A]", "", "Active", "0x"])
def test_masks_that_say_nothing(mask):
    assert gpu.reasons(mask) == ()


def test_all_reasons_together():
    assert gpu.reasons("0x00000000000001FF") == tuple(gpu.REASONS.values())


@given(st.text())
def test_any_answer_is_read(text):
    rows = gpu.parse_rows(text, 3)
    assert all(len(row) == 3 for row in rows)
    gpu.number(text)
    gpu.reasons(text)


@pytest.mark.gpu
def test_the_real_driver_agrees_with_torch():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no usable GPU")
    state = gpu.read_gpu(gpu.gpu_uuid("cuda:0"))
    if state is None:
        pytest.skip("nvidia-smi does not answer here")
    assert state.name == torch.cuda.get_device_name(0)
    assert state.driver
