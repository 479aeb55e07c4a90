"""Inputs for INT8: faces and targets to measure ranges on, and others to choose layers by."""

from stargan_deploy.backends.base import Arrays
from stargan_deploy.backends.difference import Difference, compare_outputs
from stargan_deploy.backends.exporter import Calibration
from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.export.proof.cases import make_case
from stargan_deploy.export.proof.images import NUM_CALIBRATION, NUM_HELD_OUT, CalibrationFaces

CALIBRATION_BATCH = 4
"""Faces per batch; one batch at a time is in memory with all its activations."""


def make_calibration(point: EntryPoint, card: ModelCard, faces: CalibrationFaces) -> Calibration:
    """Batches of inputs of an entry point at the size of training.

    Raises:
        DataError: a photo that cannot be read.
        CardError: an input that cannot be drawn.
    """
    side = card.preprocessing.image_size
    batch = min(CALIBRATION_BATCH, point.batch.greatest or CALIBRATION_BATCH)
    shape = (batch, side, side)
    ranges, held_out = (
        [
            make_case(card.labels, shape, start, chosen).inputs(point)
            for start in range(first, first + number, batch)
        ]
        for first, number, chosen in (
            (0, NUM_CALIBRATION, faces.ranges),
            (NUM_CALIBRATION, NUM_HELD_OUT, faces.held_out),
        )
    )

    def compare(expected: Arrays, actual: Arrays) -> Difference:
        spec = point.outputs[0]  # the one that matters
        return compare_outputs(spec, expected[spec.name], actual[spec.name], card.labels)

    return Calibration(batches=ranges, held_out=held_out, compare=compare)
