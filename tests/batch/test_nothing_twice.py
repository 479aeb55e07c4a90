"""Shards, kills and hostile manifests: nothing is lost, and nothing is done twice."""

import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stargan_deploy.batch.manifest.reader import read_manifests
from stargan_deploy.batch.resume import ResumePolicy
from stargan_deploy.batch.shard import parse_shard
from stargan_deploy.errors import UsageError
from stargan_deploy.files.atomic import atomic_path
from tests.batch.manifest.test_reader import contents
from tests.studio import FOLDERS, OVERWRITE, RESUME, RESUME_OVERWRITE, Studio, states

pytestmark = pytest.mark.slow


@pytest.fixture
def studio(tmp_path):
    studio = Studio(tmp_path)
    studio.add("a.jpg", "sub/b.jpg", "sub/Größe 1.jpg")
    return studio


def test_leftovers_of_a_killed_run_go_and_others_stay(studio):
    mine = studio.output / "Male" / "a.jpg"
    others = studio.output / "Male" / "not-mine.jpg"
    for path in (mine, others):
        with atomic_path(path) as temporary:
            leftover = temporary.with_name(temporary.name)
            shutil.copy(temporary, leftover.with_suffix(".kept"))
        path.unlink()
        leftover.with_suffix(".kept").rename(leftover)
    assert len(list(mine.parent.iterdir())) == 2
    studio.run(ResumePolicy())
    assert len(list(mine.parent.glob(".*"))) == 1
    assert mine.exists()


def shards(studio, count):
    parts = [parse_shard(f"{index}/{count}") for index in range(1, count + 1)]
    return [replace(studio, shard=part, touched=[]) for part in parts]


def test_shards_work_side_by_side_and_merge(studio):
    studio.add(*(f"many/{number}.jpg" for number in range(20)))
    parts = shards(studio, 3)
    for part in parts:  # each sees the finished work of those before it
        part.run(ResumePolicy())
    manifests = sorted(path.name for path in studio.output.glob("*.jsonl"))
    assert manifests == [f"manifest.{number}-of-3.jsonl" for number in (1, 2, 3)]
    assert not studio.decide().to_do
    with pytest.raises(UsageError, match="exist already"):
        parts[0].decide(ResumePolicy())
    assert len(studio.tree()) == 46


def test_a_shards_own_work_is_found_without_its_pictures(studio):
    studio.add("c.jpg", "d.jpg", "e.jpg")
    first, second = shards(studio, 2)
    second.run(ResumePolicy())
    for folder in FOLDERS:
        shutil.rmtree(studio.output / folder)
    assert first.decide(ResumePolicy()).to_do
    with pytest.raises(UsageError, match=r"manifest\.2-of-2\.jsonl is of an earlier run"):
        second.decide(ResumePolicy())
    with pytest.raises(UsageError, match=r"manifest\.2-of-2\.jsonl is of an earlier run"):
        studio.decide(ResumePolicy())


def test_other_shards_may_be_resumed_as_any_number(studio):
    studio.add(*(f"many/{number}.jpg" for number in range(20)))
    first, second = shards(studio, 2)
    parts = [first, *shards(studio, 3)]
    for part in parts:
        part.run()
    assert first.touched
    touched = [name for part in parts for name in part.touched]
    assert sorted(touched) == sorted(photo.name.as_posix() for photo in studio.photos())
    assert not studio.decide().to_do
    assert not second.decide().to_do


@given(contents, st.binary(max_size=30))
@settings(max_examples=25, deadline=None)
def test_no_manifest_makes_a_run_touch_anything_outside(content, precious):
    with tempfile.TemporaryDirectory() as name:
        studio = Studio(Path(name))
        studio.add("a.jpg", "x.jpg")
        studio.output.mkdir()
        (studio.output / "manifest.jsonl").write_bytes(content)
        (studio.root / "x").write_bytes(precious)
        before = states([studio.input / "a.jpg", studio.root / "x"])
        for policy in (ResumePolicy(), RESUME, RESUME_OVERWRITE, OVERWRITE):
            try:
                studio.run(policy)
            except UsageError as refusal:
                assert "\n" not in str(refusal)
        assert states(before) == before
        assert {path.name for path in studio.root.iterdir()} == {"photos", "out", "x"}
        assert sorted(studio.tree()) == [f"{folder}/{x}.jpg" for folder in FOLDERS for x in "ax"]


RUN = """
import sys
from pathlib import Path
from stargan_deploy.batch.resume import ResumePolicy
from tests.studio import RESUME, Studio

print("begun", flush=True)
Studio(Path(sys.argv[1])).run(RESUME)
"""


def test_killed_at_any_moment_the_tree_ends_as_that_of_an_undisturbed_run(tmp_path):
    whole, killed = Studio(tmp_path / "whole"), Studio(tmp_path / "killed")
    photos = [f"{number % 5}/{number}.jpg" for number in range(50)]
    whole.add(*photos)
    killed.add(*photos)
    whole.run(ResumePolicy())
    chance = random.Random(1)
    num_done = []
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(killed.root)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert process.stdout.readline() == b"begun\n"
        time.sleep(chance.uniform(0, 0.08))
        process.kill()
        process.communicate()
        num_done.append(len(read_manifests(killed.output).photos))
    done = killed.decide().done
    stands = [killed.output / output.path for record in done for output in record.outputs]
    before = states(stands)
    killed.run()
    assert killed.tree() == whole.tree()
    assert states(stands) == before
    assert not read_manifests(killed.output).notes()
    assert num_done == sorted(num_done)
    assert num_done[-1] > 0
