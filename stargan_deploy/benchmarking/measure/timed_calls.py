"""The three things that a call can cover, as functions of a contestant and a batch of photos.

*Device only*: the network on inputs that are already where it computes, in the form that it takes.
*Host to host*: uint8 pixels in the host's memory in and out. *End to end*: JPEG files in and out.
Where pictures come from noise, none go in.
Inputs vary from call to call, and are faces, never zeros.
"""

import dataclasses
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from stargan_deploy.benchmarking.results import MeasuredPath
from stargan_deploy.benchmarking.suite.candidates import Contestant
from stargan_deploy.benchmarking.suite.workloads import CudaSubject, HostSubject, Subject
from stargan_deploy.card.card import ModelCard
from stargan_deploy.card.pixels import from_spec
from stargan_deploy.export.proof.cases import Case, make_case
from stargan_deploy.files.images import Pixels, load_image, prepare_photo, save_image

NUM_BATCHES = 4
"""Different batches that calls take in turn."""

Call = Callable[[int], object]


@dataclasses.dataclass(frozen=True)
class Workload:
    """Photos of one batch size and image size, the same for all contestants."""

    card: ModelCard
    batch_size: int
    size: int
    """Side of the images in pixels."""
    folder: Path
    """Where the JPEG files of the end-to-end path stand, and where its results go."""

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

    def subject(self, contestant: Contestant, path: MeasuredPath) -> Subject:
        """What is timed."""
        call = {
            "device only": _device_only,
            "host to host": _host_to_host,
            "end to end": _end_to_end,
        }[path](self, contestant)
        if contestant.device_kind == "cuda":
            return CudaSubject(contestant.name, call, str(contestant.runtime.device))
        return HostSubject(name=contestant.name, function=call)

    def translate(self, contestant: Contestant) -> Pixels:
        """The pictures of all batches, (N, H, W, 3) in [0, 255]."""
        call = _host_to_host(self, contestant)
        return np.concatenate([call(number) for number in range(NUM_BATCHES)])

    def _save(self, number: int, case: Case) -> list[Path]:
        paths = [
            self.folder / f"{self.batch_size}x{self.size}-{number}-{row}.jpg"
            for row in range(self.batch_size)
        ]
        for pixels, path in zip(case.pixels, paths, strict=True):
            save_image(Image.fromarray(pixels), path)
        return paths


def _device_only(workload: Workload, contestant: Contestant) -> Call:
    runtime, name = contestant.runtime, contestant.entry_point
    batches = [case.inputs(runtime.card.entry_point(name)) for case in workload.cases]
    calls = [runtime.device_call(name, batch) for batch in batches]
    return lambda number: calls[number % NUM_BATCHES]()


def _host_to_host(workload: Workload, contestant: Contestant) -> Callable[[int], Pixels]:
    def call(number: int) -> Pixels:
        return _pictures(contestant, workload.cases[number % NUM_BATCHES])

    return call


def _end_to_end(workload: Workload, contestant: Contestant) -> Call:
    target = workload.folder / f"out-{contestant.name.replace(' ', '-')}"
    target.mkdir(exist_ok=True)
    photos = workload.photos
    point = contestant.runtime.card.entry_point(contestant.entry_point)
    reads = bool(point.inputs_of("image"))

    def call(number: int) -> None:
        paths, case = photos[number % NUM_BATCHES], workload.cases[number % NUM_BATCHES]
        if reads:
            pixels = np.stack([_read(path, workload.size) for path in paths])
            case = dataclasses.replace(case, pixels=pixels)
        pictures = _pictures(contestant, case)
        for picture, path in zip(pictures, paths, strict=True):
            save_image(Image.fromarray(picture), target / path.name)

    return call


def _read(path: Path, size: int) -> Pixels:
    return np.asarray(prepare_photo(load_image(path), crop_size=None, size=size))


def _pictures(contestant: Contestant, case: Case) -> Pixels:
    """What comes out for a batch."""
    runtime, name = contestant.runtime, contestant.entry_point
    point = runtime.card.entry_point(name)
    outputs = runtime.run(case.inputs(point), entry_point=name)
    return from_spec(outputs[point.outputs[0].name], point.outputs[0])
