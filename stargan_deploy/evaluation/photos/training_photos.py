"""Photos that a model was trained on, and that say little about new ones."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stargan_deploy.errors import DataError, ModelError
from stargan_deploy.evaluation.photos.photo_set import PhotoSet
from stargan_deploy.inference.find import ModelFile, find_source
from stargan_deploy.training.runs.training_images import known_images, read_digests


def refuse_training_photos(models: Sequence[ModelFile], photos: PhotoSet) -> list[str]:
    """Refuse photos that one of the models was trained on, by the content of their files.

    Returns:
        A remark on the models of which that is not known.

    Raises:
        DataError: there are some.
    """
    if not photos.are_files:
        return []
    unknown = []
    for model in models:
        digests = _digests_behind(model)
        if digests is None:
            unknown.append(model.path.name)
            continue
        known = known_images(photos.digests, digests)
        if known.any():
            first = photos.names[int(np.argmax(known))]
            raise DataError(
                f"{int(known.sum())} of {len(photos)} photos belong to the training set of "
                f"{model.path.name}, {first} among them",
                hint="evaluate on held-out photos, or allow them with `allow_training_photos`",
            )
    if not unknown:
        return []
    return [
        f"the photos were not compared with the training set of {', '.join(unknown)}, whose run "
        "folder is not here"
    ]


def _digests_behind(model: ModelFile) -> "np.ndarray[tuple[int], np.dtype[np.uint64]] | None":
    """The digests of the images that a model was trained on; None if they are not known."""
    try:
        path = model.path
        checkpoint = path if model.is_checkpoint else find_source(path, model.card)
    except ModelError:
        return None
    folders = (checkpoint.parent, checkpoint.parent.parent)
    return next((found for f in map(Path, folders) if (found := read_digests(f)) is not None), None)
