"""JSON documents of a dataclass' shape, with a version of their schema."""

import json
from pathlib import Path
from typing import Any, TypeVar

from stargan_deploy.config import from_mapping
from stargan_deploy.errors import ConfigError, DataError

T = TypeVar("T")


def read_document(kind: type[T], path: Path, *, version: int, what: str, renew: str) -> T:
    """Read a document.

    Args:
        kind: the dataclass whose shape it has, `schema_version` among its fields.
        path: the file.
        version: of the schema that is read.
        what: name of such documents in messages, "benchmark results".
        renew: how to make a new one, "measure again".

    Raises:
        DataError: no such file, not JSON, of another schema version, or with fields that do not
            fit.
    """
    try:
        mapping: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {what} {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a whole {path.name}: {error}") from error
    found = mapping.get("schema_version") if isinstance(mapping, dict) else None
    if found != version:
        raise DataError(
            f"{path} has schema version {found!r}, and this version reads {version}",
            hint=f"{renew}, or use the version of stargan-deploy that wrote it or a newer one",
        )
    try:
        return from_mapping(kind, mapping)
    except ConfigError as error:
        raise DataError(f"{path} does not fit the schema of {what}: {error}") from error
