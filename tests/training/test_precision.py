import numpy as np
import pytest
import torch

from stargan_deploy.families.objectives.precision import at_least_fp32
from stargan_deploy.training.runs.recorder import to_device
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.session import resume_trainer
from tests.float64 import in_float64

BF16_BAND = 0.15
"""Greatest relative distance of the mean losses of 200 steps between bf16 and FP32."""


def losses_of(trainer):
    history = {}
    for _ in trainer.steps():
        for name, term in trainer._terms.items():
            history.setdefault(name, []).append(float(term))
    return {name: np.array(values) for name, values in history.items()}


@pytest.mark.slow
def test_bf16_stays_near_fp32_over_200_steps(tiny_trainer):
    train = {"steps": 200, "batch_size": 4, "generator_lr": 2e-4, "discriminator_lr": 2e-4}
    exact = losses_of(tiny_trainer("fp32", train=train))
    rounded = losses_of(tiny_trainer("bf16", train=train | {"precision": "bf16"}))
    for name in ("d_cls", "d_gp", "g_cls", "g_rec"):
        assert abs(rounded[name].mean() / exact[name].mean() - 1) < BF16_BAND, name


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_weights_and_losses_stay_fp32(tiny_trainer, precision):
    trainer = tiny_trainer(train={"precision": precision})
    for _ in trainer.steps():
        assert all(term.dtype == torch.float32 for term in trainer._terms.values())
    networks = trainer.objective.networks.values()
    assert all(p.dtype == torch.float32 for n in networks for p in n.parameters())


def test_the_loss_scale_survives_a_stop(tiny_trainer, tmp_path):
    trainer = tiny_trainer(train={"precision": "fp16"})
    last = trainer.train()
    resumed = resume_trainer(last, Run(tmp_path / "run"))
    for name, scaler in trainer.state._scalers.items():
        assert scaler.get_scale() < 2**16 or scaler.state_dict()["_growth_tracker"] > 0
        assert resumed.state._scalers[name].state_dict() == scaler.state_dict()


def test_channels_last_changes_the_layout_and_not_the_result(tiny_trainer):
    with in_float64():
        plain = losses_of(tiny_trainer("plain", train={"channels_last": False}))
        turned_trainer = tiny_trainer("turned", train={"channels_last": True})
        weight = turned_trainer.objective.networks["generator"].main[3].weight
        assert weight.is_contiguous(memory_format=torch.channels_last)
        turned = losses_of(turned_trainer)
    for name, values in plain.items():
        assert np.allclose(values, turned[name], rtol=1e-3, atol=1e-4), name


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_losses_with_the_penalty_compile_whole(tiny_trainer, player):
    """Traced to one graph with its backward; `aot_eager` leaves out the C++ compiler alone."""
    trainer = tiny_trainer()
    objective, network = trainer.objective, trainer.objective.networks[player]
    batch = to_device(next(trainer._batches()), trainer.device)
    draws = objective.draw(batch, torch.Generator().manual_seed(0))
    draws["fake"] = objective.share(batch, draws, (), trainer.state.training)["fake"]
    gradients = []
    compiled = torch.compile(objective.losses, backend="aot_eager", fullgraph=True)
    for losses in (objective.losses, compiled):
        network.zero_grad()
        losses(player, batch, draws, trainer.state.training).total.backward()
        gradients.append([p.grad.clone() for p in network.parameters()])
    for eager, traced in zip(*gradients, strict=True):
        assert torch.allclose(eager, traced, rtol=1e-4, atol=1e-6)


def test_half_precision_is_widened_and_double_left_alone():
    assert at_least_fp32(torch.zeros(1, dtype=torch.bfloat16)).dtype == torch.float32
    assert at_least_fp32(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64
