import json
import shutil

import pytest

from stargan_deploy.cli import find
from stargan_deploy.runtimes.choose import read_card_of


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
    assert result.code == 0, result.err
    assert "step-001000.safetensors (newest run)" in result.err
    assert "raw weights of step 0, to onnx with uint8 pixels" in result.err
    written = sorted(path.name for path in (tmp_path / "exports").iterdir())
    assert written == ["faces.classifier.onnx", "faces.onnx"]
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
    result = command("export", run_folder, "--dry-run")
    assert result.code == 0, result.err
    assert result.out.splitlines() == [
        "would replace exports/faces.onnx (translate)",
        "would write exports/faces.classifier.onnx (classify)",
    ]
    told = json.loads(command("export", run_folder, "--dry-run", "--json").out)
    assert told["dry_run"] is True
    assert [file["entry_point"] for file in told["files"]] == ["translate", "classify"]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["--format", "trt"], 2, "unknown format 'trt'; known: onnx"),
        (["--io", "uint"], 2, "unknown value for --io: 'uint'; did you mean 'uint8'?"),
        (["--weights", "emma"], 2, "did you mean 'ema'?"),
        (["--weights", "ema"], 2, "no moving average; use --weights raw"),
        (["--out", "model"], 2, "--out model must end in .onnx, or in /"),
        (["--out", "taken/x.onnx"], 9, "taken is not a folder one can write to"),
        (["--out", "taken/", "--dry-run"], 9, "taken is not a folder one can write to"),
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
