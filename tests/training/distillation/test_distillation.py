"""Students go through the trainer like any model."""

import json
import shutil

import pytest
import torch

from stargan_deploy.config import merge
from stargan_deploy.errors import DataError, ModelError, TrainingError, UsageError
from stargan_deploy.families.checkpoint import build_model, load_checkpoint, save_checkpoint
from stargan_deploy.families.counting import model_size
from stargan_deploy.files.atomic import file_sha256
from stargan_deploy.training.distillation.student import StudentRequest, student_recipe
from stargan_deploy.training.recipe import resolve_recipe
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.session import create_trainer, resume_trainer
from tests.float64 import in_float64
from tests.tiny_families import save_noise, train_family
from tests.tiny_training import TINY

QUICK = {"train": {"steps": 4, "ema_decay": 0.9}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A checkpoint of four channels and two blocks."""
    changes = {
        "model": {"generator_blocks": 2},
        "output": {"evaluate_every": 0, "checkpoint_every": 6, "sample_every": 6},
    }
    return create_trainer(
        resolve_recipe(merge(TINY, changes)), Run(tmp_path_factory.mktemp("teacher"))
    ).train()


@pytest.fixture
def teacher(trained, tmp_path):
    """The checkpoint, in a folder of its own."""
    return shutil.copy(trained, tmp_path / "teacher.safetensors")


def student(teacher, folder, **changes):
    """A trainer of a student of half the width."""
    own = {name: changes.pop(name) for name in ("width", "blocks") if name in changes}
    request = StudentRequest(teacher=teacher, changes=merge(QUICK, changes), **{"width": 2} | own)
    return create_trainer(student_recipe(request), Run(folder))


def of_family(family, folder):
    return train_family(family, folder, output={"checkpoint_every": 4, "evaluate_every": 0})


def tensors(path):
    return load_checkpoint(path, with_training_state=True).tensors


def test_a_students_checkpoint_is_an_ordinary_one(teacher, tmp_path):
    trainer = student(teacher, tmp_path / "student", output={"evaluate_every": 4})
    last = trainer.train()
    model = load_checkpoint(tmp_path / "student" / "model.safetensors")
    assert model.card.network["generator_conv_dim"] == 2
    assert sorted(model.card.entry_points) == ["classify", "translate"]
    assert {name.partition(".")[0] for name in model.tensors} == {"ema", "discriminator"}
    assert build_model(model)["generator"].main[0].weight.shape[0] == 2
    assert any(n.startswith("objective.adapters.") for n in tensors(last))
    assert not any("adapters" in n for n in load_checkpoint(last).tensors)
    lines = (tmp_path / "student" / "metrics.jsonl").read_text().splitlines()
    terms = json.loads(lines[0]).keys()
    assert {"t_l1", "t_ssim", "t_features", "g_fake", "g_cls", "d_gp"} <= terms
    assert "g_rec" not in terms
    assert any("eval/accuracy_mean" in line for line in lines)


def test_the_card_names_the_teacher(teacher, tmp_path):
    card = load_checkpoint(student(teacher, tmp_path / "student").train()).card
    theirs = load_checkpoint(teacher).card
    assert card.teacher.sha256 == file_sha256(teacher)
    assert theirs.teacher is None
    size, known = model_size(card), model_size(theirs)
    assert (card.teacher.macs, card.teacher.parameters) == (known.macs, known.parameters)
    assert size.macs < known.macs / 2
    assert "teacher" not in json.loads(theirs.to_json())


def test_the_teacher_does_not_move(teacher, tmp_path):
    trainer = student(teacher, tmp_path / "student")
    theirs = trainer.objective.frozen["teacher"]
    before = {key: value.clone() for key, value in theirs.state_dict().items()}
    list(trainer.steps())
    assert not theirs.training
    assert all(torch.equal(value, before[key]) for key, value in theirs.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("family", ["cyclegan", "pix2pix"])
def test_other_families(family, tmp_path):
    path = of_family(family, tmp_path)
    trainer = student(path, tmp_path / "student", width=1)
    theirs = {k: v.clone() for k, v in trainer.objective.frozen["teacher"].state_dict().items()}
    card = load_checkpoint(trainer.train()).card
    assert card.network["generator_conv_dim"] == 1
    assert card.teacher.sha256 == file_sha256(path)
    now = trainer.objective.frozen["teacher"].state_dict()
    assert all(torch.equal(value, now[key]) for key, value in theirs.items())
    line = json.loads((tmp_path / "student" / "metrics.jsonl").read_text().splitlines()[0])
    assert {"t_l1", "t_ssim", "t_features"} <= line.keys()
    assert not any(name.startswith("g_cycle") for name in line)


@pytest.mark.slow
@pytest.mark.parametrize(
    "discriminator", ["trained", pytest.param("frozen", marks=pytest.mark.slow)]
)
def test_a_resumed_distillation_ends_bit_identical(teacher, tmp_path, discriminator):
    changes = {"distil": {"discriminator": discriminator}, "output": {"checkpoint_every": 2}}
    with in_float64():
        whole = tensors(student(teacher, tmp_path / "whole", **changes).train())
        cut = student(teacher, tmp_path / "cut", **changes)
        for step in cut.steps():
            if step == 2:
                break
        cut._recorder.stop(2)
        resumed = resume_trainer(cut.run.newest_checkpoint(), Run(tmp_path / "cut"))
        assert resumed.step == 2
        last = tensors(resumed.train())
    assert whole.keys() == last.keys()
    assert [name for name in whole if not torch.equal(whole[name], last[name])] == []


@pytest.mark.slow
@pytest.mark.parametrize("family", ["cyclegan", "pix2pix"])
def test_other_families_resume_bit_identical(family, tmp_path):
    path = of_family(family, tmp_path)
    whole = tensors(student(path, tmp_path / "whole", width=1).train())
    cut = student(path, tmp_path / "cut", width=1)
    for step in cut.steps():
        if step == 3:
            break
    cut._recorder.stop(3)
    last = tensors(resume_trainer(cut.run.newest_checkpoint(), Run(tmp_path / "cut")).train())
    assert [name for name in whole if not torch.equal(whole[name], last[name])] == []


def test_a_frozen_discriminator_stays(teacher, tmp_path):
    trainer = student(teacher, tmp_path / "student", distil={"discriminator": "frozen"})
    assert [update.name for update in trainer.objective.updates] == ["generator"]
    network = trainer.objective.networks["discriminator"]
    before = {key: value.clone() for key, value in network.state_dict().items()}
    trainer.train()
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    known = load_checkpoint(teacher).part("discriminator")
    assert all(torch.equal(v, known[k]) for k, v in before.items())


def test_a_student_of_equal_width_starts_as_its_teacher(teacher, tmp_path):
    trainer = student(teacher, tmp_path / "student", width=4)
    theirs = build_model(load_checkpoint(teacher))["generator"].state_dict()
    own = trainer.objective.networks["generator"].state_dict()
    assert all(torch.equal(own[key], value) for key, value in theirs.items())
    for _ in trainer.steps():
        break
    assert float(trainer._terms["t_l1"]) == pytest.approx(0, abs=1e-5)
    assert float(trainer._terms["t_ssim"]) == pytest.approx(0, abs=1e-5)


@pytest.mark.slow
def test_a_student_learns_its_teachers_images(teacher, tmp_path):
    """From scratch, with the discriminator's loss switched off."""
    changes = {
        "train": {"steps": 40, "generator_lr": 3e-3, "batch_size": 4},
        "distil": {"start": "scratch", "discriminator": "frozen"},
        "loss": {"lambda_cls": 0.0},
        "output": {"evaluate_every": 0, "sample_every": 40},
    }
    trainer = student(teacher, tmp_path / "student", width=4, **changes)
    distances = [float(trainer._terms["t_l1"]) for _ in trainer.steps()]
    assert sum(distances[-5:]) < 0.7 * sum(distances[:5])


def test_half_precision(teacher, tmp_path):
    trainer = student(teacher, tmp_path / "student", train={"precision": "bf16"})
    next(trainer.steps())
    assert all(term.dtype == torch.float32 for term in trainer._terms.values())


@pytest.mark.parametrize("name", ["map", "channel", "spatial"])
def test_all_kinds_of_features(teacher, tmp_path, name):
    trainer = student(teacher, tmp_path / "student", distil={"features": name})
    next(trainer.steps())
    assert trainer._terms["t_features"].isfinite()


def test_without_the_further_terms(teacher, tmp_path):
    off = {"lambda_ssim": 0.0, "lambda_features": 0.0}
    trainer = student(teacher, tmp_path / "student", distil=off)
    next(trainer.steps())
    assert not {"t_ssim", "t_features"} & trainer._terms.keys()


def without_discriminator(path):
    """The same model, saved as one whose discriminator is lost."""
    checkpoint = load_checkpoint(path)
    kept = {k: v for k, v in checkpoint.tensors.items() if not k.startswith("discriminator")}
    card = checkpoint.card
    points = {"translate": card.entry_points["translate"]}
    table = card.network | {"discriminator_layers": 0}
    alone = path.with_name("alone.safetensors")
    card = card.__class__(**vars(card) | {"network": table, "entry_points": points})
    save_checkpoint(alone, card, kept, recipe=checkpoint.recipe)
    return alone


def test_a_teacher_without_discriminator(teacher, tmp_path, caplog):
    caplog.set_level("INFO", "stargan_deploy")
    alone = without_discriminator(teacher)
    trainer = student(alone, tmp_path / "student", output={"evaluate_every": 4})
    assert any("holds no discriminator: the student learns from" in m for m in caplog.messages)
    model = load_checkpoint(trainer.train())
    assert list(model.card.entry_points) == ["translate"]
    lines = (tmp_path / "student" / "metrics.jsonl").read_text()
    assert "eval/teacher_levels" in lines
    assert "g_fake" not in lines
    resumed = resume_trainer(trainer.run.newest_checkpoint(), Run(tmp_path / "student"))
    assert resumed.step == 4


def test_an_ordinary_training_needs_a_discriminator(tiny_trainer):
    with pytest.raises(UsageError, match="no discriminator"):
        tiny_trainer(model={"discriminator_layers": 0})


def test_an_official_teacher(official, tmp_path):
    names = "Black_Hair,Blond_Hair,Brown_Hair,Male,Young"
    rows = [f"{n}.png,{n % 2},{(n + 1) % 2},0,{n % 2},1" for n in range(12)]
    for number in range(12):
        save_noise(tmp_path / "data" / f"{number}.png", 32, 32, seed=number)
    (tmp_path / "data" / "labels.csv").write_text("\n".join([f"file,{names}", *rows]))
    request = StudentRequest(
        teacher=official / "tiny-G.ckpt", width=4, roots=[str(tmp_path / "data")], changes=QUICK
    )
    trainer = create_trainer(student_recipe(request), Run(tmp_path / "student"))
    assert trainer.objective.is_supervised


def test_a_changed_teacher_is_refused(teacher, tmp_path):
    trainer = student(teacher, tmp_path / "student")
    last = trainer.train()
    checkpoint = load_checkpoint(teacher, with_training_state=True)
    checkpoint.tensors["generator.main.0.weight"] *= 2
    save_checkpoint(teacher, checkpoint.card, checkpoint.tensors)
    with pytest.raises(TrainingError, match="has changed since this training began"):
        resume_trainer(last, Run(tmp_path / "student"))
    teacher.unlink()
    with pytest.raises(ModelError, match="is not there"):
        resume_trainer(last, Run(tmp_path / "student"))


def test_a_moved_teacher_may_be_named_anew(teacher, tmp_path):
    trainer = student(teacher, tmp_path / "student")
    last = trainer.train()
    moved = teacher.rename(tmp_path / "moved.safetensors")
    tables = load_checkpoint(last).recipe
    recipe = resolve_recipe(merge(tables, {"distil": {"teacher": str(moved)}}))
    assert resume_trainer(last, Run(tmp_path / "student"), recipe=recipe).step == 4


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"width": 8}, "larger than its teacher: generator_conv_dim 8, and the teacher has 4"),
        ({"blocks": 3}, "larger than its teacher: generator_blocks 3"),
        ({"blocks": 0}, "generator_blocks must be at least 1"),
        ({"model": {"generator_conv_dim": 8}}, "larger than its teacher: .* weights"),
        ({"model": {"discriminator_conv_dim": 2}}, "teacher's discriminator has other shapes"),
    ],
)
def test_students_that_do_not_fit(teacher, tmp_path, own, message):
    with pytest.raises(UsageError, match=message):
        student(teacher, tmp_path / "student", **own)


def test_other_labels_are_refused(teacher, tmp_path):
    with pytest.raises(DataError, match=r"knows the labels .*, and the data has Male, Young"):
        student(teacher, tmp_path / "student", data={"attributes": ["Male", "Young"]})


def test_a_teacher_of_another_family_is_refused(teacher, tmp_path):
    path = of_family("cyclegan", tmp_path)
    recipe = student_recipe(StudentRequest(teacher=teacher, width=2))
    other = resolve_recipe(
        merge(load_checkpoint(path).recipe, {"distil": {"teacher": str(teacher)}})
    )
    assert recipe.family == "stargan"
    with pytest.raises(ModelError, match="is of the family stargan"):
        create_trainer(other, Run(tmp_path / "student"))


def test_families_without_students_say_so(tmp_path):
    path = of_family("dcgan", tmp_path)
    with pytest.raises(UsageError, match="models of the family dcgan cannot be distilled"):
        student_recipe(StudentRequest(teacher=path))


def test_blocks_of_a_u_net_are_refused(tmp_path):
    path = of_family("pix2pix", tmp_path)
    with pytest.raises(UsageError, match="a U-Net has no residual blocks"):
        student_recipe(StudentRequest(teacher=path, width=1, blocks=2))


def test_two_origins_are_refused(teacher, tmp_path):
    recipe = student_recipe(StudentRequest(teacher=teacher, width=2))
    with pytest.raises(UsageError, match="`init_from` names others"):
        create_trainer(recipe, Run(tmp_path / "student"), init_from=teacher)
