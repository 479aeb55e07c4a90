"""`stargan-deploy sample`."""

from pathlib import Path
from typing import Annotated

import typer

from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.find import find_model
from stargan_deploy.cli.options import Device, DryRun, Json, Quiet, Weights


def sample(
    model: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint, a run's folder, or an exported model.",
            show_default="the newest run's newest checkpoint",
        ),
    ] = None,
    count: Annotated[int, typer.Option(help="Number of pictures.")] = 64,
    seed: Annotated[int, typer.Option(help="Decides the pictures, on every runtime.")] = 0,
    label: Annotated[
        str | None, typer.Option(help="Class of all pictures.", show_default="all in turn")
    ] = None,
    interpolate: Annotated[
        bool, typer.Option("--interpolate", help="Lead from one picture to another.")
    ] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the pictures and grid.png.")
    ] = Path("sampled"),
    backend: Annotated[
        str, typer.Option(help="auto (what the file is made for), eager, compile, onnx, ...")
    ] = "auto",
    batch_size: Annotated[int, typer.Option(help="Pictures a call of the engine.")] = 16,
    device: Device = None,
    weights: Weights = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the pictures of an earlier sampling.")
    ] = False,
    dry_run: DryRun = False,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Makes pictures from noise, with a model that does: gan, dcgan, cgan, progan."""
    from stargan_deploy.runtimes.choose import open_runtime, read_card_of
    from stargan_deploy.translation.sampled import SampledFolder
    from stargan_deploy.translation.sampler import Sampler, SampleRequest, check_request

    request = SampleRequest(count=count, seed=seed, label=label, interpolate=interpolate)
    chosen = find_model(model)
    check_request(read_card_of(chosen), request)
    folder = SampledFolder(path=output, count=count)
    folder.check(overwrite=overwrite)
    runtime = open_runtime(
        chosen, backend=backend, device=device, batch_size=batch_size, weights=weights
    )
    sampler = Sampler(runtime)
    if not dry_run:
        with runtime:
            say(f"sampling with {chosen.name} ({runtime.backend} on {runtime.device})")
            pixels_NHWC = sampler.sample(request)
        folder.remove_earlier()
        folder.write(pixels_NHWC, sampler.headings(request))
    if json_output:
        pictures = [str(path) for path in folder.pictures]
        show_json({"model": str(chosen), "seed": seed, "dry_run": dry_run, "pictures": pictures})
    else:
        show(f"{'would write' if dry_run else 'wrote'} {count} pictures and {folder.grid}")
