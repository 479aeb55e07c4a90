"""What every kind of model is measured with, and what is found out about one."""

from collections.abc import Callable
from dataclasses import dataclass, field

from stargan_deploy.evaluation.features.base import FeatureNet
from stargan_deploy.evaluation.judge import Judge
from stargan_deploy.evaluation.meters.base import Array
from stargan_deploy.evaluation.photos.photo_set import PhotoSet
from stargan_deploy.evaluation.report.gallery import Gallery
from stargan_deploy.evaluation.results import Confusion, Figure
from stargan_deploy.faces.alignment import AlignedFace
from stargan_deploy.files.images import Pixels

FaceFinder = Callable[[Pixels], AlignedFace | None]
"""Finds the face of a square; None where there is none."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a model is measured with."""

    photos: PhotoSet
    """Photos to translate, or real images to compare with; may be empty for the latter."""
    judge: Judge | None = None
    find_face: FaceFinder | None = None
    nets: tuple[FeatureNet, ...] = ()
    """Entered networks whose features compare sets of images."""
    identity: FeatureNet | None = None
    """An entered network that describes faces."""
    on_photos: Callable[[int], None] = lambda _: None
    """Called with a number of photos that are done."""


@dataclass(kw_only=True)
class Measured:
    """Everything that was found out about one model."""

    values: dict[str, Array] = field(default_factory=dict)
    """(T, P) or (1, P) by measure, NaN where a photo does not count."""
    confusions: dict[str, Confusion] = field(default_factory=dict)
    """By reader."""
    sets: dict[str, Figure] = field(default_factory=dict)
    """Figures of whole sets of images by name."""
    notes: list[str] = field(default_factory=list)
    """Remarks on what could not be measured."""
    failures: dict[str, str] = field(default_factory=dict)
    """Reasons by photo."""
    gallery: Gallery = field(default_factory=Gallery)
    num_images: int = 0
    seconds: float = 0.0
