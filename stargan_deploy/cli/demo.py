"""`stargan-deploy demo`: export, proof and translation of drawn faces in one go."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stargan_deploy.batch.output.contact_sheets import write_batch_gallery, write_grid
from stargan_deploy.batch.plan import BatchPlan, make_job, plan_batch
from stargan_deploy.batch.resume import ResumePolicy
from stargan_deploy.batch.run import BatchRequest, run_batch
from stargan_deploy.batch.session import make_framing
from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.guidance.next_steps import say_next
from stargan_deploy.cli.options import OUT, Json, Quiet
from stargan_deploy.data.layouts.synthetic import write_celeba
from stargan_deploy.devices import CPU
from stargan_deploy.errors import IncompleteError
from stargan_deploy.export.options import ExportOptions
from stargan_deploy.export.proof.compare import describe
from stargan_deploy.inference import find
from stargan_deploy.inference.choose import RuntimeRequest

if TYPE_CHECKING:
    from stargan_deploy.export.export import ExportResult

HELD_OUT_SEED = 2026
"""Differs from the seeds of training faces, so that the model has never seen these."""


def demo(
    out: Annotated[
        Path, typer.Option(*OUT, help="Folder for faces, exported model, images and gallery.")
    ] = Path("demo"),
    count: Annotated[int, typer.Option(min=1, help="Number of faces.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Decides the faces.")] = HELD_OUT_SEED,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Draw faces, export the built-in model, prove it, translate, and make a gallery."""
    seconds: dict[str, float] = {}
    with _timed("draw", f"drawing {count} faces", seconds):
        _draw(out / "faces", count, seed)
    with _timed("export", "exporting the model and proving the export", seconds):
        exported = _export(out / "demo.onnx")
    with _timed("translate", "translating the faces", seconds):
        plan = _translate(out, exported, count)
    with _timed("gallery", "making grid and gallery", seconds):
        _show_side_by_side(out, exported, plan)
    _show(out, exported, seconds, json_output)
    say_next("train", "faces64", "--data", "FOLDER")


@contextmanager
def _timed(part: str, words: str, seconds: dict[str, float]) -> Iterator[None]:
    """Announce a part and record how long it took, its imports included."""
    say(f"{words} ...")
    start = time.perf_counter()
    yield
    seconds[part] = round(time.perf_counter() - start, 2)


def _draw(folder: Path, count: int, seed: int) -> None:

    size = find.read_model(find.DEMO_MODEL).card.preprocessing.image_size
    write_celeba(folder, count, size=size, seed=seed)


def _export(path: Path) -> "ExportResult":
    from stargan_deploy.export.export import export

    result = export(find.DEMO_MODEL, out=path, options=ExportOptions(overwrite=True))
    for verdict in result.verdicts:
        say(f"  {verdict.entry_point} equals PyTorch: {describe(verdict)}")
    return result


def _translate(out: Path, exported: "ExportResult", count: int) -> BatchPlan:
    """Translate the faces to each hair colour and with each other attribute flipped."""
    job = make_job(
        exported.card,
        input=out / "faces" / "images",
        output=out / "translated",
        targets=[target.text for target in exported.card.labels.single_targets()],
        source=str(out / "faces" / "list_attr_celeba.txt"),
        max_photos=count,  # an earlier demo may have drawn more
    )
    request = BatchRequest(
        job=job,
        model=find.read_model(exported.files[0]),
        runtime=RuntimeRequest(device=CPU),
        policy=ResumePolicy(overwrite=True),
    )
    report = run_batch(request)
    if report.failures:
        raise IncompleteError(f"{report.num_failed} faces failed: {report.failures[0].reason}")
    say(f"  {report.num_pictures} images, {report.images_per_s:.1f} images/s")
    return plan_batch(job)


def _show_side_by_side(out: Path, exported: "ExportResult", plan: BatchPlan) -> None:

    framing = make_framing(plan.job, exported.card)
    write_grid(out / "grid.png", plan, framing)
    write_batch_gallery(
        plan,
        framing,
        path=out / "gallery.html",
        title="Drawn faces, translated",
        subtitle="One small StarGAN, exported to ONNX and proven equal to PyTorch, gives each "
        "face every hair colour and flips its other attributes.",
    )


def _show(
    out: Path, exported: "ExportResult", seconds: dict[str, float], json_output: bool
) -> None:
    places = {
        "grid": out / "grid.png",
        "gallery": out / "gallery.html",
        "pictures": out / "translated",
        "model": exported.files[0],
    }
    if json_output:
        show_json({**{what: str(path) for what, path in places.items()}, "seconds": seconds})
        return
    for what, path in places.items():
        show(f"{what + ':':<10}{path}")
    parts = ", ".join(f"{part} {time_s:.1f} s" for part, time_s in seconds.items())
    show(f"{'time:':<10}{sum(seconds.values()):.1f} s ({parts})")
