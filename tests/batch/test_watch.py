from itertools import islice

import pytest
from PIL import Image

from stargan_deploy.batch.plan import BatchJob
from stargan_deploy.batch.watch import watch
from stargan_deploy.card.labels import multilabel_space
from stargan_deploy.inference.targets import name_targets

SPACE = multilabel_space(["Male", "Young"])


@pytest.fixture
def job(tmp_path):
    (tmp_path / "in").mkdir()
    targets = name_targets(SPACE, ["Male"])
    return BatchJob(input=tmp_path / "in", output=tmp_path / "out", targets=targets)


def save(path):
    Image.new("RGB", (4, 4)).save(path)


def test_photos_are_taken_as_they_come_and_once_each_state(job):
    events = [
        lambda: save(job.input / "a.png"),
        lambda: None,
        lambda: (job.input / "b.png").write_bytes(b"half"),
        lambda: (job.input / "b.png").write_bytes(b"half a picture"),
        lambda: None,
        lambda: save(job.input / "b.png"),
        lambda: None,
    ]
    looks = iter(events)
    plans = watch(job, sleep=lambda _: next(looks)())
    names = [[photo.name.name for photo in plan.photos] for plan in islice(plans, 3)]
    assert names == [["a.png"], ["b.png"], ["b.png"]]
    plans.close()


def test_an_empty_or_missing_folder_is_waited_for(job):
    job.input.rmdir()
    looks = iter([lambda: None, job.input.mkdir, lambda: save(job.input / "a.png"), lambda: None])
    plans = watch(job, sleep=lambda _: next(looks)())
    assert [photo.name.name for photo in next(plans).photos] == ["a.png"]
    plans.close()
