import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from stargan_deploy import __version__
from stargan_deploy.data.layouts.synthetic import write_celeba
from stargan_deploy.families.checkpoint import load_checkpoint
from tests.tiny_families import write_data

SMOKE = Path(__file__).parent.parent.parent / "train" / "smoke.toml"


def checkpoints(folder):
    return sorted(path.name for path in (folder / "checkpoints").glob("step-*"))


def test_a_run_gets_a_folder_of_its_own(command, tmp_path):
    result = command("train", SMOKE, "--json")
    assert result.code == 0, result.err
    done = json.loads(result.out)
    assert done["step"] == 12
    assert Path(done["run"]).parent == Path("runs")
    assert (tmp_path / done["checkpoint"]).is_file()
    assert "it/s" in result.err
    assert "ETA" in result.err
    assert "d_gp" in result.err


def test_quiet_prints_the_result_only(command):
    result = command("train", SMOKE, "--quiet")
    assert result.err == ""
    assert len(result.out.splitlines()) == 1


def test_a_dry_run_writes_nothing(command, tmp_path):
    result = command("train", "--dry-run", "--set", "data.num_synthetic=4")
    assert result.code == 0, result.err
    assert 'the preset "demo"' in result.err
    assert "parameters: generator" in result.err
    assert not list(tmp_path.iterdir())
    result = command("train", SMOKE, "--dry-run", "--json")
    assert json.loads(result.out)["num_steps"] == 12


def test_own_data_and_attributes(command, tmp_path):
    write_celeba(tmp_path / "faces", 12, size=32)
    result = command(
        *("train", SMOKE, "--data", "faces", "--attrs", "Male,Blond_Hair", "--out", "run"),
        *("--set", "data.kind=auto", "--set", "data.split=none"),
    )
    assert result.code == 0, result.err
    card = load_checkpoint(tmp_path / "run" / "checkpoints" / "step-0000012.safetensors").card
    assert card.labels.names == ("Male", "Blond_Hair")
    assert card.training_data == "faces"


def test_data_without_a_recipe_is_looked_at(command, tmp_path):
    write_celeba(tmp_path / "faces", 3, size=32)
    result = command("train", "--data", "faces", "--dry-run", "--set", "data.split=none")
    assert result.code == 0, result.err
    assert "3 images" in result.err
    assert "attributes: Black_Hair, Blond_Hair, Brown_Hair, Male, Young" in result.err


@pytest.fixture
def moods(tmp_path):
    for number, name in enumerate(("happy/1", "happy/2", "sad/3")):
        path = tmp_path / "moods" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 36), (60 * number, 90, 200)).save(path)
    return tmp_path / "moods"


def test_several_data_sets_are_trained_on_jointly(command, tmp_path, moods):
    write_celeba(tmp_path / "faces", 5, size=32)
    data = ("--data", "faces", "--data", "moods", "--set", "data.split=none")
    tiny = ("--set", "data.kind=auto", "--set", "data.attributes=[]", "--out", "run")
    result = command("train", SMOKE, *data, *tiny)
    assert result.code == 0, result.err
    assert "8 images" in result.err
    card = load_checkpoint(tmp_path / "run" / "model.safetensors").card
    assert [label_set.name for label_set in card.labels.sets] == ["faces", "moods"]
    moved = moods.rename(tmp_path / "moved")
    longer = ("--resume", "--out", "run", "--set", "train.steps=14")
    result = command("train", *longer)
    assert (result.code, "no such data folder" in result.err) == (3, True)
    result = command("train", *longer, "--data", "faces", "--data", moved)
    assert result.code == 0, result.err
    assert "resuming run/checkpoints/step-0000012.safetensors" in result.err


def test_the_joint_recipe_takes_its_folders_in_order(command, tmp_path, moods):
    write_celeba(tmp_path / "faces", 5, size=32)
    recipe = (SMOKE.parent / "joint64.toml", "--dry-run", "--set", "data.split=none")
    result = command("train", *recipe, "--data", "faces", "--data", "moods")
    assert result.code == 0, result.err
    assert "Male, Young, happy, sad" in result.err
    for words, complaint in (
        ((), "data.sets.faces.root is needed; give --data once for each set"),
        (
            ("--data", "faces"),
            "and 1 folders are given; give --data once for each set",
        ),
        (("--data", "moods", "--data", "faces"), "moods holds no list_attr_*.txt"),
        (("--data", "faces", "--data", "moods", "--attrs", "Male"), "data.sets.NAME.attributes"),
    ):
        result = command("train", *recipe, *words)
        assert result.code in (2, 3)
        assert complaint in result.err.splitlines()[-1]


def test_broken_images_are_left_out_where_asked(command, tmp_path):
    write_celeba(tmp_path / "faces", 6, size=32)
    (tmp_path / "faces" / "images" / "000002.png").write_bytes(b"broken")
    words = ("--data", "faces", "--set", "data.kind=auto", "--set", "data.split=none")
    refused = command("train", SMOKE, *words, "--out", "run")
    assert refused.code == 3
    assert "--skip-broken leaves such images out" in refused.err.splitlines()[-1]
    result = command("train", SMOKE, *words, "--out", "other", "--skip-broken")
    assert result.code == 0, result.err
    assert "left out 1 of 6 images, which cannot be read: 000002.png" in result.err.splitlines()


def test_resume_goes_on_with_the_newest_run(command, tmp_path):
    assert command("train", SMOKE, "--out", "runs/one").code == 0
    result = command("train", "--resume", "--set", "train.steps=16")
    assert result.code == 0, result.err
    assert "resuming runs/one/checkpoints/step-0000012.safetensors" in result.err
    assert checkpoints(tmp_path / "runs" / "one")[-1] == "step-0000016.safetensors"


def test_a_torn_checkpoint_is_passed_over(command, tmp_path):
    assert command("train", SMOKE, "--out", "run").code == 0
    newest = tmp_path / "run" / "checkpoints" / "step-0000012.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    result = command("train", "--resume", "--out", "run")
    assert result.code == 0, result.err
    assert "resuming run/checkpoints/step-0000008.safetensors" in result.err
    assert load_checkpoint(newest).card.step == 12


def test_nothing_to_resume_starts_anew_and_says_so(command):
    result = command("train", SMOKE, "--resume", "--out", "run")
    assert result.code == 0, result.err
    assert "nothing to resume in run: starting anew" in result.err


@pytest.fixture
def begun(command, tmp_path):
    """A run that was killed before its first checkpoint."""
    write_celeba(tmp_path / "faces", 6, size=32)
    words = ("--set", "data.kind=auto", "--set", "data.split=none", "--set", "train.steps=4")
    result = command("train", SMOKE, "--data", "faces", *words, "--out", "runs/q")
    assert result.code == 0, result.err
    folder = tmp_path / "runs" / "q"
    for path in (*folder.glob("checkpoints/*"), folder / "model.safetensors"):
        path.unlink()
    return folder


@pytest.mark.parametrize("words", [["--out", "runs/q"], [], ["--set", "train.steps=6"]])
def test_a_run_killed_before_its_first_checkpoint_starts_anew_with_its_own_recipe(
    command, begun, words
):
    """It once became a run of the preset "demo" with recipe.toml overwritten."""
    before = (begun / "recipe.toml").read_text()
    result = command("train", "--resume", *words)
    assert result.code == 0, result.err
    assert "runs/q has no checkpoint yet: starting anew with its own recipe.toml" in result.err
    assert "6 images of faces at 32x32" in result.err
    num_steps = 6 if "--set" in words else 4
    after = before.replace("\nsteps = 4\n", f"\nsteps = {num_steps}\n")
    assert (begun / "recipe.toml").read_text() == after
    assert checkpoints(begun) == [f"step-{step:07}.safetensors" for step in {4, num_steps}]
    assert [path.name for path in begun.parent.iterdir()] == ["q"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([SMOKE, "--resume", "--out", "runs/q"], "another recipe (data.kind: auto -> synthetic"),
        ([SMOKE, "--out", "runs/q"], "another recipe (data.kind: auto -> synthetic"),
        (["--resume", "--set", "model.generator_blocks=2"], "(model.generator_blocks: 1 -> 2)"),
        (["--resume", "--set", "data.kind=folders"], "another recipe (data.kind: auto -> folders"),
        (["--resume", "--out", "runs/p"], "runs/p does not exist, so there is no run"),
        (
            ["--resume", "--out", "faces"],
            "faces holds no recipe.toml, so there is no run",
        ),
    ],
)
def test_no_recipe_takes_the_place_of_another_and_no_run_is_guessed(
    command, begun, words, complaint
):
    before = (begun / "recipe.toml").read_text()
    result = command("train", *words)
    assert result.code == 8
    assert complaint in result.err.splitlines()[-1]
    if complaint.endswith("go on"):
        assert result.err.splitlines()[-1].endswith("with; runs here: runs/q")
    assert (begun / "recipe.toml").read_text() == before
    assert [path.name for path in begun.parent.iterdir()] == ["q"]


def test_resume_without_any_run_says_how_to_start_one(command, tmp_path):
    result = command("train", "--resume")
    assert result.code == 8
    assert "no run to resume in ./runs; name a recipe or --data" in result.err
    assert not list(tmp_path.iterdir())


def test_a_run_without_a_checkpoint_that_needs_more_than_its_recipe_is_refused(command, begun):
    (begun / "checkpoints" / "step-0000004.safetensors").write_bytes(b"torn")
    result = command("train", "--resume")
    assert result.code == 8
    assert "no checkpoint in runs/q/checkpoints is whole; delete them" in result.err
    (begun / "checkpoints" / "step-0000004.safetensors").unlink()
    started = json.loads((begun / "environment.json").read_text()) | {"parents": {"initial": "1f"}}
    (begun / "environment.json").write_text(json.dumps(started))
    result = command("train", "--resume")
    assert result.code == 8
    assert "start it again with the same --init-from" in result.err


def test_a_folder_with_a_run_is_not_overwritten(command):
    assert command("train", SMOKE, "--out", "run").code == 0
    result = command("train", SMOKE, "--out", "run")
    assert result.code == 8
    assert "continue it with --resume" in result.err


def test_starting_from_a_checkpoint(command):
    assert command("train", SMOKE, "--out", "one").code == 0
    start = "one/checkpoints/step-0000012.safetensors"
    result = command("train", SMOKE, "--init-from", start, "--out", "two")
    assert result.code == 0, result.err


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["none.toml"], 2, "cannot read recipe none.toml"),
        ([SMOKE, "--set", "train.stepz=3"], 2, "did you mean 'train.steps'"),
        ([SMOKE, "--set", "nonsense"], 2, "--set takes section.key=value"),
        ([SMOKE, "--attrs", "Blonde_Hair"], 2, "did you mean 'Blond_Hair'"),
        (["--data", "nowhere"], 3, "no such data folder"),
        ([SMOKE, "--set", "data.image_size=33"], 2, "the nearest are 32 and 40"),
        ([SMOKE, "--device", "tpu"], 2, "unknown device 'tpu'"),
        ([SMOKE, "--device", "cuda:99"], 7, "is not usable"),
        ([SMOKE, "--init-from", "none.safetensors"], 4, "no such checkpoint"),
        ([SMOKE, "--resume", "--init-from", "x"], 2, "give one of them"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(command, tmp_path, words, code, complaint):
    result = command("train", *words)
    assert result.code == code, result.err
    assert complaint in result.err.splitlines()[-1]
    assert result.out == ""
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("dry", [["--dry-run"], []])
@pytest.mark.parametrize(
    ("family", "size", "complaint"),
    [
        ("pix2pix", 16, "set data.image_size to 24 or more"),
        ("cyclegan", 16, "set data.image_size to 24 or more"),
        ("cyclegan", 30, "multiples of 4 from 8 on, not 30x30; the nearest is 32x32"),
        ("cyclegan", 4, "multiples of 4 from 8 on, not 4x4; the nearest is 8x8"),
    ],
)
def test_sizes_that_a_discriminator_cannot_judge(command, tmp_path, family, size, complaint, dry):
    """They once were tracebacks of the first step, and left a run folder behind."""
    data = write_data(family, tmp_path / "data")
    levels = ["--set", "model.levels=4"] if family == "pix2pix" else []
    words = ["--data", data, "--set", f"data.image_size={size}", "--set", "data.attributes=[]"]
    result = command("train", SMOKE.parent / f"{family}.toml", *words, *levels, *dry)
    assert result.code == 2, result.err
    assert complaint in result.err.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("dry", [["--dry-run"], []])
@pytest.mark.parametrize("out", ["file", "file/run", "/dev/null/run", "/proc/run"])
def test_a_place_that_holds_no_run_is_refused_before_any_image_is_read(command, tmp_path, out, dry):
    """It once was refused only where the images had been opened and a device chosen."""
    (tmp_path / "file").write_text("mine")
    result = command("train", SMOKE, "--out", out, *dry)
    assert result.code == 9, result.err
    assert f"cannot write {out}" in result.err.splitlines()[-1]
    assert "reading" not in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_run_that_fails_before_its_first_step_takes_its_folder_away(command, tmp_path):
    """It once left recipe, environment and empty folders, which `--resume` then looked at."""
    write_data("progan", tmp_path / "data")
    broken = tmp_path / "data" / "zz.png"
    broken.write_bytes((tmp_path / "data" / "0.png").read_bytes()[:300])
    words = [SMOKE.parent / "progan.toml", "--data", "data", "--set", "output.num_samples=1"]
    words += ["--set", "train.precision=fp32", "--set", "output.num_evaluated=1"]
    (tmp_path / "mine").mkdir()
    for place in ([], ["--out", "a/b"], ["--out", "mine"]):
        result = command("train", *words, *place)
        assert result.code == 3, result.err
        assert "zz.png" in result.err.splitlines()[-1]
    assert {path.name for path in tmp_path.iterdir()} == {"data", "mine"}
    assert (tmp_path / "mine" / "recipe.toml").is_file()


def test_a_run_that_fails_on_resume_keeps_its_folder(command, tmp_path):
    write_celeba(tmp_path / "faces", 6, size=32)
    words = ("--data", "faces", "--set", "data.kind=auto", "--set", "data.split=none")
    assert command("train", SMOKE, *words, "--out", "run").code == 0
    (tmp_path / "faces" / "images" / "000002.png").write_bytes(b"broken")
    longer = ("--resume", "--out", "run", "--set", "train.steps=14")
    assert command("train", *longer).code == 3
    assert checkpoints(tmp_path / "run")[-1] == "step-0000012.safetensors"


@pytest.mark.parametrize("dry", [["--dry-run"], []])
@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["--data", "nowhere"], 3, "no such data folder"),
        (["--set", "data.root=nowhere"], 3, "no such data folder"),
        (["--data", "nowhere", "--attrs", "Male"], 3, "no such data folder"),
        (["--data", "faces", "--data", "nowhere"], 3, "no such data folder"),
        (["--data", "faces", "--set", "data.kind=synthetic"], 2, "faces would be unused"),
        (["--init-from", "nowhere"], 4, "no such checkpoint: nowhere"),
        (["--init-from", "faces"], 4, "faces holds no whole checkpoint"),
        (["--device", "cuda:99"], 7, "is not usable"),
        (["--attrs", " "], 2, "--attrs names no attribute"),
        (["--attrs", ",,"], 2, "--attrs names no attribute"),
        (["--out", "faces/list_attr_celeba.txt"], 9, "cannot write"),
    ],
)
def test_nothing_given_is_ignored(command, tmp_path, words, code, complaint, dry):
    """Data next to a recipe that draws its images once was, even where there is none."""
    write_celeba(tmp_path / "faces", 3, size=32)
    result = command("train", SMOKE, *words, *dry)
    assert (result.code, complaint in result.err.splitlines()[-1]) == (code, True), result.err
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


@pytest.mark.parametrize("words", [["--data", "faces"], ["--set", "data.root=faces"]])
def test_own_data_takes_the_place_of_a_recipes_drawn_images(command, tmp_path, words):
    write_celeba(tmp_path / "faces", 20, size=32)
    result = command("train", SMOKE, *words, "--out", "run")
    assert result.code == 0, result.err
    assert "18 images of faces at 32x32; attributes: Black_Hair, Blond_Hair" in result.err
    assert "20 labelled images are too few for the official split of 1,999: 2 of them" in result.err
    assert "no longer" not in result.err
    card = load_checkpoint(tmp_path / "run" / "model.safetensors").card
    assert card.training_data == "faces"


def test_a_dry_resume_checks_what_a_resume_does(command, tmp_path):
    assert command("train", SMOKE, "--out", "run").code == 0
    write_celeba(tmp_path / "faces", 3, size=32)
    dry = ("--resume", "--out", "run", "--dry-run")
    assert command("train", *dry).code == 0
    for words in (["--data", "faces"], ["--set", "model.generator_blocks=2"]):
        result = command("train", *dry, *words)
        assert result.code == 8
        assert "cannot resume run/checkpoints/step-0000012.safetensors with other" in result.err
        assert "batch size, learning rates, schedule" in result.err.splitlines()[-1]


def test_version_and_help():
    for words, expected in ((["--version"], __version__), (["--help"], "batch")):
        done = subprocess.run(
            [sys.executable, "-m", "stargan_deploy", *words],
            capture_output=True,
            text=True,
            check=True,
        )
        assert expected in done.stdout


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['stargan-deploy', '--help']\n"
        "from stargan_deploy.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'onnx', 'onnxruntime', 'PIL'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_attributes_of_several_options_are_joined(command):
    words = ("--attrs", "Male,Young", "--attrs", "Smiling", "--dry-run")
    result = command("train", "--set", "data.num_synthetic=8", *words)
    assert "attributes: Male, Young, Smiling" in result.err
