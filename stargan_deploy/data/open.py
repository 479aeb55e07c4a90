"""Opening the data sets that a recipe's settings name."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stargan_deploy.data.config import AUTO, DataConfig
from stargan_deploy.data.layout import DataLayout, load_layout
from stargan_deploy.data.layouts.joint import JointSource, Part
from stargan_deploy.data.registry import LAYOUTS, WITHOUT_FOLDER
from stargan_deploy.data.source import ImageSource, Split
from stargan_deploy.errors import ConfigError, DataError
from stargan_deploy.files.walk import find_images, found_at

DRAWN = "synthetic"
"""Layout of a recipe that names no data."""

DEFAULT = "folders"
"""Layout that says what a folder lacks where none recognises it."""


def open_source(config: DataConfig, split: Split) -> ImageSource:
    """Opens the data set that the settings name, or all of several.

    Raises:
        DataError: there is no such folder, or nothing in it fits its layout.
        LabelError: an attribute that the data set does not know.
    """
    if config.sets:
        own = config.set_configs()
        parts = {
            name: Part(source=open_source(part, split), crop_size=part.crop_size or None)
            for name, part in own.items()
        }
        return JointSource(parts)
    root = Path(config.root).expanduser()
    layout = _layout_of(config, root)
    layout.check_attributes(config)
    source = layout.open(config, root, split)
    source.take_range(config.range)
    if split == "train" and found_at(root) == "folder" and layout.name not in WITHOUT_FOLDER:
        source.notes += tuple(filter(None, (find_images(root).note,)))
    return source


def recognise(root: Path, *, automatic: bool) -> DataLayout | None:
    """The layout that a folder has, or None.

    Args:
        root: a folder, or the file of its labels.
        automatic: whether to try only the layouts that a training takes with kind "auto".

    Raises:
        DataError: there is no such folder or label file.
    """
    layouts = [load_layout(name) for name in LAYOUTS]
    found = found_at(root)
    if found == "file":
        for layout in layouts:
            if root.suffix.lower() in layout.label_suffixes:
                return layout
    if found != "folder":
        raise DataError(f"no such data folder, nor a label file (.csv, .tsv, .txt): {root}")
    tried = (layout for layout in layouts if layout.is_automatic or not automatic)
    return next((layout for layout in tried if layout.recognises(root)), None)


def names_at_a_glance(root: Path) -> tuple[str, ...]:
    """The attributes or domains of a folder or label file, without reading all of it.

    Raises:
        DataError: there is no such folder or file.
    """
    layout = recognise(root, automatic=True)
    return layout.names_at_a_glance(root) if layout else ()


def require_root(layout: DataLayout, root: Path) -> None:
    """Refuses a place where no data set of a layout can be.

    Raises:
        DataError: there is no such folder, nor one of the layout's label files.
    """
    found = found_at(root)
    if found != "folder" and not (found == "file" and layout.label_suffixes):
        raise DataError(f"no such data folder: {root}")


def place_roots(
    data: Mapping[str, Any], roots: Sequence[str], *, wanted: Mapping[str, Any]
) -> dict[str, Any]:
    """Finds the places in a recipe's `data` table for data folders that a user names in turn.

    Args:
        data: the table. Where it names sets, there is a folder for each that is not drawn; else
            several folders become sets with the folders' names. Drawn images give way to folders.
        roots: the folders.
        wanted: those settings of the table that the user changed.

    Returns:
        Changes to the table.

    Raises:
        ConfigError: more or fewer folders than the recipe has sets, two of one name, or folders
            for a recipe that draws its images on the user's request.
    """
    sets = data.get("sets") or {}
    if not isinstance(sets, Mapping):
        return {}
    given = list(roots) or [str(root) for root in (wanted.get("root"),) if root]
    own = _instead_of_drawn(data, given, wanted) if given else {}
    return own | (_places(sets, roots) if roots else {})


def _instead_of_drawn(
    data: Mapping[str, Any], roots: Sequence[str], wanted: Mapping[str, Any]
) -> dict[str, Any]:
    """Changes to a table that draws its images, so that folders are read; else nothing.

    Raises:
        ConfigError: the user asks for both.
    """
    if not _is_drawn(data):
        return {}
    if _is_drawn(wanted):
        raise ConfigError(
            f"data.kind={wanted['kind']} draws its images, and {', '.join(roots)} would be unused",
            hint="give one of them",
        )
    return {"kind": AUTO, "attributes": wanted.get("attributes", [])}


def _places(sets: Mapping[str, Any], roots: Sequence[str]) -> dict[str, Any]:
    if len(roots) == 1 and not sets:
        return {"root": roots[0]}
    named = [name for name, table in sets.items() if not _is_drawn(table)]
    names = named if sets else [_set_name(root) for root in roots]
    if len(names) != len(roots):
        if not names:
            raise ConfigError(f"this recipe draws all its data sets, so {roots[0]} would be unused")
        raise ConfigError(
            f"this recipe joins {len(names)} data sets ({', '.join(names)}), and {len(roots)} "
            "folders are given",
            hint="give `root` once for each set, in this order",
        )
    if len(set(names)) < len(names):
        raise ConfigError(f"two data folders have the same name: {', '.join(names)}; rename one")
    own = {name: {"root": root} for name, root in zip(names, roots, strict=True)}
    return {"sets": own}


def _layout_of(config: DataConfig, root: Path) -> DataLayout:
    if config.kind in WITHOUT_FOLDER or not config.root:
        return load_layout(config.kind if config.kind in WITHOUT_FOLDER else DRAWN)
    if config.kind == AUTO:
        layout = recognise(root, automatic=bool(config.attributes)) or load_layout(DEFAULT)
        if not layout.is_automatic:
            raise DataError(f"{root} holds {layout.summary}", hint="name the layout to train on it")
        return layout
    layout = load_layout(config.kind)
    require_root(layout, root)
    return layout


def _is_drawn(table: Any) -> bool:
    return isinstance(table, Mapping) and table.get("kind") in WITHOUT_FOLDER


def _set_name(root: str) -> str:
    return re.sub(r"[^\w-]+", "_", re.sub(r"\.(csv|tsv|txt)$", "", Path(root).name), flags=re.ASCII)
