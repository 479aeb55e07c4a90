"""Measures the speed of the batch job, from files to files, against a baseline.

Every setup translates the same folder of JPEG photos in rounds, so that a drift of the machine's
speed affects all alike. What its runtime reaches on pixels in memory is measured in the same
round, which shows the cost of the rest of the job: reading, writing and recording files.
"""

import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from stargan_deploy.backends.difference import compare_images
from stargan_deploy.backends.registry import REFERENCE
from stargan_deploy.batch.plan import BatchJob
from stargan_deploy.benchmarking.baselines.batch import BatchBaseline
from stargan_deploy.benchmarking.measure.rounds import Speed, median_ratio, take_rounds
from stargan_deploy.benchmarking.measure.timing import PAUSE_S
from stargan_deploy.benchmarking.results import BASELINE, BatchRow, PictureError, Unusable
from stargan_deploy.benchmarking.suite.batch_setups import BatchSetup, OpenedSetup, open_setup
from stargan_deploy.benchmarking.suite.synthetic_photos import write_synthetic_photos
from stargan_deploy.card.card import ModelCard
from stargan_deploy.card.labels import FloatArray
from stargan_deploy.config import refuse_below
from stargan_deploy.devices import Device
from stargan_deploy.errors import StarganDeployError, UsageError
from stargan_deploy.families.checkpoint import build_model, load_checkpoint
from stargan_deploy.files.images import Pixels, load_image, prepare_photo
from stargan_deploy.inference.find import ModelFile
from stargan_deploy.inference.targets import name_targets

END_TO_END, PREPARED, GENERATOR = "end to end", "prepared", "generator"
"""Scope of a turn: files to files; labels predicted and images translated on pixels in memory;
the generator alone."""

Seconds = Mapping[tuple[str, str], Sequence[float]]
"""Time of every round, by setup and by what was covered."""

Turn = Callable[[], float]

NUM_COMPARED = 64
"""Photos whose images are compared with eager FP32's."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class BatchSpeedConfig:
    """Settings of the batch benchmark."""

    sides: dict[str, BatchSetup]
    """Setups by name."""
    target: str = "Blond_Hair"
    """Target of all photos."""
    num_photos: int = 500
    """Photos that every setup translates in every round."""
    photo_sides: tuple[int, int] = (128, 256)
    """Smallest and largest width and height of a photo in pixels."""
    batch_size: int = 16
    num_rounds: int = 3

    def __post_init__(self) -> None:
        refuse_below(1, vars(self))
        if not 1 <= self.photo_sides[0] <= self.photo_sides[1]:
            raise ValueError(
                f"photo_sides must be the smallest and the largest, not {self.photo_sides}"
            )
        if not self.sides or BASELINE in self.sides:
            raise ValueError(f"sides must name something to measure, other than {BASELINE!r}")


def measure_batch(
    config: BatchSpeedConfig, checkpoint: ModelFile, *, device: Device
) -> Speed[BatchRow]:
    """Measures all setups.

    Args:
        config: what to measure.
        checkpoint: a model that translates to the target.
        device: where to measure.

    Raises:
        StarganDeployError: the baseline does not run here, or a setup failed on the way.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _log.info("drawing %d photos ...", config.num_photos)
        scene = _Scene.make(config, checkpoint, folder, device)
        setups, unusable = _open_all(stack, checkpoint, scene)
        turns = {(BASELINE, END_TO_END): _baseline_turn(scene)}
        for name, setup in setups.items():
            turns |= {(name, path): turn for path, turn in _turns(setup, scene).items()}
        seconds = take_rounds(
            turns,
            config.num_rounds,
            lambda number: _log.info("batch, round %d of %d ...", number + 1, config.num_rounds),
        )
        rows = [_row(BASELINE, scene, seconds)]
        rows += [_row(name, scene, seconds, setup) for name, setup in setups.items()]
    return Speed(rows=tuple(rows), unusable=tuple(unusable))


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """The photos, target and baseline that all setups share."""

    config: BatchSpeedConfig
    card: ModelCard
    device: Device
    job: BatchJob
    photos: Sequence[Path]
    pixels_NHWC: Pixels
    """The photos as the network takes them."""
    label_D: FloatArray
    """Target label of a photo that has none of the attributes."""
    baseline: BatchBaseline
    outputs: Path
    """Folder for the output folders."""

    @classmethod
    def make(
        cls, config: BatchSpeedConfig, checkpoint: ModelFile, folder: Path, device: Device
    ) -> "_Scene":
        content = load_checkpoint(checkpoint.path)
        card = content.card
        if not card.labels.sets or "translate" not in card.entry_points:
            raise UsageError("the baseline translates by labels, which this model does not take")
        photos = write_synthetic_photos(folder / "photos", config.num_photos, config.photo_sides)
        targets = name_targets(card.labels, [config.target])
        nothing = np.zeros(card.labels.num_labels, np.float32)
        label_D = card.labels.target_vector(targets[0].target, nothing)
        return cls(
            config=config,
            card=card,
            device=device,
            job=BatchJob(input=folder / "photos", output=folder / "unused", targets=targets),
            photos=photos,
            pixels_NHWC=np.stack([_prepare(path, card) for path in photos]),
            label_D=label_D,
            baseline=BatchBaseline(
                build_model(content)["generator"],
                label_D,
                preprocessing=card.preprocessing,
                batch_size=config.batch_size,
                device=device.to_torch(),
            ),
            outputs=folder,
        )


def _prepare(path: Path, card: ModelCard) -> Pixels:
    crop_size, size = card.preprocessing.crop_size, card.preprocessing.image_size
    return np.asarray(prepare_photo(load_image(path), crop_size=crop_size, size=size))


def _open_all(
    stack: ExitStack, checkpoint: ModelFile, scene: _Scene
) -> tuple[dict[str, OpenedSetup], list[Unusable]]:
    opened, unusable = {}, []
    device, size = scene.device, scene.config.batch_size
    for name, setup in scene.config.sides.items():
        _log.info("opening batch %s ...", name)
        try:
            opening = open_setup(setup, checkpoint, scene.job, device=device, batch_size=size)
            opened[name] = stack.enter_context(opening)
        except StarganDeployError as error:
            unusable.append(Unusable(name=f"batch {name}", reason=str(error)))
    return opened, unusable


def _baseline_turn(scene: _Scene) -> Turn:
    few = scene.photos[: scene.config.batch_size]
    baseline, outputs = scene.baseline, scene.outputs
    return partial(
        _seconds,
        outputs,
        lambda: baseline.work(few, outputs),
        lambda output: baseline.work(scene.photos, output),
    )


def _turns(setup: OpenedSetup, scene: _Scene) -> dict[str, Turn]:
    pixels, label = scene.pixels_NHWC, scene.label_D
    works: dict[str, Callable[[Path], object]] = {
        END_TO_END: setup.end_to_end,
        PREPARED: lambda _: setup.prepared(pixels),
        GENERATOR: lambda _: setup.generator_only(pixels, label),
    }
    few = pixels[: scene.config.batch_size]
    return {
        path: partial(_seconds, scene.outputs, lambda: setup.prepared(few), work)
        for path, work in works.items()
    }


def _seconds(outputs: Path, lead_in: Callable[[], object], work: Callable[[Path], object]) -> float:
    """Time of a turn, whose work takes an empty output folder.

    The lead-in is not timed: it warms caches and wakes threads.
    """
    with tempfile.TemporaryDirectory(dir=outputs) as output:
        time.sleep(PAUSE_S)
        lead_in()
        start = time.perf_counter()
        work(Path(output))
        return time.perf_counter() - start


def _row(name: str, scene: _Scene, seconds: Seconds, setup: OpenedSetup | None = None) -> BatchRow:
    """The row of a setup, or of the baseline."""
    config, own = scene.config, seconds[name, END_TO_END]
    row = BatchRow(
        name=name,
        backend=REFERENCE,
        device=str(scene.device),
        precision="float32",
        batch_size=config.batch_size,
        image_size=scene.card.preprocessing.image_size,
        num_photos=config.num_photos,
        images_per_s=config.num_photos / statistics.median(own),
        speedup=median_ratio(seconds[BASELINE, END_TO_END], own),
        samples_ms=_photo_ms(own, config),
    )
    if setup is None:
        return row
    runtime = setup.session.translator.runtime
    prepared, generator = seconds[name, PREPARED], seconds[name, GENERATOR]
    return replace(
        row,
        backend=runtime.backend,
        device=str(runtime.device),
        precision=runtime.card.precision.get("conv", "float32"),
        prepared_share=median_ratio(prepared, own),
        generator_share=median_ratio(generator, own),
        picture_error=_picture_error(setup, scene),
        start_up=setup.start_up,
        prepared_samples_ms=_photo_ms(prepared, config),
        generator_samples_ms=_photo_ms(generator, config),
    )


def _picture_error(setup: OpenedSetup, scene: _Scene) -> PictureError:
    """Compares the generator's images with the baseline's, on the same pixels and label."""
    pixels_NHWC = scene.pixels_NHWC[:NUM_COMPARED]
    expected = scene.baseline.translate(pixels_NHWC)
    images = setup.generator_only(pixels_NHWC, scene.label_D)
    return PictureError(**compare_images(expected, images).figures)


def _photo_ms(seconds: Sequence[float], config: BatchSpeedConfig) -> tuple[float, ...]:
    return tuple(s / config.num_photos * 1e3 for s in seconds)
