"""OpenVINO's intermediate representation (IR) with a card in it, read and hashed without OpenVINO.

An IR is an XML file with the graph and a file of the same stem with its weights. The card stands in
the XML's `rt_info`, in an element that is there from the start, so that a card that is added or
replaced changes nothing else.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from xml.parsers import expat
from xml.sax.saxutils import escape

from stargan_deploy.backends.artefact import no_card, read_file
from stargan_deploy.backends.openvino.spec import SPEC
from stargan_deploy.card.card import CARD_KEY, ModelCard, parse_card
from stargan_deploy.errors import CardError, ModelError, brief

MAX_XML_BYTES = 64 * 2**20
"""Greatest XML file that is read; the graph of a full-size model with its card takes 0.2 MB."""

_EMPTY_SLOT = f'<{CARD_KEY} value="" />'.encode()
"""The card's element as OpenVINO itself writes it."""

_SLOT_END = b"/>"
_QUOTE = {'"': "&quot;"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class IntermediateRepresentation:
    """Everything of an IR that OpenVINO is given, without the card."""

    xml: bytes
    weights: bytes

    @property
    def sha256(self) -> str:
        """SHA-256 over the hashes of both parts."""
        parts = (hashlib.sha256(part).digest() for part in (self.xml, self.weights))
        return hashlib.sha256(b"".join(parts)).hexdigest()


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Slot:
    """The card's element in the bytes of an XML file."""

    start: int
    stop: int
    text: str


def read_card(path: Path) -> ModelCard:
    """Reads the card in an IR's XML file.

    Raises:
        ModelError: no such file, or not an IR.
        CardError: no card of ours in it, or a damaged one.
    """
    text = _find_slot(_read_xml(path), path).text
    if not text:
        raise no_card(path)
    return parse_card(text, where=str(path))


def read_representation(path: Path) -> IntermediateRepresentation:
    """Reads an IR without its card, which any card that is in it leaves unchanged.

    Raises:
        ModelError: no such file, not an IR, or its weights are not next to it.
        CardError: there is no place for a card in it.
    """
    xml = _read_xml(path)
    slot = _find_slot(xml, path)
    return IntermediateRepresentation(
        xml=xml[: slot.start] + _EMPTY_SLOT + xml[slot.stop :], weights=_read_weights(path)
    )


def with_card(path: Path, card: ModelCard) -> bytes:
    """An XML file's content with a card, in place of one that is in it.

    Raises:
        ModelError: no such file, or not an IR.
        CardError: there is no place for a card in it.
    """
    xml = _read_xml(path)
    slot = _find_slot(xml, path)
    # As ASCII, because JSON may hold characters that XML has no way to write.
    text = json.dumps(json.loads(card.to_json()), sort_keys=True)
    element = f'<{CARD_KEY} value="{escape(text, _QUOTE)}" />'.encode("ascii")
    return xml[: slot.start] + element + xml[slot.stop :]


def _read_xml(path: Path) -> bytes:
    if path.is_file() and path.stat().st_size > MAX_XML_BYTES:
        raise ModelError(f"{path} is not an exported OpenVINO IR: it is far too large")
    return read_file(path)


def _read_weights(path: Path) -> bytes:
    weights = path.with_suffix(SPEC.weights_suffix)
    if not weights.exists():
        raise ModelError(
            f"{path} keeps its weights in {weights.name}, which is not next to it",
            hint="copy and rename the two files together",
        )
    return read_file(weights)


def _find_slot(xml: bytes, path: Path) -> _Slot:
    """Parses an XML file to its end, so that a truncated one is not taken for a whole one.

    Raises:
        ModelError: not well-formed, or not an IR.
        CardError: not exactly one place for a card.
    """
    found = _CardFinder()
    try:
        found.parse(xml)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise ModelError(f"{path} is not a whole OpenVINO IR: {brief(error)}") from error
    if not found.slots:
        raise no_card(path)
    start, text = found.slots[0]
    stop = xml.find(_SLOT_END, start) + len(_SLOT_END)
    if len(found.slots) > 1 or stop < start:
        raise CardError(f"the model card in {path} is damaged", hint="export again")
    return _Slot(start=start, stop=stop, text=text)


class _CardFinder:
    """Records where an XML file keeps cards, and refuses constructs that no IR has."""

    def __init__(self) -> None:
        self.slots: list[tuple[int, str]] = []
        self._depth = 0
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        # Without a document type there are no entities, and so none that grow to gigabytes.
        self._parser.StartDoctypeDeclHandler = _refuse_doctype

    def parse(self, xml: bytes) -> None:
        self._parser.Parse(xml, True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._depth and name != "net":
            raise ValueError(f"its outermost element is <{name[:40]}>, not <net>")
        self._depth += 1
        if name == CARD_KEY:
            self.slots.append((self._parser.CurrentByteIndex, attributes.get("value", "")))

    def _end(self, name: str) -> None:  # noqa: ARG002 - expat's signature
        self._depth -= 1


def _refuse_doctype(*_: object) -> None:
    raise ValueError("it declares a document type, which an IR never does")
