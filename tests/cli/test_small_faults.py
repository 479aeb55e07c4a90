"""Small things that once were silent, or refused without a way out."""

import json

import pytest

from stargan_deploy.cli.batch.show import show_outcome
from stargan_deploy.data.layouts.synthetic import write_celeba
from tests.conftest import make_checkpoint
from tests.tiny_families import save_noise

SMALL = ("--set", "train.steps=1", "--dry-run")


def test_a_recipe_that_draws_and_names_a_folder_is_refused(command, tmp_path):
    write_celeba(tmp_path / "faces", 4, size=32)
    recipe = tmp_path / "own.toml"
    recipe.write_text('preset = "demo"\n[data]\nkind = "synthetic"\nroot = "faces"\n')
    result = command("train", "own.toml", *SMALL)
    assert result.code == 2
    assert "data.kind=synthetic draws its images, and data.root=faces would be unused" in result.err
    recipe.write_text('preset = "demo"\n[data]\nroot = "faces"\nattributes = ["Male"]\n')
    assert "4 images of faces" in command("train", "own.toml", *SMALL).err
    recipe.write_text(
        'preset = "celeba128"\n[data]\nkind = "auto"\n'
        '[data.sets.a]\nkind = "synthetic"\nroot = "faces"\n'
        '[data.sets.b]\nroot = "faces"\n'
    )
    assert "data.sets.a.root=faces would be unused" in command("train", "own.toml", *SMALL).err
    drawn = ("--set", "data.kind=synthetic", "--data", "faces")
    assert "faces would be unused" in command("train", *drawn, *SMALL).err


def test_data_check_takes_the_range_of_a_recipe(command, tmp_path):
    import numpy as np
    from PIL import Image

    (tmp_path / "deep").mkdir()
    ramp = np.linspace(0, 4095, 4096).reshape(64, 64).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "deep" / "1.png")
    assert "less than a tenth" in command("data", "check", "deep").out
    assert "less than a tenth" not in command("data", "check", "deep", "--range", "0,4095").out
    for wrong in ("4095", "5,5", "a,b"):
        result = command("data", "check", "deep", "--range", wrong)
        assert (result.code, "--range" in result.err) == (2, True), result.err


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--attrs", " "),
        ("train", "--attrs", ","),
        ("data", "check", "faces", "--attrs", " "),
        ("batch", "faces", "--attrs", " "),
        ("batch", "faces", "--attrs", ","),
        ("convert", "G.ckpt", "--attrs", " "),
        ("convert", "G.ckpt", "--domains", ","),
        ("convert", "G.ckpt", "--attrs", "A,B", "--exclusive", " "),
        ("convert", "G.ckpt", "--attrs", "A,B", "--domains", ","),
        ("bench", "--backends", " "),
        ("bench", "--precisions", ","),
        ("bench", "--batch-sizes", " "),
    ],
)
def test_a_list_without_names_is_refused(command, tmp_path, words):
    write_celeba(tmp_path / "faces", 2, size=32)
    (tmp_path / "G.ckpt").write_bytes(b"")
    result = command(*words)
    assert result.code == 2, result
    assert len(result.err.splitlines()[-1]) < 300


def test_several_files_are_shown_checked_and_verified_at_once(command, tmp_path):
    for name in ("a", "b"):
        make_checkpoint(tmp_path / f"{name}.safetensors", attributes=(name, "Male"))
        save_noise(tmp_path / f"data {name}" / "1.png", 8, 8)
    result = command("info", "a.safetensors", "b.safetensors")
    assert result.out.count("model        stargan") == 2
    assert "next: " not in result.err
    both = json.loads(command("info", "a.safetensors", "b.safetensors", "--json").out)
    assert [each["file"] for each in both] == ["a.safetensors", "b.safetensors"]
    assert json.loads(command("info", "a.safetensors", "--json").out)["file"] == "a.safetensors"
    checked = command("data", "check", "data a", "data b")
    assert [line for line in checked.out.splitlines() if line.startswith("data ")] == [
        "data a",
        "data b",
    ]
    assert len(json.loads(command("data", "check", "data a", "data b", "--json").out)) == 2
    (tmp_path / "data b" / "2.png").write_bytes(b"broken")
    refused = command("data", "check", "data b", "data a")
    assert (refused.code, refused.out.count("layout")) == (3, 2)


def test_failures_of_a_watched_folder_are_printed_once(capsys, tmp_path, checkpoint):
    from itertools import islice

    from stargan_deploy.batch.plan import make_job
    from stargan_deploy.batch.run import BatchRequest, watch_batch
    from stargan_deploy.inference.choose import RuntimeRequest
    from stargan_deploy.inference.find import read_model

    model = read_model(checkpoint)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.png").write_bytes(b"broken")
    job = make_job(model.card, input=tmp_path / "in", output=tmp_path / "out", targets=["Male"])
    request = BatchRequest(job=job, model=model, runtime=RuntimeRequest(backend="eager"))
    reports = watch_batch(request)
    show_outcome(next(reports))
    assert capsys.readouterr().out.count("failed: ") == 1
    save_noise(tmp_path / "in" / "good.png", 40, 40)
    (report,) = islice(reports, 1)
    show_outcome(report)
    out = capsys.readouterr().out
    assert "failed: " not in out
    assert "translated 1 of 2 photos" in out
    assert report.num_failed == 1
    assert json.loads((tmp_path / "out" / "report.json").read_text())["failures"]
    reports.close()
