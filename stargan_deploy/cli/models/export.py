"""`stargan-deploy export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.models.export_options import (
    CalibrationPhotos,
    Checkpoint,
    Format,
    ImageIO,
    MaxBatch,
    MaxSize,
    OptBatch,
    OptimizationLevel,
    Out,
    Overwrite,
    Precision,
    ProofDevice,
    ProofImages,
    Provider,
    Report,
    Stochastic,
)
from stargan_deploy.cli.options import DryRun, Json, Quiet, Weights, settings

if TYPE_CHECKING:
    from stargan_deploy.export.export import ExportResult
    from stargan_deploy.export.plan import ExportOptions, ExportPlan


def export(
    checkpoint: Checkpoint = None,
    format_: Format = "onnx",
    precision: Precision = None,
    out: Out = None,
    io: ImageIO = "uint8",
    stochastic: Stochastic = False,
    weights: Weights = None,
    max_batch: MaxBatch = None,
    max_size: MaxSize = None,
    calibration: CalibrationPhotos = None,
    device: ProofDevice = None,
    images: ProofImages = None,
    report: Report = None,
    provider: Provider = "auto",
    opt_batch: OptBatch = None,
    optimization_level: OptimizationLevel = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Export a checkpoint, and prove the result equal to PyTorch before it appears.

    \b
    --format    --precision         makes
    onnx        fp32 fp16      int8 NAME.onnx, NAME.json
    trt         fp32 fp16           NAME.engine (TensorRT), NAME.engine.json
    openvino    fp32      bf16 int8 NAME.xml, NAME.bin
    pt2         fp32 fp16 bf16      NAME.pt2 (torch.export, AOTInductor)
    triton      fp32 fp16      int8 NAME/ (in a Triton model repository)

    There are no other combinations. INT8 is calibrated on photos. NAME is that of the run or
    checkpoint, followed by -fp16, -bf16 or -int8 where the precision is not fp32. The same export
    is not made twice; any other file of the name stays unless --overwrite is given.
    """  # noqa: D301 - a backspace makes typer keep the line breaks
    from stargan_deploy.backends.exporter import EngineOptions
    from stargan_deploy.export.plan import ExportOptions
    from stargan_deploy.inference.find import find_model_path

    typed = locals()
    options = settings(ExportOptions, typed, format=format_, engine=settings(EngineOptions, typed))
    plan = _plan(find_model_path(checkpoint), out, options)
    _say_what_is_taken(plan)
    if dry_run:
        _show_plan(plan, json_output)
    else:
        _run_export(plan, report, json_output)


def _plan(checkpoint: Path, out: str | None, options: "ExportOptions") -> "ExportPlan":
    from stargan_deploy.backends.registry import format_spec
    from stargan_deploy.export.destination import destination
    from stargan_deploy.export.plan import plan_export

    path = destination(checkpoint, format_spec(options.format), options.precision, out)
    return plan_export(checkpoint, out=path, options=options)


def _run_export(plan: "ExportPlan", report: Path | None, json_output: bool) -> None:
    from stargan_deploy.export.export import run_export

    result = run_export(plan, report=report)
    if json_output:
        show_json({**_facts(plan), **_outcome(plan, result)})
    else:
        _show_result(plan, result)
    if result.was_there:
        _say_what_was_not_done(plan, report)
    elif report is not None:
        say(f"the worst images are in {report}")


def _say_what_was_not_done(plan: "ExportPlan", report: Path | None) -> None:
    """Name options of the proof, which was not repeated."""
    given = {"--images": plan.options.images, "--report": report, "--device": plan.options.device}
    names = [name for name, value in given.items() if value is not None]
    if names and "device" not in plan.card.export:
        main, *_ = plan.files.values()
        say(
            f"not proven again ({', '.join(names)} had no effect); stargan-deploy verify {main} "
            "does, and --overwrite exports anew"
        )


def _say_what_is_taken(plan: "ExportPlan") -> None:
    io = plan.options.io
    images = {"uint8": "uint8 pixels in and out", "float": "float images in [-1, 1]"}[io]
    say(
        f"export: {plan.checkpoint.name}, {plan.card.weights} weights of step {plan.card.step}, "
        f"to {plan.format} at {plan.precision} with {images} (--io {io})"
    )


def _show_plan(plan: "ExportPlan", json_output: bool) -> None:
    if json_output:
        files = [{"path": str(p), "entry_point": name} for name, p in plan.files.items()]
        show_json({**_facts(plan), "dry_run": True, "files": files})
        return
    for name, path in plan.files.items():
        held = plan.existing.replaced.get(path)
        does = (
            "already there:" if plan.existing.same else "would replace" if held else "would write"
        )
        show(f"{does} {path} ({name}){_before(held)}")


def _show_result(plan: "ExportPlan", result: "ExportResult") -> None:
    from stargan_deploy.backends.registry import artefact_bytes
    from stargan_deploy.cli.models.verdicts import show_verdicts

    for name, path in plan.files.items():
        held = plan.existing.replaced.get(path)
        did = "already there:" if result.was_there else "replaced" if held else "wrote"
        show(f"{did} {path} ({name}, {artefact_bytes(path) / 1e6:.1f} MB){_before(held)}")
    for note in result.card.notes:
        show(note)
    show_verdicts(result.verdicts, unverified=result.card.unverified)


def _before(held: str | None) -> str:
    return f", which held: {held}" if held else ""


def _facts(plan: "ExportPlan") -> dict[str, Any]:
    return {
        "checkpoint": str(plan.checkpoint),
        "format": plan.format,
        "precision": plan.precision,
        "io": plan.options.io,
        "weights": plan.card.weights,
        "step": plan.card.step,
    }


def _outcome(plan: "ExportPlan", result: "ExportResult") -> dict[str, Any]:
    from stargan_deploy.backends.registry import artefact_bytes
    from stargan_deploy.config import to_mapping

    files = [
        {"path": str(path), "entry_point": name, "size_bytes": artefact_bytes(path)}
        for name, path in plan.files.items()
    ]
    return {
        "files": files,
        "already_there": result.was_there,
        "replaced": {str(path): held for path, held in plan.existing.replaced.items()},
        "measured_precision": dict(result.card.precision),
        "notes": list(result.card.notes),
        "verdicts": [to_mapping(verdict) for verdict in result.verdicts],
        "unverified": result.card.unverified,
    }
