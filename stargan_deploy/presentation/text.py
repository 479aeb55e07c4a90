"""Text that is safe to print, and excerpts of long lists."""

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import TypeVar

T = TypeVar("T")

NOTHING = "\N{EN DASH}"
"""Stands where there is no value."""

_MARKDOWN = re.compile(r"[\\`*|<>\[\]~#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""Characters that format text in Markdown or start HTML."""

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
"""Characters that XML refuses, and that no reader can see."""


_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""First characters of text that spreadsheets take for a formula."""


def visible(value: object) -> str:
    """Any value as text without control characters, which could steer a terminal."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(value))


def single_spaced(value: object) -> str:
    """Any value as visible text on one line."""
    return " ".join(visible(value).split())


def plain_markdown(value: object) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _MARKDOWN.sub(r"\\\g<0>", single_spaced(value))


def one_line(text: str) -> str:
    """A text with its line breaks, other controls and lone surrogates as escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def printable(name: PurePath | str) -> str:
    """A path, or a text with paths in it, that can be written as UTF-8 even where it is not."""
    text = name if isinstance(name, str) else name.as_posix()
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def cell_text(text: str) -> str:
    """A text for a cell of a spreadsheet, on one line and never a formula."""
    line = " ".join(text.split())
    return f"'{line}" if line.startswith(_FORMULA_STARTS) else line


def evenly(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of the items, evenly spread, both ends among them."""
    if len(items) <= count:
        return list(items)
    step = (len(items) - 1) / max(1, count - 1)
    return [items[round(place * step)] for place in range(count)]
