"""`stargan-deploy batch`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from stargan_deploy.cli.batch import options
from stargan_deploy.cli.batch.run import BatchRequest, Pages, carry_out
from stargan_deploy.cli.options import Device, DryRun, Json, Quiet, Weights
from stargan_deploy.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from stargan_deploy.batch.plan import BatchJob, ImageOptions
    from stargan_deploy.card.card import ModelCard
    from stargan_deploy.card.labels import LabelSpace
    from stargan_deploy.inference.framing import Fit
    from stargan_deploy.inference.source_labels import LabelTable
    from stargan_deploy.inference.targets import NamedTarget


def batch(
    input_: options.Input,
    attrs: options.Attrs = None,
    direction: options.Direction = None,
    model: options.Model = None,
    output: options.Output = Path("translated"),
    backend: options.Backend = "auto",
    source: options.Source = "predict",
    batch_size: options.BatchSize = 16,
    device: Device = None,
    precision: options.Precision = None,
    weights: Weights = None,
    strength: options.Strength = "1",
    faces: options.Faces = None,
    without_face: options.WithoutFace = "skip",
    fit: options.FitOption = "crop",
    size: options.Size = None,
    keep: options.Keep = "",
    name: options.Name = None,
    resume: options.Resume = False,
    changed: options.Changed = "refuse",
    overwrite: options.Overwrite = False,
    disk_wait: options.DiskWaitS = 600.0,
    watch: options.Watch = False,
    shard: options.ShardOption = None,
    ray: options.RayAddress = None,
    grid: options.Grid = False,
    gallery: options.Gallery = False,
    dry_run: DryRun = False,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Translates a photo or a folder of photos.

    JPEG, PNG and WebP files keep their format, others become PNG. A broken file is reported and
    does not stop the rest; the exit code is 0 only if all succeeded, else 10.
    """
    from stargan_deploy.devices import parse_device
    from stargan_deploy.inference.choose import RuntimeRequest
    from stargan_deploy.inference.find import find_model

    found = find_model(model)
    pictures = _picture_options(fit, size, faces, without_face, strength, keep)
    pictures = _directed(found.card, direction, pictures, source)
    job = _job(found.card, (input_, output), attrs or [], source, pictures, name, shard)
    request = BatchRequest(
        job=job,
        model=found,
        runtime=RuntimeRequest(
            backend=backend,
            device=parse_device(device) if device else None,
            precision=precision,
            weights=weights,
            batch_size=batch_size,
            dry_run=dry_run,
        ),
        resume=resume,
        changed=changed,
        overwrite=overwrite,
        disk_wait_s=disk_wait,
        watch=watch,
        ray=ray,
        pages=Pages(grid=grid, gallery=gallery),
        json_output=json_output,
    )
    carry_out(request)


def _picture_options(
    fit: "Fit",
    size: int | None,
    faces: Literal["largest", "all"] | None,
    without_face: Literal["skip", "copy"],
    strength: str,
    keep: str,
) -> "ImageOptions":
    from stargan_deploy.batch.plan import ImageOptions

    return ImageOptions(
        fit=fit,
        size=size,
        faces=faces,
        without_face=without_face,
        strengths=_strengths(strength),
        keep=_kept(keep),
    )


def _directed(
    card: "ModelCard", direction: str | None, pictures: "ImageOptions", source: str
) -> "ImageOptions":
    """The options with what the model is to do.

    Raises:
        UsageError: a direction that it does not have, or strengths or sources without labels.
    """
    from stargan_deploy.inference.translator import choose_direction

    if not card.labels.sets and pictures.strengths != (1.0,):
        raise UsageError("--strength goes part of the way between labels, and this model has none")
    if not card.labels.sets and source != "predict":
        raise UsageError(
            f"--source {source} tells the photos' own labels, and this model has none; leave it out"
        )
    return dataclasses.replace(pictures, entry_point=choose_direction(card, direction))


def _strengths(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise UsageError(
            f"--strength takes a number, or several such as 0.5,1,1.5, not {text!r}"
        ) from None


def _kept(text: str) -> frozenset[str]:
    from stargan_deploy.files.metadata import KEEPABLE

    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in KEEPABLE:
            raise UsageError(f"--keep: {unknown_name('metadata', word, KEEPABLE)}")
    return frozenset(words)


def _job(
    card: "ModelCard",
    paths: tuple[Path, Path],
    words: list[str],
    origin: str,
    pictures: "ImageOptions",
    name: str | None,
    shard: str | None,
) -> "BatchJob":
    from stargan_deploy.batch.photos.naming import NameTemplate
    from stargan_deploy.batch.plan import BatchJob
    from stargan_deploy.batch.shard import WHOLE, parse_shard
    from stargan_deploy.inference.targets import name_targets, only_target

    space = card.labels
    only = () if space.sets else (only_target(space, pictures.entry_point, words),)
    targets = only or name_targets(space, words)
    return BatchJob(
        input=paths[0],
        output=paths[1],
        targets=targets,
        source=_read_source(origin, space, targets),
        options=pictures,
        naming=None if name is None else NameTemplate(text=name),
        shard=WHOLE if shard is None else parse_shard(shard),
    )


def _read_source(
    source: str, space: "LabelSpace", targets: "tuple[NamedTarget, ...]"
) -> "Literal['predict', 'zeros'] | LabelTable":
    from stargan_deploy.inference.source_labels import needed_names, read_label_table

    if source in ("predict", "zeros"):
        return cast(Literal["predict", "zeros"], source)
    needed = needed_names(space, [named.target for named in targets])
    return read_label_table(Path(source), space, needed=needed)
