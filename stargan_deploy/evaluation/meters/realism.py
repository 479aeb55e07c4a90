"""How far made images are from real ones as sets, by named features.

Shapes: N images, F features.
"""

from collections.abc import Mapping

import numpy as np

from stargan_deploy.card.labels import FloatArray
from stargan_deploy.errors import UsageError
from stargan_deploy.evaluation.distance import (
    cosine,
    frechet_distance,
    kernel_distance,
    precision_recall,
)
from stargan_deploy.evaluation.feature_set import FeatureSet
from stargan_deploy.evaluation.features.base import FeatureNet
from stargan_deploy.evaluation.meters.base import Found, Group, Meter
from stargan_deploy.evaluation.plan import Leg
from stargan_deploy.evaluation.results import Figure

Part = tuple[str, FloatArray | None]
"""A domain, and features (N, F) of images of it; None for no images."""


class ImageSets:
    """Features of real and of made images, by the domain that they belong to, or should.

    Args:
        features: name of the features.
        distance: what a Fréchet distance on them may be called.
    """

    def __init__(self, features: str, distance: str = "Fréchet distance") -> None:
        self.features, self._distance = features, distance
        self._real: dict[str, FeatureSet] = {}
        self._made: dict[str, FeatureSet] = {}

    def add(self, *, real: Part, made: Part) -> None:
        """Add features (N, F), each with its domain; None adds nothing."""
        for sets, (domain, rows) in ((self._real, real), (self._made, made)):
            if rows is not None:
                sets.setdefault(domain, FeatureSet()).add(rows)

    def figures(self) -> tuple[dict[str, Figure], list[str]]:
        """Distances, precision and recall by name, and remarks on those that cannot be had."""
        found, notes = dict[str, Figure](), list[str]()
        for domain in self._real.keys() & self._made.keys():
            real, made = self._real[domain], self._made[domain]
            words = f"on {self.features}" + (f", {domain}" if domain else "")
            try:
                found[f"kernel distance {words}"] = kernel_distance(real, made)
                precision, recall = precision_recall(real, made)
                found |= {f"precision {words}": precision, f"recall {words}": recall}
                found[f"{self._distance} {words}"] = frechet_distance(real, made)
            except UsageError as error:
                notes.append(f"not measured on {self.features}: {error}")
        return found, notes


class Realism(Meter):
    """Compares translations with real photos on the features of a network.

    Args:
        net: an entered network.
        sets: takes the features.
        leg: what photos are translated to, and between which domains.
    """

    def __init__(self, net: FeatureNet, sets: ImageSets, leg: Leg) -> None:
        self._net, self._sets, self._leg = net, sets, leg

    def measure(self, group: Group) -> Found:
        """Take the features of a group; there are no values of single photos."""
        real = group.photos if group.truths is None else group.truths
        domains = domains_of(self._leg)
        self._sets.add(
            real=(domains[0], self._net.features(real)),
            made=(domains[1], self._net.features(group.flat_images)),
        )
        return {}


class Identity(Meter):
    """Whether faces stay those of the same person, by descriptors of some of the photos.

    Cosines are taken from the mean descriptor of the photos: descriptors of faces have much in
    common, so that those of strangers would be alike as they are.

    Args:
        net: an entered network that describes faces.
        closer: the photos that are looked at.
        num_photos: number of photos in all.
    """

    def __init__(self, net: FeatureNet, closer: Mapping[int, int], num_photos: int) -> None:
        self._net, self._closer, self._num_photos = net, closer, num_photos
        self._before: dict[int, FloatArray] = {}
        self._after: dict[int, FloatArray] = {}

    def measure(self, group: Group) -> Found:
        """Describe the faces of a group; the values come at the end."""
        chosen = [n for n, place in enumerate(group.places) if place in self._closer]
        if chosen:
            before = self._net.features(group.photos[chosen])
            flat = group.images[:, chosen].reshape(-1, *group.photos.shape[1:])
            after = self._net.features(flat).reshape(group.shape[0], len(chosen), -1)
            for row, n in enumerate(chosen):
                place = group.places[n]
                self._before[place], self._after[place] = before[row], after[:, row]
        return {}

    def finish(self) -> Found:
        """Values of `identity` (T, P) and of `identity_of_others` (1, P)."""
        if len(self._before) < 2:
            return {}
        places = sorted(self._before)
        before = np.stack([self._before[place] for place in places])
        after = np.stack([self._after[place] for place in places], axis=1)
        centre = before.mean(axis=0)
        same = np.full((len(after), self._num_photos), np.nan, np.float32)
        same[:, places] = [cosine(before, rows, centre) for rows in after]
        others = np.full((1, self._num_photos), np.nan, np.float32)
        others[0, places] = cosine(before, np.roll(before, 1, axis=0), centre)
        return {"identity": same, "identity_of_others": others}


def domains_of(leg: Leg) -> tuple[str, str]:
    """The domains of what goes in and of what comes out; empty where there is but one."""
    return (leg.domains.takes, leg.domains.makes) if leg.domains else ("", "")
