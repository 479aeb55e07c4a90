"""Benchmark results as a real run leaves them, made without measuring anything."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest

from stargan_deploy.benchmarking.results import (
    BatchRow,
    Machine,
    MeasuredPath,
    Offline,
    PictureError,
    Results,
    Roof,
    RooflineShare,
    Row,
    Server,
    Snapshot,
    StartUp,
    Statistics,
    Timing,
    TrainingRow,
    Unusable,
)

NUM_SAMPLES = 60
GMACS_AN_IMAGE = 9.96
"""Of the full generator at 128x128."""


@dataclass(frozen=True)
class Kind:
    """What one backend at one precision is like; times for an image at batch 1."""

    backend: str
    asked: str
    precision: str
    image_ms: float
    psnr_db: float
    build_s: float | None
    first_call_s: float


CPU_KINDS = (
    Kind("eager", "fp32", "float32", 165.0, 100.0, None, 0.2),
    Kind("compile", "fp32", "float32", 385.0, 92.4, None, 41.0),
    Kind("onnx", "fp32", "float32", 112.0, 88.1, 4.2, 0.2),
    Kind("onnx", "fp16", "float16", 131.0, 61.3, 4.4, 0.2),
    Kind("onnx", "int8", "float32+int8", 78.0, 38.2, 21.0, 0.2),
    Kind("openvino", "fp32", "float32", 103.0, 87.9, 5.1, 0.2),
    Kind("openvino", "bf16", "bfloat16", 52.0, 46.7, 5.1, 0.2),
    Kind("openvino", "int8", "float32+int8", 27.0, 36.4, 33.0, 0.2),
    Kind("pt2", "fp32", "float32", 148.0, 92.4, 26.0, 0.4),
)

CUDA_KINDS = (
    Kind("eager", "fp32", "float32", 2.6, 100.0, None, 0.2),
    Kind("eager", "fp16", "float16", 1.9, 60.2, None, 0.2),
    Kind("compile", "fp16", "float16", 0.42, 60.4, None, 58.0),
    Kind("compile", "fp32", "float32", 1.1, 89.0, None, 49.0),
    Kind("onnx", "fp32", "float32", 1.7, 84.4, 6.0, 0.2),
    Kind("onnx", "fp16", "float16", 0.81, 60.9, 6.0, 0.2),
    Kind("pt2", "fp16", "float16", 0.47, 60.4, 112.0, 0.2),
    Kind("trt", "fp16", "float16", 0.38, 60.7, 38.0, 0.2),
)

BATCH_GAIN = 1.15
"""How much less time an image takes in a larger batch."""

ROOFS = {"cpu": {"float32": 105.0, "bfloat16": 230.0, "int8": 480.0, "float16": 105.0}}
ROOFS["cuda:0"] = {"float32": 26e3, "float16": 390e3}
"""1e9 multiply-accumulates a second."""


def make_statistics(samples_ms: np.ndarray) -> Statistics:
    """The statistics of samples, as the schema words them."""
    p50, p90, p95, p99 = np.percentile(samples_ms, (50, 90, 95, 99)).tolist()
    return Statistics(
        num=len(samples_ms),
        mean_ms=float(samples_ms.mean()),
        std_ms=float(samples_ms.std(ddof=1)) if len(samples_ms) > 1 else 0.0,
        min_ms=float(samples_ms.min()),
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=float(samples_ms.max()),
    )


def make_timing(
    path: MeasuredPath, call_ms: float, *, batch_size: int, seed: int, on_gpu: bool = False
) -> Timing:
    """Samples with a tail to the right around a time of a call."""
    random = np.random.default_rng(seed)
    samples = call_ms * (0.97 + random.gamma(2.0, 0.02, NUM_SAMPLES))
    statistics = make_statistics(samples)
    return Timing(
        path=path,
        statistics=statistics,
        images_per_s=1000 * batch_size / statistics.mean_ms,
        stopped_by="stable" if seed % 11 else "time limit",
        warm_up_calls=7,
        warm_up_stable=True,
        samples_ms=tuple(samples.tolist()),
        device_samples_ms=tuple((0.93 * samples).tolist()) if on_gpu else (),
    )


def make_row(
    kind: Kind, *, batch_size: int = 1, size: int = 128, device: str = "cpu", seed: int = 1
) -> Row:
    """A row whose every column is filled."""
    scale = (size / 128) ** 2 * batch_size / (BATCH_GAIN if batch_size > 1 else 1.0)
    network_ms, copy_ms, files_ms = kind.image_ms * scale, 0.2 * batch_size, 2.4 * batch_size
    on_gpu = device != "cpu"
    paths: dict[MeasuredPath, float] = {
        "device only": network_ms,
        "host to host": network_ms + copy_ms,
        "end to end": network_ms + copy_ms + files_ms,
    }
    timings = tuple(
        make_timing(path, ms, batch_size=batch_size, seed=seed + place, on_gpu=on_gpu)
        for place, (path, ms) in enumerate(paths.items())
    )
    images_per_s = timings[1].images_per_s
    gmacs = GMACS_AN_IMAGE * (size / 128) ** 2 * batch_size
    roof = max(ROOFS[device][name] for name in kind.precision.split("+"))
    share = 1000 * gmacs / roof / timings[0].statistics.p50_ms
    error = 255 * 10 ** (-kind.psnr_db / 20)
    return Row(
        backend=kind.backend,
        device=device,
        precision=kind.precision,
        asked_precision=kind.asked,
        verified=kind.psnr_db > 37,
        batch_size=batch_size,
        height=size,
        width=size,
        timings=timings,
        offline=Offline(num_images=64, seconds=64 / images_per_s, images_per_s=images_per_s),
        server=Server(
            latency_bound_ms=200.0,
            arrivals_per_s=0.7 * images_per_s if network_ms < 180 else 0.0,
            p99_ms=183.0,
            num_queries=120,
            seed=seed,
        ),
        picture_error=PictureError(
            max_difference=0.0 if kind.psnr_db >= 100 else max(1.0, round(9 * error)),
            mean_difference=0.7 * error if kind.psnr_db < 100 else 0.0,
            psnr_db=kind.psnr_db,
        ),
        start_up=StartUp(build_s=kind.build_s, load_s=0.31, first_call_s=kind.first_call_s),
        artefact_bytes=33_722_112 // (2 if "16" in kind.asked else 1),
        peak_host_bytes=612_000_000 + 40_000_000 * batch_size,
        peak_device_bytes=310_000_000 * batch_size if on_gpu else None,
        roofline=RooflineShare(
            counted_gmacs=gmacs,
            counted_gb=0.21 * batch_size,
            bound="compute",
            share=share,
            note="Winograd convolutions multiply less than was counted" if share > 1 else "",
        ),
    )


def with_speedups(rows: list[Row]) -> tuple[Row, ...]:
    """Rows with their speed-up over eager FP32 at the same entry point, batch and size."""

    def place(row: Row) -> tuple:
        return row.entry_point, row.device, row.batch_size, row.height

    medians = {row: row.timings[1].statistics.p50_ms for row in rows}
    eager = {
        place(row): medians[row]
        for row in rows
        if (row.backend, row.asked_precision) == ("eager", "fp32")
    }
    return tuple(replace(row, speedup=eager[place(row)] / medians[row]) for row in rows)


def make_machine(*, on_gpu: bool = False, throttled: bool = False) -> Machine:
    """A machine with sensors, or one whose GPU was held back during the run."""
    before = Snapshot(
        cpu_mhz=(3100.0, 3092.0),
        cpu_celsius=51.0,
        load_average=0.12,
        gpu_mhz=1980.0 if on_gpu else None,
        gpu_memory_mhz=2619.0 if on_gpu else None,
        gpu_watts=118.0 if on_gpu else None,
        gpu_celsius=36.0 if on_gpu else None,
    )
    after = Snapshot(
        cpu_mhz=(2400.0, 2412.0) if throttled else (3080.0, 3101.0),
        cpu_celsius=88.0 if throttled else 63.0,
        load_average=2.1,
        gpu_mhz=1215.0 if on_gpu else None,
        gpu_memory_mhz=2619.0 if on_gpu else None,
        gpu_watts=698.0 if on_gpu else None,
        gpu_celsius=83.0 if on_gpu else None,
        gpu_throttling=("power cap", "heat") if on_gpu and throttled else (),
    )
    return Machine(
        cpu="Example Xeon 8481C @ 2.70GHz",
        num_cores=2,
        num_threads=2,
        memory_bytes=16_743_555_072,
        instruction_sets=("avx2", "avx512f", "avx512_bf16", "amx_bf16"),
        gpu="Example H200" if on_gpu else None,
        driver="580.65.06" if on_gpu else None,
        os="Linux 6.1",
        versions={"stargan-deploy": "0.1.0", "torch": "2.15.0", "onnxruntime": "1.31.0"},
        git_revision="0123456789abcdef0123456789abcdef01234567+",
        command="stargan-deploy bench gpu.toml" if on_gpu else "stargan-deploy bench",
        before=before,
        after=after,
    )


def make_roofs(device: str) -> tuple[Roof, ...]:
    """The limits that the rows are compared with."""
    return tuple(
        Roof(
            precision=name,
            gemm_gmacs_per_s=speed,
            gemm_library="torch" if name != "int8" else "openvino",
            gemm_size=(2048, 2048, 1024),
            bandwidth_gb_per_s=21.4 if device == "cpu" else 3920.0,
        )
        for name, speed in ROOFS[device].items()
    )


def make_training(device: str) -> tuple[TrainingRow, ...]:
    """Training at some settings against the baseline."""
    settings = [("baseline", "float32", False, 520.0), ("fp32", "float32", False, 455.0)]
    settings += [("bf16", "bfloat16", False, 300.0), ("bf16 compile", "bfloat16", True, 260.0)]
    return tuple(
        TrainingRow(
            name=name,
            device=device,
            precision=precision,
            compile=is_compiled,
            batch_size=16,
            image_size=64,
            steps_per_s=1000 / step_ms,
            images_per_s=16000 / step_ms,
            speedup=520.0 / step_ms,
            samples_ms=(step_ms, 1.01 * step_ms, 0.99 * step_ms),
        )
        for name, precision, is_compiled, step_ms in settings
    )


def make_batch(device: str) -> tuple[BatchRow, ...]:
    """The batch job with two engines against the baseline."""
    plain = BatchRow(
        name="baseline",
        backend="eager",
        device=device,
        precision="float32",
        batch_size=16,
        image_size=128,
        num_photos=500,
        images_per_s=14.0,
        speedup=1.0,
        samples_ms=(71.0, 71.4, 72.9),
    )
    default = replace(
        plain,
        name="default",
        backend="openvino",
        precision="bfloat16",
        images_per_s=37.3,
        speedup=2.66,
        prepared_share=0.967,
        generator_share=0.884,
        picture_error=PictureError(max_difference=22.0, mean_difference=0.41, psnr_db=50.3),
        start_up=StartUp(build_s=51.3, load_s=0.25, first_call_s=0.9),
        samples_ms=(26.8, 26.9, 27.0),
        prepared_samples_ms=(25.9, 26.0, 26.1),
        generator_samples_ms=(23.7, 23.7, 23.9),
    )
    return (plain, default)


def make_results(
    *,
    device: str = "cpu",
    batch_sizes: tuple[int, ...] = (1, 8),
    sizes: tuple[int, ...] = (128,),
    entry_points: tuple[str, ...] = ("translate",),
    throttled: bool = False,
) -> Results:
    """A whole run on one device."""
    kinds = CPU_KINDS if device == "cpu" else CUDA_KINDS
    rows = [
        replace(
            make_row(kind, batch_size=batch, size=size, device=device, seed=3 * place + 1),
            entry_point=point,
        )
        for place, (point, size, batch, kind) in enumerate(
            product(entry_points, sizes, batch_sizes, kinds)
        )
    ]
    missing = "tensorrt is not installed: pip install 'stargan-deploy[tensorrt-rtx]'"
    return Results(
        created="2026-11-22T08:15:00+00:00",
        model="faces128.safetensors",
        model_sha256="3f" * 32,
        machine=make_machine(on_gpu=device != "cpu", throttled=throttled),
        rows=with_speedups(rows),
        training=make_training(device),
        batch=make_batch(device),
        unusable=(
            Unusable(name="trt fp16", reason=missing),
            Unusable(name="openvino on cuda", reason="OpenVINO does not run on NVIDIA GPUs"),
        ),
        roofs=make_roofs(device),
    )


@pytest.fixture(scope="session")
def results() -> Results:
    """A run on a CPU at batch 1 and 8."""
    return make_results()


@pytest.fixture(scope="session")
def cuda_results() -> Results:
    """A run on a GPU at three batch sizes and two image sizes, throttled."""
    return make_results(device="cuda:0", batch_sizes=(1, 8, 32), sizes=(128, 256), throttled=True)


@pytest.fixture(scope="session")
def two_way_results() -> Results:
    """A run on a CPU of a model that goes two ways."""
    return make_results(entry_points=("a2b", "b2a"))


@pytest.fixture(scope="session")
def build_results() -> Callable[..., Results]:
    """The builder itself, for other devices, batch sizes and sizes."""
    return make_results


HOSTILE = '"><script>alert(1)</script>&$name | `*_[x](y)\x1b[31m\x00\ud800 [red]\n=1+1 '


def make_odd_results() -> dict[str, Results]:
    """Runs that found little, or whose files were tampered with, by what is odd about them."""
    whole = make_results()
    bare = replace(whole.rows[0], timings=(), offline=None, server=None, speedup=None)
    bare = replace(bare, picture_error=None, start_up=None, roofline=None)
    return {
        "no rows": replace(whole, rows=(), training=(), batch=(), unusable=(), roofs=()),
        "one row": replace(whole, rows=whole.rows[:1], training=()),
        "a row without figures": replace(whole, rows=(bare,)),
        "only training": replace(whole, rows=(), unusable=()),
        "hostile names": _with_names(whole, HOSTILE),
        "long names": _with_names(whole, "word " * 60),
        "not finite": replace(
            whole, rows=tuple(_with_figure(row, math.nan) for row in whole.rows[:4])
        ),
        "huge": replace(whole, rows=tuple(_with_figure(row, 1e308) for row in whole.rows[:4])),
        "zero": replace(whole, rows=tuple(_with_figure(row, 0.0) for row in whole.rows[:4])),
    }


def _with_names(results: Results, name: str) -> Results:
    """Results in which every text says the same."""
    machine = replace(
        results.machine,
        cpu=name,
        gpu=name,
        driver=name,
        os=name,
        command=name,
        git_revision=name,
        instruction_sets=(name,),
        versions={name: name},
        after=replace(results.machine.after, gpu_throttling=(name,)),
    )
    rows = [
        replace(
            row,
            backend=name,
            device=name,
            precision=name,
            asked_precision=name,
            roofline=replace(row.roofline, note=name, share=1.5),
        )
        for row in results.rows[:3]
    ]
    return replace(
        results,
        created=name,
        model=name,
        model_sha256=name,
        machine=machine,
        rows=tuple(rows),
        training=tuple(replace(row, name=name, device=name) for row in results.training),
        batch=tuple(replace(row, name=name, backend=name, device=name) for row in results.batch),
        unusable=(Unusable(name=name, reason=name),),
        roofs=tuple(replace(roof, precision=name, gemm_library=name) for roof in results.roofs),
    )


def _with_figure(row: Row, value: float) -> Row:
    """A row in which every figure that can be any number is this one."""
    statistics = replace(
        row.timings[0].statistics,
        **dict.fromkeys(("mean_ms", "min_ms", "p50_ms", "p90_ms", "p99_ms", "max_ms"), value),
    )
    timings = [replace(t, statistics=statistics, images_per_s=value) for t in row.timings]
    return replace(
        row,
        timings=tuple(timings),
        speedup=value,
        offline=replace(row.offline, images_per_s=value),
        server=replace(row.server, arrivals_per_s=value),
        picture_error=PictureError(max_difference=value, mean_difference=value, psnr_db=value),
        start_up=StartUp(build_s=value, load_s=value, first_call_s=value),
        roofline=replace(row.roofline, counted_gmacs=value, share=value),
    )


@pytest.fixture(scope="session", params=list(make_odd_results()))
def odd_results(request: pytest.FixtureRequest) -> Results:
    """Each of the odd runs in turn."""
    return make_odd_results()[request.param]


@pytest.fixture(scope="session")
def hostile_results() -> Results:
    """A run whose every text tries to be something else."""
    return make_odd_results()["hostile names"]
