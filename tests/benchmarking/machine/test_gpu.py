from types import SimpleNamespace

import pynvml
import pytest

from stargan_deploy.benchmarking.machine import gpu
from stargan_deploy.devices import CPU, Device

H200 = "GPU-5f0e1a3c-0000-1111-2222-333344445555"
L4 = "GPU-aaaaaaaa-0000-1111-2222-333344445555"
UNKNOWN = pynvml.NVMLError_NotSupported()
NAMES = {H200: "NVIDIA H200", L4: "NVIDIA L4"}
MILLIWATTS = {H200: 612_340, L4: UNKNOWN}
MASKS = {H200: 0x24, L4: 0x1}
CLOCKS = {pynvml.NVML_CLOCK_SM: 1980, pynvml.NVML_CLOCK_MEM: 3201}


class Driver:
    """Stands for NVML; a GPU's handle is its UUID."""

    def __init__(self, monkeypatch, *uuids, start=None):
        self.uuids = uuids
        self.num_open = 0
        answers = {
            "nvmlInit": lambda: self.open(start),
            "nvmlShutdown": self.close,
            "nvmlDeviceGetHandleByUUID": self.by_uuid,
            "nvmlDeviceGetCount": lambda: len(uuids),
            "nvmlDeviceGetHandleByIndex": lambda index: uuids[index],
            "nvmlDeviceGetUUID": lambda uuid: uuid,
            "nvmlDeviceGetName": NAMES.get,
            "nvmlSystemGetDriverVersion": lambda: "580.95.05",
            "nvmlDeviceGetClockInfo": lambda _, kind: CLOCKS[kind],
            "nvmlDeviceGetPowerUsage": lambda uuid: say(MILLIWATTS[uuid]),
            "nvmlDeviceGetTemperature": lambda _, sensor: 64 if sensor == 0 else say(UNKNOWN),
            "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(used=18432 * 2**20),
            "nvmlDeviceGetCurrentClocksEventReasons": MASKS.get,
            "nvmlDeviceGetCurrentClocksThrottleReasons": lambda _: say(UNKNOWN),
        }
        for name, answer in answers.items():
            monkeypatch.setattr(pynvml, name, answer)

    def open(self, error):
        say(error)
        self.num_open += 1

    def close(self):
        self.num_open -= 1

    def by_uuid(self, uuid):
        return uuid if uuid in self.uuids else say(pynvml.NVMLError_NotFound())


def say(answer):
    if isinstance(answer, Exception):
        raise answer
    return answer


def test_every_sensor_in_its_unit(monkeypatch):
    driver = Driver(monkeypatch, H200)
    assert gpu.read_gpu(H200) == gpu.GpuState(
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
    assert driver.num_open == 0


def test_older_drivers_know_the_reasons_by_another_name(monkeypatch):
    Driver(monkeypatch, H200)
    ours = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
    monkeypatch.setattr(pynvml, ours[0], lambda _: say(pynvml.NVMLError_FunctionNotFound()))
    monkeypatch.setattr(pynvml, ours[1], MASKS.get)
    assert "power cap" in gpu.read_gpu(H200).throttling


def test_the_right_one_of_several(monkeypatch):
    driver = Driver(monkeypatch, H200, L4)
    state = gpu.read_gpu(L4)
    assert state.name == "NVIDIA L4"
    assert state.watts is None  # which this card does not report
    assert state.throttling == ()  # idle is not throttled
    assert gpu.read_gpu("GPU-of-somebody-else") is None
    assert gpu.read_gpu("") is None
    assert driver.num_open == 0


def test_a_container_that_sees_one_under_another_name(monkeypatch):
    Driver(monkeypatch, L4)
    assert gpu.read_gpu("MIG-12345").name == "NVIDIA L4"


@pytest.mark.parametrize(
    "error",
    [
        pynvml.NVMLError_LibraryNotFound(),
        pynvml.NVMLError_DriverNotLoaded(),
        pynvml.NVMLError_LibRmVersionMismatch(),
        pynvml.NVMLError_Unknown(),
    ],
)
def test_a_driver_that_does_not_work(monkeypatch, error):
    Driver(monkeypatch, H200, start=error)
    assert gpu.read_gpu(H200) is None


def test_no_gpu(monkeypatch):
    Driver(monkeypatch)
    assert gpu.read_gpu(H200) is None


def test_a_gpu_that_is_lost_meanwhile(monkeypatch):
    driver = Driver(monkeypatch, H200)
    names = [name for name in dir(pynvml) if name.startswith(("nvmlDeviceGet", "nvmlSystemGet"))]
    for name in names:
        monkeypatch.setattr(pynvml, name, lambda *_: say(pynvml.NVMLError_GpuIsLost()))
    assert gpu.read_gpu(H200) is None
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", driver.by_uuid)
    assert gpu.read_gpu(H200) == gpu.GpuState()


def test_all_reasons_together(monkeypatch):
    Driver(monkeypatch, H200)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCurrentClocksEventReasons", lambda _: 0x1FF)
    assert gpu.read_gpu(H200).throttling == tuple(gpu.REASONS.values())
    assert len(gpu.REASONS) == 8


def test_a_device_that_torch_does_not_know():
    assert gpu.gpu_uuid(Device("cuda", 99)) == ""
    assert gpu.gpu_uuid(CPU) == ""


@pytest.mark.gpu
def test_the_real_driver_agrees_with_torch():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no usable GPU")
    state = gpu.read_gpu(gpu.gpu_uuid(Device("cuda")))
    if state is None:
        pytest.skip("NVML does not answer here")
    assert state.name == torch.cuda.get_device_name(0)
    assert state.driver
    assert state.used_bytes > 0
