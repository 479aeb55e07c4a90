import subprocess
import sys
import time

import psutil
import pytest

from stargan_deploy.disturbance import (
    BUSY_SHARE,
    Disturbance,
    sample_disturbance,
    watch_disturbance,
)

SPIN = "import time; end = time.monotonic() + {}\nwhile time.monotonic() < end: pass"


def spin(seconds):
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        pass


@pytest.fixture
def times(monkeypatch):
    """Processor times of a machine of two cores that passes one second between two looks."""
    state = {"busy": 0.0, "own": 0.0, "seconds": 0}

    class Times(dict):
        _asdict = dict.copy

    def machine():
        looks = state["seconds"]
        state["seconds"] += 1
        busy = state["busy"] * looks
        return Times(user=busy, guest=0.5 * busy, idle=2.0 * looks - busy, iowait=0.0)

    def own(_process):
        spent_s = state["own"] * max(0, state["seconds"] - 1)
        return type("Own", (), {"user": spent_s, "system": 0.0})

    monkeypatch.setattr(psutil, "cpu_times", machine)
    monkeypatch.setattr(psutil.Process, "cpu_times", own)
    monkeypatch.setattr(psutil, "sensors_battery", lambda: None, raising=False)
    return state


@pytest.mark.parametrize(
    ("busy", "own", "others"), [(0.0, 0.0, 0.0), (2.0, 2.0, 0.0), (1.5, 0.5, 0.5), (2.0, 0.0, 1.0)]
)
def test_the_own_work_does_not_count(times, busy, own, others):
    times |= {"busy": busy, "own": own}
    with watch_disturbance() as watch:
        pass
    assert watch.found.others == pytest.approx(others)
    assert watch.found.is_quiet == (others < BUSY_SHARE)


def test_the_block_may_fail(times):
    with pytest.raises(KeyError), watch_disturbance():
        raise KeyError


def test_a_battery_disturbs(monkeypatch):
    for plugged, disturbs in ((False, True), (True, False), (None, False)):
        battery = type("Battery", (), {"power_plugged": plugged})
        monkeypatch.setattr(psutil, "sensors_battery", lambda found=battery: found, raising=False)
        assert sample_disturbance().on_battery == disturbs


def test_machines_without_such_sensors_are_not_on_battery(monkeypatch):
    monkeypatch.delattr(psutil, "sensors_battery", raising=False)
    assert not sample_disturbance().on_battery


def test_this_machine_can_be_watched():
    """Another process that spins is seen, whatever else the machine does."""
    with subprocess.Popen([sys.executable, "-c", SPIN.format(30)]) as other:
        with watch_disturbance() as watch:
            spin(0.3)
        other.kill()
    assert 0 < watch.found.others <= 1


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Disturbance(), ""),
        (Disturbance(others=0.43), "other programs used 43% of the processors"),
        (Disturbance(on_battery=True), "the machine ran on its battery"),
        (
            Disturbance(others=1.0, on_battery=True),
            "other programs used 100% of the processors and the machine ran on its battery",
        ),
    ],
)
def test_disturbances_read_well(found, words):
    assert found.words == words
