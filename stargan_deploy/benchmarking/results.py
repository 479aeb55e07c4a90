"""The results of a benchmark; `results.json` has the shape of these classes, keys sorted.

Times are in milliseconds, sizes in bytes, and every output image counts as one image.
`schema_version` increases when readers must change.
"""

import dataclasses
import json
from pathlib import Path
from typing import Literal, Self, TypeVar

from stargan_deploy.config import to_mapping
from stargan_deploy.files.atomic import write_text
from stargan_deploy.files.document import read_document

SCHEMA_VERSION = 1

RESULTS_NAME = "results.json"

Named = TypeVar("Named", "TrainingRow", "BatchRow")

BASELINE = "baseline"
"""Name of the row that the others of a training or of the batch job are compared with."""

_OLD_BASELINES = ("plain loop", "plain")
"""Names of the baseline, the first row, in older files."""

MeasuredPath = Literal["device only", "host to host", "end to end"]
"""Scope of a call: the network on data that is already on the device; uint8 arrays in the host's
memory to uint8 arrays; JPEG files to JPEG files."""

StopReason = Literal["stable", "time limit", "call limit"]
"""Why a measurement ended: three windows agreed, or a limit was reached first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statistics:
    """Statistics of the time of a call over all samples; percentiles by linear interpolation."""

    num: int
    mean_ms: float
    std_ms: float
    """Standard deviation of the samples (with num - 1); 0 for one sample."""
    min_ms: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """The calls of one workload, one after the other."""

    statistics: Statistics
    stopped_by: StopReason
    warm_up_calls: int
    warm_up_stable: bool
    """Whether the warm-up ended because the times of calls agreed, and not at its limit."""
    samples_ms: tuple[float, ...]
    """Time of every call after the warm-up, in order, by the wall clock."""
    device_samples_ms: tuple[float, ...] = ()
    """Time of the same calls by the GPU's own events; empty without a GPU."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timing(Measured):
    """Single-stream latency of one path."""

    path: MeasuredPath
    images_per_s: float
    """Batch size divided by the mean time."""

    @classmethod
    def of(cls, measured: Measured, path: MeasuredPath, *, batch_size: int) -> Self:
        """The timing of a path whose calls make `batch_size` images."""
        images_per_s = batch_size / measured.statistics.mean_ms * 1e3
        return cls(path=path, images_per_s=images_per_s, **vars(measured))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Offline:
    """MLPerf's offline scenario: all images are available at the start."""

    num_images: int
    seconds: float
    images_per_s: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """MLPerf's server scenario: queries of one image arrive by a Poisson process."""

    latency_bound_ms: float
    """Time from arrival to answer that 99 % of the queries must meet."""
    arrivals_per_s: float
    """Highest rate tried at which they did; 0 if there was none."""
    p99_ms: float
    """99th percentile of the latency at that rate."""
    num_queries: int
    seed: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureError:
    """Difference between the output images and those of eager FP32 on the same inputs."""

    max_difference: float
    """Largest difference in 8-bit levels."""
    mean_difference: float
    """Mean absolute difference in 8-bit levels."""
    psnr_db: float
    """PSNR of the worst image."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quality:
    """How good the images are, from an evaluation of the same model, backend and precision."""

    accuracy: float
    """Share of translated photos in which the target is seen, mean over the targets."""
    low: float
    high: float
    """Its interval at 95 %."""
    seen_by: Literal["judge", "own classifier"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StartUp:
    """Time before the first image, part by part."""

    build_s: float | None
    """Exporting the checkpoint, with the proof; None if the export existed."""
    load_s: float
    """Opening the runtime."""
    first_call_s: float
    """First call of the entry point, including a graph that is loaded on first use; what calls of
    other entry points have warmed up is warm."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Roof:
    """The measured limits of the machine at one precision."""

    precision: str
    """Type of the multiplications, like "float32"."""
    gemm_gmacs_per_s: float
    """Throughput of the best matrix product, in 1e9 multiply-accumulates per second."""
    gemm_library: str
    gemm_size: tuple[int, int, int]
    """M, N, K of the best matrix product."""
    bandwidth_gb_per_s: float
    """Best rate of copying and of reading large arrays: 1e9 bytes read and written per second."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RooflineShare:
    """How close a row comes to its roof."""

    counted_gmacs: float
    """1e9 multiply-accumulates of a call, counted from the network's operations."""
    counted_gb: float
    """1e9 bytes that must move at least: weights, the network's inputs and outputs, each once; what
    layers pass to each other is not counted."""
    bound: Literal["compute", "bandwidth"]
    """The limit that is lower for this network."""
    share: float
    """Time at the roof divided by the measured time; 1 is the roof itself."""
    note: str = ""
    """Explanation of a share above 1."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One backend at one precision, entry point, batch and size."""

    backend: str
    device: str
    """Device that it really ran on, as the runtime reports it."""
    precision: str
    """Type in which the convolutions really compute, from the card: "float16", "float32+int8"."""
    asked_precision: str
    """Requested precision: "fp16"."""
    entry_point: str = "translate"
    """Name of the entry point in the card; older files have none."""
    verified: bool
    """Whether its images equal those of PyTorch within the tolerance of its precision."""
    batch_size: int
    height: int
    width: int
    timings: tuple[Timing, ...]
    """One timing for each path that was measured."""
    offline: Offline | None = None
    server: Server | None = None
    speedup: float | None = None
    """Speed-up over eager FP32 at the same entry point, batch and size, by the medians host to
    host."""
    picture_error: PictureError | None = None
    quality: Quality | None = None
    start_up: StartUp | None = None
    artefact_bytes: int | None = None
    peak_host_bytes: int | None = None
    """Peak resident memory of a process that did nothing else."""
    peak_device_bytes: int | None = None
    roofline: RooflineShare | None = None

    def timing(self, path: MeasuredPath) -> Timing | None:
        """The timing of a path, or None."""
        return next((timing for timing in self.timings if timing.path == path), None)

    @property
    def host_to_host(self) -> Timing | None:
        """The timing that a row is ranked by: the wait of a program that calls the model."""
        return self.timing("host to host")

    @property
    def image_ms(self) -> float | None:
        """Median of a call, host to host, for each of its images."""
        timing = self.host_to_host
        return timing.statistics.p50_ms / self.batch_size if timing else None

    @property
    def device_kind(self) -> str:
        """The device without its number."""
        return self.device.partition(":")[0]

    @property
    def key(self) -> tuple[str, str, str, str, int, int, int]:
        """Rows of two runs with the same key are comparable."""
        size = (self.batch_size, self.height, self.width)
        return (self.backend, self.device_kind, self.asked_precision, self.entry_point, *size)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingRow:
    """Training throughput of one setup, against the first: the baseline, if there is one."""

    name: str
    """Name of the setup: "baseline", "fp32", "bf16 compile"."""
    device: str
    precision: str
    compile: bool
    batch_size: int
    image_size: int
    steps_per_s: float
    """Steps of the schedule (one critic update, with the generator's share)."""
    images_per_s: float
    speedup: float
    """Speed-up over the first setup in the same run."""
    samples_ms: tuple[float, ...]
    """Milliseconds per step, one value per round."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchRow:
    """Throughput of the batch job in one setup, from files to files, against a baseline."""

    name: str
    """Name of the setup: "baseline", "default", "int8"."""
    backend: str
    device: str
    precision: str
    """Type in which the convolutions really compute, from the card."""
    batch_size: int
    image_size: int
    num_photos: int
    """Photos per round."""
    images_per_s: float
    """Throughput of the median round, without start-up."""
    speedup: float
    """Speed-up over the baseline, median of the rounds."""
    prepared_share: float | None = None
    """Share of the throughput of the runtime alone on pixels in memory, which predicts labels, then
    translates; median of the rounds."""
    generator_share: float | None = None
    """Share of the throughput of the generator alone; median of the rounds."""
    picture_error: PictureError | None = None
    start_up: StartUp | None = None
    samples_ms: tuple[float, ...]
    """Milliseconds per photo, one value per round."""
    prepared_samples_ms: tuple[float, ...] = ()
    generator_samples_ms: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unusable:
    """Something requested that could not be measured here."""

    name: str
    """The request, like "trt fp16"."""
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Readings of the machine's sensors at one moment; None without a sensor."""

    cpu_mhz: tuple[float, ...] = ()
    """Current clock of each core."""
    cpu_celsius: float | None = None
    load_average: float | None = None
    """Load average over the last minute."""
    gpu_mhz: float | None = None
    gpu_memory_mhz: float | None = None
    gpu_watts: float | None = None
    gpu_celsius: float | None = None
    gpu_throttling: tuple[str, ...] = ()
    """Reasons for running below the GPU's clock."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine that a benchmark ran on."""

    cpu: str
    num_cores: int
    """Cores that this process may use."""
    num_threads: int
    """Threads that the libraries were given."""
    memory_bytes: int | None
    instruction_sets: tuple[str, ...]
    """Instruction sets that matter for the arithmetic, like "avx512_bf16"."""
    gpu: str | None
    driver: str | None
    os: str
    versions: dict[str, str]
    git_revision: str | None
    """Revision of stargan-deploy's checkout, with "+" if the package's files were changed."""
    command: str
    """Command line, paths stripped to their last part."""
    before: Snapshot
    after: Snapshot


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """The results of a benchmark run."""

    schema_version: int = SCHEMA_VERSION
    created: str
    """UTC, ISO 8601."""
    model: str
    """Name of the model's file, without its folder."""
    model_sha256: str
    machine: Machine
    rows: tuple[Row, ...] = ()
    training: tuple[TrainingRow, ...] = ()
    batch: tuple[BatchRow, ...] = ()
    unusable: tuple[Unusable, ...] = ()
    roofs: tuple[Roof, ...] = ()

    def to_json(self) -> str:
        """Returns the results as JSON, keys sorted."""
        return json.dumps(to_mapping(self), sort_keys=True, ensure_ascii=False, indent=1)


def save_results(results: Results, path: Path) -> None:
    """Writes `results.json` atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, results.to_json() + "\n")


def load_results(path: Path) -> Results:
    """Reads a `results.json`, or that of a folder of results.

    Raises:
        DataError: no such file, not JSON, of another schema version, or with fields that do not
            fit.
    """
    path = path / RESULTS_NAME if path.is_dir() else path
    results = read_document(
        Results, path, version=SCHEMA_VERSION, what="benchmark results", renew="measure again"
    )
    return dataclasses.replace(
        results, training=_renamed(results.training), batch=_renamed(results.batch)
    )


def _renamed(rows: tuple[Named, ...]) -> tuple[Named, ...]:
    """Rows of an older file, with today's name of the baseline."""
    if not rows or rows[0].name not in _OLD_BASELINES:
        return rows
    return (dataclasses.replace(rows[0], name=BASELINE),) + rows[1:]  # noqa: RUF005 - for mypy
