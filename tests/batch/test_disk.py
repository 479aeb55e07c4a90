import errno
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stargan_deploy.batch.disk import DiskWait, in_words, is_disk_full
from stargan_deploy.errors import DiskFullError, OutputError
from stargan_deploy.files.atomic import write_bytes


class World:
    """A clock that only sleeping moves, and a disk that is full until some time."""

    def __init__(self, full_until_s=0.0, error=None):
        self.now_s = 100.0
        self.start_s = self.now_s
        self.full_until_s = self.now_s + full_until_s
        self.error = error or OSError(errno.ENOSPC, "No space left on device")
        self.said = []
        self.pauses_s = []

    def wait(self, wait_s):
        return DiskWait(
            Path("out"), wait_s=wait_s, say=self.said.append, clock=self.clock, sleep=self.sleep
        )

    def clock(self):
        return self.now_s

    def sleep(self, seconds):
        self.pauses_s.append(seconds)
        self.now_s += seconds

    def write(self):
        if self.now_s < self.full_until_s:
            raise self.error
        return "written"


def test_a_write_goes_through():
    world = World()
    assert world.wait(600)(world.write) == "written"
    assert not world.said
    assert not world.pauses_s


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_waited_for_with_growing_pauses(number):
    world = World(full_until_s=200, error=OSError(number, os.strerror(number)))
    assert world.wait(600)(world.write) == "written"
    assert world.said == ["disk full: waiting up to 10 min for space in out"]
    assert world.pauses_s[:4] == [1, 2, 4, 8]
    assert world.pauses_s == sorted(world.pauses_s)
    assert max(world.pauses_s) == 30


def test_a_disk_that_stays_full_ends_with_a_line_that_tells_how_to_go_on():
    world = World(full_until_s=1000)
    with pytest.raises(
        DiskFullError,
        match=r"no space after 10 min: No space left on device; free space in out, .* `resume`",
    ) as end:
        world.wait(600)(world.write)
    assert world.now_s - world.start_s == 600
    assert is_disk_full(end.value)
    assert "\n" not in str(end.value)


def test_the_last_attempt_is_when_time_is_up():
    world = World(full_until_s=600)
    assert world.wait(600)(world.write) == "written"


def test_no_wait_gives_up_at_once_and_says_nothing():
    world = World(full_until_s=5)
    with pytest.raises(DiskFullError, match="disk full: No space left"):
        world.wait(0)(world.write)
    assert not world.said
    assert not world.pauses_s


def test_who_gave_up_never_waits_again():
    world = World(full_until_s=1000)
    wait = world.wait(60)
    for _ in range(2):
        with pytest.raises(DiskFullError):
            wait(world.write)
    assert world.now_s - world.start_s == 60
    assert len(world.said) == 1


def test_the_next_wait_is_told_again():
    world = World(full_until_s=10)
    wait = world.wait(600)
    wait(world.write)
    world.full_until_s = world.now_s + 10
    wait(world.write)
    assert len(world.said) == 2


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EACCES, "Permission denied"), OutputError("cannot write x"), ValueError("?")],
)
def test_other_errors_pass_at_once(error):
    world = World(full_until_s=5, error=error)
    with pytest.raises(type(error)) as raised:
        world.wait(600)(world.write)
    assert raised.value is error
    assert not world.pauses_s


def test_another_error_ends_the_waiting():
    world = World(full_until_s=1000)
    errors = iter([world.error, world.error, OSError(errno.EIO, "broken")])

    def write():
        raise next(errors)

    with pytest.raises(OSError, match="broken"):
        world.wait(600)(write)


def test_causes_are_looked_at():
    def raise_chain():
        try:
            raise OSError(errno.ENOSPC, "full")
        except OSError as error:
            raise OutputError("cannot write x") from error

    with pytest.raises(OutputError) as caught:
        raise_chain()
    assert is_disk_full(caught.value)
    loop = OutputError("round and round")
    loop.__cause__ = loop
    assert not is_disk_full(loop)


def test_several_threads_wait_but_one_tells():
    said, is_full = [], threading.Event()
    is_full.set()
    entered = threading.Semaphore(0)

    def sleep(seconds):
        entered.release()
        is_full.wait(0.001)

    wait = DiskWait(Path("out"), wait_s=600, say=said.append, sleep=sleep)

    def write():
        if is_full.is_set():
            raise OSError(errno.ENOSPC, "full")

    threads = [threading.Thread(target=wait, args=(write,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(40):
        entered.acquire()
    is_full.clear()
    for thread in threads:
        thread.join()
    assert len(said) == 1


def test_giving_up_wakes_who_waits():
    told = threading.Event()
    wait = DiskWait(Path("out"), wait_s=600, say=lambda _: told.set())
    errors = []

    def write():
        raise OSError(errno.ENOSPC, "full")

    def work():
        with pytest.raises(DiskFullError) as caught:
            wait(write)
        errors.append(caught.value)

    thread = threading.Thread(target=work)
    thread.start()
    told.wait()
    wait.give_up()
    thread.join()
    assert len(errors) == 1


def test_waiting_times_in_words():
    assert [in_words(s) for s in (0, 45, 60, 90, 600)] == [
        "0 s",
        "45 s",
        "1 min",
        "1.5 min",
        "10 min",
    ]


def test_the_systems_full_device_counts_as_full(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(OSError, match="No space left") as caught:
        Path("/dev/full").write_bytes(b"x")
    assert is_disk_full(caught.value)


TINY_DISK = """
import sys
from pathlib import Path

from stargan_deploy.errors import DiskFullError
from stargan_deploy.files.atomic import write_bytes
from stargan_deploy.batch.disk import DiskWait
from stargan_deploy.batch.manifest.reader import read_manifests
from stargan_deploy.batch.manifest.lines import PhotoRecord
from stargan_deploy.batch.manifest.writer import ManifestWriter
from tests.batch.test_settings import SETTINGS

disk = Path(sys.argv[1])
filler, said, pauses_s = disk / "filler", [], []


def fill():
    with filler.open("ab", buffering=0) as stream:
        try:
            while stream.write(b"x" * 1000):
                pass
        except OSError:
            pass


def make_room(seconds):
    pauses_s.append(seconds)
    if len(pauses_s) % 3 == 0:
        filler.unlink()


# Pictures
wait = DiskWait(disk, wait_s=600, say=said.append, sleep=make_room)
write_bytes(disk / "old.bin", b"old")
fill()
wait(lambda: write_bytes(disk / "sub" / "new.bin", b"n" * 50_000))
assert (disk / "sub" / "new.bin").read_bytes() == b"n" * 50_000
assert len(pauses_s) == 3 and len(said) == 1, (pauses_s, said)
assert not list(disk.rglob("*.tmp"))

# The manifest: filled in the midst of lines, again and again
with ManifestWriter(disk, guard=wait) as writer:
    writer.begin(SETTINGS, read_manifests(disk))
    for number in range(300):
        if number % 100 == 0:
            fill()
        writer.append(PhotoRecord(photo=f"{number}.jpg", result="skipped", reason="x" * 200))
earlier = read_manifests(disk)
assert list(earlier.photos) == [f"{number}.jpg" for number in range(300)]
assert not earlier.notes(), earlier.notes()
assert len(said) > 2, said

# No room, ever
fill()
wait = DiskWait(disk, wait_s=0.01, say=said.append)
try:
    wait(lambda: write_bytes(disk / "old.bin", b"n" * 50_000))
except DiskFullError as error:
    assert "`resume`" in str(error)
else:
    raise SystemExit("there was room")
assert (disk / "old.bin").read_bytes() == b"old"
assert not list(disk.rglob("*.tmp"))
print("all is well")
"""


def test_on_a_disk_that_is_really_full(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=256k,nr_inodes=64 tiny '{disk}'"
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    probe = subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"no mount of our own here: {probe.stderr.decode().strip()}")
    script = [sys.executable, "-W", "error", "-c", TINY_DISK, str(disk)]
    run = subprocess.run(
        ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh", *script],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert run.stdout == "all is well\n", run.stdout + run.stderr


def test_the_files_module_tells_a_full_disk_apart(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DiskFullError, match=r"cannot write .*No space left"):
        write_bytes(tmp_path / "x.bin", b"")
