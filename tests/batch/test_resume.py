"""Nothing is lost, nothing is done twice: what a run decides to do where others have been."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from stargan_deploy.batch.manifest.reader import read_manifests
from stargan_deploy.batch.manifest.writer import ManifestWriter
from stargan_deploy.batch.resume import (
    HASHED_AT_ONCE,
    PHOTOS_PER_CLAIM,
    ResumePolicy,
    claim_in_groups,
    decide,
)
from stargan_deploy.errors import UsageError
from tests.batch.test_settings import SETTINGS
from tests.studio import (
    FOLDERS,
    OVERWRITE,
    REDO,
    RESUME,
    RESUME_OVERWRITE,
    Studio,
    states,
)


@pytest.fixture
def studio(tmp_path):
    studio = Studio(tmp_path)
    studio.add("a.jpg", "sub/b.jpg", "sub/Größe 1.jpg")
    return studio


@pytest.fixture
def finished(studio):
    """Everything done once."""
    studio.run(ResumePolicy())
    studio.touched.clear()
    return studio


def names(photos):
    return [photo.name.as_posix() for photo in photos]


def test_a_first_run_does_everything(studio):
    decision = studio.decide(ResumePolicy())
    assert len(decision.to_do) == 3
    assert not decision.done
    assert not any(photo.may_replace for photo in decision.to_do)
    assert studio.decide(RESUME) == decision
    assert not studio.output.exists()


def test_what_is_done_is_not_done_again(finished):
    before = states(finished.output.rglob("*.jpg"))
    decision = finished.decide()
    assert not decision.to_do
    assert [record.photo for record in decision.done] == ["a.jpg", "sub/Größe 1.jpg", "sub/b.jpg"]
    finished.run()
    assert not finished.touched
    assert states(finished.output.rglob("*.jpg")) == before


def picture(studio):
    return studio.output / "Male" / "a.jpg"


def set_settings(studio):
    studio.settings = replace(SETTINGS, backend="openvino", batch_size=8)


def forget_photo(studio):
    """As if the run had been killed before the end of a.jpg was noted, and never had begun it."""
    path = studio.output / "manifest.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b'"a.jpg"' not in line))


def end_as(result):
    def change(studio):
        with ManifestWriter(studio.output) as writer:
            writer.begin(studio.settings, read_manifests(studio.output))
            record = read_manifests(studio.output).photos["a.jpg"]
            outputs = () if result in ("skipped", "failed") else record.outputs
            writer.append(replace(record, result=result, outputs=outputs))
        if not outputs:
            for folder in FOLDERS:
                (studio.output / folder / "a.jpg").unlink()

    return change


def move(studio):
    (studio.output / "store").mkdir()
    picture(studio).rename(studio.output / "store" / "a")
    picture(studio).symlink_to(studio.output / "store" / "a")


def break_link(studio):
    picture(studio).unlink()
    picture(studio).symlink_to("nowhere")


def make_folder(studio):
    picture(studio).unlink()
    picture(studio).mkdir()


def add_with_file_in_place(studio):
    studio.add("new.jpg")
    (studio.output / "Male" / "new.jpg").write_bytes(b"somebody's")


def lose_settings(studio):
    path = studio.output / "manifest.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"settings"', b'"sottings"'))


FOREIGN = "1 existing output files were modified or are not ours, first .*Male.*move them"
OTHER_SETTINGS = (
    r"3 of 3 finished photos were made with other settings \(backend: onnx -> openvino; "
    r"batch_size: 16 -> 8\); .*`changed` redo"
)
OTHER_PHOTO = r"1 of 3 finished photos have changed since, first .*a\.jpg; .*`changed` redo"
EXIST = (
    r"6 of 6 images exist already, first .*Blond_Hair.a\.jpg; continue with `resume`, repeat all "
    r"with `overwrite`, or choose another `output`"
)
ALL = ["a.jpg", "sub/Größe 1.jpg", "sub/b.jpg"]
A = ["a.jpg"]

RULES = [
    # what happened, what the user says, what is done (again) or how it is refused
    ("nothing", None, ResumePolicy(), EXIST),
    ("nothing", None, RESUME, []),
    ("nothing", None, REDO, []),
    ("nothing", None, OVERWRITE, ALL),
    ("nothing", None, RESUME_OVERWRITE, []),
    ("settings", set_settings, ResumePolicy(), EXIST),
    ("settings", set_settings, RESUME, OTHER_SETTINGS),
    ("settings", set_settings, RESUME_OVERWRITE, OTHER_SETTINGS),
    ("settings", set_settings, REDO, ALL),
    ("settings", set_settings, OVERWRITE, ALL),
    ("settings lost", lose_settings, RESUME, r"3 of 3 .* other settings \(unknown, because"),
    ("settings lost", lose_settings, REDO, ALL),
    ("photo", lambda s: (s.input / "a.jpg").write_bytes(b"another"), RESUME, OTHER_PHOTO),
    ("photo", lambda s: (s.input / "a.jpg").write_bytes(b"another"), RESUME_OVERWRITE, OTHER_PHOTO),
    ("photo", lambda s: (s.input / "a.jpg").write_bytes(b"another"), REDO, A),
    ("photo touched", lambda s: (s.input / "a.jpg").touch(), RESUME, []),
    ("picture missing", lambda s: picture(s).unlink(), RESUME, A),
    ("all missing", lambda s: [shutil.rmtree(s.output / f) for f in FOLDERS], RESUME, ALL),
    (
        "all missing",
        lambda s: [shutil.rmtree(s.output / f) for f in FOLDERS],
        ResumePolicy(),
        "on 3 photos",
    ),
    ("picture changed", lambda s: picture(s).write_bytes(b"edited"), RESUME, FOREIGN),
    ("picture changed", lambda s: picture(s).write_bytes(b"edited"), REDO, FOREIGN),
    ("picture changed", lambda s: picture(s).write_bytes(b"edited"), RESUME_OVERWRITE, A),
    ("picture elsewhere", move, RESUME, []),
    ("broken link", break_link, RESUME, FOREIGN),
    ("folder in its place", make_folder, RESUME, FOREIGN),
    ("new photo", lambda s: s.add("new.jpg"), RESUME, ["new.jpg"]),
    ("new photo, place taken", add_with_file_in_place, RESUME, FOREIGN),
    ("new photo, place taken", add_with_file_in_place, REDO, FOREIGN),
    ("new photo, place taken", add_with_file_in_place, RESUME_OVERWRITE, ["new.jpg"]),
    ("photo gone", lambda s: (s.input / "a.jpg").unlink(), RESUME, []),
    ("nothing noted", forget_photo, RESUME, FOREIGN.replace("1 ", "2 ").replace("Male", "")),
    ("nothing noted", forget_photo, RESUME_OVERWRITE, A),
    ("copied", end_as("copied"), RESUME, []),
    ("skipped", end_as("skipped"), RESUME, []),
    ("failed", end_as("failed"), RESUME, A),
    (
        "no manifest",
        lambda s: (s.output / "manifest.jsonl").unlink(),
        RESUME,
        "6 existing output files",
    ),
    ("no manifest", lambda s: (s.output / "manifest.jsonl").unlink(), ResumePolicy(), EXIST),
]


@pytest.mark.parametrize(
    ("change", "policy", "expected"),
    [rule[1:] for rule in RULES],
    ids=[f"{what} - {vars(policy)}" for what, _, policy, _ in RULES],
)
def test_rules(finished, change, policy, expected):
    if change is not None:
        change(finished)
    if isinstance(expected, str):
        with pytest.raises(UsageError, match=expected) as refusal:
            finished.decide(policy)
        assert "\n" not in str(refusal.value)
        return
    decision = finished.decide(policy)
    assert names(decision.to_do) == expected
    planned = set(names(finished.photos()))
    assert {record.photo for record in decision.done} == planned - set(expected)
    assert all(
        photo.may_replace or not any(map(os.path.lexists, photo.outputs))
        for photo in decision.to_do
    )
    assert decision.num_changed == (
        len(expected) if policy == REDO and "new" not in expected else 0
    )


def test_redo_alone_makes_no_sense():
    with pytest.raises(UsageError, match="`changed` redo goes with `resume`"):
        ResumePolicy(changed="redo")


def test_redone_photos_can_be_resumed_and_redone_again(finished):
    set_settings(finished)
    finished.run(REDO)
    assert finished.touched == ALL
    assert not finished.decide(RESUME).to_do
    finished.settings = SETTINGS
    assert len(finished.decide(REDO).to_do) == 3


def test_a_photo_that_breaks_and_is_mended_gets_its_picture(finished):
    # The line of the failure tells of no files, but an older one tells of those in place.
    whole = (finished.input / "a.jpg").read_bytes()
    (finished.input / "a.jpg").write_bytes(b"broken")
    finished.run(REDO)
    (finished.input / "a.jpg").write_bytes(whole)
    finished.run()
    assert finished.touched == ["a.jpg", "a.jpg"]
    assert not finished.decide().to_do


def test_a_photo_that_cannot_be_read_is_tried_again(finished):
    path = finished.input / "a.jpg"
    path.unlink()
    path.symlink_to("nowhere")
    assert names(finished.decide().to_do) == ["a.jpg"]


def test_a_picture_that_moves_over_to_a_new_photo_may_be_replaced(finished):
    # `old.bmp` had the place `old.png` until a photo of that name came; see `place_images`.
    photos = finished.photos()
    newcomer = replace(photos[0], name=PurePosixPath("new.jpg"))
    moved = replace(photos[0], outputs=tuple(p.with_suffix(".x.jpg") for p in photos[0].outputs))
    decision = decide(
        [newcomer, moved, *photos[1:]],
        output=finished.output,
        earlier=read_manifests(finished.output),
        settings=SETTINGS,
        policy=RESUME,
    )
    assert names(decision.to_do) == ["new.jpg", "a.jpg"]
    assert [photo.may_replace for photo in decision.to_do] == [True, False]


def test_a_manifest_that_cannot_be_understood_counts_as_work(studio):
    studio.output.mkdir()
    (studio.output / "manifest.jsonl").write_text('{"image": "their.jpg"}\n')
    with pytest.raises(UsageError, match="is of an earlier run"):
        studio.decide(ResumePolicy())


def test_an_earlier_run_that_did_nothing_is_no_work(studio):
    with ManifestWriter(studio.output) as writer:
        writer.begin(SETTINGS, read_manifests(studio.output))
    assert len(studio.decide(ResumePolicy()).to_do) == 3


def test_names_that_are_not_utf8(studio):
    studio.add(os.fsdecode(b"sub/\xe9t\xe9.jpg"), "line\nbreak.jpg")
    studio.run(ResumePolicy())
    assert not studio.decide().to_do
    (studio.input / "line\nbreak.jpg").write_bytes(b"another")
    with pytest.raises(UsageError, match=r"line\\nbreak"):
        studio.decide()


def test_many_photos_are_compared_in_groups_and_told(studio):
    studio.add(*(f"many/{number}.jpg" for number in range(HASHED_AT_ONCE)))
    studio.run(ResumePolicy())
    told = []
    decide(
        studio.photos(),
        output=studio.output,
        earlier=read_manifests(studio.output),
        settings=SETTINGS,
        policy=RESUME,
        on_progress=lambda *numbers: told.append(numbers),
    )
    assert told == [(HASHED_AT_ONCE, HASHED_AT_ONCE + 3), (HASHED_AT_ONCE + 3, HASHED_AT_ONCE + 3)]


def test_photos_are_claimed_in_groups_before_they_come_out(studio):
    studio.add(*(f"many/{number}.jpg" for number in range(PHOTOS_PER_CLAIM)))
    with ManifestWriter(studio.output) as writer:
        writer.begin(SETTINGS, read_manifests(studio.output))
        stream = claim_in_groups(studio.photos(), writer, output=studio.output)
        assert not read_manifests(studio.output).in_flight
        next(stream)
        in_flight = read_manifests(studio.output).in_flight
        assert len(in_flight) == PHOTOS_PER_CLAIM
        assert in_flight["a.jpg"] == ("Blond_Hair/a.jpg", "Male/a.jpg")
        assert len(list(stream)) == PHOTOS_PER_CLAIM + 2


def test_killed_between_pictures_and_record_a_photo_is_done_again(studio):
    def fall(photo):
        if photo.name.name == "a.jpg":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        studio.run(ResumePolicy(), end=fall)
    assert studio.decide().to_do[0].may_replace
    with pytest.raises(UsageError, match="exist already"):
        studio.decide(ResumePolicy())
    studio.run()
    assert studio.touched == ["a.jpg", *ALL]


def test_killed_while_redoing_the_old_settings_find_nothing_half_done(finished):
    before = finished.tree()

    def fall(photo):
        for path in photo.outputs:
            path.write_bytes(path.read_bytes()[::-1])  # another picture of the same size
        raise KeyboardInterrupt

    set_settings(finished)
    with pytest.raises(KeyboardInterrupt):
        finished.run(REDO, end=fall)
    finished.settings = SETTINGS
    finished.touched.clear()
    finished.run()
    assert finished.touched == ALL  # all were claimed together
    assert finished.tree() == before


def test_the_manifest_is_json_lines(finished):
    for line in (finished.output / "manifest.jsonl").read_text("utf-8").splitlines():
        assert isinstance(json.loads(line), dict)
