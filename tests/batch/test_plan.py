from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stargan_deploy.batch.photos.listing import same_name_key
from stargan_deploy.batch.plan import BatchJob, place_images, plan_batch
from stargan_deploy.card.labels import multilabel_space
from stargan_deploy.errors import UsageError
from stargan_deploy.files.images import KEPT_FORMATS
from stargan_deploy.inference.targets import name_targets

SPACE = multilabel_space(("Black_Hair", "Blond_Hair", "Young"))


def job(source: Path, output: Path, *words: str) -> BatchJob:
    targets = name_targets(SPACE, words or ("Blond_Hair",))
    return BatchJob(input=source, output=output, targets=targets)


def placed(*names: str) -> dict[str, str]:
    places = place_images(PurePosixPath(name) for name in names)
    return {str(photo): str(place) for photo, place in places.items()}


def test_one_target_keeps_the_tree_and_several_have_a_folder_each(tmp_path, photos):
    plan = plan_batch(job(photos, tmp_path / "out"))
    places = [photo.outputs[0].relative_to(tmp_path / "out").as_posix() for photo in plan.photos]
    assert places == ["plain.jpg", "sub/alpha.png", "sub/deep/Größe 1.webp", "sub/old.png"]
    plan = plan_batch(job(photos, tmp_path / "out", "Blond_Hair", "-Young"))
    first = [path.relative_to(tmp_path / "out").as_posix() for path in plan.photos[0].outputs]
    assert first == ["Blond_Hair/plain.jpg", "not-Young/plain.jpg"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("photos", "places"),
    [
        (("a.bmp", "a.png"), ("a.bmp.png", "a.png")),
        (("a.bmp", "a.gif"), ("a.png", "a.gif.png")),
        (("a.bmp", "a.png", "a.bmp.png"), ("a.bmp-2.png", "a.png", "a.bmp.png")),
        (("A.jpg", "a.jpg"), ("A.jpg", "a-2.jpg")),
        (("a.jpg", "a.jpeg", "a.JPG"), ("a-2.jpg", "a.jpeg", "a.JPG")),
        (("X/a.jpg", "x/a.jpg"), ("X/a.jpg", "x/a-2.jpg")),
        (("x.bmp", "x.png/b.jpg"), ("x.bmp.png", "x.png/b.jpg")),
        (("photo",), ("photo.png",)),
    ],
)
def test_pictures_that_want_one_name_are_told_apart(photos, places):
    assert placed(*photos) == dict(zip(photos, places, strict=True))


NAMES = st.builds(
    "{}{}".format,
    st.sampled_from(["a", "A", "a-2", "a.bmp", "x/a", "X/a", "é", "e\u0301", "a.png/b"]),
    st.sampled_from([".jpg", ".JPG", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".bmp.png"]),
)


@given(names=st.lists(NAMES, unique=True, max_size=25))
def test_every_photo_has_a_place_of_its_own(names):
    places = place_images(map(PurePosixPath, names))
    assert list(map(str, places)) == names
    keys = {same_name_key(place) for place in places.values()}
    assert len(keys) == len(names)
    for photo, place in places.items():
        assert place.parent == photo.parent
        kept = photo.suffix.lower() in KEPT_FORMATS
        assert place.suffix == (photo.suffix if kept else ".png")
        assert same_name_key(place) not in {same_name_key(p) for q in names for p in parents(q)}


def parents(name: str) -> list[PurePosixPath]:
    return list(PurePosixPath(name).parents)


def test_renamed_pictures_are_listed(tmp_path, photos):
    (photos / "sub/old.png").write_bytes(b"")
    assert plan_batch(job(photos, tmp_path / "out")).renamed == {"sub/old.bmp": "sub/old.bmp.png"}


def test_photos_are_never_written_over(tmp_path, photos):
    with pytest.raises(UsageError, match="is the input itself"):
        plan_batch(job(photos, photos))
    with pytest.raises(UsageError, match="would be written over it"):
        plan_batch(job(photos / "plain.jpg", photos))
    (photos / "photos").mkdir()
    (photos / "photos/plain.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match=r"photos/plain\.jpg is a photo of the input"):
        plan_batch(job(photos, tmp_path / "photos" / ".."))


def test_photos_are_not_written_over_through_links_either(tmp_path, photos):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/sub").symlink_to(photos / "sub")
    with pytest.raises(UsageError, match="is a photo of the input"):
        plan_batch(job(photos, tmp_path / "out"))


def test_a_link_to_a_photo_does_not_expose_the_photo(tmp_path, photos):
    (tmp_path / "links").mkdir()
    (tmp_path / "links/plain.jpg").symlink_to(photos / "plain.jpg")
    with pytest.raises(UsageError, match="is a photo of the input"):
        plan_batch(job(tmp_path / "links", photos))


def test_results_of_an_earlier_run_may_be_replaced(tmp_path, photos):
    (photos / "out").mkdir()
    (photos / "out/plain.jpg").write_bytes(b"")
    plan = plan_batch(job(photos, photos / "out"))
    assert photos / "out/plain.jpg" in [photo.outputs[0] for photo in plan.photos]
    assert len(plan.photos) == 4
