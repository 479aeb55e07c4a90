import errno
import json
import os
import signal
import threading

import numpy as np
import pytest
from PIL import Image

from stargan_deploy.backends.fake.runtime import fake_card
from stargan_deploy.batch.disk import DiskWait
from stargan_deploy.batch.plan import ImageOptions
from stargan_deploy.batch.resume import ResumePolicy
from stargan_deploy.batch.shard import Shard
from stargan_deploy.errors import DiskFullError, OutputError, StoppedError, UsageError
from stargan_deploy.files.atomic import write_bytes
from stargan_deploy.files.images import load_image
from stargan_deploy.inference.framing import Framed
from stargan_deploy.inference.source_labels import read_label_table
from stargan_deploy.inference.translator import Translator
from tests.batch_runs import pictures, run, write_all
from tests.inference.test_translator import BrokenRuntime

RESUME = ResumePolicy(resume=True)


class Quarters:
    """As many tiles as the photo's brightest value says, laid over the photo's first pixels."""

    num_ahead = 4

    def frame(self, photo):
        num = np.asarray(photo).max() % 8
        tiles = np.stack(
            [np.full((16, 16, 3), 10 * k, np.uint8) for k in range(1, num + 1)] or [[]]
        )
        tiles = tiles.reshape(num, 16, 16, 3).astype(np.uint8)

        def compose(translated):
            strip = np.concatenate([np.asarray(photo)[:16, :16], *translated], axis=1)
            return Image.fromarray(strip)

        return Framed(tiles=tiles, compose=compose, held_bytes=photo.width * photo.height * 3)


@pytest.fixture
def crowd(tmp_path):
    """Photos with 0 to 7 faces, as `Quarters` counts them."""
    folder = tmp_path / "crowd"
    folder.mkdir()
    for index in range(16):
        Image.new("RGB", (20, 20), (index, 0, 0)).save(folder / f"{index:02}.png")
    return folder


FACES = ImageOptions(faces="all")


def test_tiles_of_many_photos_share_calls_and_find_home(tmp_path, make_translator, crowd):
    translator = make_translator(batch_size=5)
    report = run(crowd, tmp_path / "out", translator, pictures=FACES, framing=Quarters())
    assert (report.num_translated, len(report.without_face)) == (14, 2)
    assert report.without_face == ("00.png", "08.png")
    for name, path in pictures(tmp_path / "out").items():
        picture, num = np.asarray(load_image(path)), int(name[:2]) % 8
        assert picture.shape == (16, 16 * (num + 1), 3)
        alone = [np.full((16, 16, 3), 10 * k, np.uint8) for k in range(1, num + 1)]
        expected = translator.translate(alone, ["Blond_Hair"]).pixels[0]
        assert np.array_equal(picture[:, 16:], np.concatenate(list(expected), axis=1))


def test_large_photos_do_not_wait_for_a_full_call(tmp_path, make_translator, crowd, monkeypatch):
    monkeypatch.setattr("stargan_deploy.batch.pipeline.MAX_HELD_BYTES", 1300)
    calls = []
    translator = make_translator(batch_size=64)
    translate = translator.translate_prepared

    def counted(pixels_NHWC, *rest):
        calls.append(len(pixels_NHWC))
        return translate(pixels_NHWC, *rest)

    translator.translate_prepared = counted
    report = run(crowd, tmp_path / "out", translator, pictures=FACES, framing=Quarters())
    assert report.num_translated == 14
    assert max(calls) <= 7 + 6


def test_photos_without_a_face_are_copied_on_demand(tmp_path, make_translator, crowd):
    Image.new("RGB", (20, 20)).save(crowd / "none.bmp")
    options = ImageOptions(faces="all", without_face="copy")
    report = run(crowd, tmp_path / "out", make_translator(), pictures=options, framing=Quarters())
    assert report.without_face == ("00.png", "08.png", "none.bmp")
    assert report.num_failed == 0
    assert (tmp_path / "out/00.png").read_bytes() == (crowd / "00.png").read_bytes()
    with Image.open(tmp_path / "out/none.png") as copy:
        assert (copy.format, copy.size) == ("PNG", (20, 20))


def test_strengths_make_a_strip(tmp_path, make_translator, photos):
    translator = make_translator()
    options = ImageOptions(strengths=(0.5, 1.0))
    run(photos / "sub/alpha.png", tmp_path / "out", translator, "flip:Young", pictures=options)
    run(photos / "sub/alpha.png", tmp_path / "one", translator, "flip:Young")
    strip = np.asarray(load_image(tmp_path / "out/alpha.png"))
    assert strip.shape == (16, 48, 3)
    before = translator.prepare(load_image(photos / "sub/alpha.png"))
    assert np.array_equal(strip[:, :16], before)
    assert np.array_equal(strip[:, 32:], np.asarray(load_image(tmp_path / "one/alpha.png")))
    assert not np.array_equal(strip[:, 16:32], strip[:, 32:])


@pytest.mark.parametrize("strengths", [(), (-0.1,), (1.6,), (float("nan"),)])
def test_strengths_out_of_range(strengths):
    with pytest.raises(
        UsageError, match=r"`strength` must be from 0 to 1\.5|`strengths` names none"
    ):
        ImageOptions(strengths=strengths)


def inodes(folder):
    return {name: path.stat().st_ino for name, path in pictures(folder).items()}


def test_resuming_touches_no_finished_picture(tmp_path, make_translator, photos):
    first = run(photos, tmp_path / "out", make_translator())
    before = inodes(tmp_path / "out")
    (tmp_path / "out/plain.jpg").unlink()
    second = run(photos, tmp_path / "out", make_translator(), policy=RESUME)
    assert (first.num_pictures, second.num_pictures, second.num_done_before) == (4, 1, 3)
    assert second.num_translated == 4
    after = inodes(tmp_path / "out")
    del before["plain.jpg"], after["plain.jpg"]
    assert after == before


def test_a_second_run_is_refused_and_changes_nothing(tmp_path, make_translator, photos):
    run(photos, tmp_path / "out", make_translator())
    report = (tmp_path / "out/report.json").read_bytes()
    with pytest.raises(UsageError, match="`resume`"):
        run(photos, tmp_path / "out", make_translator())
    assert (tmp_path / "out/report.json").read_bytes() == report
    changed = {"policy": RESUME}
    with pytest.raises(UsageError, match=r"batch_size: 4 -> 3.*`changed` redo"):
        run(photos, tmp_path / "out", make_translator(batch_size=3), **changed)
    redo = ResumePolicy(resume=True, changed="redo")
    assert (
        run(photos, tmp_path / "out", make_translator(batch_size=3), policy=redo).num_pictures == 4
    )


def test_a_file_that_appears_during_the_run_is_nobodys_loss(tmp_path, make_translator, photos):
    def write(path, content):
        if path.name == "plain.jpg":
            write_bytes(path.parent / "sub/old.png", b"somebody's")
        write_bytes(path, content)

    report = run(photos, tmp_path / "out", make_translator(batch_size=1), write=write)
    assert (tmp_path / "out/sub/old.png").read_bytes() == b"somebody's"
    assert [failure.path for failure in report.failures] == ["sub/old.bmp"]
    assert "exists and was not written by this run" in report.failures[0].reason


def test_what_a_killed_run_wrote_and_did_not_note_is_taken(tmp_path, make_translator, photos):
    run(photos, tmp_path / "whole", make_translator())
    run(photos, tmp_path / "out", make_translator())
    manifest = tmp_path / "out/manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    ends = [line for line in lines if b"input_sha256" in line]
    manifest.write_bytes(b"".join(line for line in lines if line not in ends[2:]) + ends[2][:40])
    (tmp_path / "out" / ".old.png.0123456789abcdef.0123456789ab.tmp").write_bytes(b"not ours")
    report = run(photos, tmp_path / "out", make_translator(), policy=RESUME)
    assert (report.num_done_before, report.num_translated) == (2, 4)
    whole = {name: path.read_bytes() for name, path in pictures(tmp_path / "whole").items()}
    there = {name: path.read_bytes() for name, path in pictures(tmp_path / "out").items()}
    assert whole == {name: content for name, content in there.items() if not name.startswith(".")}


def test_shards_share_the_photos_and_merge(tmp_path, make_translator, photos, good_photos):
    write_all(photos, {f"{index}.jpg": good_photos["plain.jpg"] for index in range(12)})
    reports = [
        run(photos, tmp_path / "out", make_translator(), shard=Shard(index=index, count=3))
        for index in (1, 2, 3)
    ]
    assert sum(report.num_photos for report in reports) == 16
    assert all(report.num_photos for report in reports)
    assert len(list((tmp_path / "out").glob("manifest.*-of-3.jsonl"))) == 3
    assert len(list((tmp_path / "out").glob("report.*-of-3.json"))) == 3
    merged = run(photos, tmp_path / "out", make_translator(), policy=RESUME)
    assert (merged.num_done_before, merged.num_pictures) == (16, 0)
    assert json.loads((tmp_path / "out/report.json").read_text())["num_translated"] == 16


def full_for(num_writes):
    left = [num_writes]
    turn = threading.Lock()

    def write(path, content):
        with turn:
            left[0] -= 1
            if left[0] >= 0:
                cause = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                raise DiskFullError(f"cannot write {path}") from cause
        write_bytes(path, content)

    return write


def test_a_full_disk_is_waited_for(tmp_path, make_translator, photos):
    said, write = [], full_for(6)
    wait = DiskWait(tmp_path / "out", wait_s=60, say=said.append, sleep=lambda _: None)
    report = run(
        photos,
        tmp_path / "out",
        make_translator(),
        write=lambda path, content: wait(lambda: write(path, content)),
        wait=wait,
    )
    assert report.num_translated == 4
    assert said
    assert all(line.startswith("disk full: waiting up to 1 min") for line in said)


def test_a_disk_that_stays_full_ends_the_run_which_can_be_resumed(
    tmp_path, make_translator, photos
):
    wait = DiskWait(tmp_path / "out", wait_s=0, say=lambda _: None)
    write = full_for(1)
    with pytest.raises(DiskFullError, match="`resume`"):
        run(
            photos,
            tmp_path / "out",
            make_translator(batch_size=1),
            write=lambda path, content: wait(lambda: write(path, content)),
            wait=wait,
        )
    report = run(photos, tmp_path / "out", make_translator(batch_size=1), policy=RESUME)
    assert report.num_translated == 4


def test_another_error_of_writing_is_that_pictures_alone(tmp_path, make_translator, photos):
    def write(path, content):
        if path.name == "plain.jpg":
            raise OutputError("cannot write plain.jpg: it is cursed")
        write_bytes(path, content)

    report = run(photos, tmp_path / "out", make_translator(), write=write)
    assert [failure.path for failure in report.failures] == ["plain.jpg"]
    assert report.num_translated == 3


def test_a_signal_ends_the_run_after_what_was_begun_is_noted(tmp_path, make_translator, photos):
    def stop_after_one(done, _):
        if done == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StoppedError, match="stopped by SIGTERM after 1 of 4 photos") as caught:
        run(photos, tmp_path / "out", make_translator(batch_size=1), on_progress=stop_after_one)
    assert caught.value.signal == signal.SIGTERM
    report = run(photos, tmp_path / "out", make_translator(batch_size=1), policy=RESUME)
    assert report.num_translated == 4
    assert report.num_done_before >= 1


def test_a_watched_folders_report_tells_of_all_that_ever_came(tmp_path, make_translator, photos):
    output = tmp_path / "out"
    (photos / "bad.jpg").write_bytes(b"no picture")
    run(photos, output, make_translator())
    (photos / "sub/old.bmp").unlink()
    (photos / "bad.jpg").rename(tmp_path / "bad.jpg")
    report = run(photos, output, make_translator(), policy=RESUME, covers_folder=True)
    assert (report.num_photos, report.num_translated, report.num_failed) == (5, 4, 1)
    assert report.num_done_before == 4
    assert [failure.path for failure in report.failures] == ["bad.jpg"]


def test_pictures_before_a_failure_are_the_runs_own(tmp_path, make_translator, photos):
    """One target was written and noted; what comes after a failure may take it up."""

    def write(path, content):
        if "not-Young" in path.parts and path.name == "plain.jpg":
            raise OutputError("cannot write plain.jpg: it is cursed")
        write_bytes(path, content)

    words = ("Blond_Hair", "-Young")
    first = run(photos, tmp_path / "out", make_translator(), *words, write=write)
    assert (first.num_failed, first.num_pictures) == (1, 7)
    second = run(photos, tmp_path / "out", make_translator(), *words, policy=RESUME)
    assert (second.num_failed, second.num_translated) == (0, 4)


def test_photos_whose_result_is_not_finite_fail_alone(tmp_path, photos):
    with BrokenRuntime(fake_card(image_size=16, io="float"), batch_size=4) as runtime:
        Image.new("RGB", (40, 40)).save(photos / "black.png")
        report = run(photos, tmp_path / "out", Translator(runtime.card, runtime))
    assert not (tmp_path / "out/black.png").exists()
    (failure,) = (f for f in report.failures if "not finite" in f.reason)
    assert (failure.path, "try fp32" in failure.reason) == ("black.png", True)
    assert report.num_translated > 0


def test_photos_that_have_the_target_already_are_counted(tmp_path, make_translator):
    labels = tmp_path / "labels.csv"
    labels.write_text("file,Black_Hair,Blond_Hair,Young\na.png,0,1,0\nb.png,1,0,0\n")
    (tmp_path / "in").mkdir()
    for name in "ab":
        Image.new("RGB", (20, 20), (200, 100, 50)).save(tmp_path / f"in/{name}.png")
    translator = make_translator()
    options = ImageOptions(strengths=(0.0, 0.5, 1.0))
    table = read_label_table(labels, translator.card.labels, needed=["Blond_Hair"])
    report = run(tmp_path / "in", tmp_path / "out", translator, pictures=options, origin=table)
    assert "Blond_Hair already: 1 of 2 photos; every strength asks for the same there" in (
        report.notes
    )
    strip = np.asarray(load_image(tmp_path / "out/b.png"))
    assert np.array_equal(strip[:, :16], strip[:, 16:32])
