"""Several data sets as one source, for joint training (StarGAN, section 3.2).

Each image belongs to one set, whose labels are known for it; a mask at the end of the label says
which set that is (see `LabelSpace`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.data.source import ChainedSources, ImageSource
from stargan_deploy.errors import LabelError
from stargan_deploy.files.images import (
    BEYOND_CROP,
    centre_crop,
    fitting_crop,
    is_beyond_crop,
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of the joined sets."""

    source: ImageSource
    crop_size: int | None
    """Side of its images' centre crop in pixels; None takes the largest square that fits."""


class JointSource(ChainedSources):
    """The images of all sets, one set after another.

    Args:
        parts: the sets by name, in label order.

    Raises:
        LabelError: two sets know a label of the same name.
    """

    def __init__(self, parts: Mapping[str, Part]) -> None:
        super().__init__([part.source for part in parts.values()])
        self._names = list(parts)
        self._crop_sizes = [part.crop_size for part in parts.values()]
        self.label_space = _joined({n: p.source.label_space for n, p in parts.items()})
        embedded = [self.label_space.embed(s.labels, i) for i, s in enumerate(self.sources)]
        self.labels = np.concatenate(embedded)
        self.notes = tuple(note for source in self.sources for note in source.notes)
        self.description = " + ".join(source.description for source in self.sources)

    @property
    def set_sizes(self) -> tuple[int, ...]:
        """Number of images of each set."""
        return tuple(map(len, self.sources))

    def load(self, index: int) -> Image.Image:
        """Decodes one image to RGB and cuts its set's centre square out of it."""
        image, wanted = super().load(index), self._crop_sizes[self._find(index)[0]]
        cropped = centre_crop(image, fitting_crop(image, wanted))
        cropped.info = image.info | ({BEYOND_CROP: True} if is_beyond_crop(image, wanted) else {})
        return cropped

    def name(self, index: int) -> str:
        """The set's name and the image's name in it."""
        return f"{self._names[self._find(index)[0]]}/{super().name(index)}"


def _joined(spaces: Mapping[str, LabelSpace]) -> LabelSpace:
    sets = tuple(replace(space.sets[0], name=name) for name, space in spaces.items())
    owners: dict[str, str] = {}
    for label_set in sets:
        for label in label_set.names:
            if owners.setdefault(label, label_set.name) != label_set.name:
                raise LabelError(
                    f"both {owners[label]} and {label_set.name} know a label {label!r}",
                    hint=f"choose others with data.sets.{label_set.name}.attributes, or rename it",
                )
    return LabelSpace(sets=sets)
