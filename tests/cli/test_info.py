import json
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file

from stargan_deploy.backends.onnx.exporter import OnnxExporter
from stargan_deploy.backends.onnx.file import read_card
from stargan_deploy.export.export import export


@pytest.fixture(scope="module")
def artefact(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint as ONNX; its classifier stands beside it."""
    return export(checkpoint, out=tmp_path_factory.mktemp("artefact") / "tiny.onnx").files[0]


def foreign_onnx(path: Path, **options: object) -> Path:
    """An ONNX file without a card, old and odd in every way that is allowed."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "bias"], ["y"])],
        "foreign",
        [value("x", TensorProto.FLOAT16, ["n", 3, None]), value("bias", TensorProto.FLOAT16, [1])],
        [value("y", TensorProto.FLOAT16, None)],
        [helper.make_tensor("bias", TensorProto.FLOAT16, [1], [0])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.other", 2)]
    model = helper.make_model(
        graph, opset_imports=opsets, ir_version=8, producer_name="other", producer_version="1.2"
    )
    onnx.save(model, path, **options)
    return path


def triton_model(folder: Path, graph: Path, version: str = "1") -> Path:
    (folder / version).mkdir(parents=True)
    shutil.copy(graph, folder / version / "model.onnx")
    (folder / "config.pbtxt").write_text('backend: "onnxruntime"')
    return folder


def with_card(graph: Path, path: Path, **changes: object) -> Path:
    shutil.copy(graph, path)
    OnnxExporter().attach_card(path, replace(read_card(graph), **changes))
    return path


def test_an_artefacts_card_as_a_person_reads_it(command, artefact):
    result = command("info", artefact)
    assert result.code == 0
    assert result.err.startswith("next: stargan-deploy batch ")
    lines = result.out.splitlines()
    assert lines[0].startswith(f"file         {artefact} (0.")
    for line in (
        "weights      raw, step 0",
        "attributes   Black_Hair, Blond_Hair, Brown_Hair, Male, Young",
        "             at most one of: Black_Hair, Blond_Hair, Brown_Hair",
        "images       bilinear resize to 32x32, network sees -1 to 1",
        "classify     in tiny.classifier.onnx",
        "  input      image: image, uint8, batch x 32 x 32 x 3 (NHWC), values 0 to 255",
        "  input      label: label, float32, batch x 5 (ND), values 0 to 1",
        "  output     logits: logits, float32, batch x 5 (NK)",
        "             height: 4 or more, a multiple of 4",
        "precision    conv float32, norm float32 (as measured)",
    ):
        assert line in lines, result.out
    assert lines.index("translate    in tiny.onnx") < lines.index(
        "classify     in tiny.classifier.onnx"
    )
    card = read_card(artefact)
    (checkpoint_sha256,) = card.parents.values()
    assert f"made from    checkpoint {checkpoint_sha256}" in lines
    assert f"torch {torch.__version__.partition('+')[0]}" in lines[-1]


def test_verdicts_tell_figures_limits_and_place(command, artefact):
    lines = command("info", artefact).out.splitlines()
    verdict = next(v for v in read_card(artefact).verdicts if v.entry_point == "translate")
    start = lines.index(f"proven       translate on onnx (cpu, {verdict.machine})")
    told = "\n".join(lines[start : start + 6])
    assert f"max difference in 8-bit levels: {verdict.measured['max_difference']:g} (limit" in told
    assert f"PSNR in dB: {verdict.measured['psnr_db']:.4g} (limit" in told
    assert "batch 3 at 32x32" in told
    assert f"worst: {verdict.worst_image}" in told


def test_what_is_not_proven_says_why(command, artefact, tmp_path):
    verdicts = read_card(artefact).verdicts
    open_ended = with_card(artefact, tmp_path / "a.onnx", unverified="no such GPU here")
    out = command("info", open_ended).out
    reason = out.index("unverified   no such GPU here")
    assert reason < out.index("those of the ONNX graph it was made from") < out.index("\nproven ")
    never = command("info", with_card(artefact, tmp_path / "b.onnx", verdicts=())).out
    assert "unverified   not compared with PyTorch" in never
    wrong = tuple(replace(v, passed=False, measured={"new_figure": 0.5}) for v in verdicts)
    failed = command("info", with_card(artefact, tmp_path / "c.onnx", verdicts=wrong)).out
    assert "FAILED       translate on onnx" in failed
    assert "\nproven" not in failed
    assert "new figure: 0.5" in failed


def test_notes_and_the_owners_words_are_shown_without_what_steers_a_terminal(
    command, artefact, tmp_path
):
    path = with_card(
        artefact,
        tmp_path / "a.onnx",
        notes=("conv1 stays in FP32", "\x1b[2J\nproven       forged été"),
        data_licence="CC BY-NC",
        training_data="my faces",
        intended_use="art",
    )
    lines = command("info", path).out.splitlines()
    assert "note         conv1 stays in FP32" in lines
    assert "note         \\x1b[2J\\nproven       forged été" in lines
    assert "trained on   my faces; licence: CC BY-NC" in lines
    assert "intended use art" in lines


def test_json_is_the_card(command, artefact, checkpoint):
    for path in (artefact, checkpoint):
        report = json.loads(command("info", path, "--json").out)
        assert report["file"] == str(path)
        assert report["graph"] is None
        assert report["card"]["labels"]["sets"][0]["names"][0] == "Black_Hair"
        assert set(report["card"]["entry_points"]) == {"translate", "classify"}


def test_a_checkpoint_and_a_runs_folder_are_shown(command, checkpoint, tmp_path):
    result = command("info", checkpoint)
    assert result.code == 0, result.err
    assert "generator_conv_dim 8" in result.out
    assert "  input      image: image, float32, batch x 3 x 32 x 32 (NCHW), values -1 to 1" in (
        result.out.splitlines()
    )
    assert "unverified" not in result.out
    folder = tmp_path / "runs" / "faces" / "checkpoints"
    folder.mkdir(parents=True)
    shutil.copy(checkpoint, folder / "step-000001.safetensors")
    for words in ([tmp_path / "runs" / "faces"], []):
        found = command("info", *words)
        assert "step-000001.safetensors" in found.out.splitlines()[0]
    assert found.err.startswith("model: ")


def test_tritons_models_and_repositories_are_looked_into(command, artefact, tmp_path):
    repository = tmp_path / "repository"
    model = triton_model(repository / "tiny", artefact)
    triton_model(repository / "tiny.classifier", artefact.with_suffix(".classifier.onnx"))
    for path in (repository, model, model / "config.pbtxt", model / "1" / "model.onnx"):
        result = command("info", path)
        assert result.code == 0, result.err
        assert result.out.splitlines()[0].startswith(f"file         {model}/1/model.onnx")
        assert "translate    in tiny.onnx" in result.out
    newer = with_card(artefact, tmp_path / "newer.onnx", step=77)
    triton_model(model, newer, "10")
    triton_model(model, artefact, "9")
    assert "step 77" in command("info", model).out


@pytest.mark.parametrize("other", ["another export", "foreign", "no graph"])
def test_a_repository_of_several_exports_is_not_guessed_at(command, artefact, tmp_path, other):
    triton_model(tmp_path / "repository" / "mine", artefact)
    model = triton_model(tmp_path / "repository" / "other", artefact)
    if other == "another export":
        with_card(artefact, model / "1" / "model.onnx", step=3)
    elif other == "foreign":
        foreign_onnx(model / "1" / "model.onnx")
    else:
        (model / "1" / "model.onnx").unlink()
    result = command("info", tmp_path / "repository")
    assert result.code == 4
    assert "several exports; name one of: mine, other" in result.err
    alone = command("info", model)
    assert alone.code == (4 if other == "no graph" else 0)


@pytest.mark.parametrize("external", [False, True])
def test_a_foreign_onnx_is_described_calmly(command, tmp_path, external):
    options = {"save_as_external_data": True, "size_threshold": 0} if external else {}
    result = command("info", foreign_onnx(tmp_path / "other.onnx", **options))
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[1].startswith(
        "card         none: this ONNX file was not exported by stargan-deploy"
    )
    assert lines[2:] == [
        "made by      other 1.2",
        "opset        ai.onnx 17, com.other 2; IR version 8",
        "operators    1",
        "input        x: float16, n x 3 x ?",
        "output       y: float16, of any shape",
    ]
    assert result.err.splitlines() == [
        "only files with a card can be run; stargan-deploy export writes them"
    ]
    report = json.loads(command("info", "other.onnx", "--json").out)
    assert report["card"] is None
    assert report["graph"]["inputs"] == [{"name": "x", "dtype": "float16", "shape": ["n", 3, None]}]


def test_a_foreign_onnx_with_letters_of_no_alphabet_is_described(command, tmp_path):
    path = foreign_onnx(tmp_path / "other.onnx")
    path.write_bytes(path.read_bytes().replace(b"other", b"ot\xffer").replace(b"1.2", b"1.\xfe"))
    assert "made by      ot\ufffder 1.\ufffd" in command("info", path).out
    report = json.loads(command("info", path, "--json").out)
    assert report["graph"]["opsets"] == {"ai.onnx": 17, "com.ot\ufffder": 2}


def write_bad(name: str, artefact: Path, checkpoint: Path, folder: Path) -> Path:
    path = folder / name
    if name == "half.onnx":
        path.write_bytes(artefact.read_bytes()[: artefact.stat().st_size // 2])
    elif name == "half.safetensors":
        path.write_bytes(checkpoint.read_bytes()[:5000])
    elif name == "foreign.safetensors":
        save_file({"weight": torch.zeros(2)}, path)
    elif name == "damaged.onnx":
        path.write_bytes(
            artefact.read_bytes().replace(b'"schema_version": 1', b'"schema_version": 9')
        )
    elif name == "empty":
        path.mkdir()
    elif name != "gone.onnx":
        path.write_bytes(b"hello")
    return path


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("gone.onnx", "no such model"),
        ("half.onnx", "is not a"),
        ("damaged.onnx", "schema version 9"),
        ("text.onnx", "is not a"),
        ("half.safetensors", "not a whole safetensors checkpoint"),
        ("foreign.safetensors", "carries no model card"),
        ("200000-G.ckpt", "stargan-deploy convert"),
        ("notes.txt", "neither a checkpoint nor an artefact"),
        ("empty", "holds no whole checkpoint"),
    ],
)
def test_what_has_no_card_is_one_line(command, artefact, checkpoint, tmp_path, name, complaint):
    result = command("info", write_bad(name, artefact, checkpoint, tmp_path))
    assert result.code == 4
    (line,) = result.err.splitlines()
    assert complaint in line
    assert result.out == ""


def test_a_damaged_card_never_ends_in_a_traceback(command, artefact, tmp_path):
    content = artefact.read_bytes()
    start = content.index(b'{"data_licence"')
    draws = random.Random(0)
    codes = set()
    for _ in range(80):
        damaged = bytearray(content)
        for _ in range(draws.choice((1, 1, 8))):
            damaged[draws.randrange(start, len(content))] = draws.randrange(256)
        (tmp_path / "damaged.onnx").write_bytes(damaged)
        result = command("info", "damaged.onnx")
        lines = [line for line in result.err.splitlines() if not line.startswith("next: ")]
        assert len(lines) == (result.code != 0), result.err
        codes.add(result.code)
    assert codes == {0, 4}


def test_an_artefacts_card_is_read_without_torch(artefact):
    program = (
        "import sys\n"
        "from stargan_deploy.cli import main\n"
        f"sys.argv = ['stargan-deploy', 'info', {str(artefact)!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
