"""Settings of a benchmark, from a recipe in TOML or the command line."""

import dataclasses
from typing import Any, Literal

from stargan_deploy.benchmarking.results import MeasuredPath


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuiteConfig:
    """Settings of a benchmark."""

    model: str = ""
    """Checkpoint, a run's folder, or an artefact; "untrained" stands for the paper's full-size
    networks with random weights; empty takes the newest run's newest checkpoint, else the demo
    model."""
    device: str = ""
    """Device to measure on: cpu, cuda or cuda:N; empty takes a GPU if usable, else cpu."""
    backends: tuple[str, ...] = ()
    """Backends to measure; empty takes all that compute on the
    device."""
    precisions: tuple[str, ...] = ()
    """Precisions to measure: fp32, fp16, bf16, int8; empty takes fp32, bf16 and int8, on a GPU
    fp32, fp16 and bf16."""
    entry_points: tuple[str, ...] = ()
    """Entry points that make images, for example a2b,b2a; empty takes all that an export holds."""
    batch_sizes: tuple[int, ...] = (1, 8)
    """Batch sizes to measure."""
    sizes: tuple[int, ...] = ()
    """Sides of the images in pixels, for example 128,256; empty takes the size of training."""
    paths: tuple[MeasuredPath, ...] = ("device only", "host to host", "end to end")
    budget_s: float = 120.0
    """Time for all timing; building, opening and the roof are extra."""
    build_budget_s: float = 90.0
    """Seconds after which no further backend is opened."""
    offline: bool = True
    """Whether to measure the offline scenario, at the largest batch."""
    offline_s: float = 1.0
    """Seconds of the offline scenario, for each backend, precision and entry point."""
    server: bool = False
    """Whether to measure the server scenario."""
    latency_bound_ms: float = 250.0
    """Latency bound of the server scenario."""
    server_s: float = 10.0
    """Seconds of the server scenario, for each backend, precision and entry point."""
    memory: Literal["largest", "all", "none"] = "largest"
    """Batches at which to measure the peak memory, in a process of its own."""
    roofline: bool = True
    """Whether to measure the machine's limits."""
    inference: bool = True
    """Whether to measure inference at all."""
    training: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Settings of the training benchmark, see `training_speed`; empty measures none."""
    batch: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Settings of the batch benchmark, see `batch_speed`; empty measures none."""

    def __post_init__(self) -> None:
        for name in ("batch_sizes", "sizes"):
            if any(value < 1 for value in getattr(self, name)):
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.inference and not (self.batch_sizes and self.paths):
            raise ValueError("batch_sizes and paths must not be empty")
        for name in ("budget_s", "offline_s", "server_s", "latency_bound_ms"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
