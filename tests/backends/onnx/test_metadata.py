"""What people and programs that know nothing of our card can read of an ONNX export."""

import json

import onnx

from stargan_deploy.card.card import parse_card
from stargan_deploy.export.export import export
from stargan_deploy.version import __version__
from tests.conftest import ATTRIBUTES


def test_a_viewer_shows_who_made_it_and_what_it_is(exported):
    model = onnx.load(exported.files[0])
    assert (model.producer_name, model.producer_version) == ("stargan-deploy", __version__)
    props = {entry.key: entry.value for entry in model.metadata_props}
    assert model.graph.name == props["entry_point"] == "translate"
    assert props["labels"] == ", ".join(ATTRIBUTES)
    assert props["label_groups"] == "Black_Hair, Blond_Hair, Brown_Hair"
    assert (props["image_size"], props["crop_size"]) == ("32", "none")
    assert model.doc_string == model.graph.doc_string == props["description"]
    assert props["description"] == (
        "stargan, translate: image (uint8, batch x height x width x 3, 0 to 255), label (float32, "
        "batch x 5, 0 to 1) to translated (uint8, batch x height x width x 3, 0 to 255)"
    )
    classifier = onnx.load(exported.files[1])
    assert classifier.graph.name == "classify"


def test_the_card_lies_next_to_each_file_as_json(exported):
    for path in exported.files:
        text = path.with_suffix(".json").read_text(encoding="utf-8")
        assert parse_card(text, where="x") == exported.card
        labels = json.loads(text)["labels"]["sets"][0]["names"]
        assert labels == list(ATTRIBUTES)


def test_equal_exports_are_equal_files(checkpoint, exported, tmp_path):
    again = export(checkpoint, out=tmp_path / "tiny.onnx")
    points = again.card.entry_points
    assert {n: p.payload_sha256 for n, p in points.items()} == {
        n: p.payload_sha256 for n, p in exported.card.entry_points.items()
    }
