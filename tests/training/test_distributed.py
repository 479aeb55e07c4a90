"""Several processes on one machine, started by torchrun and talking through gloo."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stargan_deploy.distributed import Ranks
from stargan_deploy.errors import ConfigError
from stargan_deploy.families.checkpoint import load_checkpoint
from tests.conftest import make_checkpoint
from tests.tiny_families import write_data

pytestmark = pytest.mark.slow

SMOKE = Path(__file__).parent.parent.parent / "train" / "smoke.toml"

FLOAT64 = Path(__file__).parent.parent / "float64.py"
"""The command line in float64."""

CYCLEGAN = """
preset = "cyclegan"
[data]
image_size = 16
attributes = ["photo", "monet"]
[model]
generator_conv_dim = 4
generator_blocks = 1
discriminator_conv_dim = 4
discriminator_halvings = 1
[train]
batch_size = 4
schedule = "constant"
[output]
log_every = 8
evaluate_every = 0
"""


STARGAN_V2 = """
preset = "starganv2"
[data]
image_size = 32
attributes = ["photo", "monet"]
[model]
conv_dim = 4
max_conv_dim = 8
style_width = 4
latent_width = 4
mapping_width = 8
[train]
batch_size = 4
steps = 12
[output]
log_every = 4
checkpoint_every = 12
evaluate_every = 0
"""

SLOW_THREADS = """
import builtins, time
import torch
from torch import distributed as dist
from stargan_deploy.distributed import joined

all_reduce = dist.all_reduce

def answer_at_once_and_let_go_late(tensor, op):
    future = all_reduce(tensor, op, async_op=True).get_future()
    future.then(lambda _: time.sleep(0.3))
    future.wait()

dist.all_reduce = answer_at_once_and_let_go_late

class SlowEnd:
    def __del__(self, sleep=time.sleep):
        sleep(0.6)

with joined() as ranks:
    builtins.kept = dist.group.WORLD, SlowEnd()
    ranks.any(False, torch.device("cpu"))
"""
"""The interpreter is ending when a thread of gloo's drops the tensor of the last answer."""


def train(folder, *words, num_processes=2, recipe=SMOKE, program=("-m", "stargan_deploy")):
    """Trains under torchrun; returns the finished process."""
    command = (*program, "train", recipe, "--device", "cpu", "--out", folder)
    return launch(*command, *words, num_processes=num_processes)


def launch(*program, num_processes=2):
    """Runs a program under torchrun; returns the finished process."""
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")
    return subprocess.run(
        [sys.executable, *launcher, str(num_processes), *program],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=300,
        check=False,
    )


def losses(folder):
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return {x["step"]: {k: v for k, v in x.items() if k[:2] in ("d_", "g_")} for x in lines}


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks") / "together"
    return folder, train(folder)


def gradients(folder):
    """Adam's moving averages of all gradients, by name."""
    path = folder / "checkpoints" / "step-0000012.safetensors"
    tensors = load_checkpoint(path, with_training_state=True).tensors
    return {name: tensor for name, tensor in tensors.items() if name.endswith(".exp_avg")}


def test_two_processes_equal_one_on_the_same_global_batch(tmp_path):
    for name, num_processes in (("alone", 1), ("together", 2)):
        done = train(tmp_path / name, num_processes=num_processes, program=(FLOAT64,))
        assert done.returncode == 0, done.stderr
    one, two = gradients(tmp_path / "alone"), gradients(tmp_path / "together")
    assert one.keys() == two.keys() != set()
    greatest = max(float(tensor.abs().max()) for tensor in one.values())
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], rtol=1e-6, atol=1e-9 * greatest), name
    first, second = losses(tmp_path / "alone"), losses(tmp_path / "together")
    assert first.keys() == second.keys()
    for step, terms in first.items():
        for name, value in terms.items():
            assert second[step][name] == pytest.approx(value, rel=1e-5, abs=1e-6), (step, name)


def test_four_updates_of_one_step_are_shared_too(tmp_path):
    """Each with networks of its own, of which some are called twice and some without gradients."""
    recipe = tmp_path / "starganv2.toml"
    recipe.write_text(STARGAN_V2)
    words = ("--data", write_data("starganv2", tmp_path / "data"))
    for name, number in (("alone", 1), ("together", 2)):
        folder, program = tmp_path / name, (FLOAT64,)
        done = train(folder, *words, num_processes=number, recipe=recipe, program=program)
        assert done.returncode == 0, done.stderr
    one, two = gradients(tmp_path / "alone"), gradients(tmp_path / "together")
    assert one.keys() == two.keys() != set()
    greatest = max(float(tensor.abs().max()) for tensor in one.values())
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], rtol=1e-6, atol=1e-9 * greatest), name


def test_a_students_features_are_shared_too(tmp_path):
    """Its 1x1 convolutions are a network like the others, and its teacher none that is trained."""
    teacher = make_checkpoint(tmp_path / "teacher.safetensors")
    settings = {
        "data.kind": "synthetic",
        "data.num_synthetic": 8,
        "train.steps": 12,
        "train.batch_size": 4,
        "output.evaluate_every": 0,
    }
    changes = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    for name, number in (("alone", 1), ("together", 2)):
        words = ("--width", "4", "--device", "cpu", "--out", tmp_path / name, *changes)
        done = launch(FLOAT64, "distil", teacher, *words, num_processes=number)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("step 12/12") == 1
    one, two = gradients(tmp_path / "alone"), gradients(tmp_path / "together")
    assert one.keys() == two.keys()
    assert any("adapters" in name for name in one)
    greatest = max(float(tensor.abs().max()) for tensor in one.values())
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], rtol=1e-6, atol=1e-9 * greatest), name


def test_only_rank_0_writes_and_speaks(together):
    folder, done = together
    assert done.stdout.count("trained to step 12") == 1
    assert done.stderr.count("step 12/12") == 1
    assert len(list((folder / "checkpoints").glob("step-*"))) == 3


def test_the_last_step_may_stand_between_two_lines_of_metrics(tmp_path):
    """The other ranks did not know it for the last, and left rank 0 waiting for their means."""
    done = train(tmp_path / "run", "--set", "train.steps=5", "--set", "output.log_every=4")
    assert done.returncode == 0, done.stderr
    assert list(losses(tmp_path / "run")) == [4, 5]


def test_another_number_of_ranks_resumes(together):
    folder, _ = together
    done = train(folder, "--resume", "--set", "train.steps=14", num_processes=1)
    assert done.returncode == 0, done.stderr
    assert load_checkpoint(folder / "checkpoints" / "step-0000014.safetensors").card.step == 14


def test_the_history_of_fakes_is_that_of_all_ranks(tmp_path):
    """It is full after 13 steps. Two processes equal one, and a stop changes nothing."""
    recipe = tmp_path / "cyclegan.toml"
    recipe.write_text(CYCLEGAN)
    words = ("--data", write_data("cyclegan", tmp_path / "data"), "--set")

    def run(name, num_steps, num_processes=2, *more):
        steps = (*words, f"train.steps={num_steps}", *more)
        folder, program = tmp_path / name, (FLOAT64,)
        done = train(folder, *steps, num_processes=num_processes, recipe=recipe, program=program)
        assert done.returncode == 0, done.stderr
        checkpoint = tmp_path / name / "checkpoints" / f"step-{num_steps:07}.safetensors"
        return load_checkpoint(checkpoint, with_training_state=True).tensors

    whole, alone = run("whole", 32), run("alone", 32, 1)
    one, two = losses(tmp_path / "alone")[32], losses(tmp_path / "whole")[32]
    assert two == pytest.approx(one, rel=1e-5)
    for name in ("history_a", "history_b"):
        images = f"objective.state.{name}.images"
        assert torch.allclose(whole[images], alone[images], atol=1e-4)
    run("cut", 20)
    resumed = run("cut", 32, 2, "--resume")
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []


def test_a_slow_thread_of_gloos_does_not_abort_a_rank_that_is_done(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(SLOW_THREADS)
    done = launch(program)
    assert done.returncode == 0, done.stderr


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(ConfigError, match="cannot be shared evenly by 3 ranks"):
        Ranks(rank=0, size=3).share_of(16)
    assert Ranks(rank=1, size=2).share_of(16) == slice(8, 16)


def test_a_rank_that_dies_ends_the_run_with_its_name(tmp_path):
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    endless = ("--set", "train.steps=100000", "--set", "output.log_every=2")
    log = tmp_path / "log.txt"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [
                *(sys.executable, *launcher, "-m", "stargan_deploy", "train", SMOKE),
                *("--device", "cpu", "--out", tmp_path / "run", *endless),
            ],
            stderr=stream,
            stdout=stream,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        while "step 2/" not in log.read_text() and process.poll() is None:
            pass
        ranks = subprocess.run(
            ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True
        )
        os.kill(int(ranks.stdout.split()[-1]), 9)
        assert process.wait(timeout=120) != 0
    said = log.read_text()
    assert "rank" in said
    assert "-9" in said or "lost contact" in said
