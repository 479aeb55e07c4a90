"""The measures of an evaluation: what each means, its unit, and which way is better.

Values of a measure are kept for every photo and target; NaN where a photo does not count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

OWN, JUDGE = "own", "judge"
"""The two that read labels in images: the model's own classifier, and an independent model."""

Unit = Literal["share", "levels", "cosine", "dB", "distance"]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A figure of a photo and a target, or of a whole set of images."""

    name: str
    """Name in results.json."""
    title: str
    """Heading in tables."""
    unit: Unit
    """Shares, cosines and SSIM are at most 1; levels are 8-bit, from 0 to 255."""
    is_better: Literal["higher", "lower", "neither"]
    """The direction in which a model improves; "neither" for baselines."""
    meaning: str
    """A sentence for the report."""
    is_of_photo: bool = False
    """Whether it does not depend on the target."""


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        measure.name: measure
        for measure in (
            Measure(
                name="accuracy",
                title="accuracy",
                unit="share",
                is_better="higher",
                meaning="Share of translated photos in which all labels of the target are seen as "
                "requested. Only photos that lack the target count, so that a model that changes "
                "nothing scores what `untranslated` says.",
            ),
            Measure(
                name="untranslated",
                title="untranslated",
                unit="share",
                is_better="neither",
                meaning="The same question asked of the photos before translation: the accuracy of "
                "a model that changes nothing.",
            ),
            Measure(
                name="real",
                title="on real photos",
                unit="share",
                is_better="neither",
                meaning="Share of the photos themselves whose labels are read correctly; where it "
                "is low, the accuracy means little.",
            ),
            Measure(
                name="kept",
                title="kept",
                unit="share",
                is_better="higher",
                meaning="Share of the labels outside the target (and its rivals) that are read in "
                "the translated photo as in the photo itself.",
            ),
            Measure(
                name="classification_error",
                title="classification error",
                unit="share",
                is_better="lower",
                meaning="For domains of which exactly one holds: share of all translations, every "
                "photo to every domain, in which another domain is seen (StarGAN, section 5.2).",
            ),
            Measure(
                name="real_classification_error",
                title="error on real photos",
                unit="share",
                is_better="neither",
                is_of_photo=True,
                meaning="For domains: share of the photos themselves in which another domain is "
                "seen than theirs.",
            ),
            Measure(
                name="sure",
                title="sure",
                unit="share",
                is_better="higher",
                is_of_photo=True,
                meaning="Share of images in which one class is seen with a probability of at least "
                "0.9.",
            ),
            Measure(
                name="reconstruction",
                title="reconstruction",
                unit="levels",
                is_better="lower",
                meaning="Mean difference between a photo and its translation translated back, in "
                "8-bit levels.",
            ),
            Measure(
                name="change",
                title="change",
                unit="levels",
                is_better="neither",
                meaning="Mean difference between a photo and its translation, in 8-bit levels; 0 "
                "where nothing is changed.",
            ),
            Measure(
                name="outside",
                title="change outside the head",
                unit="levels",
                is_better="lower",
                meaning="Mean difference between a photo and its translation outside head and hair "
                "in 8-bit levels, where a face is found.",
            ),
            Measure(
                name="identity",
                title="identity",
                unit="cosine",
                is_better="higher",
                meaning="Cosine between the descriptors of the face before and after, seen from "
                "the mean of the photos; a photo and itself score 1.",
            ),
            Measure(
                name="identity_of_others",
                title="identity of others",
                unit="cosine",
                is_better="neither",
                is_of_photo=True,
                meaning="Cosine between the descriptors of a photo and of another photo: what a "
                "lost identity scores.",
            ),
            Measure(
                name="l1",
                title="L1",
                unit="levels",
                is_better="lower",
                meaning="Mean difference between the result and the true image, in 8-bit levels.",
            ),
            Measure(
                name="psnr",
                title="PSNR",
                unit="dB",
                is_better="higher",
                meaning="Peak signal-to-noise ratio of the result against the true image, at most "
                "100.",
            ),
            Measure(
                name="ssim",
                title="SSIM",
                unit="cosine",
                is_better="higher",
                meaning="Structural similarity of the result and the true image (Wang et al. "
                "2004): windows with a Gaussian of 1.5 pixels, on luminance.",
            ),
        )
    }
)
"""All measures by name."""

BY_READERS = (
    *("accuracy", "untranslated", "real", "kept"),
    *("classification_error", "real_classification_error", "sure"),
)
"""Measures of what a classifier or judge sees; their values are kept as `judge.accuracy`."""


def key(reader: str, name: str) -> str:
    """The name under which values of a reader's measure are kept."""
    return f"{reader}.{name}"


def measure_of(name: str) -> Measure:
    """The measure behind a name of values: `judge.accuracy` or `change`."""
    return MEASURES[name.rpartition(".")[2]]


def is_share(name: str) -> bool:
    """Whether a measure's values are shares, shown in percent."""
    return measure_of(name).unit == "share"
