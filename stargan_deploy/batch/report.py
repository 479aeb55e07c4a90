"""The outcome of a batch, as the command prints it and as `report.json` keeps it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stargan_deploy.batch.shard import WHOLE, Shard
from stargan_deploy.files.atomic import write_text


def report_name(shard: Shard) -> str:
    """Return the name of the file that a run's report is written to."""
    return "report.json" if shard == WHOLE else f"report.{shard.index}-of-{shard.count}.json"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A photo, or a folder of photos, that failed."""

    path: str
    """Path below the input folder."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class BatchReport:
    """The outcome of a batch."""

    path: str
    """Path of the report itself."""
    finished: bool
    """False in a report that was never replaced by a later one: the batch was interrupted."""
    input: str
    output: str
    targets: dict[str, str]
    """Target by folder; the images of a single target are in `output` itself."""
    model: str = ""
    backend: str = ""
    device: str = ""
    image_size: int = 0
    """Side of the written images in pixels."""
    num_photos: int = 0
    num_done_before: int = 0
    """Photos that earlier runs finished and this one left as they are."""
    num_translated: int = 0
    """Photos all of whose images were written, by this run or an earlier one."""
    num_pictures: int = 0
    """Images that this run wrote: one per target of a photo."""
    num_failed: int = 0
    """Photos and folders that failed."""
    seconds: float = 0.0
    """From the first decoding to the last writing; without loading the model."""
    images_per_s: float = 0.0
    """Images written per second."""
    source_origin: str = ""
    """Where the source labels came from: given, predicted, zeros or unused."""
    renamed: dict[str, str]
    """Images that could not keep their photo's name, because another one has it; by photo."""
    without_face: tuple[str, ...] = ()
    """Photos in which no face was found, and that were skipped or copied."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Number of photos and videos of formats that are not read, by their ending."""
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()

    def to_mapping(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    def write(self) -> None:
        """Write the report atomically.

        Raises:
            OutputError: the folder cannot be written.
        """
        text = json.dumps(self.to_mapping(), indent=2, ensure_ascii=False)
        write_text(Path(self.path), text + "\n")
