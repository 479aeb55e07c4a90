"""What the batch benchmark compares: `stargan-deploy batch` with an engine, opened and ready."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from stargan_deploy.backends.registry import AUTO, runtime_names
from stargan_deploy.batch.plan import BatchJob
from stargan_deploy.batch.run import BatchRequest, run_batch
from stargan_deploy.batch.session import BatchSession, open_session
from stargan_deploy.benchmarking.results import StartUp
from stargan_deploy.card.card import Precision
from stargan_deploy.card.labels import FloatArray
from stargan_deploy.card.pixels import from_spec, to_spec
from stargan_deploy.devices import parse_device
from stargan_deploy.errors import DataError
from stargan_deploy.files.images import Pixels
from stargan_deploy.inference.choose import WORTH_EXPORTING, RuntimeRequest, resolve_runtime
from stargan_deploy.inference.find import read_model


@dataclass(frozen=True, kw_only=True)
class BatchSide:
    """An engine, as `stargan-deploy batch` is asked for one."""

    backend: str = "auto"
    precision: Precision | None = None
    """Of the export; None takes the backend's default."""

    def __post_init__(self) -> None:
        if self.backend not in (AUTO, *runtime_names()):
            raise ValueError(f"backend must be auto or one of {', '.join(runtime_names())}")
        if self.backend == "auto" and self.precision is not None:
            raise ValueError("precision goes with a backend; auto chooses both")


@dataclass(frozen=True, kw_only=True)
class OpenedSide:
    """An engine that is ready for a job on a folder of photos."""

    job: BatchJob
    engine: BatchSession
    start_up: StartUp
    asked_precision: str
    """Of the export: "bf16"."""

    def end_to_end(self, output: Path) -> None:
        """All that `stargan-deploy batch` does once its engine is open, from files to files.

        Raises:
            DataError: a photo failed.
            BackendError: the engine failed.
        """
        job = replace(self.job, output=output)
        report = run_batch(BatchRequest(job=job, model=self.engine.model), session=self.engine)
        if report.failures:
            raise DataError(f"a photo of the benchmark failed: {report.failures[0].reason}")

    def prepared(self, pixels_NHWC: Pixels) -> None:
        """The same work of the engine on pixels in memory: labels predicted, then translated."""
        targets = [named.target for named in self.job.targets]
        for pixels in _batches(pixels_NHWC, self._batch_size):
            self.engine.translator.translate_prepared(pixels, targets)

    def generator_only(self, pixels_NHWC: Pixels, label_D: FloatArray) -> Pixels:
        """The generator on pixels in memory; returns its pictures (N, S, S, 3)."""
        runtime = self.engine.translator.runtime
        point = runtime.card.entry_point("translate")
        image, label = point.inputs
        pictures = []
        for pixels in _batches(pixels_NHWC, self._batch_size):
            labels = np.repeat(label_D[None], len(pixels), axis=0)
            outputs = runtime.run({image.name: to_spec(pixels, image), label.name: labels})
            pictures.append(from_spec(outputs[point.outputs[0].name], point.outputs[0]))
        return np.concatenate(pictures)

    @property
    def _batch_size(self) -> int:
        return self.engine.settings.batch_size


@contextmanager
def open_side(
    side: BatchSide, checkpoint: Path, job: BatchJob, *, device: str, batch_size: int
) -> Iterator[OpenedSide]:
    """Exports (or takes from the cache) and opens an engine; closes it at the end of the block.

    Args:
        side: which one.
        checkpoint: to export.
        job: what it will be used for.
        device: "cpu" or "cuda:N".
        batch_size: photos a call.

    Raises:
        StarganDeployError: it is not usable here.
    """
    request = RuntimeRequest(
        backend=side.backend,
        device=parse_device(device),
        precision=side.precision,
        batch_size=batch_size,
    )
    chosen = resolve_runtime(read_model(checkpoint), request, num_images=WORTH_EXPORTING)
    start_s = time.perf_counter()
    with open_session(chosen, job) as engine:
        opened_s = time.perf_counter()
        size = engine.translator.image_size
        blank = np.zeros((batch_size, size, size, 3), np.uint8)
        engine.translator.translate_prepared(blank, [named.target for named in job.targets])
        yield OpenedSide(
            job=job,
            engine=engine,
            start_up=StartUp(
                build_s=chosen.build_s,
                load_s=opened_s - start_s,
                first_call_s=time.perf_counter() - opened_s,
            ),
            asked_precision=chosen.precision,
        )


def _batches(pixels_NHWC: Pixels, batch_size: int) -> Iterator[Pixels]:
    return (
        pixels_NHWC[start : start + batch_size] for start in range(0, len(pixels_NHWC), batch_size)
    )
