"""The setups of the batch benchmark: `stargan-deploy batch` with a runtime, opened and ready."""

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
from stargan_deploy.devices import Device
from stargan_deploy.errors import DataError
from stargan_deploy.files.images import Pixels
from stargan_deploy.inference.choose import WORTH_EXPORTING, RuntimeRequest, resolve_runtime
from stargan_deploy.inference.find import ModelFile


@dataclass(frozen=True, kw_only=True)
class BatchSetup:
    """A runtime, as `stargan-deploy batch` is asked for one."""

    backend: str = AUTO
    precision: Precision | None = None
    """Precision of the export; None takes the backend's default."""

    def __post_init__(self) -> None:
        if self.backend not in (AUTO, *runtime_names()):
            raise ValueError(f"backend must be auto or one of {', '.join(runtime_names())}")
        if self.backend == AUTO and self.precision is not None:
            raise ValueError("precision goes with a backend; auto chooses both")


@dataclass(frozen=True, kw_only=True)
class OpenedSetup:
    """A batch session that is ready for a job on a folder of photos."""

    job: BatchJob
    session: BatchSession
    start_up: StartUp

    def end_to_end(self, output: Path) -> None:
        """Does all that `stargan-deploy batch` does once its model is open, from files to files.

        Raises:
            DataError: a photo failed.
            BackendError: the runtime failed.
        """
        job = replace(self.job, output=output)
        report = run_batch(BatchRequest(job=job, model=self.session.model), session=self.session)
        if report.failures:
            raise DataError(f"a photo of the benchmark failed: {report.failures[0].reason}")

    def prepared(self, pixels_NHWC: Pixels) -> None:
        """Does the runtime's share on pixels in memory: predicts labels, then translates."""
        targets = [named.target for named in self.job.targets]
        for pixels in self._batches(pixels_NHWC):
            self.session.translator.translate_prepared(pixels, targets)

    def generator_only(self, pixels_NHWC: Pixels, label_D: FloatArray) -> Pixels:
        """Runs the generator on pixels in memory; returns its images (N, S, S, 3)."""
        runtime = self.session.translator.runtime
        point = runtime.card.entry_point("translate")
        image, label = point.inputs
        images = []
        for pixels in self._batches(pixels_NHWC):
            labels = np.repeat(label_D[None], len(pixels), axis=0)
            outputs = runtime.run({image.name: to_spec(pixels, image), label.name: labels})
            images.append(from_spec(outputs[point.outputs[0].name], point.outputs[0]))
        return np.concatenate(images)

    def _batches(self, pixels_NHWC: Pixels) -> Iterator[Pixels]:
        size = self.session.settings.batch_size
        return (pixels_NHWC[start : start + size] for start in range(0, len(pixels_NHWC), size))


@contextmanager
def open_setup(
    setup: BatchSetup, checkpoint: ModelFile, job: BatchJob, *, device: Device, batch_size: int
) -> Iterator[OpenedSetup]:
    """Exports a checkpoint (or takes it from the cache) and opens it; closes it after the block.

    Args:
        setup: how to run it.
        checkpoint: the model.
        job: what it will be used for.
        device: where to run it.
        batch_size: photos per call.

    Raises:
        StarganDeployError: it is not usable here.
    """
    request = RuntimeRequest(
        backend=setup.backend, device=device, precision=setup.precision, batch_size=batch_size
    )
    chosen = resolve_runtime(checkpoint, request, num_images=WORTH_EXPORTING)
    start_s = time.perf_counter()
    with open_session(chosen, job) as session:
        opened_s = time.perf_counter()
        size = session.translator.image_size
        blank = np.zeros((batch_size, size, size, 3), np.uint8)
        session.translator.translate_prepared(blank, [named.target for named in job.targets])
        start_up = StartUp(
            build_s=chosen.build_s,
            load_s=opened_s - start_s,
            first_call_s=time.perf_counter() - opened_s,
        )
        yield OpenedSetup(job=job, session=session, start_up=start_up)
