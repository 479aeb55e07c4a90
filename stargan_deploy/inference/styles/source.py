"""Where a style comes from, and targets that ask for one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy.typing as npt
from PIL import Image

from stargan_deploy.card.labels import Target
from stargan_deploy.errors import DataError, UsageError
from stargan_deploy.files.atomic import file_sha256
from stargan_deploy.files.images import Pixels, load_image
from stargan_deploy.files.walk import image_files
from stargan_deploy.inference.targets import NamedTarget, safe_name, unlike

LEAST_SIDE = 32
"""Least side of a reference in pixels."""

GREATEST_RATIO = 3.0
"""Greatest ratio of a reference's sides: beyond it, no face fills it."""

MAX_STYLES = 1000
"""Greatest number of random styles, and of images in a strip."""


@dataclass(frozen=True, kw_only=True)
class StyleSource:
    """A reference image, a vector, or else a latent that is drawn."""

    reference: Path | Image.Image | Pixels | None = None
    """An image whose style is wanted: a file, or RGB pixels (H, W, 3)."""
    vector: npt.NDArray[Any] | None = None
    """The style itself, (S,)."""
    seed: int = 0
    """Of the latent."""
    number: int = 0
    """Of the latent among those of the seed, from 0."""

    @property
    def name(self) -> str:
        """A word for folders and headings."""
        if isinstance(self.reference, Path):
            return self.reference.stem
        if self.reference is not None or self.vector is not None:
            return "given"
        return f"style-{self.number + 1}-of-seed-{self.seed}"

    @property
    def origin(self) -> str:
        """What decides the style, for a manifest."""
        if isinstance(self.reference, Path):
            return file_sha256(self.reference)
        return self.name


@dataclass(frozen=True, kw_only=True)
class StyledTarget(Target):
    """A domain with the style in which to translate to it."""

    styles: tuple[StyleSource, ...]
    """One; or two, between which positions from 0 to 1 lead."""


@dataclass(frozen=True, kw_only=True)
class StyleRequest:
    """In which styles to translate, for models that have styles."""

    references: tuple[Path, ...] = ()
    """Images whose styles are taken: files, or folders of them; empty takes random styles."""
    seed: int | None = None
    """Seed of random styles; None takes 0 where no reference is given."""
    styles: int | None = None
    """Number of random styles, with a folder each; None takes 1, or 2 with `interpolate`."""
    interpolate: int = 0
    """Images on the way from one style to another, as a strip that begins with the photo; 0 makes
    no strips."""

    def __post_init__(self) -> None:
        if self.seed is not None and self.seed < 0:
            raise UsageError(f"a `seed` cannot be negative: {self.seed}")
        for name, least in (("styles", 1), ("interpolate", 2)):
            value = getattr(self, name)
            if (value and not least <= value <= MAX_STYLES) or (value is not None and value < 0):
                raise UsageError(f"`{name}` must be from {least} to {MAX_STYLES}, not {value}")
        if self.styles == 0:
            raise UsageError(f"`styles` must be from 1 to {MAX_STYLES}, not 0")

    @property
    def positions(self) -> tuple[float, ...]:
        """Positions between two styles; the style itself where none are wanted."""
        last = self.interpolate - 1
        return tuple(n / last for n in range(self.interpolate)) if self.interpolate else (1.0,)

    def sources(self) -> tuple[StyleSource, ...]:
        """The styles, those of references first.

        Raises:
            DataError: references that are not there.
            UsageError: an interpolation between other than two styles.
        """
        found = [StyleSource(reference=path) for path in reference_files(self.references)]
        if self.styles or self.seed is not None or not found:
            usual = 2 if self.interpolate and not found else 1
            number = self.styles or usual
            found += [StyleSource(seed=self.seed or 0, number=n) for n in range(number)]
        if self.interpolate and len(found) != 2:
            raise UsageError(
                f"`interpolate` leads from one style to another, and there are {len(found)}",
                hint="give two references, or one and a `seed`",
            )
        return tuple(found)


ANY_STYLE = StyleRequest()
"""The first random style."""


def styled(target: Target, styles: Sequence[StyleSource]) -> StyledTarget:
    """A target in a style, or between two."""
    words = " to ".join(style.name for style in styles)
    text = f"{target.text} in {words}"
    return StyledTarget(**{**vars(target), "text": text, "styles": tuple(styles)})


def styled_targets(named: Sequence[NamedTarget], request: StyleRequest) -> tuple[NamedTarget, ...]:
    """Every target in every style, or between both; with several styles in folders of their own.

    Raises:
        DataError, UsageError: as `StyleRequest.sources`.
    """
    sources = request.sources()
    groups = [sources] if request.interpolate else [(source,) for source in sources]
    made = list[NamedTarget]()
    for target, styles in product(named, groups):
        name = "-to-".join(style.name for style in styles)
        folder = target.folder if len(groups) == 1 else safe_name(f"{target.folder}-{name}")
        own = styled(target.target, styles)
        text = unlike(own.text, {n.target.text.casefold() for n in made})
        folder = unlike(folder, {n.folder.casefold() for n in made})
        made.append(NamedTarget(folder=folder, target=replace(own, text=text)))
    return tuple(made)


def reference_files(paths: Sequence[Path]) -> list[Path]:
    """The files of references: those named, and all images of folders, sorted.

    Raises:
        DataError: no such file or folder, or a folder without images.
    """
    files = list[Path]()
    for path in paths:
        if path.is_dir():
            found = sorted(image_files(path))
            if not found:
                raise DataError(f"{path} holds no images to take as references")
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise DataError(f"no such reference: {path}")
    return list(dict.fromkeys(files))


def load_reference(path: Path) -> Image.Image:
    """A reference's image in RGB.

    Raises:
        DataError: it cannot be read, or has no shape that a face would fill.
    """
    image = load_image(path)
    check_reference(image, str(path))
    return image


def check_reference(image: Image.Image, name: str) -> None:
    """Refuse images that no face would fill.

    Raises:
        DataError: it is too small, or too long.
    """
    least, greatest = sorted(image.size)
    if least < LEAST_SIDE or greatest > GREATEST_RATIO * least:
        raise DataError(
            f"{name} is {image.width}x{image.height}, which no face fills",
            hint=f"a reference has sides from {LEAST_SIDE} pixels on, of which one is at most "
            f"{GREATEST_RATIO:g} times the other",
        )
