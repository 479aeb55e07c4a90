"""Writing manifests: whole lines, one run at a time, and nothing lost to `kill -9`."""

import errno
import fcntl
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from stargan_deploy.batch.disk import DiskWait
from stargan_deploy.batch.manifest import writer as manifest_writer
from stargan_deploy.batch.manifest.lines import OutputRecord, PhotoRecord, StartedRecord
from stargan_deploy.batch.manifest.reader import read_manifests
from stargan_deploy.batch.manifest.writer import SYNC_LINES, SYNC_S, ManifestWriter
from stargan_deploy.batch.shard import WHOLE, Shard
from stargan_deploy.errors import DiskFullError, OutputError, UsageError
from tests.batch.test_settings import SETTINGS

SHA = "0123456789abcdef" * 4
HALVES = [Shard(index=1, count=2), Shard(index=2, count=2)]


def record(photo="a.jpg", result="translated"):
    outputs = (OutputRecord(path=photo, sha256=SHA, size_bytes=3),)
    return PhotoRecord(photo=photo, input_sha256=SHA, input_bytes=7, result=result, outputs=outputs)


def break_down(*_):
    raise OSError(errno.EIO, "I/O error")


def write_run(folder, *records, **options):
    with ManifestWriter(folder, **options) as writer:
        writer.begin(SETTINGS, read_manifests(folder))
        for item in records:
            writer.append(item)
    return writer.run


def test_what_was_written_is_read_back(tmp_path):
    first = write_run(tmp_path / "out", record("a.jpg"), record("b.jpg", "failed"))
    second = write_run(tmp_path / "out", record("b.jpg"))
    earlier = read_manifests(tmp_path / "out")
    assert {name: photo.run for name, photo in earlier.photos.items()} == {
        "a.jpg": first,
        "b.jpg": second,
    }
    assert earlier.photos["a.jpg"].outputs == record().outputs
    assert earlier.runs[first].settings == SETTINGS.to_mapping()
    assert [earlier.runs[run].order for run in (first, second)] == [1, 2]
    assert earlier.runs[first].started.endswith("+00:00")


def test_lines_are_only_ever_appended_in_one_write_each(tmp_path, monkeypatch):
    written = []
    write = os.write
    monkeypatch.setattr(
        os, "write", lambda fd, data: written.append(bytes(data)) or write(fd, data)
    )
    write_run(tmp_path, record("a.jpg"), record("b.jpg"))
    before = (tmp_path / "manifest.jsonl").read_bytes()
    write_run(tmp_path, record("c.jpg"))
    assert (tmp_path / "manifest.jsonl").read_bytes().startswith(before)
    assert len(written) == 5
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in written)


def test_a_run_that_never_begins_leaves_no_trace(tmp_path):
    with ManifestWriter(tmp_path) as writer:
        assert writer.path.exists()
    assert not list(tmp_path.iterdir())
    write_run(tmp_path, record())
    content = writer.path.read_bytes()
    with ManifestWriter(tmp_path):
        pass
    assert writer.path.read_bytes() == content


@pytest.mark.parametrize("torn", [b'{"run":"x","photo":"to', b"\0" * 50])
def test_after_a_torn_line_the_next_run_begins_on_a_fresh_one(tmp_path, torn):
    write_run(tmp_path, record("a.jpg"))
    with (tmp_path / "manifest.jsonl").open("ab") as stream:
        stream.write(torn)
    write_run(tmp_path, record("b.jpg"))
    earlier = read_manifests(tmp_path)
    assert earlier.photos.keys() == {"a.jpg", "b.jpg"}
    assert not earlier.notes()


def test_syncing_comes_in_groups_and_at_the_end(tmp_path, monkeypatch):
    synced, now_s = [], [0.0]
    monkeypatch.setattr(os, "fsync", synced.append)
    with ManifestWriter(tmp_path, clock=lambda: now_s[0]) as writer:
        writer.begin(SETTINGS, read_manifests(tmp_path))
        synced.clear()
        for number in range(SYNC_LINES - 1):
            writer.append(record(f"{number}.jpg"))
        assert not synced
        writer.append(record("full.jpg"))
        assert len(synced) == 1
        writer.append(record("early.jpg"))
        now_s[0] += SYNC_S
        writer.append(record("late.jpg"))
        assert len(synced) == 2
        writer.claim([StartedRecord(photo="x.jpg", outputs=("x.jpg",))])
        assert len(synced) == 3
        writer.append(record("last.jpg"))
    assert len(synced) == 4


def test_several_threads_may_append(tmp_path):
    with ManifestWriter(tmp_path) as writer:
        writer.begin(SETTINGS, read_manifests(tmp_path))

        def work(number):
            for index in range(50):
                writer.append(record(f"{number}-{index}.jpg"))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    earlier = read_manifests(tmp_path)
    assert len(earlier.photos) == 200
    assert not earlier.notes()


@pytest.mark.parametrize(
    ("first", "second", "is_refused"),
    [
        (WHOLE, WHOLE, True),
        (WHOLE, HALVES[0], True),
        (HALVES[0], WHOLE, True),
        (HALVES[0], HALVES[0], True),
        (HALVES[0], HALVES[1], False),
        (HALVES[0], Shard(index=2, count=4), False),
        (HALVES[0], Shard(index=3, count=4), True),
        (HALVES[0], Shard(index=2, count=3), True),
    ],
    ids=str,
)
def test_a_second_run_on_the_same_photos_is_refused(tmp_path, first, second, is_refused):
    with ManifestWriter(tmp_path, shard=first) as writer:
        refusal = pytest.raises(UsageError, match=r"another run is at work in .*; wait until")
        with refusal if is_refused else nullcontext(), ManifestWriter(tmp_path, shard=second):
            pass
        writer.begin(SETTINGS, read_manifests(tmp_path))  # which the second one left alone
    write_run(tmp_path, shard=second)


def test_a_dead_runs_lock_is_free(tmp_path):
    killed = start_writer(tmp_path, 10**6)
    with pytest.raises(UsageError, match="another run"):
        ManifestWriter(tmp_path).__enter__()
    kill(killed)
    write_run(tmp_path, record())


def test_without_locks_there_is_a_note(tmp_path, monkeypatch):
    for error in (NotImplementedError(), OSError(errno.ENOLCK, "No locks available")):

        def no_locks(lock, error=error):
            raise error

        monkeypatch.setattr(manifest_writer.FileLock, "acquire", no_locks)
        with ManifestWriter(tmp_path) as writer, ManifestWriter(tmp_path):
            assert len(writer.notes) == 1
            assert "no file locks" in writer.notes[0]


def test_a_lock_that_its_owner_removes_while_another_opens_it_is_taken_anew(tmp_path, monkeypatch):
    """Else two runs would hold the locks of two files, of which one has lost its name."""
    lock_path = tmp_path / ".manifest.jsonl.lock"
    opened = []
    flock = fcntl.flock

    def lock_too_late(descriptor, operation):
        if not opened:
            lock_path.unlink()
        opened.append(descriptor)
        return flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", lock_too_late)
    with ManifestWriter(tmp_path), pytest.raises(UsageError, match="another run is at work"):
        ManifestWriter(tmp_path).__enter__()
    assert not list(tmp_path.iterdir())


def test_the_lock_leaves_no_file_behind(tmp_path):
    write_run(tmp_path, record())
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.jsonl"]


def test_links_and_other_things_are_not_written_to(tmp_path):
    folder, secret = tmp_path / "out", tmp_path / "secret.txt"
    folder.mkdir()
    secret.write_text("secret")
    path = folder / "manifest.jsonl"
    for make in (lambda: path.symlink_to(secret), path.mkdir, lambda: os.mkfifo(path)):
        make()
        with pytest.raises(OutputError, match=r"manifest\.jsonl"):
            write_run(folder, record())
        path.rmdir() if path.is_dir() else path.unlink()
    path.symlink_to(tmp_path / "new.txt")
    with pytest.raises(OutputError, match="is a link"):
        write_run(folder, record())
    assert secret.read_text() == "secret"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "secret.txt"]


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_run(tmp_path / "file" / "out")


def test_a_full_device_is_one_clear_error(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    full = os.open("/dev/full", os.O_WRONLY)
    said = []
    wait = DiskWait(tmp_path, wait_s=0.01, say=said.append)
    with (
        pytest.raises(DiskFullError, match=r"No space left on device; .* `resume`"),
        ManifestWriter(tmp_path, guard=wait) as writer,
    ):
        writer.begin(SETTINGS, read_manifests(tmp_path))
        os.dup2(full, writer._descriptor)
        writer.append(record())
    os.close(full)
    assert len(said) == 1


def test_a_line_that_a_full_disk_cut_is_completed_when_there_is_room(tmp_path, monkeypatch):
    answers = iter([7, OSError(errno.ENOSPC, "No space left on device"), 3, None])
    write = os.write

    def write_some(descriptor, data):
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return write(descriptor, data[:answer])

    wait = DiskWait(tmp_path, wait_s=60, say=lambda _: None, sleep=lambda _: None)
    with ManifestWriter(tmp_path, guard=wait) as writer:
        writer.begin(SETTINGS, read_manifests(tmp_path))
        monkeypatch.setattr(os, "write", write_some)
        writer.append(record())
        monkeypatch.undo()
    earlier = read_manifests(tmp_path)
    assert earlier.photos.keys() == {"a.jpg"}
    assert not earlier.notes()


def test_an_error_of_the_work_is_not_hidden_by_one_of_the_manifest(tmp_path, monkeypatch):
    with (
        pytest.raises(ZeroDivisionError),
        ManifestWriter(tmp_path) as writer,
    ):
        writer.begin(SETTINGS, read_manifests(tmp_path))
        writer.append(record())
        monkeypatch.setattr(os, "fsync", break_down)
        raise ZeroDivisionError


def test_a_line_that_never_reached_the_disk_is_an_error_at_the_end(tmp_path, monkeypatch):
    with (
        pytest.raises(OutputError, match=r"cannot write .*manifest\.jsonl: I/O error"),
        ManifestWriter(tmp_path) as writer,
    ):
        writer.begin(SETTINGS, read_manifests(tmp_path))
        writer.append(record())
        monkeypatch.setattr(os, "fsync", break_down)


WRITE_FOR_EVER = """
import sys
from pathlib import Path
from stargan_deploy.batch.manifest.reader import read_manifests
from stargan_deploy.batch.manifest.lines import StartedRecord, PhotoRecord
from stargan_deploy.batch.manifest.writer import ManifestWriter
from tests.batch.test_settings import SETTINGS

folder, num = Path(sys.argv[1]), int(sys.argv[2])
with ManifestWriter(folder) as writer:
    earlier = read_manifests(folder)
    writer.begin(SETTINGS, earlier)
    print("begun", flush=True)
    start = len(earlier.photos)
    for number in range(start, start + num):
        writer.claim([StartedRecord(photo=str(number), outputs=(str(number),))])
        writer.append(PhotoRecord(photo=str(number), result="skipped", reason="x" * 2000))
        print(number, flush=True)
"""


def start_writer(folder, num):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(folder), str(num)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout.readline() == b"begun\n"
    return process


def kill(process):
    process.kill()
    said, _ = process.communicate()
    return said.split(b"\n")[:-1]


def test_killed_at_any_moment_every_line_that_was_written_is_there(tmp_path):
    chance = random.Random(0)
    for _ in range(6):
        process = start_writer(tmp_path, 10**6)
        time.sleep(chance.uniform(0, 0.2))
        said = kill(process)
        earlier = read_manifests(tmp_path)
        assert not earlier.notes()
        assert list(earlier.photos) == [str(number) for number in range(len(earlier.photos))]
        if said:
            assert len(earlier.photos) > int(said[-1])
        assert len(earlier.in_flight) <= 1
    assert len(earlier.photos) > 10
    assert len(earlier.runs) == 6
