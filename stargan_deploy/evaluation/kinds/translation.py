"""One model that translates photos, measured on all of them.

Shapes: P photos, N photos of a group, T targets, K labels of the model.
"""

import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from stargan_deploy.backends.base import Runtime
from stargan_deploy.batch.outcome import Outcome
from stargan_deploy.card.labels import FloatArray, LabelSpace, Target
from stargan_deploy.evaluation.features.base import FeatureNet
from stargan_deploy.evaluation.judge import Judge
from stargan_deploy.evaluation.kinds.base import Measured, Surroundings
from stargan_deploy.evaluation.measures import JUDGE, OWN, measure_of
from stargan_deploy.evaluation.meters.base import Array, Found, Group, Meter
from stargan_deploy.evaluation.meters.closer import Cycles, OutsideHead, closer_numbers
from stargan_deploy.evaluation.meters.pixels import Changes
from stargan_deploy.evaluation.meters.readings import Readings, own_labels, read_labels
from stargan_deploy.evaluation.meters.realism import Identity, ImageSets, Realism
from stargan_deploy.evaluation.photos.collect import Translated, translated
from stargan_deploy.evaluation.plan import Leg, leg_names
from stargan_deploy.evaluation.report.gallery import MARGIN
from stargan_deploy.inference.source_labels import needed_names
from stargan_deploy.inference.translator import Translator


def measure_translations(
    runtime: Runtime, legs: Sequence[Leg], around: Surroundings, *, size: int | None = None
) -> Measured:
    """Translate all photos with a model, and measure what comes out.

    Args:
        runtime: entered, with a batch size.
        legs: what the model is asked for.
        around: photos and everything that measures.
        size: side of the images in pixels; None takes that of training.

    Raises:
        LabelError: the judge does not know a label.
        BackendError: the runtime failed.
    """
    start_s = time.perf_counter()
    measured = Measured()
    own = Judge.of(runtime) if "classify" in runtime.card.entry_points else None
    found = {OWN: own, JUDGE: around.judge}
    readers = {name: reader for name, reader in found.items() if reader is not None}
    num_targets = sum(len(leg.targets) for leg in legs)
    sets = {net: ImageSets(net.name, net.distance_name) for net in around.nets}
    for leg in legs:
        translator = Translator(runtime.card, runtime, image_size=size, entry_point=leg.entry_point)
        run = _LegRun(translator, leg, readers, around, measured=measured, num_targets=num_targets)
        run.run(sets)
    for kept in sets.values():
        _keep_sets(measured, kept)
    measured.seconds = time.perf_counter() - start_s
    return measured


class _LegRun:
    """One entry point of a model at work."""

    def __init__(
        self,
        translator: Translator,
        leg: Leg,
        readers: Mapping[str, Judge],
        around: Surroundings,
        *,
        measured: Measured,
        num_targets: int,
    ) -> None:
        self._translator, self._leg, self._around = translator, leg, around
        self._measured, self._num_targets = measured, num_targets
        self._space: LabelSpace = translator.card.labels
        self._readers = readers if self._space.sets else {}
        self._given_PK = around.photos.labels(self._space)
        self._targets = [named.target for named in leg.targets]
        judge = self._readers.get(JUDGE)
        has_features = judge is not None and judge.has_features
        self._judge_sets = ImageSets("the judge's features") if has_features else None
        self._readings = {
            name: Readings(
                name,
                reader,
                self._space,
                self._targets,
                only_own_sets=name == OWN,
                sets=self._judge_sets if name == JUDGE else None,
            )
            for name, reader in self._readers.items()
        }
        self._meters = [*self._readings.values(), *self._image_meters()]

    def _image_meters(self) -> Iterator[Meter]:
        closer = closer_numbers(len(self._around.photos))
        yield Changes()
        back = self._leg.domains.back if self._leg.domains else None
        if back is not None or self._space.sets:
            yield Cycles(self._translator, self._targets, back, closer)
        if self._around.identity is not None:
            yield Identity(self._around.identity, closer, len(self._around.photos))
        if self._around.find_face is not None:
            yield OutsideHead(self._around.find_face, closer)

    def run(self, sets: Mapping[FeatureNet, ImageSets]) -> None:
        """Translate all photos of the domain, and measure them.

        Args:
            sets: take the features of each network.
        """
        photos, measured = self._around.photos, self._measured
        self._meters += [Realism(net, kept, self._leg) for net, kept in sets.items()]
        labels = self._given_labels()
        stream = translated(self._translator, self._leg.targets, photos, self._places(), labels)
        for item in stream:
            if isinstance(item, Outcome):
                place = int(item.photo.name.name)
                measured.failures[photos.names[place]] = item.reason
                self._around.on_photos(1)
                continue
            group = self._group(item)
            for meter in self._meters:
                self._keep(group, meter.measure(group))
            measured.num_images += len(group.flat_images)
            self._around.on_photos(len(group.places))
        for meter in self._meters:
            for name, rows in meter.finish().items():
                self._row(name)[self._rows(name)] = rows
        if self._judge_sets is not None:
            _keep_sets(measured, self._judge_sets)
        measured.confusions |= {name: each.confusion for name, each in self._readings.items()}

    def _places(self) -> list[int]:
        """The photos that are of the domain that goes in."""
        domains = self._around.photos.domains
        takes = self._leg.domains.takes if self._leg.domains else None
        are_named = takes in domains
        return [n for n, domain in enumerate(domains) if not are_named or domain == takes]

    def _given_labels(self) -> FloatArray | None:
        """The photos' labels (P, K), if all that the targets depend on are known."""
        if not self._space.sets:
            return None
        needed = [self._space.names.index(n) for n in needed_names(self._space, self._targets)]
        is_known = bool(np.isfinite(self._given_PK[:, needed]).all())
        return np.nan_to_num(self._given_PK) if is_known else None

    def _group(self, item: Translated) -> Group:
        given = self._given_PK[list(item.places)]
        looks = {name: reader.look(item.photos) for name, reader in self._readers.items()}
        read = (read_labels(self._readers[n], look, self._space) for n, look in looks.items())
        own = own_labels(given, read)
        wanted = [[self._wanted(t, row) for row in np.nan_to_num(own)] for t in self._targets]
        return Group(
            places=item.places,
            photos=item.photos,
            images=item.images,
            truths=item.truths,
            own=own,
            given=given,
            wanted=np.array(wanted, np.float32).reshape(len(wanted), len(own), -1),
            looks=looks,
        )

    def _wanted(self, target: Target, own_K: FloatArray) -> FloatArray:
        return self._space.target_vector(target, own_K)[: self._space.num_labels]

    def _keep(self, group: Group, found: Found) -> None:
        """Put a group's values in their places."""
        places = list(group.places)
        for name in (name for name in found if not name.endswith(f".{MARGIN}")):
            self._row(name)[self._rows(name), places] = found[name]
        names = [self._around.photos.names[place] for place in places]
        self._measured.gallery.add(group, found, names, leg_names(self._leg))

    def _rows(self, name: str) -> slice:
        """The rows of a measure that this entry point fills."""
        return slice(None) if measure_of(name).is_of_photo else self._leg.rows

    def _row(self, name: str) -> Array:
        """All values of a measure, which are unknown at first."""
        num_rows = 1 if measure_of(name).is_of_photo else self._num_targets
        shape = (num_rows, len(self._around.photos))
        return self._measured.values.setdefault(name, np.full(shape, np.nan, np.float32))


def _keep_sets(measured: Measured, sets: ImageSets) -> None:
    figures, notes = sets.figures()
    measured.sets |= figures
    measured.notes += notes
