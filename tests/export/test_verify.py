import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from stargan_deploy.backends.onnx.file import attach_card
from stargan_deploy.backends.registry import is_proven, open_runtime, read_card_of
from stargan_deploy.errors import CardError, DataError, ModelError, UsageError
from stargan_deploy.export.proof.verify import find_checkpoint, verify
from stargan_deploy.families.checkpoint import load_checkpoint, save_checkpoint
from tests.conftest import make_checkpoint


@pytest.fixture
def unproven(exported, tmp_path) -> Path:
    """The artefact as it comes from a machine that could not run it."""
    for path in exported.files:
        shutil.copy(path, tmp_path)
        card = replace(exported.card, verdicts=(), unverified="no GPU there")
        attach_card(tmp_path / path.name, card)
    return tmp_path / exported.files[0].name


def test_the_verdict_is_added_to_all_files_and_the_hash_stays(unproven, checkpoint, exported):
    with pytest.raises(ModelError, match=r"no GPU there.*stargan-deploy verify"):
        open_runtime(unproven)
    found = verify(unproven, checkpoint=checkpoint, device="cpu")
    assert all(comparison.verdict.passed for comparison in found.comparisons)
    companion = unproven.with_name(exported.files[1].name)
    assert read_card_of(unproven) == read_card_of(companion) == found.card
    assert is_proven(found.card, "onnx")
    assert found.card.unverified is None
    with open_runtime(unproven, device="cpu") as runtime:
        assert runtime.backend == "onnx"


def test_a_second_verdict_replaces_the_first(unproven, checkpoint):
    first = verify(unproven, checkpoint=checkpoint, device="cpu").card
    second = verify(unproven, checkpoint=checkpoint, device="cpu").card
    assert len(second.verdicts) == len(first.verdicts) == 2


def test_another_machines_verdicts_are_kept(unproven, checkpoint, exported):
    elsewhere = tuple(replace(verdict, machine="elsewhere") for verdict in exported.card.verdicts)
    attach_card(unproven, replace(exported.card, verdicts=elsewhere))
    card = verify(unproven, checkpoint=checkpoint, device="cpu").card
    assert [v.machine == "elsewhere" for v in card.verdicts] == [True, True, False, False]


def test_a_renamed_artefact_is_verified(unproven, checkpoint):
    renamed = unproven.rename(unproven.with_name("other.onnx"))
    assert is_proven(verify(renamed, checkpoint=checkpoint, device="cpu").card, "onnx")
    assert is_proven(read_card_of(renamed), "onnx")


def test_a_failure_is_written_too(unproven, checkpoint, tmp_path):
    """An artefact whose card claims a parent that it does not equal."""
    content = load_checkpoint(checkpoint)
    other = tmp_path / "other.safetensors"
    save_checkpoint(other, content.card, {k: v * 1.1 for k, v in content.tensors.items()})
    from stargan_deploy.files.atomic import file_sha256

    parents = {"checkpoint": file_sha256(other)}
    attach_card(unproven, replace(read_card_of(unproven), parents=parents))
    found = verify(unproven, checkpoint=other, device="cpu")
    assert not all(comparison.verdict.passed for comparison in found.comparisons)
    assert not is_proven(read_card_of(unproven), "onnx")


def test_the_checkpoint_is_found_by_content(exported, checkpoint, tmp_path):
    wrong = make_checkpoint(tmp_path / "wrong.safetensors", discriminator=False)
    assert find_checkpoint(exported.card, [wrong, checkpoint]) == checkpoint
    with pytest.raises(ModelError, match="name it with `checkpoint`"):
        find_checkpoint(exported.card, [wrong])
    with pytest.raises(ModelError, match="was not made from"):
        verify(exported.files[0], checkpoint=wrong)


def test_what_cannot_be_verified_is_refused_and_left_alone(
    exported, unproven, checkpoint, tmp_path
):
    with pytest.raises(UsageError, match="is a checkpoint"):
        verify(checkpoint, checkpoint=checkpoint)
    with pytest.raises(DataError, match="no such folder"):
        verify(unproven, checkpoint=checkpoint, images=tmp_path / "gone")
    shutil.copy(exported.files[1], unproven)
    before = unproven.read_bytes()
    card = replace(exported.card, verdicts=())
    attach_card(unproven, replace(card, entry_points={"translate": card.entry_points["translate"]}))
    with pytest.raises(CardError, match="changed or belongs to another export"):
        verify(unproven, checkpoint=checkpoint, device="cpu")
    assert len(before)
