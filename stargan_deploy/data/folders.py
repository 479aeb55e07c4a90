"""One folder per domain, as RaFD is laid out for the official code (`train/happy/*.jpg`)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stargan_deploy.data.source import Split, image_files
from stargan_deploy.data.table import FileTable
from stargan_deploy.errors import DataError, LabelError, unknown_name
from stargan_deploy.labels import onehot_space


class FolderPerDomain(FileTable):
    """Domains of which each image has exactly one, named by its folder.

    Args:
        root: holds a folder a domain, or `train` and `test` with a folder a domain each.
        domains: the domains to read, in label order; empty takes all, sorted by name.
        split: "train" or "test"; without such folders all images serve both.

    Raises:
        DataError: no folders with images.
        LabelError: a domain without a folder.
    """

    def __init__(self, root: Path, *, domains: Sequence[str] = (), split: Split = "train") -> None:
        base = _split_folder(Path(root), split)
        files = {
            folder.name: image_files(folder)
            for folder in sorted(base.iterdir())
            if _is_domain(folder)
        }
        found = [name for name, paths in files.items() if paths]
        if len(found) < 2:
            raise DataError(
                f"{base} is neither in CelebA's layout (list_attr_*.txt) nor does it hold at least "
                f"two folders of images, one a domain; found: {', '.join(found) or 'none'}"
            )
        for name in domains:
            if name not in found:
                raise LabelError(unknown_name("domain", name, found, where=str(base)))
        wanted = tuple(domains) or tuple(found)
        rows = [(str(path.relative_to(base)), i) for i, d in enumerate(wanted) for path in files[d]]
        super().__init__(
            base,
            [name for name, _ in rows],
            np.eye(len(wanted), dtype=np.float32)[[index for _, index in rows]],
            label_space=onehot_space(wanted),
            description=Path(root).resolve().name,
        )


def _split_folder(root: Path, split: Split) -> Path:
    if not (root / "train").is_dir():
        return root
    held_out = [name for name in ("test", "val", "train") if (root / name).is_dir()]
    return root / ("train" if split == "train" else held_out[0])


def _is_domain(folder: Path) -> bool:
    return folder.is_dir() and not folder.name.startswith(".")
