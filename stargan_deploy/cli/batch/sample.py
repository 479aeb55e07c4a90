"""`stargan-deploy sample`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stargan_deploy.cli.batch.options import Backend, Precision
from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.options import Device, DryRun, Json, Quiet, Weights

if TYPE_CHECKING:
    from stargan_deploy.inference.choose import ChosenModel
    from stargan_deploy.inference.sample_folder import SampledFolder
    from stargan_deploy.inference.sampler import SampleRequest

NOT_THE_DEMO = (
    "the demo model translates faces; train a model that makes pictures from noise first, such as "
    "with: stargan-deploy train train/gan.toml --data DIR (MNIST's files)"
)


def sample(
    model: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint, a run's folder, or an exported model.",
            show_default="the newest run's newest checkpoint; without a run, train one first",
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
    backend: Backend = "auto",
    batch_size: Annotated[int, typer.Option(help="Pictures a call of the engine.")] = 16,
    device: Device = None,
    precision: Precision = None,
    weights: Weights = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the pictures of an earlier sampling.")
    ] = False,
    dry_run: DryRun = False,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Makes pictures from noise, with a model that does: gan, dcgan, cgan, progan."""
    from stargan_deploy.devices import parse_device
    from stargan_deploy.inference.choose import RuntimeRequest, resolve_runtime
    from stargan_deploy.inference.find import find_model
    from stargan_deploy.inference.sample_folder import SampledFolder
    from stargan_deploy.inference.sampler import SampleRequest, check_request

    request = SampleRequest(count=count, seed=seed, label=label, interpolate=interpolate)
    found = find_model(model, not_the_demo=NOT_THE_DEMO)
    check_request(found.card, request)
    folder = SampledFolder(path=output, count=count)
    folder.check(overwrite=overwrite)
    runtime = RuntimeRequest(
        backend=backend,
        device=parse_device(device) if device else None,
        precision=precision,
        weights=weights,
        batch_size=batch_size,
        dry_run=dry_run,
    )
    chosen = resolve_runtime(found, runtime, num_images=count)
    if dry_run:
        _check_opens(chosen)
    else:
        _make_pictures(chosen, request, folder)
    if json_output:
        pictures = [str(path) for path in folder.images]
        show_json(
            {"model": str(found.path), "seed": seed, "dry_run": dry_run, "pictures": pictures}
        )
    else:
        show(f"{'would write' if dry_run else 'wrote'} {count} pictures and {folder.grid}")


def _check_opens(chosen: "ChosenModel") -> None:
    """Finds out whether a dry run's model could be opened, unless it is yet to be exported."""
    if chosen.path.is_file():
        chosen.open()


def _make_pictures(
    chosen: "ChosenModel", request: "SampleRequest", folder: "SampledFolder"
) -> None:
    from stargan_deploy.inference.sampler import Sampler

    with chosen.open() as runtime:
        say(f"sampling with {chosen.path.name} ({runtime.backend} on {runtime.device})")
        sampler = Sampler(runtime)
        pixels_NHWC = sampler.sample(request)
    folder.remove_earlier()
    folder.write(pixels_NHWC, sampler.headings(request))
