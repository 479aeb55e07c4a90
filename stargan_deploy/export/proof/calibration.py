"""Inputs for INT8: faces and targets to measure ranges on, and others to choose layers by."""

from stargan_deploy.backends.base import Arrays
from stargan_deploy.backends.difference import Difference, compare_outputs
from stargan_deploy.backends.exporter import Calibration
from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.export.proof.cases import make_case
from stargan_deploy.export.proof.images import Faces

NUM_CALIBRATION = 128
"""Faces that the ranges of activations are measured on.

What lies beyond these ranges is cut off. On 400 other photos, the worst logit of a trained
classifier was off by 2.5 of 14 after 64 photos, and by 1.3 after 128 and after 256.
"""

NUM_HELD_OUT = 16
"""Faces to choose layers by."""

CALIBRATION_BATCH = 4
"""Faces per batch; one batch at a time is in memory with all its activations."""


def make_calibration(point: EntryPoint, card: ModelCard, faces: Faces) -> Calibration:
    """Batches of inputs of an entry point at the size of training.

    Raises:
        DataError: a photo that cannot be read.
        CardError: an input that cannot be drawn.
    """
    side = card.preprocessing.image_size
    batch = min(CALIBRATION_BATCH, point.batch.greatest or CALIBRATION_BATCH)
    batches = [
        make_case(card.labels, (batch, side, side), start, faces).inputs(point)
        for start in range(0, NUM_CALIBRATION + NUM_HELD_OUT, batch)
    ]
    split = len(batches) * NUM_CALIBRATION // (NUM_CALIBRATION + NUM_HELD_OUT)

    def compare(expected: Arrays, actual: Arrays) -> Difference:
        spec = point.outputs[0]  # the one that matters
        return compare_outputs(spec, expected[spec.name], actual[spec.name], card.labels)

    return Calibration(batches=batches[:split], held_out=batches[split:], compare=compare)
