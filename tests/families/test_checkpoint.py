import json
import random
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from stargan_deploy.card.card import CARD_KEY
from stargan_deploy.errors import CardError, ModelError, OutputError, StarganDeployError, UsageError
from stargan_deploy.families.checkpoint import (
    build_model,
    is_whole,
    load_checkpoint,
    newest_whole,
    read_card,
    save_checkpoint,
)


def test_round_trip_keeps_card_and_weights(checkpoint, tmp_path):
    loaded = load_checkpoint(checkpoint)
    again = save_checkpoint(tmp_path / "again.safetensors", loaded.card, loaded.tensors)
    reloaded = load_checkpoint(tmp_path / "again.safetensors")
    assert reloaded.card == again
    assert again.entry_points["translate"].file == "again.safetensors"
    assert all(torch.equal(reloaded.tensors[k], v) for k, v in loaded.tensors.items())


def test_others_may_read_a_checkpoint(checkpoint, tmp_path):
    (tmp_path / "plain").write_text("")
    assert checkpoint.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_payload_hash_does_not_depend_on_the_card(checkpoint, tmp_path):
    loaded = load_checkpoint(checkpoint)
    card = replace(loaded.card, intended_use="tests")
    written = save_checkpoint(tmp_path / "b.safetensors", card, loaded.tensors)
    before, after = loaded.card.entry_points, written.entry_points
    assert all(before[n].payload_sha256 == after[n].payload_sha256 for n in before)


def test_changed_weights_are_noticed(checkpoint, tmp_path):
    card = read_card(checkpoint).to_json()
    tensors = load_file(checkpoint)
    tensors["generator.main.0.weight"][0, 0, 0, 0] += 1
    save_file(tensors, tmp_path / "changed.safetensors", metadata={CARD_KEY: card})
    with pytest.raises(CardError, match="do not match its model card"):
        load_checkpoint(tmp_path / "changed.safetensors")


def test_a_foreign_safetensors_file_is_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CardError, match="no model card"):
        load_checkpoint(tmp_path / "foreign.safetensors")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x80\x02}q\x00."])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.safetensors"):
        load_checkpoint(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "none.safetensors")


def test_a_torn_checkpoint_is_passed_over(checkpoint, tmp_path):
    good, torn = tmp_path / "step-1.safetensors", tmp_path / "step-2.safetensors"
    good.write_bytes(checkpoint.read_bytes())
    torn.write_bytes(checkpoint.read_bytes()[:-1000])
    assert not is_whole(torn)
    assert newest_whole([torn, good]) == good
    assert newest_whole([torn]) is None


def test_mutated_checkpoints_never_crash(checkpoint, tmp_path):
    content = checkpoint.read_bytes()
    chance = random.Random(0)
    path = tmp_path / "mutated.safetensors"
    for _ in range(40):
        mutated = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            mutated[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(bytes(mutated[: chance.choice([len(content), chance.randrange(9, 9000)])]))
        try:
            build_model(load_checkpoint(path))
        except StarganDeployError as error:
            assert "\n" not in str(error)


def test_averages_that_are_not_there_are_not_exported(checkpoint):
    with pytest.raises(UsageError, match="no moving average"):
        build_model(load_checkpoint(checkpoint), weights="ema")


def test_card_of_another_schema_is_refused(checkpoint, tmp_path):
    card = json.loads(read_card(checkpoint).to_json()) | {"schema_version": 99}
    save_file(
        load_file(checkpoint), tmp_path / "new.safetensors", metadata={CARD_KEY: json.dumps(card)}
    )
    with pytest.raises(CardError, match="schema version 99"):
        read_card(tmp_path / "new.safetensors")


def test_an_unwritable_place_is_one_clear_error(checkpoint, tmp_path):
    (tmp_path / "file").write_text("")
    loaded = load_checkpoint(checkpoint)
    with pytest.raises(OutputError, match="cannot write"):
        save_checkpoint(tmp_path / "file" / "x.safetensors", loaded.card, loaded.tensors)


def test_weights_of_another_network_are_refused(checkpoint):
    loaded = load_checkpoint(checkpoint)
    card = replace(loaded.card, network=loaded.card.network | {"generator_blocks": 2})
    with pytest.raises(ModelError, match="do not fit its card"):
        build_model(replace(loaded, card=card))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(checkpoint, tmp_path, value):
    loaded = load_checkpoint(checkpoint)
    tensors = {name: tensor.clone() for name, tensor in loaded.tensors.items()}
    tensors["generator.main.0.weight"][0, 0, 0, 0] = value
    save_checkpoint(tmp_path / "bad.safetensors", loaded.card, tensors)
    with pytest.raises(ModelError, match="weights that are not finite: generator"):
        load_checkpoint(tmp_path / "bad.safetensors")
