"""`stargan-deploy sample`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stargan_deploy.cli.batch.options import Backend, BatchSize, Precision
from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.options import (
    OUTPUT,
    Device,
    DryRun,
    Json,
    Quiet,
    Weights,
    runtime_request,
    settings,
)

if TYPE_CHECKING:
    from stargan_deploy.inference.choose import ChosenModel
    from stargan_deploy.inference.sample_folder import SampledFolder
    from stargan_deploy.inference.sampler import SampleRequest

NOT_THE_DEMO = (
    "the demo model translates faces; train a model that makes images from noise first, for "
    "example with: stargan-deploy train train/gan.toml --data DIR (MNIST's files)"
)


def sample(
    model: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint, a run's folder, or an exported model.",
            show_default="the newest run's newest checkpoint; without a run, train one first",
        ),
    ] = None,
    count: Annotated[int, typer.Option(help="Number of images.")] = 64,
    seed: Annotated[int, typer.Option(help="Decides the images, on every backend.")] = 0,
    label: Annotated[
        str | None, typer.Option(help="Class of all images.", show_default="all in turn")
    ] = None,
    interpolate: Annotated[
        bool, typer.Option("--interpolate", help="Interpolate from one image to another.")
    ] = False,
    output: Annotated[
        Path, typer.Option(*OUTPUT, help="Folder for the images and grid.png.")
    ] = Path("sampled"),
    backend: Backend = "auto",
    batch_size: BatchSize = 16,
    device: Device = None,
    precision: Precision = None,
    weights: Weights = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the images of an earlier sampling.")
    ] = False,
    dry_run: DryRun = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make images from noise, with a gan, dcgan, cgan or progan model."""
    from stargan_deploy.inference.choose import resolve_runtime
    from stargan_deploy.inference.find import find_model
    from stargan_deploy.inference.sample_folder import SampledFolder
    from stargan_deploy.inference.sampler import SampleRequest, check_request

    typed = locals()
    request = settings(SampleRequest, typed)
    found = find_model(model, not_the_demo=NOT_THE_DEMO)
    check_request(found.card, request)
    folder = SampledFolder(path=output, count=count)
    folder.check(overwrite=overwrite)
    chosen = resolve_runtime(found, runtime_request(typed), num_images=count)
    if dry_run:
        _check_opens(chosen)
    else:
        _write_images(chosen, request, folder)
    if json_output:
        pictures = [str(path) for path in folder.images]
        show_json(
            {"model": str(found.path), "seed": seed, "dry_run": dry_run, "pictures": pictures}
        )
    else:
        show(f"{'would write' if dry_run else 'wrote'} {count} images and {folder.grid}")


def _check_opens(chosen: "ChosenModel") -> None:
    """Check whether a dry run's model could be opened, unless it is yet to be exported."""
    if chosen.path.is_file():
        chosen.open()


def _write_images(chosen: "ChosenModel", request: "SampleRequest", folder: "SampledFolder") -> None:
    from stargan_deploy.inference.sampler import Sampler

    with chosen.open() as runtime:
        say(f"sampling with {chosen.path.name} ({runtime.backend} on {runtime.device})")
        sampler = Sampler(runtime)
        pixels_NHWC = sampler.sample(request)
    folder.remove_earlier()
    folder.write(pixels_NHWC, sampler.headings(request))
