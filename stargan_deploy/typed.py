"""Settings as people type them, on the command line and in HTTP requests.

A setting is a field of a dataclass: its type says which texts it takes, and the docstring under it
what it means.
"""

import ast
import inspect
import itertools
import textwrap
from collections.abc import Callable
from typing import Any, Literal

from stargan_deploy.devices import Device, parse_device
from stargan_deploy.errors import UsageError


def split_names(text: str) -> tuple[str, ...]:
    """Names in a list with commas, each once."""
    split = (name.strip() for name in text.split(","))
    return tuple(dict.fromkeys(name for name in split if name))


def _some_names(text: str) -> tuple[str, ...]:
    names = split_names(text)
    if not names:
        raise ValueError("no names")  # all of them would be meant, where the setting is left out
    return names


def _size(text: str) -> int | str:
    return text if text == "photo" else int(text)


def _pair(text: str) -> tuple[float, float]:
    low, high = map(float, text.split(","))
    return low, high


TEXTS: dict[Any, tuple[str, str, Callable[[str], Any]]] = {
    Device | None: ("DEVICE", "a device", parse_device),
    frozenset[str]: ("NAME,...", "names", lambda text: frozenset(split_names(text))),
    tuple[str, ...]: ("NAME,...", "names", _some_names),
    int | Literal["photo"] | None: ("PIXELS|photo", "a number of pixels, or photo", _size),
    tuple[int, ...]: ("N,...", "whole numbers like 1,8", lambda t: tuple(map(int, t.split(",")))),
    tuple[float, ...]: (
        "NUMBER,...",
        "a number, or several like 0.5,1,1.5",
        lambda text: tuple(map(float, text.split(","))),
    ),
    tuple[float, float] | None: ("LOW,HIGH", "two numbers like 0,4095", _pair),
}
"""Types that are written as one text: how that is shown and described, and its reader."""


def read_typed(name: str, hint: Any, value: Any) -> Any:
    """The value of a setting from its text, where its type is one of `TEXTS`; others as they are.

    Args:
        name: of the setting, for messages.
        hint: its type.
        value: a text, or anything else.

    Raises:
        UsageError: a text that the setting does not take.
    """
    if hint not in TEXTS or not isinstance(value, str):
        return value
    _, words, parse = TEXTS[hint]
    try:
        return parse(value)
    except ValueError:
        raise UsageError(f"`{name}` takes {words}, not {value!r}") from None


def field_docs(kind: type) -> dict[str, str]:
    """The docstrings under the fields of a dataclass, each on one line."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    body = getattr(tree, "body", [])
    docs = {}
    for statement, following in itertools.pairwise(body):
        if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr):
            name, text = ast.unparse(statement.target), ast.literal_eval(following.value)
            docs[name] = " ".join(text.split())
    return docs


def split_default(doc: str) -> tuple[str, str]:
    """A field's docstring, and what it says of the default after "; None takes"."""
    words, _, none = doc.replace("; empty takes ", "; None takes ").partition("; None takes ")
    return words.removesuffix("."), none.removesuffix(".")
