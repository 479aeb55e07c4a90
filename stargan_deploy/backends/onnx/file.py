"""How an ONNX file carries its card, and how its graph is hashed.

The card is an entry of the model's `metadata_props`. It is read, and removed, on the level of
protobuf's wire format (protobuf.dev/programming-guides/encoding): a message is a series of numbered
fields, so that a graph without its card is the file without one field. That takes a hundredth of
the time of `import onnx`, which is only needed for files that another tool has written anew.
"""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stargan_deploy.backends.artefact import no_card, read_file
from stargan_deploy.card.card import CARD_KEY, ModelCard, parse_card
from stargan_deploy.errors import ModelError, brief
from stargan_deploy.files.atomic import write_bytes

if TYPE_CHECKING:
    import onnx

GRAPH, METADATA = 7, 14
"""Fields of a `ModelProto`."""

NODE, INITIALIZER = 1, 5
"""Fields of a `GraphProto`."""

DATA_LOCATION, EXTERNAL = 14, 1
"""Field of a `TensorProto`, and its value for weights in another file."""

KEY, VALUE = 1, 2
"""Fields of a `StringStringEntryProto`."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types."""


@dataclass(frozen=True)
class _Field:
    """One field of a message."""

    number: int
    start: int
    """Bytes of the whole field in the message."""
    stop: int
    content: memoryview
    """Bytes of a string or an embedded message; empty for numbers."""
    value: int = 0
    """Value of a number."""


def read_card(path: Path) -> ModelCard:
    """Reads the card in an ONNX file.

    Raises:
        ModelError: no such file, or not ONNX.
        CardError: no card of ours in it, or a damaged one.
    """
    _, text = _split(path)
    if text is None:
        raise no_card(path)
    return parse_card(text.decode(errors="replace"), where=str(path))


def read_graph(path: Path, known: Collection[str]) -> bytes:
    """Reads an ONNX file without its card.

    Args:
        path: the file.
        known: the hashes that the graph may have; only where it has none of them, because a tool
            has written the file anew, its fields are put into order.

    Raises:
        ModelError: no such file, not ONNX, or weights kept in other files, which no hash covers.
    """
    graph, _ = _split(path)
    return graph if payload_sha256(graph) in known else _in_order(graph, path)


def graph_bytes(model: "onnx.ModelProto") -> bytes:
    """A model without its card, which is removed from it; equal models give equal bytes."""
    kept = [entry for entry in model.metadata_props if entry.key != CARD_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def payload_sha256(graph: bytes) -> str:
    """SHA-256 of a graph without its card, so that a verdict can be added to the card later."""
    return hashlib.sha256(graph).hexdigest()


def attach_card(path: Path, card: ModelCard) -> None:
    """Puts a card into an ONNX file, replacing an earlier one."""
    graph, _ = _split(path)
    entry = _encoded(KEY, CARD_KEY.encode()) + _encoded(VALUE, card.to_json().encode())
    # Serialised messages one after the other are one message with the fields of both.
    write_bytes(path, graph + _encoded(METADATA, entry))


def _split(path: Path) -> tuple[bytes, bytes | None]:
    """An ONNX file without its card, and the card's text.

    Raises:
        ModelError: no such file, not ONNX, or weights kept in other files.
    """
    content = memoryview(read_file(path))
    try:
        fields = list(_fields(content))
        graphs = [field.content for field in fields if field.number == GRAPH]
        num_nodes, is_whole = _look_at(graphs)
        entries = [field for field in fields if field.number == METADATA]
        cards = [(entry, text) for entry in entries if (text := _card_text(entry)) is not None]
    except ValueError as error:
        raise ModelError(f"{path} is not a whole ONNX file: {brief(error)}") from error
    if not num_nodes:
        raise ModelError(f"{path} is not an ONNX file: there is no graph in it")
    if not is_whole:
        raise ModelError(f"{path} keeps weights in other files; stargan-deploy writes single files")
    graph = bytearray(content)
    for entry, _ in reversed(cards):
        del graph[entry.start : entry.stop]
    return bytes(graph), cards[0][1] if cards else None


def _look_at(graphs: list[memoryview]) -> tuple[int, bool]:
    """The number of nodes, and whether all weights are inside."""
    fields = [field for graph in graphs for field in _fields(graph)]
    weights = (field.content for field in fields if field.number == INITIALIZER)
    places = (field for tensor in weights for field in _fields(tensor))
    is_whole = not any(f.number == DATA_LOCATION and f.value == EXTERNAL for f in places)
    return sum(field.number == NODE for field in fields), is_whole


def _card_text(entry: _Field) -> bytes | None:
    """The value of a metadata entry, if its key is the card's."""
    found = {field.number: bytes(field.content) for field in _fields(entry.content)}
    return found.get(VALUE, b"") if found.get(KEY) == CARD_KEY.encode() else None


def _fields(message: memoryview) -> Iterator[_Field]:
    """The fields of a message, in the order of the file.

    Raises:
        ValueError: it is truncated, or not a message.
    """
    start = 0
    while start < len(message):
        tag, place = _varint(message, start)
        number, wire_type = tag >> 3, tag & 7
        size, value = 0, 0
        if wire_type == VARINT:
            value, place = _varint(message, place)
        elif wire_type == BYTES:
            size, place = _varint(message, place)
        elif wire_type not in (FIXED64, FIXED32):
            raise ValueError(f"there is no wire type {wire_type}")
        width = {FIXED64: 8, FIXED32: 4}.get(wire_type, size)
        stop = place + width
        if not number or stop > len(message):
            raise ValueError("it is truncated or damaged")
        content = message[place:stop] if wire_type == BYTES else message[:0]
        yield _Field(number, start, stop, content, value)
        start = stop


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A number of seven bits per byte, the lowest first, and where it ends."""
    value = 0
    for index, byte in enumerate(message[place : place + 10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, place + index + 1
    raise ValueError("it is truncated or damaged")


def _encoded(number: int, content: bytes) -> bytes:
    """A field of bytes."""
    size, head = len(content), bytearray([number << 3 | BYTES])
    while size >= 0x80:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*head, size]) + content


def _in_order(graph: bytes, path: Path) -> bytes:
    """A graph as protobuf's own library writes it."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        return graph_bytes(onnx.load_model_from_string(graph))
    except DecodeError as error:
        raise ModelError(f"{path} is not a whole ONNX file: {brief(error)}") from error
