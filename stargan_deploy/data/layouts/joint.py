"""Several data sets as one source, for joint training (StarGAN, section 3.2).

Each image belongs to one set, whose labels are known for it; a mask at the end of the label says
which set that is (see `LabelSpace`).
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from PIL import Image

from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.data.source import ImageSource
from stargan_deploy.errors import LabelError
from stargan_deploy.files.images import centre_crop, fitting_crop


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of the joined sets."""

    source: ImageSource
    crop_size: int | None
    """Side of its images' centre crop in pixels; None takes the largest square that fits."""


class JointSource(ImageSource):
    """The images of all sets, one set after another.

    Args:
        parts: the sets by name, in label order.

    Raises:
        LabelError: two sets know a label of the same name.
    """

    def __init__(self, parts: Mapping[str, Part]) -> None:
        self._names = list(parts)
        self._parts = list(parts.values())
        sources = [part.source for part in self._parts]
        self._sizes = tuple(len(source) for source in sources)
        self._starts = [0, *accumulate(self._sizes)]
        self.label_space = _joined({n: p.source.label_space for n, p in parts.items()})
        embedded = [self.label_space.embed(s.labels, i) for i, s in enumerate(sources)]
        self.labels = np.concatenate(embedded)
        self.notes = tuple(note for source in sources for note in source.notes)
        self.description = " + ".join(source.description for source in sources)

    def __len__(self) -> int:
        return self._starts[-1]

    @property
    def set_sizes(self) -> tuple[int, ...]:
        """Number of images of each set."""
        return self._sizes

    def load(self, index: int) -> Image.Image:
        """Decodes one image to RGB and cuts its set's centre square out of it."""
        part, own = self._find(index)
        image = self._parts[part].source.load(own)
        return centre_crop(image, fitting_crop(image, self._parts[part].crop_size))

    def name(self, index: int) -> str:
        """The set's name and the image's name in it."""
        part, own = self._find(index)
        return f"{self._names[part]}/{self._parts[part].source.name(own)}"

    def location(self, index: int) -> str:
        """Path of an image."""
        part, own = self._find(index)
        return self._parts[part].source.location(own)

    def _find(self, index: int) -> tuple[int, int]:
        part = bisect_right(self._starts, index) - 1
        return part, index - self._starts[part]


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
