import numpy as np
from PIL import Image

from stargan_deploy.batch.output import contact_sheets as sheets
from stargan_deploy.batch.output.contact_sheets import write_batch_gallery, write_contact_sheets
from stargan_deploy.batch.plan import BatchJob, plan_batch
from stargan_deploy.card.labels import multilabel_space
from stargan_deploy.inference.framing import WholePhoto
from stargan_deploy.inference.targets import name_targets

FRAMING = WholePhoto(crop_size=None, size=16)


def finished(tmp_path, num):
    (tmp_path / "in").mkdir()
    for index in range(num):
        Image.new("RGB", (30, 20), (index, 0, 0)).save(tmp_path / f"in/{index}.png")
    targets = name_targets(multilabel_space(["Male", "Young"]), ["Male", "-Young"])
    plan = plan_batch(BatchJob(input=tmp_path / "in", output=tmp_path / "out", targets=targets))
    for photo in plan.photos[1:]:
        for path in photo.outputs:
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), (0, 200, 0)).save(path)
    return plan


def test_contact_sheets_show_what_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "ROWS_PER_SHEET", 2)
    paths = write_contact_sheets(finished(tmp_path, 4), FRAMING)
    assert [path.name for path in paths] == ["contact-sheet-001.jpg", "contact-sheet-002.jpg"]
    first, second = (np.asarray(Image.open(path)).astype(int) for path in paths)
    assert first.shape[0] > second.shape[0]
    assert first.shape[1] == second.shape[1]
    green = (abs(first - (0, 200, 0)) < 12).all(axis=2).mean()
    assert 0.4 < green < 0.6  # two of three columns, less the margins


def test_the_gallery_takes_photos_evenly(tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "MAX_GALLERY_PHOTOS", 3)
    path = write_batch_gallery(finished(tmp_path, 8), FRAMING, title="A <b> title")
    page = path.read_text(encoding="utf-8")
    assert "A &lt;b&gt; title" in page
    assert "3 of 7 photos, taken evenly" in page
    assert page.count("<section") == 3
    assert all(f"<h2>{name}.png</h2>" in page for name in (1, 4, 7))


def test_photos_that_vanished_are_left_out(tmp_path):
    plan = finished(tmp_path, 3)
    plan.photos[2].path.unlink()
    page = write_batch_gallery(plan, FRAMING, title="").read_text(encoding="utf-8")
    assert page.count("<section") == 1
