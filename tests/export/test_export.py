import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from torch import nn

from stargan_deploy.backends.onnx.exporter import OnnxExporter
from stargan_deploy.backends.registry import open_runtime, read_card_of
from stargan_deploy.errors import ModelError, OutputError, ParityError, UsageError
from stargan_deploy.export import export as exporting
from stargan_deploy.export.cache import make_cached
from stargan_deploy.export.destination import default_name
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions, plan_export
from stargan_deploy.families.checkpoint import load_checkpoint, save_checkpoint
from stargan_deploy.files.atomic import file_sha256


@pytest.fixture
def spoil_graphs(monkeypatch):
    """Makes the exporter write something else than the network it was given."""

    def install(spoil):
        class Spoiling(OnnxExporter):
            def write_graph(self, request, path):
                spoil(request.module)
                return super().write_graph(request, path)

        monkeypatch.setattr(exporting, "load_exporter", lambda name: Spoiling())

    return install


def without_discriminator(checkpoint: Path, path: Path) -> Path:
    content = load_checkpoint(checkpoint)
    card = replace(
        content.card,
        network={**content.card.network, "discriminator_layers": 0},
        entry_points={"translate": content.card.entry_points["translate"]},
    )
    tensors = {k: v for k, v in content.tensors.items() if k.startswith("generator.")}
    save_checkpoint(path, card, tensors)
    return path


def test_both_files_carry_one_complete_card(exported, checkpoint):
    card, companion = map(read_card_of, exported.files)
    assert card == companion == exported.card
    assert [path.name for path in exported.files] == ["tiny.onnx", "tiny.classifier.onnx"]
    assert {name: point.file for name, point in card.entry_points.items()} == {
        "translate": "tiny.onnx",
        "classify": "tiny.classifier.onnx",
    }
    assert card.parents == {"checkpoint": file_sha256(checkpoint)}
    assert card.weights == "raw"
    assert card.unverified is None
    assert {"torch", "onnx", "stargan-deploy"} <= set(card.versions)
    assert card.labels == read_card_of(checkpoint).labels


def test_the_verdicts_tell_runtime_figures_and_worst_image(exported, exported_float):
    for result in (exported, exported_float):
        assert {v.entry_point for v in result.verdicts} == {"translate", "classify"}
        assert all(v.passed and (v.runtime, v.device) == ("onnx", "cpu") for v in result.verdicts)
        translate = next(v for v in result.verdicts if v.entry_point == "translate")
        assert set(translate.measured) == {"max_difference", "mean_difference", "psnr_db"}
        assert translate.worst_image.startswith("batch ")
        assert len(translate.cases) == 4


def test_float_images_are_what_the_network_sees(exported_float):
    image, _ = exported_float.card.entry_points["translate"].inputs
    assert (image.dtype, image.layout, image.value_range) == ("float32", "NCHW", (-1.0, 1.0))
    with open_runtime(exported_float.files[0], device="cpu") as runtime:
        zeros = np.zeros((2, 3, 8, 12), np.float32)
        translated = runtime.run({"image": zeros, "label": np.ones((2, 5), np.float32)})
        assert translated["translated"].shape == (2, 3, 8, 12)
        square = np.zeros((2, 3, 32, 32), np.float32)
        assert runtime.run({"image": square}, entry_point="classify")["logits"].shape == (2, 5)


def test_without_a_discriminator_there_is_no_classifier(checkpoint, tmp_path):
    source = without_discriminator(checkpoint, tmp_path / "only.safetensors")
    result = export(source, out=tmp_path / "out" / "only.onnx")
    assert [path.name for path in result.files] == ["only.onnx"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"only.onnx", "only.json"}
    assert set(result.card.entry_points) == {"translate"}


def test_the_weights_asked_for_are_taken(checkpoint, tmp_path):
    content = load_checkpoint(checkpoint)
    averaged = {f"ema.{k}": v * 0.5 for k, v in content.tensors.items()}
    path = tmp_path / "both.safetensors"
    save_checkpoint(path, replace(content.card, weights="ema"), {**content.tensors, **averaged})
    ema = plan_export(path, out=tmp_path / "x.onnx")
    raw = plan_export(path, out=tmp_path / "x.onnx", options=ExportOptions(weights="raw"))
    assert (ema.card.weights, raw.card.weights) == ("ema", "raw")
    name, tensor = next(iter(raw.networks["generator"].state_dict().items()))
    torch.testing.assert_close(ema.networks["generator"].state_dict()[name], tensor * 0.5)


def perturb(module: nn.Module) -> None:
    weight = next(p for p in module.parameters() if p.ndim == 4)
    weight.data += 0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))


def keep_running_statistics(module: nn.Module) -> None:
    """The instance-norm trap: what `eval()` does to the layers of the official code."""
    for owner in list(module.modules()):
        for name, child in owner.named_children():
            if isinstance(child, nn.InstanceNorm2d):
                norm = nn.InstanceNorm2d(
                    child.num_features, affine=True, track_running_stats=True
                ).eval()
                norm.load_state_dict(child.state_dict(), strict=False)
                setattr(owner, name, norm.requires_grad_(False))


@pytest.mark.parametrize("spoil", [perturb, keep_running_statistics])
def test_a_wrong_graph_is_caught_and_leaves_nothing(checkpoint, tmp_path, spoil_graphs, spoil):
    source = without_discriminator(checkpoint, tmp_path / "only.safetensors")
    spoil_graphs(spoil)
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(ParityError, match="'translate' on onnx does not equal PyTorch"):
        export(source, out=folder / "tiny.onnx")
    assert not list(folder.iterdir())


def test_a_wrong_classifier_takes_the_generator_down_and_keeps_what_was_there(
    exported, checkpoint, tmp_path, spoil_graphs
):
    for path in exported.files:
        shutil.copy(path, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    spoil_graphs(lambda m: perturb(m) if hasattr(m.module, "conv2") else None)
    with pytest.raises(ParityError, match="'classify' on onnx"):
        export(checkpoint, out=tmp_path / "tiny.onnx", options=ExportOptions(overwrite=True))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_a_killed_export_left_is_removed_by_the_next_one(checkpoint, tmp_path):
    names = (".tiny.killed.export", ".tiny.running.export", ".tiny.mine", ".other.killed.export")
    for name in names:
        (tmp_path / name / "files").mkdir(parents=True)
        os.utime(tmp_path / name, (0, 0))
    with FileLock(tmp_path / names[1] / "lock"):
        os.utime(tmp_path / names[1], (0, 0))
        export(checkpoint, out=tmp_path / "tiny.onnx")
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == set(names[1:])


def test_a_plan_writes_nothing(checkpoint, tmp_path):
    plan = plan_export(checkpoint, out=tmp_path / "deep" / "tiny.onnx")
    assert list(plan.files) == ["translate", "classify"]
    assert not list(tmp_path.iterdir())


def test_the_checkpoint_itself_is_never_overwritten(checkpoint, tmp_path):
    source = shutil.copy(checkpoint, tmp_path / "tiny.safetensors")
    (tmp_path / "tiny.onnx").symlink_to(source)
    with pytest.raises(UsageError, match="is the checkpoint itself"):
        plan_export(source, out=tmp_path / "tiny.onnx")


@pytest.mark.parametrize(
    ("out", "kind", "complaint"),
    [
        ("model", UsageError, "must end in .onnx, or in /"),
        ("folder.onnx", UsageError, "is a folder"),
        ("file/tiny.onnx", OutputError, "is not writable"),
        ("file/deep/tiny.onnx", OutputError, "is not writable"),
    ],
)
def test_outputs_that_cannot_be_are_refused(checkpoint, tmp_path, out, kind, complaint):
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(kind, match=complaint):
        plan_export(checkpoint, out=tmp_path / out)


def test_what_is_no_checkpoint_is_refused(exported, checkpoint, tmp_path):
    out = tmp_path / "x.onnx"
    with pytest.raises(ModelError, match="not a checkpoint"):
        plan_export(exported.files[0], out=out)
    half = tmp_path / "half.safetensors"
    half.write_bytes(checkpoint.read_bytes()[:5000])
    with pytest.raises(ModelError, match="not a whole safetensors checkpoint"):
        plan_export(half, out=out)
    with pytest.raises(UsageError, match="no moving average"):
        plan_export(checkpoint, out=out, options=ExportOptions(weights="ema"))
    with pytest.raises(UsageError, match="unknown format 'tensort'; did you mean"):
        plan_export(checkpoint, out=out, options=ExportOptions(format="tensort"))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("runs/faces/checkpoints/step-001000.safetensors", "faces"),
        ("models/blond.v2.safetensors", "blond.v2"),
    ],
)
def test_an_artefact_is_called_after_its_run_or_checkpoint(path, name):
    assert default_name(Path(path)) == name


@pytest.mark.parametrize("max_batch", [1, 3])
def test_a_greatest_batch_is_kept_by_the_graph_and_by_the_runtime(checkpoint, tmp_path, max_batch):
    options = ExportOptions(max_batch=max_batch, max_size=40, device="cpu")
    result = export(checkpoint, out=tmp_path / "tiny.onnx", options=options)
    assert f"batch {max_batch} at 32x32" in result.verdicts[0].cases
    pixels = np.random.default_rng(0).integers(0, 256, (5, 40, 40, 3)).astype(np.uint8)
    label = np.eye(5, dtype=np.float32)
    with open_runtime(result.files[0], device="cpu") as runtime:
        assert runtime.run({"image": pixels, "label": label})["translated"].shape == pixels.shape
        too_large = np.zeros((1, 44, 40, 3), np.uint8)
        with pytest.raises(UsageError, match="'image' must be uint8"):
            runtime.run({"image": too_large, "label": label[:1]})


@pytest.mark.parametrize("format_", ["onnx", "openvino"])
def test_a_checkpoint_is_loaded_and_hashed_once(checkpoint, tmp_path, format_, monkeypatch):
    """Not again for the hash in the card, for each device of the proof, or for the cache."""
    pytest.importorskip(format_)
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(checkpoint.read_bytes())
    loads, hashes = [], []

    def counted(function, calls):
        return lambda path: calls.append(path) or function(path)

    for module in ("export.plan", "backends.eager.runtime"):
        name = f"stargan_deploy.{module}.load_checkpoint"
        monkeypatch.setattr(name, counted(load_checkpoint, loads))
    monkeypatch.setattr("stargan_deploy.export.plan.file_sha256", counted(file_sha256, hashes))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_cached(copy, format_, "fp32", device="cpu")
    assert loads == [copy]
    assert hashes == [copy]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_publication_that_is_interrupted_leaves_nothing_new(tmp_path, monkeypatch, error):
    staged, out = tmp_path / "staged", tmp_path / "out"
    for folder in (staged, out):
        folder.mkdir()
    for name in ("tiny.bin", "tiny.classifier.xml", "tiny.xml"):
        (staged / name).write_text("new")
    (out / "tiny.classifier.xml").write_text("old")
    replace_path = Path.replace

    def replace_or_fail(path, place):
        if path.name == "tiny.xml":
            raise error
        return replace_path(path, place)

    monkeypatch.setattr(Path, "replace", replace_or_fail)
    with pytest.raises(error):
        exporting._publish(staged, out / "tiny.xml")
    assert [path.name for path in out.iterdir()] == ["tiny.classifier.xml"]
