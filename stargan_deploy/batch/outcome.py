"""What became of one photo of a batch."""

from dataclasses import dataclass
from pathlib import Path

from stargan_deploy.batch.manifest.lines import Result
from stargan_deploy.batch.photos.photo_remarks import Trait
from stargan_deploy.batch.plan import Photo
from stargan_deploy.batch.report import Failure
from stargan_deploy.presentation.text import printable


@dataclass(frozen=True, kw_only=True)
class WrittenImage:
    """One file that was written."""

    path: Path
    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of one photo."""

    photo: Photo
    result: Result
    """copied and skipped: no face was found."""
    reason: str = ""
    """Why it failed or was skipped."""
    input_sha256: str = ""
    """Empty where the photo could not be read."""
    input_bytes: int = 0
    pictures: tuple[WrittenImage, ...] = ()
    """One for each target; fewer where it failed."""
    traits: tuple[Trait, ...] = ()
    num_tiles: int = 0
    """Squares that were translated: faces, or 1."""
    source_origin: str = ""
    """Where the photo's own labels came from."""

    @property
    def failure(self) -> Failure:
        """As the report lists it."""
        return Failure(path=printable(self.photo.name), reason=printable(self.reason))
