"""Settings of a training against the first one, whatever the family."""

import pytest

from stargan_deploy.benchmarking.suite.training_speed import (
    TrainingSpeedConfig,
    measure_training,
)
from stargan_deploy.config import merge
from tests.tiny_families import TINY, TINY_RUN, write_data
from tests.tiny_training import TINY as TINY_STARGAN

QUICK = {"num_rounds": 2, "steps_a_round": 2, "num_warmup_steps": 1}
SIDES = {"fp32": {}, "bf16": {"precision": "bf16"}}


def measured(recipe):
    return measure_training(TrainingSpeedConfig(recipe=recipe, sides=SIDES, **QUICK))


def rows_of(recipe):
    return measured(recipe).rows


def test_stargan_is_measured_against_the_baseline():
    rows = rows_of(merge(TINY_STARGAN, {"train": {"steps": 100}}))
    assert [row.name for row in rows] == ["baseline", "fp32", "bf16"]
    assert [row.precision for row in rows] == ["fp32", "fp32", "bf16"]
    assert rows[0].speedup == 1
    assert all(len(row.samples_ms) == 2 and row.steps_per_s > 0 for row in rows)


@pytest.mark.parametrize("family", ["cgan", "pix2pix"])
def test_other_families_are_measured_against_their_first_setting(family, tmp_path):
    data = {"root": str(write_data(family, tmp_path / "data"))}
    recipe = merge(merge(TINY_RUN, TINY[family]), {"data": data, "train": {"epochs": 20.0}})
    rows = rows_of(recipe)
    assert [row.name for row in rows] == ["fp32", "bf16"]
    assert rows[0].speedup == 1


def test_a_training_that_is_too_short_is_named():
    found = measured(merge(TINY_STARGAN, {"train": {"steps": 4}}))
    assert [row.name for row in found.rows] == ["baseline"]
    assert [each.name for each in found.unusable] == ["training fp32", "training bf16"]
    assert found.unusable[0].reason.startswith("the training ends after 4 steps, and 5 are")
