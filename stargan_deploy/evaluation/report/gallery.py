"""The worst photos of each measure, kept while an evaluation goes through all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from stargan_deploy.evaluation.measures import JUDGE, MEASURES, OWN, key
from stargan_deploy.evaluation.meters.base import Found, Group
from stargan_deploy.files.images import Pixels

NUM_WORST = 6
"""Photos kept of each measure."""

MARGIN = "margin"
"""How clearly a reader sees the target, as a logit: negative where it does not."""

WORST: dict[str, Literal["lowest", "highest"]] = {
    key(JUDGE, MARGIN): "lowest",
    key(OWN, MARGIN): "lowest",
    **{
        name: "highest" if measure.is_better == "lower" else "lowest"
        for name, measure in MEASURES.items()
        if name in ("reconstruction", "outside", "identity", "l1")
    },
}
"""The measures whose worst photos are kept, and which end is the worst."""


@dataclass(frozen=True, kw_only=True)
class WorstPhoto:
    """A photo that did badly."""

    badness: float
    """The greater, the worse."""
    value: float
    photo: str
    """Its name."""
    target: str
    images: tuple[Pixels, ...]
    """(S, S, 3): the photo, its translation, and the truth where it is known."""


@dataclass(kw_only=True)
class Gallery:
    """The worst photos of one model."""

    worst: dict[str, list[WorstPhoto]] = field(default_factory=dict)
    """By measure, the worst first."""

    def add(self, group: Group, found: Found, names: Sequence[str], targets: Sequence[str]) -> None:
        """Look through a group.

        Args:
            group: photos and translations.
            found: values (T, N) by measure.
            names: of the group's photos.
            targets: names of the targets.
        """
        for measure in WORST.keys() & found.keys():
            sign = -1.0 if WORST[measure] == "lowest" else 1.0
            bad_TN = np.nan_to_num(sign * found[measure], nan=-np.inf)
            kept = self.worst.setdefault(measure, [])
            of_photo_N = bad_TN.argmax(axis=0)  # once each
            for n in np.argsort(bad_TN.max(axis=0))[::-1][:NUM_WORST]:
                t = of_photo_N[n]
                least = kept[-1].badness if len(kept) == NUM_WORST else -np.inf
                if bad_TN[t, n] <= least:
                    break
                value = float(found[measure][t, n])
                words = names[n], targets[t]
                kept.append(_worst(group, (int(t), int(n)), value, sign * value, words))
                kept.sort(key=lambda photo: -photo.badness)
                del kept[NUM_WORST:]


def _worst(
    group: Group, places: tuple[int, int], value: float, badness: float, words: tuple[str, str]
) -> WorstPhoto:
    t, n = places
    truths = () if group.truths is None else (group.truths[n].copy(),)
    return WorstPhoto(
        badness=badness,
        value=value,
        photo=words[0],
        target=words[1],
        images=(group.photos[n].copy(), group.images[t, n].copy(), *truths),
    )
