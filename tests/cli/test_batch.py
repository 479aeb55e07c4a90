import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from stargan_deploy.backends import registry
from stargan_deploy.families.checkpoint import load_checkpoint, save_checkpoint
from stargan_deploy.inference import choose, find, speed

ATTRIBUTES = "Black_Hair, Blond_Hair, Brown_Hair, Male, Young"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Exports made on demand stay inside the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "stargan-deploy"


@pytest.fixture
def photos(tmp_path):
    """Two photos of 40x30 in a tree, relative to the folder where commands run."""
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    (tmp_path / "photos/sub").mkdir(parents=True)
    Image.fromarray(noise).save(tmp_path / "photos/a.jpg")
    Image.fromarray(noise[::-1]).save(tmp_path / "photos/sub/b.bmp")
    return tmp_path / "photos"


def test_a_folder_is_translated(command, checkpoint, photos, tmp_path):
    words = ("--input", "photos", "--attrs", "Blond_Hair", "--model", checkpoint)
    result = command("batch", *words, "--device", "cpu")
    assert result.code == 0
    assert "translated 2 of 2 photos: 2 images in translated/" in result.out
    assert "images/s" in result.out
    assert "translating 2 photos to Blond_Hair with tiny.safetensors (eager on cpu)" in result.err
    with Image.open(tmp_path / "translated/sub/b.png") as image:
        assert image.size == (32, 32)
    assert (tmp_path / "translated/a.jpg").is_file()
    assert json.loads((tmp_path / "translated/report.json").read_text())["num_translated"] == 2


@pytest.mark.parametrize("words", [("--attrs", "-Male"), ("--attrs=-Male",)])
def test_a_leading_dash_switches_off(command, checkpoint, photos, tmp_path, words):
    result = command("batch", "--input", "photos", *words, "--model", checkpoint, "--json")
    assert result.code == 0
    report = json.loads(result.out)
    assert report["targets"] == {"not-Male": "-Male"}
    assert (tmp_path / "translated/a.jpg").is_file()


def test_several_targets(command, checkpoint, photos, tmp_path):
    targets = ("--attrs", "Blond_Hair,Young", "--attrs", "flip:Male", "-o", "out")
    result = command("batch", "-i", "photos", *targets, "--model", checkpoint)
    assert result.code == 0
    assert (tmp_path / "out/Blond_Hair+Young/sub/b.png").is_file()
    assert (tmp_path / "out/flip-Male/a.jpg").is_file()


def test_a_broken_photo_gives_exit_code_10_and_stops_nothing(command, checkpoint, photos):
    (photos / "broken.jpg").write_text("no picture")
    words = ("--input", "photos", "--attrs", "Male", "--model", checkpoint)
    result = command("batch", *words)
    assert result.code == 10
    assert "failed: photos/broken.jpg is not an image" in result.out
    assert "translated 2 of 3 photos" in result.out
    assert "1 of 3 photos failed; see translated/report.json" in result.err
    report = json.loads(command("batch", *words, "--resume", "--json").out)
    assert [failure["path"] for failure in report["failures"]] == ["broken.jpg"]
    assert (report["num_done_before"], report["num_translated"]) == (2, 2)


def test_only_broken_photos_fail_too(command, checkpoint, photos, tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"")
    result = command("batch", "--input", "x.jpg", "--attrs", "Male", "--model", checkpoint)
    assert result.code == 10
    assert "translated 0 of 1 photo:" in result.out


def test_a_checkpoint_is_exported_once_for_onnx(command, checkpoint, photos, cache):
    words = ("batch", "--input", "photos", "--attrs", "Male", "--model", checkpoint)
    dry = command(*words, "--backend", "onnx", "--dry-run")
    assert (dry.code, cache.exists()) == (0, False)
    first = command(*words, "--backend", "onnx", "--device", "cpu")
    assert first.code == 0
    assert "to onnx-fp32 first, to be kept in" in first.err
    assert "(onnx on cpu)" in first.err
    (artefact,) = (p for p in cache.rglob("*.onnx") if "classifier" not in p.name)
    written = artefact.stat().st_mtime_ns
    second = command(*words, "--backend", "onnx", "--device", "cpu", "--json", "--overwrite")
    assert "using the export of tiny.safetensors" in second.err
    assert artefact.stat().st_mtime_ns == written
    assert json.loads(second.out)["source_origin"] == "predicted"
    refused = command(*words[:-1], artefact, "--backend", "eager", "--overwrite")
    assert refused.code == 2
    assert "backend 'eager' does not run" in refused.err
    artefact.write_bytes(b"half")
    repaired = command(*words, "--backend", "onnx", "--device", "cpu", "--overwrite")
    assert (repaired.code, "to onnx-fp32 first" in repaired.err) == (0, True)


def test_sources_from_a_file(command, checkpoint, photos, tmp_path):
    rows = "file,Black_Hair,Blond_Hair,Brown_Hair,Male,Young\na.jpg,0,1,0,0,1\nb.bmp,0,1,0,1,1\n"
    (tmp_path / "labels.csv").write_text(rows)
    words = ("--input", "photos", "--attrs", "flip:Male", "--model", checkpoint)
    result = command("batch", *words, "--source", "labels.csv", "--json")
    assert result.code == 0
    assert json.loads(result.out)["source_origin"] == "given"


def test_a_dry_run_lists_and_writes_nothing(command, checkpoint, photos, tmp_path):
    words = ("--input", "photos", "--attrs", "Male", "--model", checkpoint, "--dry-run")
    before = sorted(tmp_path.rglob("*"))
    result = command("batch", *words)
    assert result.code == 0
    assert "photos/a.jpg -> translated/a.jpg" in result.out
    assert "photos/sub/b.bmp -> translated/sub/b.png" in result.out
    plan = json.loads(command("batch", *words, "--json").out)
    assert plan["photos"][0] == {"photo": "photos/a.jpg", "pictures": ["translated/a.jpg"]}
    assert sorted(tmp_path.rglob("*")) == before


def test_quiet_prints_the_result_only(command, checkpoint, photos):
    words = ("--input", "photos", "--attrs", "Male", "--model", checkpoint, "--quiet")
    result = command("batch", *words)
    assert result.err == ""
    assert len(result.out.splitlines()) == 1


def test_the_model_that_is_taken_is_named(command, demo_checkpoint, photos, monkeypatch):
    monkeypatch.setattr(find, "DEMO_MODEL", demo_checkpoint)
    result = command("batch", "--input", "photos", "--attrs", "Blond_Hair")
    assert result.code == 0
    assert "model: the demo model in the package" in result.err
    assert "note: probably real: 2 of 2 photos" in result.err


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        ((), 2, f"name at least one target with --attrs; this model knows: {ATTRIBUTES}"),
        (("--attrs", "Blonde_Hair"), 2, "did you mean 'Blond_Hair'?"),
        (("--attrs", "Male", "--attrs", "Male"), 2, "mean the same"),
        (("--attrs", "Male", "--input", "none"), 3, "no such file or folder: none"),
        (("--attrs", "Male", "--input", "empty"), 3, "no images in empty; looked for files"),
        (("--attrs", "Male", "--model", "none.onnx"), 4, "no such model: none.onnx"),
        (("--attrs", "Male", "--model", "photos/a.jpg"), 4, "neither a checkpoint nor"),
        (("--attrs", "Male", "--output", "photos"), 2, "is the input itself"),
        (("--attrs", "Male", "--output", "photos/a.jpg"), 9, "cannot write photos/a.jpg"),
        (("--attrs", "Male", "--backend", "quick"), 2, "known: auto, eager, compile, onnx"),
        (("--attrs", "Male", "--weights", "best"), 2, "not one of 'ema', 'raw'"),
        (("--attrs", "Male", "--source", "none.csv"), 3, "no such label file: none.csv"),
        (
            ("--attrs", "Male", "--source", "photos/a.jpg"),
            3,
            "photos/a.jpg: it is not a text file; --source",
        ),
        (("--attrs", "Male", "--batch-size", "0"), 2, "at least one image"),
    ],
)
def test_bad_input_is_one_clear_line(command, checkpoint, photos, tmp_path, words, code, complaint):
    (tmp_path / "empty").mkdir()
    model = () if "--model" in words else ("--model", checkpoint)
    result = command("batch", "--input", "photos", *model, *words)
    assert result.code == code
    last = result.err.strip().splitlines()[-1]
    assert last.startswith("stargan-deploy: ")
    assert complaint in last
    assert not (tmp_path / "translated").exists()


def test_auto_exports_once_where_that_pays_and_says_what_it_took(
    command, checkpoint, photos, cache, monkeypatch
):
    monkeypatch.setattr(registry, "recommended", lambda kind: [("onnx", "fp32")])
    words = ("batch", "-i", "photos", "--attrs", "Male", "--model", checkpoint, "--device", "cpu")
    few = command(*words)
    assert "auto: eager (nothing faster is proven)" in few.err
    assert not cache.exists()
    monkeypatch.setattr(choose, "WORTH_EXPORTING", 2)
    assert "auto: eager" in command(*words, "--overwrite", "--dry-run").err
    assert not cache.exists()
    enough = command(*words, "--overwrite")
    assert "auto: exporting tiny.safetensors to onnx fp32, once for all later" in enough.err
    again = command(*words, "--overwrite")
    assert again.code == 0
    assert "exporting" not in again.err or "auto: eager" in again.err
    for name in ("onnx", "eager"):
        assert (f"auto: {name} (" in again.err) == (f"({name} on cpu)" in again.err)


def test_auto_goes_on_with_the_next_where_an_export_fails(
    command, checkpoint, photos, monkeypatch, cache
):
    monkeypatch.setattr(choose, "WORTH_EXPORTING", 1)
    both = [("trt", "fp32"), ("onnx", "fp32")]
    monkeypatch.setattr(registry, "recommended", lambda kind: both)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    words = ("batch", "-i", "photos", "--attrs", "Male", "--model", checkpoint, "--device", "cpu")
    result = command(*words)
    assert result.code == 0, result.err
    assert "auto: not trt fp32: " in result.err
    assert "auto: exporting tiny.safetensors to onnx fp32" in result.err


def test_auto_finds_what_was_exported_to_exports(command, checkpoint, photos, cache, monkeypatch):
    seconds = {"eager": 0.2, "onnx": 0.1}
    monkeypatch.setattr(speed, "_timed", lambda runtime, *_: seconds[runtime.backend])
    words = ("batch", "-i", "photos", "--attrs", "Male", "--model", checkpoint, "--device", "cpu")
    assert command("export", checkpoint, "--device", "cpu").code == 0
    result = command(*words)
    assert "auto: onnx (float32, 2x (2 to 2 in 15 rounds of batch " in result.err
    assert "(onnx on cpu)" in result.err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--precision", "fp16"), "--precision goes with a --backend; auto chooses both"),
        (("--backend", "eager", "--precision", "bf16"), "computes in fp32 only, not in bf16"),
        (("--backend", "onnx", "--precision", "bf16"), "there is no onnx at precision 'bf16'"),
    ],
)
def test_precisions_that_a_backend_lacks_are_refused(
    command, checkpoint, photos, tmp_path, words, complaint
):
    result = command("batch", "-i", "photos", "--attrs", "Male", "--model", checkpoint, *words)
    assert result.code == 2
    assert complaint in result.err
    assert not (tmp_path / "translated").exists()


def test_resuming_takes_what_the_earlier_run_took(command, checkpoint, photos, cache, monkeypatch):
    words = ("batch", "-i", "photos", "--attrs", "Male", "--model", checkpoint, "--device", "cpu")
    assert "auto: eager" in command(*words).err
    assert command("export", checkpoint, "--out", "exports/tiny.onnx").code == 0
    monkeypatch.setattr(choose, "WORTH_EXPORTING", 1)
    Image.new("RGB", (40, 40)).save(photos / "new.png")
    resumed = command(*words, "--resume")
    assert resumed.code == 0
    assert "eager, same as the run being resumed" in resumed.err
    assert "translated 3 of 3 photos, 2 of them before: 1 image" in resumed.out


@pytest.mark.parametrize("backend", ["eager", pytest.param("compile", marks=pytest.mark.slow)])
def test_overflow_is_a_failure_of_every_photo(command, checkpoint, photos, tmp_path, backend):
    loaded = load_checkpoint(checkpoint)
    huge = loaded.tensors | {"generator.main.0.weight": torch.full((8, 8, 7, 7), 3e38)}
    save_checkpoint(tmp_path / "huge.safetensors", loaded.card, huge)
    result = command(
        *("batch", "-i", photos, "--attrs", "Male", "--model", "huge.safetensors"),
        *("--backend", backend, "--device", "cpu"),
    )
    assert result.code == 10
    assert "not finite" in result.out
    assert not (tmp_path / "translated/a.jpg").exists()


def test_files_that_are_not_read_are_named_and_counted(command, checkpoint, photos, tmp_path):
    for name in ("x.cr2", "y.cr2", "z.jxl"):
        (photos / name).write_bytes(b"raw")
    words = ("--attrs", "Male", "--model", checkpoint, "--device", "cpu")
    result = command("batch", "-i", photos, *words)
    assert result.code == 0
    assert "note: left out: 3 files (.cr2 2, .jxl 1)" in result.err
    report = json.loads((tmp_path / "translated/report.json").read_text())
    assert report["left_out"] == {".cr2": 2, ".jxl": 1}
    result = command("batch", "-i", photos / "x.cr2", *words, "-o", "one")
    assert result.code == 10
    assert "x.cr2 is a camera's raw file (.cr2); convert it to PNG or JPEG" in result.out


def test_deep_photos_have_one_range(command, checkpoint, tmp_path):
    ramp = np.linspace(0, 1, 1600).reshape(40, 40)
    (tmp_path / "deep").mkdir()
    for number, top in enumerate((2000, 4000)):
        Image.fromarray((ramp * top).astype(np.uint16)).save(tmp_path / f"deep/{number}.png")
    words = ("batch", "-i", "deep", "--attrs", "Male", "--model", checkpoint, "--device", "cpu")
    result = command(*words)
    assert result.code == 0
    assert "use less than a tenth of the range of their type: 2 of 2 photos; --range" in result.err
    result = command(*words, "--range", "0,4095", "-o", "ranged")
    assert (result.code, "tenth" in result.err) == (0, False)
    for text in ("4095", "5,1", "a,b"):
        assert command(*words, "--range", text, "-o", "no").code == 2
    Image.fromarray(((ramp - 0.5) * 2000).astype(np.float32)).save(tmp_path / "deep/2.tif")
    result = command(*words, "-o", "floats")
    assert result.code == 10
    assert "values from -1000 to 1000 are beyond 0 to 1; set data.range, or --range" in result.out


def test_several_inputs_and_what_a_pattern_gives(command, checkpoint, photos, tmp_path):
    words = ("--attrs", "Male", "--model", checkpoint, "--device", "cpu")
    result = command("batch", "-i", "photos/a.jpg", "photos/sub/b.bmp", *words, "-o", "one")
    assert result.code == 0, result.err
    assert sorted(p.name for p in (tmp_path / "one").rglob("*.[jp][pn]g")) == ["a.jpg", "b.png"]
    assert (tmp_path / "one/sub/b.png").is_file()
    result = command("batch", "-i", "photos/sub", "-i", "photos/a.jpg", *words, "-o", "two")
    assert result.code == 0, result.err
    assert (tmp_path / "two/sub/b.png").read_bytes() == (tmp_path / "one/sub/b.png").read_bytes()
    result = command("batch", "photos/a.jpg", "photos/a.jpg", *words, "-o", "three")
    assert "translated 1 of 1 photo" in result.out
    result = command("batch", "photos/a.jpg", "photos/none.jpg", *words, "-o", "four")
    assert (result.code, "no such file or folder: photos/none.jpg" in result.err) == (3, True)
    result = command("batch", *words)
    assert result.code == 2
    assert "Missing option '--input'" in result.err
