"""How a `.pt2` package carries its card, and how it is hashed; nothing here runs any of it.

A package is a zip file whose entries stand uncompressed in one root folder, as torch writes it.
The card is the entry `extra/stargan_deploy.card`, which torch gives as an extra file. The hash goes
over names and contents of all other entries, so that neither the card, nor the root's name, nor the
times in the zip count.
"""

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from stargan_deploy.backends.artefact import no_card
from stargan_deploy.backends.pt2.target import Target
from stargan_deploy.card.card import CARD_KEY, ModelCard, parse_card
from stargan_deploy.config import from_mapping
from stargan_deploy.errors import ConfigError, ModelError, StarganDeployError, brief
from stargan_deploy.files.atomic import atomic_path

CARD_ENTRY = f"extra/{CARD_KEY}"
"""Name of the card's entry below the root folder."""

TARGET_ENTRY = "extra/stargan_deploy.target"
"""Name of the entry with the `Target` as JSON."""

ROOT = "package"
"""The root folder of the packages that are written here."""

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file knows."""


def read_card(path: Path) -> ModelCard:
    """Reads the card in a package, and nothing else of it.

    Raises:
        ModelError: no such file, or not a package.
        CardError: no card of ours in it, or a damaged one.
    """
    text = _read_entry(path, CARD_ENTRY)
    if text is None:
        raise no_card(path)
    return parse_card(text.decode(errors="replace"), where=str(path))


def read_target(path: Path) -> Target:
    """Reads the target of a package, and nothing else of it.

    Raises:
        ModelError: no such file, not a package, or it does not say.
    """
    text = _read_entry(path, TARGET_ENTRY)
    return parse_target({} if text is None else {TARGET_ENTRY: text}, path)


def read_entries(path: Path) -> dict[str, bytes]:
    """Reads all files of a package but its card, by name without the root folder.

    Raises:
        ModelError: no such file, or not a package.
    """
    with _opened(path) as archive:
        index = _index(archive, path)
        return {name: archive.read(info) for name, info in index.items() if name != CARD_ENTRY}


def parse_target(entries: Mapping[str, bytes], path: Path) -> Target:
    """The target of a package.

    Args:
        entries: of the package, from `read_entries`.
        path: the package, for messages.

    Raises:
        ModelError: it does not say, so stargan-deploy did not write it.
    """
    try:
        return from_mapping(Target, json.loads(entries[TARGET_ENTRY]))
    except (KeyError, ValueError, RecursionError, ConfigError) as error:
        raise ModelError(
            f"{path} does not say what it was compiled for, so stargan-deploy did not export it",
            hint="export again",
        ) from error


def write_package(path: Path, entries: Mapping[str, bytes], card: ModelCard | None = None) -> None:
    """Writes a package atomically; equal contents give equal files.

    Raises:
        OutputError: it cannot be written.
    """
    content = dict(entries)
    if card is not None:
        content[CARD_ENTRY] = card.to_json().encode()
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in sorted(content):
            archive.writestr(zipfile.ZipInfo(f"{ROOT}/{name}", ZIP_EPOCH), content[name])


def attach_card(path: Path, card: ModelCard) -> None:
    """Puts a card into a package, replacing an earlier one.

    Raises:
        ModelError: not a package.
        OutputError: it cannot be written.
    """
    write_package(path, read_entries(path), card)


def payload_sha256(entries: Mapping[str, bytes]) -> str:
    """SHA-256 over names and contents of what `read_entries` gave, so that a card may change."""
    digest = hashlib.sha256()
    for name in sorted(entries):
        digest.update(f"{len(name.encode())} {name} {len(entries[name])}\n".encode())
        digest.update(entries[name])
    return digest.hexdigest()


def _read_entry(path: Path, name: str) -> bytes | None:
    with _opened(path) as archive:
        index = _index(archive, path)
        return archive.read(index[name]) if name in index else None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens a zip file; every fault in it becomes a `ModelError`."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except StarganDeployError:
        raise
    except FileNotFoundError as error:
        raise ModelError(f"no such artefact: {path}") from error
    except (
        Exception
    ) as error:  # zipfile raises many kinds on damaged files, struct.error among them
        raise ModelError(f"{path} is not a whole .pt2 package: {brief(error)}") from error


def _index(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The entries of a package by name without the root folder.

    Uncompressed and together no larger than the file, they cannot blow up when they are read.
    """
    infos = [info for info in archive.infolist() if not info.is_dir()]
    parts = [info.filename.partition("/") for info in infos]
    names = [name for _, _, name in parts]
    if len({root for root, _, _ in parts}) != 1 or len(set(names)) != len(names) or "" in names:
        raise ModelError(f"{path} is not a .pt2 package: its files are not in one root folder")
    if not all(map(_is_plain, infos)):
        raise ModelError(f"{path} is not a .pt2 package: it holds compressed or encrypted files")
    if sum(info.file_size for info in infos) > path.stat().st_size:
        raise ModelError(f"{path} is not a .pt2 package: its files overlap")
    return dict(zip(names, infos, strict=True))


def _is_plain(info: zipfile.ZipInfo) -> bool:
    is_stored = info.compress_type == zipfile.ZIP_STORED
    return is_stored and info.compress_size == info.file_size and not info.flag_bits & 1
