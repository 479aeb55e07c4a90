"""Recipes: TOML on one side, frozen dataclasses on the other, and a strict loader between.

A configuration is a keyword-only frozen dataclass whose fields are numbers, strings, booleans,
tuples, literals, optional ones of these, or further such dataclasses. An unknown key, a value of
the wrong type and a value out of range are refused with the path of the key.
"""

import dataclasses
import json
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from stargan_deploy.errors import ConfigError, unknown_name

T = TypeVar("T")


def from_mapping(kind: type[T], mapping: Mapping[str, Any], *, path: str = "") -> T:
    """Builds a dataclass from nested mappings, as TOML and JSON give them.

    Args:
        kind: the dataclass to build.
        mapping: its values; fields with a default may be left out.
        path: path of the mapping for messages, for example "train".

    Raises:
        ConfigError: an unknown or missing key, a wrong type, or a value its dataclass refuses.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{path or 'the top level'} must be a table, not {mapping!r}")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    for key in mapping:
        if key not in fields:
            raise ConfigError(unknown_name("setting", join(path, key), _paths(path, fields)))
    values = {key: _convert(hints[key], value, join(path, key)) for key, value in mapping.items()}
    missing = [name for name, field in fields.items() if name not in values and _required(field)]
    if missing:
        raise ConfigError(f"missing setting {join(path, missing[0])!r}")
    try:
        return kind(**values)
    except ValueError as error:
        raise ConfigError(f"{join(path, '')}{error}") from error


def to_mapping(config: Any) -> dict[str, Any]:
    """The nested dictionaries, lists and plain values that `from_mapping` reads back."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return plain


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `base` with the values of `changes`, table by table."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        both_tables = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both_tables else value  # type: ignore[arg-type]
    return merged


def flatten(table: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Values of nested tables by their dotted paths."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        full = join(path, key)
        flat |= flatten(value, full) if isinstance(value, Mapping) else {full: value}
    return flat


def read_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        ConfigError: there is no such file, or it is not TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read recipe {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML recipe: {error}") from error


def parse_overrides(assignments: Iterable[str]) -> dict[str, Any]:
    """Turns `section.key=value` words into nested tables.

    A value is read as TOML where it is (`3`, `1e-4`, `true`, `[1, 2]`), else it is a string.

    Raises:
        ConfigError: a word without `=` or with an empty key, a key given twice, or a list or table
            that is not TOML.
    """
    tables: dict[str, Any] = {}
    given = set[str]()
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            raise ConfigError(f"`set` takes section.key=value, not {assignment!r}")
        if key.strip() in given:
            raise ConfigError(f"`set` gives {key.strip()} twice", hint="give it once")
        given.add(key.strip())
        nested: Any = _read_value(text.strip())
        if nested == text.strip() and text.strip().startswith(("[", "{")):
            raise ConfigError(
                f"{key.strip()}={text.strip()} is not TOML: names in it need double quotes",
                hint="put single quotes around all of it, or the shell removes the double ones",
            )
        for part in reversed(parts):
            nested = {part: nested}
        tables = merge(tables, nested)
    return tables


def to_toml(mapping: Mapping[str, Any]) -> str:
    """Writes tables of plain values as TOML; `None` values are left out, as TOML has none."""
    lines: list[str] = []
    _write_table(lines, mapping, "")
    return "\n".join(lines).lstrip("\n") + "\n"


def join(path: str, key: str) -> str:
    """The dotted path of a key inside a table."""
    return f"{path}.{key}" if path else key


def _paths(path: str, names: Iterable[str]) -> list[str]:
    return [join(path, name) for name in names]


def _required(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _read_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _convert(hint: Any, value: Any, path: str) -> Any:
    """Checks one value against its type hint and converts what TOML and JSON cannot tell apart."""
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return _convert_union(hint, value, path)
    if origin is typing.Literal:
        return _convert_literal(hint, value, path)
    if origin is tuple:
        return _convert_tuple(hint, value, path)
    if origin is dict:
        return _convert_dict(hint, value, path)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_mapping(hint, value, path=path)
    return _convert_plain(hint, value, path)


def _convert_union(hint: Any, value: Any, path: str) -> Any:
    choices = typing.get_args(hint)
    if value is None and type(None) in choices:
        return None
    errors = []
    for choice in choices:
        if choice is not type(None):
            try:
                return _convert(choice, value, path)
            except ConfigError as error:
                errors.append(error)
    raise errors[0]


def _convert_literal(hint: Any, value: Any, path: str) -> Any:
    choices = typing.get_args(hint)
    if value not in choices:
        raise ConfigError(unknown_name(f"value for {path}:", str(value), map(str, choices)))
    return value


def _convert_tuple(hint: Any, value: Any, path: str) -> Any:
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise ConfigError(f"{path} must be a list, not {value!r}")
    kinds = typing.get_args(hint)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise ConfigError(f"{path} must have {len(kinds)} values, not {len(value)}")
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_convert(kind, item, f"{path}[{i}]") for i, (kind, item) in pairs)


def _convert_dict(hint: Any, value: Any, path: str) -> Any:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{path} must be a table, not {value!r}")
    kind = typing.get_args(hint)[1]
    return {str(key): _convert(kind, item, join(path, str(key))) for key, item in value.items()}


def _convert_plain(hint: Any, value: Any, path: str) -> Any:
    if hint is Any:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{path} must be {_TYPE_NAMES.get(hint, hint)}, not {value!r}")
    return value


_TYPE_NAMES = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}


def _write_table(lines: list[str], table: Mapping[str, Any], path: str) -> None:
    plain = {k: v for k, v in table.items() if not isinstance(v, Mapping) and v is not None}
    if path and plain:
        lines += ["", f"[{path}]"]
    lines += [f"{key} = {_toml_value(value)}" for key, value in plain.items()]
    for key, value in table.items():
        if isinstance(value, Mapping):
            _write_table(lines, value, join(path, key))


def _toml_value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    if isinstance(value, str | bool):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def refuse_below(least: int, values: Mapping[str, Any]) -> None:
    """Refuses numbers of a config that are too small; strings and booleans are skipped.

    Raises:
        ValueError: there is one.
    """
    for name, value in values.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and not value >= least:
            if least == 0:
                raise ValueError(f"{name} cannot be negative: {value}")
            raise ValueError(f"{name} must be at least {least}, not {value}")
