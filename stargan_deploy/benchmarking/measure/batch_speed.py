"""Speed of the batch job, from files to files, against a plain loop over the same photos.

Every side translates the same folder of JPEG photos in rounds, so that a drift of the machine's
speed hits all alike. With each engine, what it reaches on prepared tensors is measured in the same
round: what the rest of the job, from opening files to noting them on the disk, costs beside it.
"""

import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from stargan_deploy.backends.difference import compare_images
from stargan_deploy.backends.registry import REFERENCE
from stargan_deploy.batch.plan import BatchJob
from stargan_deploy.benchmarking.baselines.batch import PlainBatch
from stargan_deploy.benchmarking.measure.synthetic_photos import draw_photos
from stargan_deploy.benchmarking.measure.timing import PAUSE_S
from stargan_deploy.benchmarking.results import BatchRow, PictureError, Unusable
from stargan_deploy.benchmarking.suite.batch_setups import BatchSide, OpenedSide, open_side
from stargan_deploy.card.card import ModelCard
from stargan_deploy.card.labels import FloatArray
from stargan_deploy.config import refuse_below
from stargan_deploy.errors import StarganDeployError, UsageError
from stargan_deploy.families.checkpoint import build_model, load_checkpoint
from stargan_deploy.files.images import Pixels, load_image, prepare_photo
from stargan_deploy.inference.targets import name_targets

_log = logging.getLogger(__name__)

PLAIN = "plain loop"

END_TO_END, PREPARED, GENERATOR = "end to end", "prepared", "generator"
"""What a turn covers: files to files; the same work of the engine on pixels in memory, which is to
predict labels and to translate; the generator alone."""

Seconds = Mapping[tuple[str, str], Sequence[float]]
"""Of every round, by side and by what was covered."""

NUM_COMPARED = 64
"""Photos whose pictures are compared with eager FP32's."""


@dataclass(frozen=True, kw_only=True)
class BatchSpeedConfig:
    """What to measure."""

    sides: dict[str, BatchSide]
    """Engines by the name of the side."""
    target: str = "Blond_Hair"
    """What all photos are translated to."""
    num_photos: int = 500
    """Photos that every side translates in every round."""
    photo_sides: tuple[int, int] = (128, 256)
    """Least and greatest width and height of a photo in pixels."""
    batch_size: int = 16
    num_rounds: int = 3

    def __post_init__(self) -> None:
        refuse_below(1, vars(self))
        if not 1 <= self.photo_sides[0] <= self.photo_sides[1]:
            raise ValueError(
                f"photo_sides must be the least and the greatest, not {self.photo_sides}"
            )
        if not self.sides or PLAIN in self.sides:
            raise ValueError(f"sides must name something to measure beside the {PLAIN!r}")


@dataclass(frozen=True, kw_only=True)
class BatchSpeed:
    """The outcome, the plain loop first."""

    rows: tuple[BatchRow, ...]
    unusable: tuple[Unusable, ...] = ()
    """Sides that do not run here, with the reason."""


def measure_batch(config: BatchSpeedConfig, checkpoint: Path, *, device: str) -> BatchSpeed:
    """Measures all sides.

    Args:
        config: what to measure.
        checkpoint: of a model that translates to the target.
        device: "cpu" or "cuda:N".

    Raises:
        StarganDeployError: the plain loop does not run here, or a side failed on the way.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _log.info(f"drawing {config.num_photos} photos ...")
        scene = _Scene.make(config, checkpoint, folder, device)
        sides, unusable = _open_all(stack, config, checkpoint, scene)
        turns = [turn for name, side in sides.items() for turn in _turns(name, side, scene)]
        turns.insert(0, _plain_turn(scene))
        seconds: dict[tuple[str, str], list[float]] = {(t.side, t.path): [] for t in turns}
        for number in range(config.num_rounds):
            _log.info(f"batch, round {number + 1} of {config.num_rounds} ...")
            for turn in turns if number % 2 == 0 else turns[::-1]:
                seconds[turn.side, turn.path].append(_seconds(turn))
        rows = [_plain_row(scene, seconds)]
        rows += [_row(name, side, scene, seconds) for name, side in sides.items()]
    return BatchSpeed(rows=tuple(rows), unusable=tuple(unusable))


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """What all sides work on."""

    config: BatchSpeedConfig
    card: ModelCard
    device: str
    job: BatchJob
    photos: Sequence[Path]
    pixels_NHWC: Pixels
    """The photos as the network takes them."""
    label_D: FloatArray
    """Target label of a photo that has none of the attributes."""
    plain: PlainBatch
    outputs: Path
    """Folder for the folders of pictures."""

    @classmethod
    def make(
        cls, config: BatchSpeedConfig, checkpoint: Path, folder: Path, device: str
    ) -> "_Scene":
        content = load_checkpoint(checkpoint)
        card = content.card
        if not card.labels.sets or "translate" not in card.entry_points:
            raise UsageError("the plain loop translates by labels, which this model does not take")
        photos = draw_photos(folder / "photos", config.num_photos, config.photo_sides)
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
            plain=PlainBatch(
                build_model(content)["generator"],
                label_D,
                preprocessing=card.preprocessing,
                batch_size=config.batch_size,
                device=torch.device(device),
            ),
            outputs=folder,
        )


@dataclass(frozen=True, kw_only=True)
class _Turn:
    """Something that is timed in every round."""

    side: str
    path: str
    lead_in: Callable[[], object]
    """Comes first and is not timed: caches, threads that have to wake up."""
    work: Callable[[Path], object]
    """Takes an empty folder for pictures."""
    outputs: Path


def _prepare(path: Path, card: ModelCard) -> Pixels:
    crop_size, size = card.preprocessing.crop_size, card.preprocessing.image_size
    return np.asarray(prepare_photo(load_image(path), crop_size=crop_size, size=size))


def _open_all(
    stack: ExitStack, config: BatchSpeedConfig, checkpoint: Path, scene: _Scene
) -> tuple[dict[str, OpenedSide], list[Unusable]]:
    opened, unusable = {}, []
    for name, side in config.sides.items():
        _log.info(f"opening batch {name} ...")
        try:
            opened[name] = stack.enter_context(
                open_side(
                    side,
                    checkpoint,
                    scene.job,
                    device=scene.device,
                    batch_size=config.batch_size,
                )
            )
        except StarganDeployError as error:
            unusable.append(Unusable(name=f"batch {name}", reason=str(error)))
    return opened, unusable


def _plain_turn(scene: _Scene) -> _Turn:
    few = scene.photos[: scene.config.batch_size]
    return _Turn(
        side=PLAIN,
        path=END_TO_END,
        lead_in=lambda: scene.plain.work(few, scene.outputs),
        work=lambda output: scene.plain.work(scene.photos, output),
        outputs=scene.outputs,
    )


def _turns(name: str, side: OpenedSide, scene: _Scene) -> list[_Turn]:
    pixels, label = scene.pixels_NHWC, scene.label_D
    works: dict[str, Callable[[Path], object]] = {
        END_TO_END: side.end_to_end,
        PREPARED: lambda _: side.prepared(pixels),
        GENERATOR: lambda _: side.generator_only(pixels, label),
    }
    return [
        _Turn(
            side=name,
            path=path,
            lead_in=lambda: side.prepared(pixels[: scene.config.batch_size]),
            work=work,
            outputs=scene.outputs,
        )
        for path, work in works.items()
    ]


def _seconds(turn: _Turn) -> float:
    with tempfile.TemporaryDirectory(dir=turn.outputs) as output:
        time.sleep(PAUSE_S)
        turn.lead_in()
        start = time.perf_counter()
        turn.work(Path(output))
        return time.perf_counter() - start


def _plain_row(scene: _Scene, seconds: Seconds) -> BatchRow:
    own = seconds[PLAIN, END_TO_END]
    config = scene.config
    return BatchRow(
        name=PLAIN,
        backend=REFERENCE,
        device=scene.device,
        precision="float32",
        batch_size=config.batch_size,
        image_size=scene.card.preprocessing.image_size,
        num_photos=config.num_photos,
        images_per_s=config.num_photos / statistics.median(own),
        speedup=1.0,
        samples_ms=_photo_ms(own, config),
    )


def _row(name: str, side: OpenedSide, scene: _Scene, seconds: Seconds) -> BatchRow:
    config, runtime = scene.config, side.engine.translator.runtime
    own, prepared, generator = (seconds[name, path] for path in (END_TO_END, PREPARED, GENERATOR))
    return BatchRow(
        name=name,
        backend=runtime.backend,
        device=str(runtime.device),
        precision=runtime.card.precision.get("conv", "float32"),
        batch_size=config.batch_size,
        image_size=side.engine.translator.image_size,
        num_photos=config.num_photos,
        images_per_s=config.num_photos / statistics.median(own),
        speedup=_median_ratio(seconds[PLAIN, END_TO_END], own),
        prepared_share=_median_ratio(prepared, own),
        generator_share=_median_ratio(generator, own),
        picture_error=_picture_error(side, scene),
        start_up=side.start_up,
        samples_ms=_photo_ms(own, config),
        prepared_samples_ms=_photo_ms(prepared, config),
        generator_samples_ms=_photo_ms(generator, config),
    )


def _picture_error(side: OpenedSide, scene: _Scene) -> PictureError:
    """How far the generator's pictures are from the plain loop's, on the same pixels and label."""
    pixels_NHWC = scene.pixels_NHWC[:NUM_COMPARED]
    expected = scene.plain.translate(pixels_NHWC)
    figures = compare_images(expected, side.generator_only(pixels_NHWC, scene.label_D)).figures
    return PictureError(**figures)


def _median_ratio(seconds: Sequence[float], own: Sequence[float]) -> float:
    return statistics.median(other / ours for other, ours in zip(seconds, own, strict=True))


def _photo_ms(seconds: Sequence[float], config: BatchSpeedConfig) -> tuple[float, ...]:
    return tuple(s / config.num_photos * 1e3 for s in seconds)
