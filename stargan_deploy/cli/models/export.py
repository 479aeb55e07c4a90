"""`stargan-deploy export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stargan_deploy.backends.registry import artefact_bytes, format_spec
from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.guidance.next_steps import say_next, say_use
from stargan_deploy.cli.models.verdicts import show_verdicts
from stargan_deploy.cli.options import OUT, DryRun, Fields, Json, Quiet
from stargan_deploy.config import to_mapping
from stargan_deploy.export.destination import destination
from stargan_deploy.export.options import ExportOptions
from stargan_deploy.inference.find import find_model_path

if TYPE_CHECKING:
    from stargan_deploy.export.export import ExportResult
    from stargan_deploy.export.plan import ExportPlan

PROOF = "Proof"
SEE_ABOVE = dict.fromkeys(("format", "precision"), "See above.")

Checkpoint = Annotated[
    Path | None,
    typer.Argument(
        help="Checkpoint, or a run's folder.",
        show_default="the newest run's newest checkpoint, else the demo model",
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        *OUT,
        metavar="PATH",
        help="File to write, or a folder if it exists or ends in /; for triton, the model "
        "repository.",
        show_default="./exports/NAME, of the run or checkpoint",
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder for the worst image next to its amplified difference.",
        rich_help_panel=PROOF,
    ),
]


def export(
    checkpoint: Checkpoint = None,
    out: Out = None,
    *,
    options: Annotated[
        ExportOptions,
        Fields(panels={"device": PROOF, "images": PROOF, "engine": "TensorRT"}, notes=SEE_ABOVE),
    ],
    report: Report = None,
    dry_run: DryRun = False,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
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
    plan = _plan(find_model_path(checkpoint), out, options)
    _say_what_is_taken(plan)
    if dry_run:
        _show_plan(plan, json_output)
    else:
        _run_export(plan, report, json_output)


def _plan(checkpoint: Path, out: str | None, options: ExportOptions) -> "ExportPlan":
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
    main, *_ = plan.files.values()
    if result.card.unverified:
        say_next("verify", main)
    elif main.is_file():
        say_use(main, result.card)


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
