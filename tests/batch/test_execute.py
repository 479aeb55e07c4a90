import json
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from stargan_deploy.batch.resume import ResumePolicy
from stargan_deploy.errors import BackendError, OutputError
from stargan_deploy.files.images import KEPT_FORMATS, load_image
from stargan_deploy.inference.source_labels import read_label_table
from tests.batch_runs import pictures, run, write_all


def test_every_kind_of_photo(tmp_path, make_translator, good_photos):
    source = write_all(tmp_path / "in", good_photos)
    report = run(source, tmp_path / "out", make_translator())
    assert report.failures == ()
    assert report.num_translated == report.num_pictures == len(good_photos)
    for name, path in pictures(tmp_path / "out").items():
        with Image.open(path) as image:
            assert image.size == (16, 16)
            assert image.mode == "RGB"
            assert image.format == KEPT_FORMATS[path.suffix], name
            assert getattr(image, "n_frames", 1) == 1
    formats = {name: Path(name).suffix for name in pictures(tmp_path / "out")}
    assert {"plain.jpg", "turned.jpeg", "alpha.webp", "moving.png", "scan.png"} <= set(formats)


def test_orientation_is_applied(tmp_path, make_translator):
    half = np.zeros((20, 20, 3), np.uint8)
    half[:, 10:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "in").mkdir()
    Image.fromarray(half).save(tmp_path / "in/turned.png", exif=exif)
    run(tmp_path / "in", tmp_path / "out", make_translator())
    upright = np.asarray(Image.open(tmp_path / "out/turned.png")).astype(int)
    assert upright[12:].mean() > upright[:4].mean() + 100
    assert abs(upright[:, 12:].mean() - upright[:, :4].mean()) < 5


def test_broken_photos_are_reported_and_stop_nothing(
    tmp_path, make_translator, good_photos, bad_photos
):
    source = write_all(tmp_path / "in", {**good_photos, **bad_photos})
    (source / "gone.jpg").symlink_to("nowhere.jpg")
    report = run(source, tmp_path / "out", make_translator(batch_size=3))
    assert {failure.path for failure in report.failures} == {*bad_photos, "gone.jpg"}
    assert all(failure.reason for failure in report.failures)
    assert report.num_failed == 4
    assert report.num_translated == len(pictures(tmp_path / "out")) == len(good_photos)


def test_the_report_is_written(tmp_path, make_translator, photos, bad_photos):
    write_all(photos, bad_photos)
    report = run(photos, tmp_path / "out", make_translator(), "Blond_Hair", "-Young", model="m")
    written = json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(report.to_mapping()))
    assert written["finished"] is True
    assert written["num_photos"] == 7
    assert written["num_pictures"] == 8
    assert written["targets"] == {"Blond_Hair": "Blond_Hair", "not-Young": "-Young"}
    assert written["failures"][0]["path"] == "cut.jpg"
    assert (written["model"], written["backend"], written["device"]) == ("m", "fake", "cpu")
    assert written["images_per_s"] > 0


def test_nothing_readable_is_a_report_too(tmp_path, make_translator, bad_photos):
    source = write_all(tmp_path / "in", bad_photos)
    report = run(source, tmp_path / "out", make_translator())
    assert (report.num_translated, report.num_failed) == (0, 3)


def test_several_targets_have_a_folder_each(tmp_path, make_translator, photos):
    translator = make_translator()
    run(photos, tmp_path / "out", translator, "Blond_Hair", "-Young")
    names = {"plain.jpg", "sub/alpha.png", "sub/deep/Größe 1.webp", "sub/old.png"}
    folders = ("Blond_Hair", "not-Young")
    assert set(pictures(tmp_path / "out")) == {f"{f}/{name}" for f in folders for name in names}
    run(photos, tmp_path / "only", translator, "-Young")
    both, alone = tmp_path / "out/not-Young/sub/old.png", tmp_path / "only/sub/old.png"
    assert both.read_bytes() == alone.read_bytes()


def test_pictures_do_not_depend_on_their_neighbours(tmp_path, make_translator, photos):
    run(photos, tmp_path / "all", make_translator(batch_size=3))
    run(photos / "sub/old.bmp", tmp_path / "one", make_translator(batch_size=3))
    all_of_them = (tmp_path / "all/sub/old.png").read_bytes()
    assert (tmp_path / "one/old.png").read_bytes() == all_of_them


def test_output_inside_the_input_is_not_translated_again(tmp_path, make_translator, photos):
    for overwrite in (False, True):
        policy = ResumePolicy(overwrite=overwrite)
        report = run(photos, photos / "translated", make_translator(), policy=policy)
        assert report.num_photos == 4


def test_names_of_any_bytes_and_length(tmp_path, make_translator, good_photos):
    source = tmp_path / "in"
    odd = [os.fsdecode(b"b\xffd.png"), "顔" * 80 + ".jpg", "a\nb 'c' \"d\" $e.jpg", "-x.webp"]
    write_all(source, dict.fromkeys(odd, good_photos["plain.jpg"]))
    write_all(source, {os.fsdecode(b"broken\xff.jpg"): b""})
    report = run(source, tmp_path / "out", make_translator())
    assert set(pictures(tmp_path / "out")) == set(odd)
    assert [failure.path for failure in report.failures] == ["broken\\udcff.jpg"]
    assert json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))["num_failed"] == 1


def test_sources_come_from_a_file(tmp_path, make_translator, photos):
    translator = make_translator()
    rows = ["file,Black_Hair,Blond_Hair,Young", "plain.jpg,1,0,0", "sub/alpha.png,1,0,1"]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    space = translator.card.labels
    table = read_label_table(tmp_path / "labels.csv", space, needed=space.names)
    report = run(photos, tmp_path / "out", translator, "flip:Young", origin=table)
    assert report.source_origin == "given"
    missing = {failure.path: failure.reason for failure in report.failures}
    assert set(missing) == {"sub/deep/Größe 1.webp", "sub/old.bmp"}
    assert "has no row in" in missing["sub/old.bmp"]
    expected = translator.translate(
        [Image.open(photos / "sub/alpha.png")], ["flip:Young"], np.array([[1, 0, 1]], np.float32)
    )
    written = np.asarray(Image.open(tmp_path / "out/sub/alpha.png"))
    assert np.array_equal(written, expected.pixels[0, 0])


@pytest.mark.parametrize(
    ("classifier", "origin", "told", "has_note"),
    [
        (True, "predict", "predicted", False),
        (True, "zeros", "zeros", False),
        (False, "predict", "zeros", True),
        (False, "zeros", "zeros", False),
    ],
)
def test_where_sources_come_from_is_told(
    tmp_path, make_translator, photos, classifier, origin, told, has_note
):
    translator = make_translator(classifier=classifier, image_size=64)
    report = run(photos, tmp_path / "out", translator, "flip:Young", origin=origin)
    assert report.source_origin == told
    assert any("no classifier" in note for note in report.notes) == has_note


def test_large_photos_are_told(tmp_path, make_translator, photos):
    report = run(photos, tmp_path / "out", make_translator(image_size=16, crop_size=10))
    size, crop = report.notes
    assert size.startswith("larger than 16x16: 4 of 4 photos; they come out at 16x16")
    assert crop.startswith("far larger than the model's crop of 10 pixels: 4 of 4 photos")
    assert run(photos, tmp_path / "small", make_translator(image_size=64)).notes == ()


def test_real_photos_are_told_where_the_model_knows_drawn_faces_only(
    tmp_path, make_translator, photos
):
    options = {"image_size": 64, "training_data": "synthetic faces"}
    (note,) = run(photos / "plain.jpg", tmp_path / "out", make_translator(**options)).notes
    assert note.startswith("probably real: 1 of 1 photo;")


def test_renamed_pictures_are_told(tmp_path, make_translator, photos, good_photos):
    (photos / "sub/old.png").write_bytes(good_photos["alpha.png"])
    report = run(photos, tmp_path / "out", make_translator(image_size=64))
    assert report.renamed == {"sub/old.bmp": "sub/old.bmp.png"}
    assert any(note.startswith("renamed: 1 of the images") for note in report.notes)


def test_progress_counts_all_photos(tmp_path, make_translator, photos, bad_photos):
    write_all(photos, bad_photos)
    told = []
    run(
        photos,
        tmp_path / "out",
        make_translator(batch_size=3),
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(done, 7) for done in range(1, 8)]


def test_an_unwritable_output_is_noticed_before_the_work(tmp_path, make_translator, photos):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        run(photos, tmp_path / "out", make_translator(), on_progress=lambda *_: pytest.fail("work"))


def test_a_picture_that_cannot_be_written_is_reported(tmp_path, make_translator, photos):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/sub").write_text("a file where a folder should be")
    report = run(photos, tmp_path / "out", make_translator())
    assert {failure.path.split("/")[0] for failure in report.failures} == {"sub"}
    assert (report.num_translated, report.num_pictures, report.num_failed) == (1, 1, 3)


def test_an_interrupted_batch_leaves_a_report_that_says_so(
    tmp_path, make_translator, photos, monkeypatch
):
    translator = make_translator()

    def fail(entry_point, inputs):
        raise BackendError("out of memory")

    monkeypatch.setattr(translator.runtime, "_execute", fail)
    with pytest.raises(BackendError):
        run(photos, tmp_path / "out", translator)
    assert json.loads((tmp_path / "out/report.json").read_text())["finished"] is False


STEMS = st.sampled_from(["a", "b", "A", "x/a", "x/y/b", "d.png/c", "é"])
SUFFIXES = st.sampled_from([".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    tree=st.dictionaries(
        st.builds("{}{}".format, STEMS, SUFFIXES), st.sampled_from(["good", "bad"]), min_size=1
    ),
    words=st.sampled_from([["Blond_Hair"], ["Blond_Hair", "-Young"]]),
    batch_size=st.integers(1, 5),
)
def test_every_photo_is_accounted_for_once(
    tmp_path_factory, make_translator, good_photos, bad_photos, tree, words, batch_size
):
    folder = tmp_path_factory.mktemp("tree")
    contents = {"good": good_photos["plain.jpg"], "bad": bad_photos["cut.jpg"]}
    source = write_all(folder / "in", {name: contents[kind] for name, kind in tree.items()})
    report = run(source, folder / "out", make_translator(batch_size=batch_size), *words)
    bad = {name for name, kind in tree.items() if kind == "bad"}
    assert sorted(failure.path for failure in report.failures) == sorted(bad)
    assert report.num_translated == len(tree) - len(bad)
    written = pictures(folder / "out")
    assert len(written) == report.num_pictures == (len(tree) - len(bad)) * len(words)
    assert not any(path.name.endswith(".tmp") for path in folder.rglob("*"))
    assert pictures(source).keys() == tree.keys()


def test_decoding_in_threads_leaves_the_warning_filters_alone(tmp_path):
    palette = Image.new("P", (8, 8))
    palette.putpalette(list(range(256)) * 3)
    palette.save(tmp_path / "warns.png", transparency=bytes(range(256)))
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(load_image, [tmp_path / "warns.png"] * 300))
    assert warnings.filters == before
