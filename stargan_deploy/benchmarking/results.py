"""What a benchmark finds, as `results.json` holds it: the shape of these classes, keys sorted.

Times are in milliseconds, sizes in bytes, images are counted once for each picture that comes out.
`schema_version` rises when a reader must change.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

from stargan_deploy.config import from_mapping, to_mapping
from stargan_deploy.errors import ConfigError, DataError
from stargan_deploy.files.atomic import write_text

SCHEMA_VERSION = 1

RESULTS_NAME = "results.json"

MeasuredPath = Literal["device only", "host to host", "end to end"]
"""What a call covers: the network on data that is already there; uint8 arrays in and out of the
host's memory; JPEG files in, JPEG files out."""

StopReason = Literal["stable", "time limit", "call limit"]
"""Why a measurement ended: three windows agreed, or a limit was reached first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statistics:
    """Of the time of a call, over all samples; percentiles by linear interpolation."""

    num: int
    mean_ms: float
    std_ms: float
    """Standard deviation of the samples (with num - 1); 0 where there is one."""
    min_ms: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timing:
    """Single-stream latency of one path: one call after the other."""

    path: MeasuredPath
    statistics: Statistics
    images_per_s: float
    """Batch divided by the mean."""
    stopped_by: StopReason
    warm_up_calls: int
    warm_up_stable: bool
    """Whether the warm-up ended because calls had become alike, and not at its limit."""
    samples_ms: tuple[float, ...]
    """Every call after the warm-up, in order; wall clock."""
    device_samples_ms: tuple[float, ...] = ()
    """The same calls by the GPU's own events, where there is a GPU."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Offline:
    """MLPerf's offline scenario: all images are there at the start."""

    num_images: int
    seconds: float
    images_per_s: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """MLPerf's server scenario: queries of one image arrive by a Poisson process."""

    latency_bound_ms: float
    """What 99 % of the queries must keep, from arrival to answer."""
    arrivals_per_s: float
    """The greatest rate tried at which they did; 0 where none was."""
    p99_ms: float
    """At that rate."""
    num_queries: int
    seed: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureError:
    """How far the pictures are from eager FP32's on the same images."""

    max_difference: float
    """8-bit levels."""
    mean_difference: float
    psnr_db: float
    """Of the worst picture."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StartUp:
    """What comes before the first picture, each part on its own."""

    build_s: float | None
    """Making the artefact from the checkpoint, with its proof; None where it was there."""
    load_s: float
    """Opening the runtime."""
    first_call_s: float
    """Of the entry point, an engine that is loaded on its first use included; what the entry points
    before it have warmed up is warm."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Roof:
    """The measured limits of the machine at one precision."""

    precision: str
    """Type of the multiplications, such as "float32"."""
    gemm_gmacs_per_s: float
    """Best matrix product, in 1e9 multiply-accumulates a second."""
    gemm_library: str
    gemm_size: tuple[int, int, int]
    """M, N, K of the best one."""
    bandwidth_gb_per_s: float
    """Best of copying and of reading large arrays: 1e9 bytes read and written a second."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RooflineShare:
    """How near a row comes to its roof."""

    counted_gmacs: float
    """Multiply-accumulates of a call, counted from the network's layers."""
    counted_gb: float
    """1e9 bytes that must move at least: weights, the network's inputs and outputs, each once; what
    layers hand to each other is not counted."""
    bound: Literal["compute", "bandwidth"]
    """Which limit is the lower one for this network."""
    share: float
    """Time at the roof divided by the measured time; 1 is the roof itself."""
    note: str = ""
    """What explains a share above 1."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One backend at one precision, entry point, batch and size."""

    backend: str
    device: str
    """Where it really ran, as the runtime says."""
    precision: str
    """What the convolutions really compute in, as the card says: "float16", "float32+int8"."""
    asked_precision: str
    """What was asked for: "fp16"."""
    entry_point: str = "translate"
    """What was called, as the card names it; that of most models where a file does not say."""
    verified: bool
    """Whether it was proven equal to PyTorch within the tolerance of its precision."""
    batch_size: int
    height: int
    width: int
    timings: tuple[Timing, ...]
    """One for each path that was measured."""
    offline: Offline | None = None
    server: Server | None = None
    speedup: float | None = None
    """Over eager FP32 at the same entry point, batch and size, by the medians host to host."""
    picture_error: PictureError | None = None
    start_up: StartUp | None = None
    artefact_bytes: int | None = None
    peak_host_bytes: int | None = None
    """Greatest resident memory of a process that did nothing else."""
    peak_device_bytes: int | None = None
    roofline: RooflineShare | None = None

    def timing(self, path: MeasuredPath) -> Timing | None:
        """The measurement of a path, or None."""
        return next((timing for timing in self.timings if timing.path == path), None)

    @property
    def key(self) -> tuple[str, str, str, str, int, int, int]:
        """What makes rows of two runs comparable."""
        kind = self.device.partition(":")[0]
        size = (self.batch_size, self.height, self.width)
        return (self.backend, kind, self.asked_precision, self.entry_point, *size)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingRow:
    """Training throughput in one setting, against the first: the plain loop, if there is one."""

    name: str
    """Such as "plain loop", "fp32", "bf16 compile"."""
    device: str
    precision: str
    compile: bool
    batch_size: int
    image_size: int
    steps_per_s: float
    """Steps of the schedule (one critic update, with the generator's share)."""
    images_per_s: float
    speedup: float
    """Over the first setting in the same run."""
    samples_ms: tuple[float, ...]
    """Milliseconds a step, one value a round."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchRow:
    """Throughput of the batch job with one engine, from files to files, against a plain loop."""

    name: str
    """Such as "plain loop", "default", "int8"."""
    backend: str
    device: str
    precision: str
    """What the convolutions really compute in, as the card says."""
    batch_size: int
    image_size: int
    num_photos: int
    """Photos of a round."""
    images_per_s: float
    """Of the median round; starting up is not in it."""
    speedup: float
    """Over the plain loop, median of the rounds."""
    prepared_share: float | None = None
    """Median over the rounds of this throughput divided by that of the same work of the engine on
    pixels in memory: labels predicted, then translated."""
    generator_share: float | None = None
    """The same against the generator alone."""
    picture_error: PictureError | None = None
    start_up: StartUp | None = None
    samples_ms: tuple[float, ...]
    """A photo's share of every round."""
    prepared_samples_ms: tuple[float, ...] = ()
    generator_samples_ms: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unusable:
    """What was asked for and could not be measured here."""

    name: str
    """Such as "trt fp16"."""
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What the machine's sensors said at one moment; None where there is no sensor."""

    cpu_mhz: tuple[float, ...] = ()
    """Current clock of each core."""
    cpu_celsius: float | None = None
    load_average: float | None = None
    """Of the last minute."""
    gpu_mhz: float | None = None
    gpu_memory_mhz: float | None = None
    gpu_watts: float | None = None
    gpu_celsius: float | None = None
    gpu_throttling: tuple[str, ...] = ()
    """Reasons why the GPU runs below its clock."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """Where a benchmark ran."""

    cpu: str
    num_cores: int
    """That this process may use."""
    num_threads: int
    """That the libraries were given."""
    memory_bytes: int | None
    instruction_sets: tuple[str, ...]
    """Those that matter for the arithmetic, such as "avx512_bf16"."""
    gpu: str | None
    driver: str | None
    os: str
    versions: dict[str, str]
    git_revision: str | None
    """Of this tool's checkout, with "+" where the package's files were changed."""
    command: str
    """Command line, paths stripped to their last part."""
    before: Snapshot
    after: Snapshot


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """A benchmark run."""

    schema_version: int = SCHEMA_VERSION
    created: str
    """UTC, ISO 8601."""
    model: str
    """Name of the file, without its folder."""
    model_sha256: str
    machine: Machine
    rows: tuple[Row, ...] = ()
    training: tuple[TrainingRow, ...] = ()
    batch: tuple[BatchRow, ...] = ()
    unusable: tuple[Unusable, ...] = ()
    roofs: tuple[Roof, ...] = ()

    def to_json(self) -> str:
        """The results as JSON, keys sorted."""
        return json.dumps(to_mapping(self), sort_keys=True, ensure_ascii=False, indent=1)


def save_results(results: Results, path: Path) -> None:
    """Writes `results.json` atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, results.to_json() + "\n")


def load_results(path: Path) -> Results:
    """Reads `results.json`, or that of a folder of results.

    Raises:
        DataError: no such file, not JSON, of another schema version, or with fields that do not
            fit.
    """
    path = path / RESULTS_NAME if path.is_dir() else path
    try:
        mapping: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read benchmark results {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a whole {RESULTS_NAME}: {error}") from error
    version = mapping.get("schema_version") if isinstance(mapping, dict) else None
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path} has schema version {version!r}, and this is a reader of {SCHEMA_VERSION}; "
            "measure again, or use the stargan-deploy version that wrote it or a newer one"
        )
    try:
        return from_mapping(Results, mapping)
    except ConfigError as error:
        raise DataError(f"{path} does not fit the schema of benchmark results: {error}") from error
