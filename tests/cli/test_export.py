import json
import shutil

import pytest

from stargan_deploy.backends.registry import format_names, format_spec, read_card_of
from stargan_deploy.inference import find


@pytest.fixture
def run_folder(checkpoint, tmp_path):
    folder = tmp_path / "runs" / "faces" / "checkpoints"
    folder.mkdir(parents=True)
    shutil.copy(checkpoint, folder / "step-001000.safetensors")
    return folder.parent


def test_the_newest_run_goes_to_exports_under_its_name(command, run_folder, tmp_path):
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "faces.onnx").write_bytes(b"old")
    result = command("export")
    assert result.code == 2
    assert "exports/faces.onnx is there already and is not an export" in result.err
    assert "replace it with --overwrite, or choose another --out" in result.err
    assert (tmp_path / "exports" / "faces.onnx").read_bytes() == b"old"
    result = command("export", "--overwrite")
    assert result.code == 0, result.err
    assert "step-001000.safetensors (newest run)" in result.err
    assert "raw weights of step 0, to onnx at fp32 with uint8 pixels" in result.err
    written = sorted(path.name for path in (tmp_path / "exports").iterdir())
    assert written == [
        *("faces.classifier.json", "faces.classifier.onnx", "faces.json", "faces.onnx"),
    ]
    lines = result.out.splitlines()
    assert lines[0].startswith("replaced exports/faces.onnx (translate, 0.2 MB)")
    assert lines[1].startswith("wrote exports/faces.classifier.onnx (classify, 0.1 MB)")
    assert "proven equal to PyTorch: translate on onnx (cpu): max difference" in lines[2]
    assert "PSNR" in lines[2]
    assert "worst: batch" in lines[2]
    assert "same labels 100.0%" in lines[3]


def test_float_images_and_json(command, checkpoint, tmp_path):
    result = command(
        *("export", checkpoint, "--format", "onnx", "--io", "float"),
        *("--out", "new/mine.onnx", "--json", "--quiet"),
    )
    assert (result.code, result.err) == (0, "")
    told = json.loads(result.out)
    assert [file["path"] for file in told["files"]] == ["new/mine.onnx", "new/mine.classifier.onnx"]
    assert told["files"][0]["size_bytes"] == (tmp_path / "new/mine.onnx").stat().st_size
    assert (told["io"], told["weights"], told["format"]) == ("float", "raw", "onnx")
    assert {verdict["entry_point"] for verdict in told["verdicts"]} == {"translate", "classify"}
    image = read_card_of(tmp_path / "new/mine.onnx").entry_points["translate"].inputs[0]
    assert image.dtype == "float32"


@pytest.mark.parametrize(
    ("out", "path"),
    [
        ([], "exports/tiny.onnx"),
        (["--out", "there"], "there/tiny.onnx"),
        (["--out", "new/"], "new/tiny.onnx"),
        (["--out", "new/mine.onnx"], "new/mine.onnx"),
    ],
)
def test_where_the_files_go(command, checkpoint, tmp_path, out, path):
    (tmp_path / "there").mkdir()
    result = command("export", checkpoint, "--dry-run", *out)
    assert result.out.startswith(f"would write {path} (translate)")


def test_a_dry_run_writes_nothing(command, run_folder, tmp_path):
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "faces.onnx").write_bytes(b"old")
    before = sorted(tmp_path.rglob("*"))
    assert command("export", run_folder, "--dry-run").code == 2
    result = command("export", run_folder, "--dry-run", "--overwrite")
    assert result.code == 0, result.err
    assert result.out.splitlines() == [
        "would replace exports/faces.onnx (translate), which held: not an export of stargan-deploy",
        "would write exports/faces.classifier.onnx (classify)",
    ]
    words = ("--dry-run", "--overwrite", "--json")
    told = json.loads(command("export", run_folder, *words).out)
    assert told["dry_run"] is True
    assert [file["entry_point"] for file in told["files"]] == ["translate", "classify"]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["--format", "openvine"], 2, "unknown format 'openvine'; did you mean 'openvino'?"),
        (["--precision", "bf16"], 2, "no onnx at precision 'bf16'; onnx comes as fp32, fp16, int8"),
        (["--precision", "bf16"], 2, "bf16 exists for: openvino, pt2"),
        (["--precision", "fp8"], 2, "there is no onnx at precision 'fp8'"),
        (["--provider", "tensorrt"], 2, "do nothing for another --format"),
        (["--calibration", "taken"], 2, "--calibration is for int8"),
        (["--precision", "int8", "--calibration", "gone"], 3, "no such folder of photos: gone"),
        (["--precision", "int8", "--calibration", "."], 3, "holds no images"),
        (["--images", "gone"], 3, "no such folder of photos: gone"),
        (["--max-batch", "0"], 2, "--max-batch 0 is not a valid batch size"),
        (["--max-size", "2"], 2, "--max-size 2 is too small; the least is 4"),
        (["--io", "uint"], 2, "'uint' is not one of 'uint8', 'float'"),
        (["--weights", "emma"], 2, "'emma' is not one of 'ema', 'raw'"),
        (["--weights", "ema"], 2, "no moving average; set --weights to raw"),
        (["--out", "model"], 2, "--out model must end in .onnx, or in /"),
        (["--out", "taken/x.onnx"], 9, "taken is not writable"),
        (["--out", "taken/", "--dry-run"], 9, "taken is not writable"),
    ],
)
def test_bad_options_are_told_in_one_line(command, checkpoint, tmp_path, words, code, complaint):
    (tmp_path / "taken").touch()
    result = command("export", checkpoint, *words)
    assert result.code == code
    assert complaint in result.err.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("half.safetensors", None, "not a whole safetensors checkpoint"),
        ("foreign.safetensors", b"hello", "not a whole safetensors checkpoint"),
        ("model.onnx", b"hello", "not a checkpoint"),
        ("200000-G.ckpt", b"hello", "stargan-deploy convert"),
    ],
)
def test_bad_checkpoints_are_told_in_one_line(
    command, checkpoint, tmp_path, name, content, complaint
):
    (tmp_path / name).write_bytes(content or checkpoint.read_bytes()[:5000])
    result = command("export", name)
    assert result.code == 4
    assert complaint in result.err
    assert len(result.err.splitlines()) == 1
    assert not (tmp_path / "exports").exists()


def test_missing_models_are_named(command, tmp_path, monkeypatch):
    assert "no such model: gone.safetensors" in command("export", "gone.safetensors").err
    monkeypatch.setattr(find, "DEMO_MODEL", tmp_path / "demo.safetensors")
    result = command("export")
    assert result.code == 4
    assert "no such checkpoint" in result.err


def test_the_help_lists_the_combinations_that_exist(command):
    text = command("export", "--help").out
    table = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    for format in format_names():
        offered = {p for p in ("fp32", "fp16", "bf16", "int8") if f" {p}" in table[format][:36]}
        assert offered == set(format_spec(format).precisions)


def test_precisions_do_not_replace_each_other(command, checkpoint, tmp_path):
    for words in ([], ["--precision", "fp16"]):
        assert command("export", checkpoint, "--device", "cpu", *words).code == 0
    exports = tmp_path / "exports"
    names = sorted(path.name for path in exports.glob("*.onnx"))
    assert names == [
        *("tiny-fp16.classifier.onnx", "tiny-fp16.onnx", "tiny.classifier.onnx", "tiny.onnx"),
    ]
    assert read_card_of(exports / "tiny.onnx").precision["conv"] == "float32"
    assert read_card_of(exports / "tiny-fp16.onnx").precision["conv"] == "float16"
    found = find.exports_of(read_card_of(exports / "tiny.onnx").parents["checkpoint"], "raw")
    assert [model.path.name for model in found] == ["tiny-fp16.onnx", "tiny.onnx"]


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (["--precision", "int8"], "exports/tiny-int8.onnx"),
        (["--format", "trt"], "exports/tiny-fp16.engine"),
        (["--format", "trt", "--precision", "fp32"], "exports/tiny.engine"),
        (["--format", "openvino", "--precision", "bf16"], "exports/tiny-bf16.xml"),
        (["--format", "triton", "--precision", "fp16"], "exports/triton/tiny-fp16"),
        (["--precision", "fp16", "--out", "new/"], "new/tiny-fp16.onnx"),
        (["--precision", "fp16", "--out", "mine.onnx"], "mine.onnx"),
    ],
)
def test_names_say_any_precision_but_fp32(command, checkpoint, words, path):
    result = command("export", checkpoint, "--dry-run", *words)
    assert result.out.startswith(f"would write {path} (translate)"), result.err


def test_the_same_export_is_not_made_twice_and_another_is_not_replaced(
    command, checkpoint, tmp_path
):
    words = ("export", checkpoint, "--device", "cpu")
    assert command(*words).code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "exports").iterdir()}
    again = command(*words, "--report", "report")
    assert (again.code, again.out.splitlines()[0]) == (
        0,
        f"already there: exports/tiny.onnx (translate, {_megabytes(tmp_path)} MB)",
    )
    assert "not proven again (--report, --device had no effect)" in again.err
    assert json.loads(command(*words, "--json").out)["already_there"] is True
    refused = command(*words, "--max-batch", "8", "--io", "float")
    assert refused.code == 2
    assert "exports/tiny.onnx is there already and holds another export" in refused.err
    assert "io is uint8, not float; max_batch is not set, not 8" in refused.err
    assert {path: path.read_bytes() for path in (tmp_path / "exports").iterdir()} == before
    replaced = command(*words, "--max-batch", "8", "--overwrite")
    assert replaced.code == 0, replaced.err
    assert "MB), which held: fp32, raw weights of step 0, checkpoint " in replaced.out


def test_a_damaged_or_incomplete_export_is_not_taken_for_the_same(command, checkpoint, tmp_path):
    words = ("export", checkpoint, "--device", "cpu")
    assert command(*words).code == 0
    (tmp_path / "exports" / "tiny.classifier.onnx").unlink()
    refused = command(*words)
    assert refused.code == 2
    assert "exports/tiny.onnx is there already and is damaged (tiny.classifier.onnx)" in refused.err
    assert command(*words, "--overwrite").code == 0
    assert command(*words).code == 0


def test_weights_of_another_file_are_not_replaced(command, checkpoint, tmp_path):
    (tmp_path / "tiny.bin").write_bytes(b"mine")
    refused = command("export", checkpoint, "--format", "openvino", "--out", "tiny.xml")
    assert refused.code == 2
    assert "tiny.bin is there already and is not an export" in refused.err
    assert (tmp_path / "tiny.bin").read_bytes() == b"mine"


def _megabytes(folder):
    return f"{(folder / 'exports' / 'tiny.onnx').stat().st_size / 1e6:.1f}"


def test_a_triton_repository_keeps_what_is_not_its_own(command, checkpoint, tmp_path):
    words = ("export", checkpoint, "--format", "triton", "--device", "cpu")
    assert command(*words).code == 0
    models = tmp_path / "exports" / "triton"
    assert sorted(p.name for p in models.iterdir()) == ["tiny", "tiny.classifier"]
    assert "already there: exports/triton/tiny (translate" in command(*words).out
    refused = command(*words, "--io", "float")
    assert refused.code == 2
    assert "exports/triton/tiny is there already and holds another export: io is uint8" in (
        refused.err
    )
    words = (*words, "--overwrite")
    assert "replaced exports/triton/tiny" in command(*words, "--io", "float").out
    (models / "tiny" / "2").mkdir()
    refused = command(*words)
    assert refused.code == 2
    assert "also holds 2, which an export would remove" in refused.err
    (tmp_path / "photos" / "tiny").mkdir(parents=True)
    (tmp_path / "photos" / "tiny" / "a.jpg").touch()
    refused = command(*words, "--out", "photos")
    assert refused.code == 2
    assert "holds other things than a model" in refused.err
    assert (tmp_path / "photos" / "tiny" / "a.jpg").is_file()
