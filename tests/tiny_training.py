from pathlib import Path

import pytest

from stargan_deploy.config import merge
from stargan_deploy.training.recipe import resolve_recipe
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.session import create_trainer

TINY = {
    "name": "tiny",
    "data": {"kind": "synthetic", "image_size": 32, "crop_size": 0, "num_synthetic": 10},
    "model": {
        "generator_conv_dim": 4,
        "generator_blocks": 1,
        "discriminator_conv_dim": 4,
        "discriminator_layers": 3,
    },
    "train": {"steps": 6, "batch_size": 2, "critic_steps": 2, "device": "cpu"},
    "output": {"log_every": 2, "sample_every": 3, "checkpoint_every": 2, "num_samples": 2},
}


@pytest.fixture
def tiny_recipe():
    """Makes a tiny recipe with changes."""
    return lambda **changes: resolve_recipe(merge(TINY, changes))


@pytest.fixture
def tiny_trainer(tmp_path: Path, tiny_recipe):
    """Makes a tiny trainer in a folder of its own."""
    return lambda name="run", **changes: create_trainer(
        tiny_recipe(**changes), Run(tmp_path / name)
    )
