"""`stargan-deploy sample`."""

from pathlib import Path
from typing import Annotated

import typer

from stargan_deploy.card.tensors import ROWS_PER_CALL
from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.guidance.next_steps import say_next
from stargan_deploy.cli.options import BACKENDS, OUTPUT, BatchSize, DryRun, Fields, Json, Quiet
from stargan_deploy.inference.choose import ChosenModel, RuntimeRequest, resolve_runtime
from stargan_deploy.inference.find import find_model
from stargan_deploy.inference.sample_folder import SampledFolder
from stargan_deploy.inference.sampler import Sampler, SampleRequest, check_request

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
    *,
    request: Annotated[SampleRequest, Fields()],
    output: Annotated[
        Path, typer.Option(*OUTPUT, help="Folder for the images and grid.png.")
    ] = Path("sampled"),
    runtime: Annotated[RuntimeRequest, Fields(without=("earlier", "size"), notes=BACKENDS)],
    batch_size: BatchSize = ROWS_PER_CALL,  # noqa: ARG001 - a field of the runtime's
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the images of an earlier sampling.")
    ] = False,
    dry_run: DryRun = False,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Make images from noise, with a gan, dcgan, cgan or progan model."""
    found = find_model(model, not_the_demo=NOT_THE_DEMO)
    check_request(found.card, request)
    folder = SampledFolder(path=output, count=count)
    folder.check(overwrite=overwrite)
    chosen = resolve_runtime(found, runtime, num_images=count)
    if dry_run:
        _check_opens(chosen)
    else:
        _write_images(chosen, request, folder)
    if json_output:
        pictures = [str(path) for path in folder.images]
        show_json(
            {
                "model": str(found.path),
                "seed": request.seed,
                "dry_run": dry_run,
                "pictures": pictures,
            }
        )
    else:
        show(f"{'would write' if dry_run else 'wrote'} {count} images and {folder.grid}")
    if found.is_checkpoint and not dry_run:
        say_next("export", found.path)


def _check_opens(chosen: ChosenModel) -> None:
    """Check whether a dry run's model could be opened, unless it is yet to be exported."""
    if chosen.path.is_file():
        chosen.open()


def _write_images(chosen: ChosenModel, request: SampleRequest, folder: SampledFolder) -> None:
    with chosen.open() as runtime:
        say(f"sampling with {chosen.path.name} ({runtime.backend} on {runtime.device})")
        sampler = Sampler(runtime)
        pixels_NHWC = sampler.sample(request)
    folder.remove_earlier()
    folder.write(pixels_NHWC, sampler.headings(request))
