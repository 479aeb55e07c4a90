"""`stargan-deploy sample`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stargan_deploy.cli.batch.options import Backend, Precision
from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.find import find_model
from stargan_deploy.cli.options import Device, DryRun, Json, Quiet, Weights
from stargan_deploy.cli.runtime_choice import Wish, settle_engine

if TYPE_CHECKING:
    from stargan_deploy.batch.session import RuntimeSpec
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
    from stargan_deploy.backends.registry import read_card_of
    from stargan_deploy.inference.sample_folder import SampledFolder
    from stargan_deploy.inference.sampler import SampleRequest, check_request

    request = SampleRequest(count=count, seed=seed, label=label, interpolate=interpolate)
    chosen = find_model(model, not_the_demo=NOT_THE_DEMO)
    check_request(read_card_of(chosen), request)
    folder = SampledFolder(path=output, count=count)
    folder.check(overwrite=overwrite)
    wish = Wish(
        backend=backend, device=device, weights=weights, precision=precision, dry_run=dry_run
    )
    spec = settle_engine(chosen, wish, num_pictures=count, batch_size=batch_size)
    if dry_run:
        _check_engine(spec)
    else:
        _make_pictures(spec, request, folder)
    if json_output:
        pictures = [str(path) for path in folder.pictures]
        show_json({"model": str(chosen), "seed": seed, "dry_run": dry_run, "pictures": pictures})
    else:
        show(f"{'would write' if dry_run else 'wrote'} {count} pictures and {folder.grid}")


def _check_engine(spec: "RuntimeSpec") -> None:
    """Finds out whether a dry run's engine could be opened, unless it is yet to be made."""
    from stargan_deploy.batch.session import make_runtime

    if spec.path.is_file():
        make_runtime(spec)


def _make_pictures(spec: "RuntimeSpec", request: "SampleRequest", folder: "SampledFolder") -> None:
    from stargan_deploy.batch.session import make_runtime
    from stargan_deploy.inference.sampler import Sampler

    with make_runtime(spec) as runtime:
        say(f"sampling with {spec.path.name} ({runtime.backend} on {runtime.device})")
        sampler = Sampler(runtime)
        pixels_NHWC = sampler.sample(request)
    folder.remove_earlier()
    folder.write(pixels_NHWC, sampler.headings(request))
