"""How an ONNX file carries its card, and how its graph is hashed.

The card is an entry of the model's `metadata_props`.
"""

import hashlib
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from stargan_deploy.card.card import CARD_KEY, ModelCard, parse_card
from stargan_deploy.errors import CardError, ModelError, brief
from stargan_deploy.files.atomic import write_bytes


def read_card(path: Path) -> ModelCard:
    """Reads the card in an ONNX file.

    Raises:
        ModelError: no such file, or not ONNX.
        CardError: no card of ours in it, or a damaged one.
    """
    for entry in read_model(path).metadata_props:
        if entry.key == CARD_KEY:
            return parse_card(entry.value, where=str(path))
    raise CardError(
        f"{path} carries no model card, so stargan-deploy did not export it",
        hint="make an artefact from a checkpoint with: stargan-deploy export",
    )


def read_model(path: Path) -> onnx.ModelProto:
    """Reads an ONNX file whose weights are all inside it.

    Raises:
        ModelError: no such file, not ONNX, or weights kept in other files, which no hash covers.
    """
    try:
        model = onnx.load_model(path, load_external_data=False)
    except FileNotFoundError as error:
        raise ModelError(f"no such artefact: {path}") from error
    except (DecodeError, OSError) as error:
        raise ModelError(f"{path} is not a whole ONNX file: {brief(error)}") from error
    if not model.graph.node:
        raise ModelError(f"{path} is not an ONNX file: there is no graph in it")
    if any(tensor.data_location == tensor.EXTERNAL for tensor in model.graph.initializer):
        raise ModelError(f"{path} keeps weights in other files; stargan-deploy writes single files")
    return model


def graph_bytes(model: onnx.ModelProto) -> bytes:
    """A model without its card, which is removed from it; equal models give equal bytes."""
    kept = [entry for entry in model.metadata_props if entry.key != CARD_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def payload_sha256(graph: bytes) -> str:
    """SHA-256 of the bytes from `graph_bytes`, so that a verdict can be added to the card later."""
    return hashlib.sha256(graph).hexdigest()


def attach_card(path: Path, card: ModelCard) -> None:
    """Puts a card into an ONNX file, replacing an earlier one."""
    graph = graph_bytes(read_model(path))
    entry = onnx.StringStringEntryProto(key=CARD_KEY, value=card.to_json())
    # Serialised messages one after the other are one message with the fields of both.
    write_bytes(path, graph + onnx.ModelProto(metadata_props=[entry]).SerializeToString())
