"""`stargan-deploy export`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.find import find_model
from stargan_deploy.cli.options import Json, Quiet
from stargan_deploy.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from stargan_deploy.exporters.export import ExportPlan, ExportResult

EXPORTS = Path("exports")


def export(
    checkpoint: Annotated[
        Path | None,
        typer.Argument(
            help="Checkpoint, or a run's folder.",
            show_default="the newest run's newest checkpoint, else the demo model",
        ),
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="What to make: onnx.")] = "onnx",
    out: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="File to write, or a folder if it is one or ends in /.",
            show_default="./exports/<name of the run or checkpoint>",
        ),
    ] = None,
    io: Annotated[
        str,
        typer.Option(
            help="Images of the graph: uint8 (RGB pixels, N,H,W,3) or float (N,3,H,W in [-1, 1])."
        ),
    ] = "uint8",
    weights: Annotated[
        str | None,
        typer.Option(help="ema (moving average) or raw.", show_default="ema where there are any"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, say what would be done, stop.")
    ] = False,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Exports a checkpoint, and proves the result equal to PyTorch before it appears."""
    _check_choice("--io", io, ("uint8", "float"))
    _check_choice("--weights", weights, ("ema", "raw"))
    plan = _plan(find_model(checkpoint), out, format_, io, weights)
    _say_what_is_taken(plan)
    if dry_run:
        _show_plan(plan, json_output)
        return
    from stargan_deploy.exporters.export import carry_out

    replaced = {path for path in plan.files.values() if path.exists()}
    result = carry_out(plan)
    if json_output:
        show_json({**_facts(plan), **_outcome(plan, result)})
    else:
        _show_result(plan, result, replaced)


def _plan(
    checkpoint: Path, out: str | None, format_: str, io: str, weights: str | None
) -> "ExportPlan":
    from stargan_deploy.exporters.export import default_name, plan_export
    from stargan_deploy.exporters.formats import load_format

    path = _destination(out, default_name(checkpoint) + load_format(format_).SUFFIX)
    return plan_export(
        checkpoint,
        out=path,
        format=format_,
        io=cast(Literal["uint8", "float"], io),
        weights=cast(Literal["ema", "raw"] | None, weights),
    )


def _destination(out: str | None, name: str) -> Path:
    if out is None:
        return EXPORTS / name
    is_folder = out.endswith(("/", os.sep)) or Path(out).is_dir()
    return Path(out) / name if is_folder else Path(out)


def _check_choice(option: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise UsageError(unknown_name(f"value for {option}:", value, known))


def _say_what_is_taken(plan: "ExportPlan") -> None:
    images = {"uint8": "uint8 pixels in and out", "float": "float images in [-1, 1]"}[plan.io]
    say(
        f"export: {plan.checkpoint.name}, {plan.card.weights} weights of step {plan.card.step}, "
        f"to {plan.format} with {images} (--io {plan.io})"
    )


def _show_plan(plan: "ExportPlan", json_output: bool) -> None:
    if json_output:
        files = [{"path": str(p), "entry_point": name} for name, p in plan.files.items()]
        show_json({**_facts(plan), "dry_run": True, "files": files})
        return
    for name, path in plan.files.items():
        does = "would replace" if path.exists() else "would write"
        show(f"{does} {path} ({name})")


def _show_result(plan: "ExportPlan", result: "ExportResult", replaced: set[Path]) -> None:
    from stargan_deploy.exporters.parity import describe

    for name, path in plan.files.items():
        did = "replaced" if path in replaced else "wrote"
        show(f"{did} {path} ({name}, {path.stat().st_size / 1e6:.1f} MB)")
    for verdict in sorted(result.verdicts, key=lambda v: list(plan.files).index(v.entry_point)):
        where = f"{verdict.entry_point} on {verdict.runtime} ({verdict.device})"
        show(f"proven equal to PyTorch: {where}: {describe(verdict)}")


def _facts(plan: "ExportPlan") -> dict[str, Any]:
    return {
        "checkpoint": str(plan.checkpoint),
        "format": plan.format,
        "io": plan.io,
        "weights": plan.card.weights,
        "step": plan.card.step,
    }


def _outcome(plan: "ExportPlan", result: "ExportResult") -> dict[str, Any]:
    from stargan_deploy.config import to_mapping

    files = [
        {"path": str(path), "entry_point": name, "size_bytes": path.stat().st_size}
        for name, path in plan.files.items()
    ]
    return {"files": files, "verdicts": [to_mapping(verdict) for verdict in result.verdicts]}
