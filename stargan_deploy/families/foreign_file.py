"""Reads files that other PyTorch programs wrote, and names other kinds of files."""

import argparse
import collections
import contextlib
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from stargan_deploy.card.card import CARD_KEY
from stargan_deploy.errors import ModelError, brief, first_names

MAX_NAMED = 5
"""Names that a message lists."""

_BEGINNINGS = {
    b"version https://git-lfs": (
        "is a Git LFS pointer",
        "fetch it with: git lfs pull",
    ),
    b"\x1f\x8b": ("is compressed with gzip", "unpack it"),
    b"7z\xbc\xaf": ("is a 7z archive", "unpack it"),
    b"Rar!": ("is a RAR archive", "unpack it"),
    b"\x08": ("is an ONNX graph", "give the checkpoint that it was exported from"),
    b"\x89HDF": ("is an HDF5 file of Keras or TensorFlow", "give a checkpoint of PyTorch"),
}
"""Files of other kinds by their first bytes: what they are, and what to do."""

_HARMLESS: list[Any] = [
    argparse.Namespace,
    collections.defaultdict,
    np.dtype,
    np.ndarray,
    *(type(np.dtype(name)) for name in ("float16", "float32", "float64", "int32", "int64", "bool")),
    *(
        (function, f"{module}.{name}")
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
        for name, function in (
            ("scalar", np._core.multiarray.scalar),  # type: ignore[attr-defined]
            ("_reconstruct", np._core.multiarray._reconstruct),  # type: ignore[attr-defined]
        )
    ),
]
"""Types that trainings keep next to weights and that run no code when they are read."""


def read_foreign(path: Path, wanted: str) -> Any:
    """The content of a file that `torch.save` wrote, without running any code in it.

    Args:
        path: the file.
        wanted: what it should be, for messages: "an official StarGAN checkpoint".

    Raises:
        ModelError: there is no such file, or it is of another kind, which the message names.
    """
    not_it = f"{path} is not {wanted}"
    _refuse_other_kinds(path, not_it)
    if _is_safetensors(path):
        return _read_safetensors(path, not_it)
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not _begins_as_saved(path):
            raise _not_saved(not_it, error) from error
        raise ModelError(
            f"{not_it}: it holds more than weights{_objects_in(path)}",
            hint="save the weights alone, with torch.save(network.state_dict(), ...)",
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError, KeyError, AttributeError) as error:
        raise _not_saved(not_it, error) from error


def _begins_as_saved(path: Path) -> bool:
    """Whether a file begins as a zip archive or a pickle, the two formats of `torch.save`."""
    with path.open("rb") as stream:
        return stream.read(2).startswith((b"PK", b"\x80"))


def _not_saved(not_it: str, error: Exception) -> ModelError:
    return ModelError(
        f"{not_it}: it was cut off or never written by torch.save ({brief(error)})",
        hint="download or copy it again",
    )


def _refuse_other_kinds(path: Path, not_it: str) -> None:
    """Refuse what is plainly no file of `torch.save`."""
    if path.is_dir():
        raise ModelError(f"{not_it}: it is a folder", hint="name the checkpoint in it")
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
    except FileNotFoundError as error:
        raise ModelError(f"no such checkpoint: {path}") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
    if not head:
        raise ModelError(f"{not_it}: it is empty", hint="download or copy it again")
    if head.lstrip()[:1] == b"<":
        raise ModelError(
            f"{not_it}: it is a web page (HTML)",
            hint="open the link in a browser, and download the file itself",
        )
    for beginning, (what, hint) in _BEGINNINGS.items():
        if head.startswith(beginning):
            raise ModelError(f"{not_it}: it {what}", hint=hint)
    text, *_ = head.strip()[:32].splitlines() or [b""]
    if text and text.isascii() and text.decode().isprintable():
        raise ModelError(
            f"{not_it}: it is a text that begins with {text.decode()!r}",
            hint="perhaps the answer of a server; download the file itself",
        )
    if head.startswith(b"PK"):
        _refuse_other_zips(path, not_it)
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            raise ModelError(
                f"{not_it}: it is a tar archive of {first_names(archive.getnames(), MAX_NAMED)}",
                hint=_UNPACK,
            )


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as stream:
        head = stream.read(512)
    return (head[8:9] == b"{" and b'"dtype"' in head) or b'"__metadata__"' in head[:64]


def _read_safetensors(path: Path, not_it: str) -> dict[str, torch.Tensor]:
    """The weights of a file that other programs wrote.

    Raises:
        ModelError: it is one of our checkpoints, or damaged.
    """
    try:
        with safe_open(path, framework="pt") as stream:
            if CARD_KEY in (stream.metadata() or {}):
                raise ModelError(
                    f"{not_it}: it is a checkpoint of stargan-deploy already",
                    hint="use it as it is",
                )
            return {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{not_it}: it is not a whole safetensors file ({brief(error)})",
            hint="download or copy it again",
        ) from error


_UNPACK = "unpack it and give one of these"


def _refuse_other_zips(path: Path, not_it: str) -> None:
    try:
        names = zipfile.ZipFile(path).namelist()
    except zipfile.BadZipFile as error:
        raise ModelError(
            f"{not_it}: it was cut off, for its end is missing", hint="download or copy it again"
        ) from error
    if any("/code/" in f"/{name}" or name.endswith("constants.pkl") for name in names):
        raise ModelError(
            f"{not_it}: it is TorchScript or a program of torch.export",
            hint="give the checkpoint that it was made from",
        )
    if not any(name.endswith("data.pkl") for name in names):
        raise ModelError(
            f"{not_it}: it is a zip archive of {first_names(names, MAX_NAMED)}", hint=_UNPACK
        )


def _objects_in(path: Path) -> str:
    """The classes that weights-only reading refuses, in words; empty where they are unknown."""
    with contextlib.suppress(Exception):
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        return f": {first_names(sorted(names), MAX_NAMED)}" if names else ""
    return ""
