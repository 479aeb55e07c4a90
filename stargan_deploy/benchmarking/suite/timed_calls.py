"""The calls that are timed, as functions of a candidate and a batch of images.

*Device only*: the network on inputs that are already where it computes, in the form that it takes.
*Host to host*: uint8 pixels in the host's memory in and out. *End to end*: JPEG files in and out.
Where images are made from noise, none go in; where none are made, as by a classifier, no file is
written.
Inputs vary from call to call, and are faces, never zeros.
"""

import dataclasses
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from stargan_deploy.benchmarking.measure.workloads import CudaWorkload, HostWorkload, Workload
from stargan_deploy.benchmarking.results import MeasuredPath
from stargan_deploy.benchmarking.suite.candidates import Candidate
from stargan_deploy.card.card import ModelCard
from stargan_deploy.card.pixels import from_spec
from stargan_deploy.export.proof.cases import Case, make_case
from stargan_deploy.files.images import Pixels, load_image, prepare_photo, save_image

NUM_BATCHES = 4
"""Different batches that calls take in turn."""

Call = Callable[[int], object]


@dataclasses.dataclass(frozen=True)
class InputBatches:
    """Batches of one batch size and image size, the same for all candidates."""

    card: ModelCard
    batch_size: int
    size: int
    """Side of the images in pixels."""
    folder: Path
    """Folder for the JPEG files that the end-to-end path reads and writes."""

    @cached_property
    def cases(self) -> list[Case]:
        """The batches that calls take in turn."""
        shape = (self.batch_size, self.size, self.size)
        starts = range(0, NUM_BATCHES * self.batch_size, self.batch_size)
        return [make_case(self.card.labels, shape, start) for start in starts]

    @cached_property
    def photos(self) -> list[list[Path]]:
        """The batches as JPEG files."""
        return [self._save(number, case) for number, case in enumerate(self.cases)]

    def workload(self, candidate: Candidate, path: MeasuredPath) -> Workload:
        """A candidate's calls on these batches, to be timed."""
        make_call = {
            "device only": self._device_only,
            "host to host": self._host_to_host,
            "end to end": self._end_to_end,
        }[path]
        device = candidate.runtime.device
        if device.is_cuda:
            return CudaWorkload(candidate.name, make_call(candidate), device)
        return HostWorkload(candidate.name, make_call(candidate))

    def outputs(self, candidate: Candidate) -> npt.NDArray[Any]:
        """A candidate's first output for all batches; images are (N, H, W, 3) in [0, 255]."""
        return np.concatenate([_run(candidate, case) for case in self.cases])

    def _device_only(self, candidate: Candidate) -> Call:
        runtime, name = candidate.runtime, candidate.entry_point
        inputs = [case.inputs(candidate.point) for case in self.cases]
        calls = [runtime.device_call(name, batch) for batch in inputs]
        return lambda number: calls[number % NUM_BATCHES]()

    def _host_to_host(self, candidate: Candidate) -> Call:
        return lambda number: _run(candidate, self.cases[number % NUM_BATCHES])

    def _end_to_end(self, candidate: Candidate) -> Call:
        output = self.folder / f"out-{candidate.name.replace(' ', '-')}"
        output.mkdir(exist_ok=True)
        photos, reads = self.photos, bool(candidate.point.inputs_of("image"))

        def call(number: int) -> None:
            paths, case = photos[number % NUM_BATCHES], self.cases[number % NUM_BATCHES]
            if reads:
                pixels = np.stack([_read(path, self.size) for path in paths])
                case = dataclasses.replace(case, pixels=pixels)
            made = _run(candidate, case)
            if candidate.point.makes_images:
                for image, path in zip(made, paths, strict=True):
                    save_image(Image.fromarray(image), output / path.name)

        return call

    def _save(self, number: int, case: Case) -> list[Path]:
        paths = [
            self.folder / f"{self.batch_size}x{self.size}-{number}-{row}.jpg"
            for row in range(self.batch_size)
        ]
        for pixels, path in zip(case.pixels, paths, strict=True):
            save_image(Image.fromarray(pixels), path)
        return paths


def _read(path: Path, size: int) -> Pixels:
    return np.asarray(prepare_photo(load_image(path), crop_size=None, size=size))


def _run(candidate: Candidate, case: Case) -> npt.NDArray[Any]:
    """The first output for a batch; images as pixels."""
    point, spec = candidate.point, candidate.point.outputs[0]
    outputs = candidate.runtime.run(case.inputs(point), entry_point=candidate.entry_point)
    first = outputs[spec.name]
    return from_spec(first, spec) if spec.kind == "image" else first
