"""The end of one photo of a batch."""

from dataclasses import dataclass
from pathlib import Path

from stargan_deploy.batch.manifest.lines import OutputRecord, PhotoRecord, Result
from stargan_deploy.batch.manifest.reader import place_below
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
    """How one photo ended."""

    photo: Photo
    result: Result
    """copied and skipped: no face was found."""
    reason: str = ""
    """Why it failed or was skipped."""
    input_sha256: str = ""
    """Digest of the photo's file; empty where it could not be read."""
    input_bytes: int = 0
    images: tuple[WrittenImage, ...] = ()
    """One for each target; fewer where it failed."""
    traits: tuple[Trait, ...] = ()
    already: tuple[str, ...] = ()
    """Targets whose attributes the photo, or one of its faces, has already."""
    num_tiles: int = 0
    """Squares that were translated: faces, or 1."""
    source_origin: str = ""
    """Where the photo's own labels came from."""

    @property
    def failure(self) -> Failure:
        """Its line in the report."""
        return Failure(path=printable(self.photo.name), reason=printable(self.reason))

    def record(self, output: Path) -> PhotoRecord:
        """Its line in the manifest of an output folder."""
        return PhotoRecord(
            photo=self.photo.name.as_posix(),
            input_sha256=self.input_sha256,
            input_bytes=self.input_bytes,
            result=self.result,
            reason=self.reason,
            outputs=tuple(
                OutputRecord(
                    path=place_below(i.path, output), sha256=i.sha256, size_bytes=i.size_bytes
                )
                for i in self.images
            ),
        )
