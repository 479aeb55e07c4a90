"""Whatever stops a training, it goes on from the newest whole checkpoint and ends the same."""

import multiprocessing
import random
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stargan_deploy.errors import OutputError
from stargan_deploy.families import checkpoint as checkpoint_module
from stargan_deploy.families.checkpoint import is_whole, load_checkpoint
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.session import create_trainer, resume_trainer

pytestmark = pytest.mark.slow

NUM_KILLS = 20
MAX_SECONDS = 1.2
"""About as long as the training takes that is killed, start-up included."""


def train_or_resume(folder, recipe):
    torch.set_num_threads(1)
    run = Run(Path(folder))
    newest = run.newest_checkpoint()
    trainer = resume_trainer(newest, run, recipe=recipe) if newest else create_trainer(recipe, run)
    trainer.train()


def everything(folder):
    last = Run(folder).newest_checkpoint()
    return load_checkpoint(last, with_training_state=True)


def test_killed_at_any_moment_a_training_ends_bit_identical(tiny_recipe, tmp_path):
    recipe = tiny_recipe(
        train={"steps": 60},
        output={"checkpoint_every": 1, "sample_every": 20, "evaluate_every": 20, "log_every": 1},
    )
    train_or_resume(tmp_path / "whole", recipe)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["stargan_deploy.training.session", "stargan_deploy.families.stargan.objective"]
    )
    chance = random.Random(0)
    for _ in range(NUM_KILLS):
        process = context.Process(target=train_or_resume, args=(tmp_path / "killed", recipe))
        process.start()
        time.sleep(chance.uniform(0, MAX_SECONDS))
        process.kill()
        process.join()
    train_or_resume(tmp_path / "killed", recipe)
    whole, killed = everything(tmp_path / "whole"), everything(tmp_path / "killed")
    assert killed.card.step == 60
    assert killed.tensors.keys() == whole.tensors.keys()
    assert all(torch.equal(killed.tensors[name], whole.tensors[name]) for name in whole.tensors)


def test_a_full_disk_leaves_the_last_checkpoint_whole(tiny_trainer, tmp_path, monkeypatch):
    trainer = tiny_trainer()
    written = []

    def save_until_full(tensors, path, metadata):
        if len(written) == 2:
            Path(path).write_bytes(b"half a checkpoint")
            raise OSError(28, "No space left on device")
        written.append(path)
        save_file(tensors, path, metadata=metadata)

    monkeypatch.setattr(checkpoint_module, "save_file", save_until_full)
    with pytest.raises(OutputError, match="No space left on device; free space"):
        trainer.train()
    newest = Run(tmp_path / "run").newest_checkpoint()
    assert newest is not None
    assert is_whole(newest)
    leftovers = [p for p in (tmp_path / "run" / "checkpoints").iterdir() if p.suffix == ".tmp"]
    assert not leftovers


def test_a_loss_that_is_not_finite_names_step_term_and_last_good_checkpoint(tiny_trainer):
    trainer = tiny_trainer(train={"steps": 6})
    losses = trainer._losses

    def poisoned(update, batch, draws, training):
        result = losses(update, batch, draws, training)
        if trainer.step == 3 and update == "generator":
            result.terms["g_rec"].fill_(float("nan"))
        return result

    trainer._losses = poisoned
    with pytest.raises(
        Exception, match=r"g_rec is nan at step 4; the last good checkpoint is .*02"
    ):
        trainer.train()


def test_a_full_disk_under_tensorboard_is_one_clear_error(tiny_trainer):
    trainer = tiny_trainer()

    class FullDisk:
        def add_scalar(self, *_):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    begin = trainer.run.begin

    def begin_on_a_full_disk(*words, **settings):
        begin(*words, **settings)
        trainer.run.close()
        trainer.run._board = FullDisk()

    trainer.run.begin = begin_on_a_full_disk
    with pytest.raises(OutputError, match="tensorboard: No space left"):
        trainer.train()
