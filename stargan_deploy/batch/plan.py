"""Where each image of a batch will go, decided before the first photo is decoded."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal, cast

from stargan_deploy.batch.photos.listing import list_photos
from stargan_deploy.batch.photos.naming import (
    NameTemplate,
    place_images,
    plain_place,
    template_places,
)
from stargan_deploy.batch.report import Failure
from stargan_deploy.batch.settings import NOT_RECORDED
from stargan_deploy.batch.shard import WHOLE, Shard, parse_shard
from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.card.styles import heat_maps, style_route
from stargan_deploy.errors import DataError, UsageError, unknown_name
from stargan_deploy.files.colours import ValueRange, check_range
from stargan_deploy.files.metadata import KEEPABLE
from stargan_deploy.inference.framing import Fit, Size
from stargan_deploy.inference.source_labels import LabelTable, needed_names, read_label_table
from stargan_deploy.inference.styles.source import ANY_STYLE, StyleRequest, styled_targets
from stargan_deploy.inference.targets import (
    NamedTarget,
    check_strength,
    name_targets,
    only_target,
)
from stargan_deploy.inference.translator import choose_direction
from stargan_deploy.presentation.text import printable


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """How images are made, apart from their targets.

    Every field is recorded in the manifest unless it says otherwise: `settings.recorded`.
    """

    fit: Fit = "crop"
    """How a whole photo becomes a square, without `faces`. crop: its centre, as in training. pad:
    all of it, on a square whose rest is cut off the result. stretch: all of it, resized to a square
    and back."""
    size: Size | None = None
    """Side of the translated images in pixels, if the model takes several sizes; "photo" gives the
    photo's own size, with the change enlarged and all around it kept; None takes the size of
    training."""
    entry_point: str = "translate"
    """Entry point of the model's card that translates."""
    faces: Literal["largest", "all"] | None = None
    """Find faces, align and translate them, and blend them back into the whole photo; needs the
    extra [faces]; None takes the photo as one face."""
    without_face: Literal["skip", "copy"] = "skip"
    """How to treat photos in which `faces` finds none; the report lists them."""
    strengths: tuple[float, ...] = field(default=(1.0,), metadata=NOT_RECORDED)
    """How far to go from the photo's own labels (0) to the target's (1), and beyond, up to 1.5.
    Several give a strip that begins with the photo."""  # recorded with the targets
    range: ValueRange | None = None
    """Values of deep photos (16 bits, floats) that become black and white; None takes those of
    training, else the full range of their type."""
    keep: frozenset[str] = frozenset()
    """Metadata to copy from the photos: exif, icc. Without icc, colours are converted to sRGB.
    Images are always marked as edited by AI; empty takes none."""

    heat_maps: Literal["zeros"] | None = None
    """For models that take heat maps of each face: zeros translate without what they gate."""

    def __post_init__(self) -> None:
        if not self.strengths:
            raise UsageError("`strengths` names none", hint="1 is the target itself")
        for strength in self.strengths:
            check_strength(strength)
        try:
            check_range(self.range)
        except ValueError as error:
            raise UsageError(str(error).replace("range", "`range`", 1)) from error
        for word in sorted(self.keep.difference(KEEPABLE)):
            raise UsageError(f"`keep`: {unknown_name('metadata', word, KEEPABLE)}")
        if self.faces and self.size == "photo":
            raise UsageError("`faces` keeps the photo's size anyway", hint="leave out `size`")
        if self.faces and self.fit != "crop":
            raise UsageError("`fit` does not go with `faces`, which aligns and crops each face")


@dataclass(frozen=True, kw_only=True)
class BatchJob:
    """Which photos to translate to which targets, and where the images go."""

    input: Path
    """A folder, or one file."""
    parts: tuple[Path, ...] = ()
    """Folders and files below the input that are meant; none for all of it."""
    output: Path
    """Folder for the images, the report and the manifest."""
    targets: tuple[NamedTarget, ...]
    """Targets; with several, each has its folder in `output`."""
    source: Literal["predict", "zeros"] | LabelTable = "predict"
    """Origin of the photos' own labels."""
    options: ImageOptions = ImageOptions()
    naming: NameTemplate | None = None
    """Template of the images' names; None keeps the photos', with a folder per target where there
    are several."""
    shard: Shard = WHOLE
    """The part of the photos to translate."""
    max_photos: int | None = None
    """Largest number of photos, the first by name; None takes all."""


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One photo and where its images go."""

    name: PurePosixPath
    """Path below the input folder."""
    path: Path
    outputs: tuple[Path, ...]
    """One for each target."""
    may_replace: bool = False
    """Whether its images may replace existing files."""


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """A job with its photos listed and their images named."""

    job: BatchJob
    photos: tuple[Photo, ...]
    renamed: dict[str, str]
    """Places of images that could not keep their photo's name, by photo."""
    failures: tuple[Failure, ...]
    """Folders that could not be listed."""
    note: str = ""
    """A line about files and folders that were left out, or nothing."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Number of photos and videos that are not read, by their ending."""

    @property
    def summary(self) -> str:
        """The batch in a few words: `2 photos to Blond_Hair; -Male`, or `2 photos`."""
        photos = f"{len(self.photos)} photo{'' if len(self.photos) == 1 else 's'}"
        texts = [named.target.text for named in self.job.targets]
        return photos if texts == ["translate"] else f"{photos} to {'; '.join(texts)}"


def make_job(
    card: ModelCard,
    *,
    input: Path | Sequence[Path],
    output: Path,
    targets: Sequence[str] = (),
    direction: str | None = None,
    source: str = "predict",
    options: ImageOptions = ImageOptions(),
    naming: str | None = None,
    shard: str | None = None,
    max_photos: int | None = None,
    style: StyleRequest = ANY_STYLE,
) -> BatchJob:
    """Return the job for a model that some words describe.

    Args:
        card: the model's.
        input: a folder, a file, or several of them; names of several are those below the folder
            that holds them all.
        output: folder for the images.
        targets: attributes and domains: `Blond_Hair,Young`, `-Male`; none for a model without.
        direction: entry point of a model with several.
        source: "predict", "zeros" or the path of a table of labels.
        options: how images are made; the direction replaces their entry point.
        naming: template of the images' names.
        shard: `I/N`; None takes all photos.
        max_photos: largest number of photos.
        style: in which styles, for a model that has styles.

    Raises:
        UsageError: words that make no sense, or not for this model.
        DataError: a table of labels that cannot be read, or references that are not there.
    """
    space = card.labels
    if not space.sets and options.strengths != (1.0,):
        raise UsageError("`strengths` go part of the way between labels, and this model has none")
    if not space.sets and source != "predict":
        raise UsageError(
            f"`source` {source} gives the photos' own labels, and this model has none",
            hint="leave it out",
        )
    entry_point = choose_direction(card, direction)
    only = () if space.sets else (only_target(space, entry_point, targets),)
    named = only or name_targets(space, targets)
    if _has_styles(card, entry_point, style):
        options = _styled_options(card.entry_point(entry_point), options, source, style)
        named = styled_targets(named, style)
    root, parts = _root_of([input] if isinstance(input, Path) else list(input))
    return BatchJob(
        input=root,
        parts=parts,
        output=output,
        targets=named,
        source=_read_source(source, space, named),
        options=replace(options, entry_point=entry_point),
        naming=None if naming is None else NameTemplate(text=naming),
        shard=WHOLE if shard is None else parse_shard(shard),
        max_photos=max_photos,
    )


def _has_styles(card: ModelCard, entry_point: str, style: StyleRequest) -> bool:
    """Whether a model translates in styles.

    Raises:
        UsageError: it does not, and one is asked for.
    """
    route = style_route(card)
    if route is not None and route.translate == entry_point:
        return True
    if style != ANY_STYLE:
        raise UsageError(
            "this model has no styles, so that `references`, `seed`, `styles` and `interpolate` "
            "mean nothing to it",
            hint="leave them out, or take a model with styles, like StarGAN v2",
        )
    return False


def _styled_options(
    point: EntryPoint, options: ImageOptions, source: str, style: StyleRequest
) -> ImageOptions:
    """The options with positions between two styles in place of strengths.

    Raises:
        UsageError: options of models without styles, or heat maps that nothing supplies.
    """
    if options.strengths != (1.0,) or source != "predict":
        raise UsageError(
            "`strengths` and `source` are about labels of photos, and this model goes by styles",
            hint="leave them out; `interpolate` leads from one style to another",
        )
    if (maps := heat_maps(point)) and options.heat_maps is None:
        names = " and ".join(repr(spec.name) for spec in maps)
        raise UsageError(
            f"this model takes heat maps of each face, {names}, which are not made here",
            hint="set `heat_maps` to zeros to translate without its high-pass skip",
        )
    return replace(options, strengths=style.positions)


def plan_batch(job: BatchJob) -> BatchPlan:
    """List the photos and name their images; writes nothing.

    Raises:
        DataError: no such input, or no photo in it.
        UsageError: images would be written over photos.
    """
    if job.output.exists() and job.input.exists() and job.output.samefile(job.input):
        raise UsageError(f"`output` {job.output} is the input itself", hint="choose another folder")
    listing = list_photos(job.input, skip=job.output, parts=job.parts)
    places = _places(job, listing.photos)
    photos = tuple(
        Photo(
            name=name,
            path=listing.root / name,
            outputs=tuple(job.output / place for place in places[name]),
        )
        for name in tuple(filter(job.shard.holds, listing.photos))[: job.max_photos]
    )
    _refuse_overwriting(photos)
    renamed = {} if job.naming else _renamed(photos)
    return BatchPlan(
        job=job,
        photos=photos,
        renamed=renamed,
        failures=listing.failures,
        note=listing.note,
        left_out=listing.left_out,
    )


def _root_of(inputs: Sequence[Path]) -> tuple[Path, tuple[Path, ...]]:
    """The folder that holds all inputs, and these where there are several.

    Raises:
        UsageError: there is none.
        DataError: one of several does not exist.
    """
    if not inputs:
        raise UsageError("no photos are named", hint="give a folder, or files, with `input`")
    if len(inputs) == 1:
        return inputs[0], ()
    for path in inputs:
        if not path.exists():
            raise DataError(f"no such file or folder: {path}")
    whole = [path.absolute() for path in inputs]
    root = Path(os.path.commonpath([path.parent for path in map(_tidy, whole)]))
    here = Path.cwd()
    near = root.relative_to(here) if root.is_relative_to(here) else root
    return near, tuple(near / _tidy(path).relative_to(root) for path in whole)


def _tidy(path: Path) -> Path:
    return Path(os.path.normpath(path))


def _read_source(
    source: str, space: LabelSpace, targets: tuple[NamedTarget, ...]
) -> Literal["predict", "zeros"] | LabelTable:
    if source in ("predict", "zeros"):
        return cast(Literal["predict", "zeros"], source)
    needed = needed_names(space, [named.target for named in targets])
    return read_label_table(Path(source), space, needed=needed)


def _places(
    job: BatchJob, photos: Sequence[PurePosixPath]
) -> dict[PurePosixPath, tuple[PurePosixPath, ...]]:
    """Where the images of each photo go, below the output folder: one place per target."""
    several = len(job.targets) > 1
    if job.naming is not None:
        return template_places(job.naming, photos, [named.folder for named in job.targets])
    folders = [PurePosixPath(n.folder) for n in job.targets] if several else [PurePosixPath()]
    return {
        name: tuple(folder / place for folder in folders)
        for name, place in place_images(photos).items()
    }


def _renamed(photos: Sequence[Photo]) -> dict[str, str]:
    """Photos whose images have another name than their own."""
    places = ((photo.name, photo.outputs[0].name) for photo in photos)
    return {
        printable(name): printable(name.with_name(place))
        for name, place in places
        if place != plain_place(name).name
    }


def _refuse_overwriting(photos: tuple[Photo, ...]) -> None:
    """Compare existing files where images go with the photos, both links and what they point to."""
    inputs = {_identity(p.path, follow=follow) for p in photos for follow in (False, True)}
    for photo in photos:
        for output in photo.outputs:
            identity = _identity(output, follow=False)
            if identity is not None and identity in inputs:
                raise UsageError(
                    f"{output} is a photo of the input, and the image of {photo.path} would be "
                    "written over it",
                    hint="choose another `output`",
                )


def _identity(path: Path, *, follow: bool) -> tuple[int, int] | None:
    try:
        status = path.stat(follow_symlinks=follow)
    except OSError:
        return None
    return status.st_dev, status.st_ino
