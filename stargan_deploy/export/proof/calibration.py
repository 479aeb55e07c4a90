"""What INT8 is measured with: faces and targets for ranges, and others for choosing layers."""

from stargan_deploy.backends.base import Arrays
from stargan_deploy.backends.difference import Difference, compare_logits, compare_pictures
from stargan_deploy.backends.formats import Calibration
from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.errors import ExportError
from stargan_deploy.export.proof.cases import make_case
from stargan_deploy.export.proof.images import Faces
from stargan_deploy.files.images import as_pixels

NUM_CALIBRATION = 128
"""Faces that the ranges of activations are measured on.

What lies beyond these ranges is cut off. On 400 other photos, the worst logit of a trained
classifier was off by 2.5 of 14 after 64 photos, and by 1.3 after 128 and after 256.
"""

NUM_HELD_OUT = 16
"""Faces that layers are chosen by."""

CALIBRATION_BATCH = 4
"""Faces a batch; a batch a time is in memory with all its activations."""


def make_calibration(point: EntryPoint, card: ModelCard, faces: Faces) -> Calibration:
    """Batches of inputs of an entry point at the size of training.

    Raises:
        DataError: a photo that cannot be read.
        ExportError: an input that nobody knows how to fill.
    """
    side = card.preprocessing.image_size
    limit = point.inputs[0].shape[0]
    most = limit if isinstance(limit, int) else limit.max
    batch = min(CALIBRATION_BATCH, most or CALIBRATION_BATCH)
    batches = [
        make_case(card.labels, (batch, side, side), start, faces).inputs(point)
        for start in range(0, NUM_CALIBRATION + NUM_HELD_OUT, batch)
    ]
    split = len(batches) * NUM_CALIBRATION // (NUM_CALIBRATION + NUM_HELD_OUT)

    def compare(expected: Arrays, actual: Arrays) -> Difference:
        return _compare(point, card, expected, actual)

    return Calibration(batches=batches[:split], held_out=batches[split:], compare=compare)


def _compare(point: EntryPoint, card: ModelCard, expected: Arrays, actual: Arrays) -> Difference:
    """Compares the first output, which is the one that matters."""
    spec = point.outputs[0]
    pair = expected[spec.name], actual[spec.name]
    if spec.kind == "image":
        return compare_pictures(*map(as_pixels, pair))
    if spec.kind == "logits":
        return compare_logits(*pair, card.labels)
    raise ExportError(f"there is no way yet to quantise for an output of kind {spec.kind!r}")
