"""What `batch` and `sample` run a model with: which file, which backend, and why."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from stargan_deploy.cli.console import say
from stargan_deploy.cli.find import EXPORTS
from stargan_deploy.errors import BackendError, ExportError, UsageError

if TYPE_CHECKING:
    from stargan_deploy.batch.session import RuntimeSpec
    from stargan_deploy.card.card import Precision

FORMAT_FOR = {"onnx": "onnx", "openvino": "openvino", "pt2": "pt2", "trt": "trt"}
"""Format that a checkpoint is exported to for a backend, which cannot run it as it is."""

WORTH_EXPORTING = 256
"""Pictures from which on `auto` exports a checkpoint that has no artefact yet: an export of the
full-size model takes about 20 s, and saves about 40 ms a picture."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wish:
    """What the user said of the engine."""

    backend: str
    device: str | None
    weights: Literal["ema", "raw"] | None
    precision: "Precision | None"
    dry_run: bool
    earlier: tuple[str, str] | None = None
    """Backend and payload SHA-256 of the run that is gone on with."""


def settle_engine(model: Path, wish: Wish, *, num_pictures: int, batch_size: int) -> "RuntimeSpec":
    """What to open for a model; as `settle_backend`, whose dry run names a file yet to be made."""
    from stargan_deploy.batch.session import RuntimeSpec

    path, backend = settle_backend(model, wish, num_pictures)
    return RuntimeSpec(
        path=path,
        backend=backend,
        device=wish.device,
        batch_size=batch_size,
        weights=wish.weights,
        precision=wish.precision if path == model else None,
    )


def settle_backend(model: Path, wish: Wish, num_pictures: int) -> tuple[Path, str]:
    """The file to run and the backend to run it with; says which was taken, and why.

    A checkpoint is exported first where the backend needs it, once for all later runs, and with
    "auto" where there are enough pictures to be worth it.

    Raises:
        UsageError: a backend or precision that does not go with the file.
        ExportError, BackendError: the backend that was asked for cannot be used.
        OutputError: the cache cannot be written.
    """
    from stargan_deploy.backends.registry import CHECKPOINT_SUFFIX

    if model.suffix.lower() != CHECKPOINT_SUFFIX:
        return model, wish.backend
    if wish.backend == "auto" and wish.earlier is not None:
        path = _made_by(model, wish.weights, wish.earlier)
        if path is not None:
            say(f"auto: {wish.earlier[0]}, as in the run that is gone on with")
            return path, wish.earlier[0]
    if wish.backend in FORMAT_FOR:
        return _exported(model, wish)
    if wish.backend == "auto":
        if wish.precision is not None:
            raise UsageError("--precision goes with a --backend; auto chooses both")
        return _fastest(model, wish, num_pictures)
    return model, wish.backend


def _exported(model: Path, wish: Wish) -> tuple[Path, str]:
    from stargan_deploy.export.cache import cached_path, is_cached, make_cached

    format = FORMAT_FOR[wish.backend]
    path = cached_path(model, format, wish.precision, weights=wish.weights)
    if is_cached(path):
        say(f"using the export of {model.name} in {path}")
    else:
        say(f"exporting {model.name} to {path.parent.name} first, to be kept in {path}")
        if wish.dry_run:
            return path, wish.backend
    made = make_cached(model, format, wish.precision, weights=wish.weights, device=wish.device)
    return made, wish.backend


def _fastest(model: Path, wish: Wish, num_pictures: int) -> tuple[Path, str]:
    """The fastest proven way; makes an artefact first where that pays."""
    from stargan_deploy.devices import pick_device
    from stargan_deploy.export.cache import cached_artefacts
    from stargan_deploy.inference.fastest import choose_fastest

    device = str(pick_device(wish.device))
    present = [*cached_artefacts(model, weights=wish.weights), *_exports_of(model, wish.weights)]
    choice, refusals = choose_fastest(model, present, device=device)
    for refusal in refusals:
        say(f"auto: not {refusal.path}: {refusal.reason}")
    worth = num_pictures >= WORTH_EXPORTING and not wish.dry_run and device != "mps"
    if choice.backend == "eager" and worth:
        made = _make_recommended(model, wish, device)
        choice, _ = choose_fastest(model, made, device=device)
    say(f"auto: {choice.backend} ({choice.reason})")
    return choice.path, choice.backend


def _make_recommended(model: Path, wish: Wish, device: str) -> list[Path]:
    """Exports to the first recommended format that works; an empty list where none does."""
    from stargan_deploy.backends.formats import RECOMMENDED
    from stargan_deploy.export.cache import make_cached

    for format, precision in RECOMMENDED[device.partition(":")[0]]:
        say(f"auto: exporting {model.name} to {format} {precision}, once for all later runs ...")
        try:
            return [make_cached(model, format, precision, weights=wish.weights, device=device)]
        except (ExportError, BackendError) as error:
            say(f"auto: not {format} {precision}: {error}")
    return []


def _made_by(
    model: Path, weights: Literal["ema", "raw"] | None, earlier: tuple[str, str]
) -> Path | None:
    """The file that an earlier run used, if it is still there."""
    from stargan_deploy.backends.registry import backends_for, read_card_of
    from stargan_deploy.export.cache import cached_artefacts

    backend, sha256 = earlier
    for path in (model, *cached_artefacts(model, weights=weights), *_exports_of(model, weights)):
        points = read_card_of(path).entry_points.values()
        if backend in backends_for(path) and sha256 in (p.payload_sha256 for p in points):
            return path
    return None


def _exports_of(model: Path, weights: Literal["ema", "raw"] | None) -> Iterator[Path]:
    """The artefacts in ./exports that were made from a checkpoint."""
    from stargan_deploy.backends.registry import RUN_BY, read_card_of
    from stargan_deploy.errors import StarganDeployError
    from stargan_deploy.export.cache import checkpoint_sha256

    wanted = checkpoint_sha256(model)
    kind = weights or read_card_of(model).weights
    for path in sorted(EXPORTS.glob("*")):
        if path.suffix not in RUN_BY or ".classifier" in path.suffixes:
            continue
        try:
            card = read_card_of(path)
        except StarganDeployError:
            continue
        if card.parents.get("checkpoint") == wanted and card.weights == kind:
            yield path
