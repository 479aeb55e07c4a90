"""`stargan-deploy serve`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from stargan_deploy.cli.batch.options import Backend, Precision
from stargan_deploy.cli.options import Device, Quiet, Weights, runtime_request, settings
from stargan_deploy.errors import BackendError

LIMITS, MODELS, BATCHING = "Limits", "Models", "Batching"

API_KEY = "STARGAN_DEPLOY_API_KEY"

INSTALL = "install them with: pip install 'stargan-deploy[serve]'"


def _limit(help_text: str, name: str) -> Any:
    return typer.Option(
        help=help_text, envvar=f"STARGAN_DEPLOY_{name}", rich_help_panel=LIMITS, min=1
    )


def serve(
    model: Annotated[
        list[Path] | None,
        typer.Option(
            help="Checkpoint, a run's folder, or an exported model; may be given several times. "
            "The first is used where a request names none.",
            show_default="the newest run's newest checkpoint, else the demo model",
            rich_help_panel=MODELS,
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    backend: Backend = "auto",
    device: Device = None,
    precision: Precision = None,
    weights: Weights = None,
    model_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help=f"Models that clients with the API key ({API_KEY}) may load and remove.",
            show_default="none",
            rich_help_panel=MODELS,
        ),
    ] = None,
    max_batch: Annotated[
        int, typer.Option(help="Most images of a call to the model.", rich_help_panel=BATCHING)
    ] = 16,
    max_wait_ms: Annotated[
        float,
        typer.Option(
            help="How long a batch that is not full waits for requests on their way.",
            rich_help_panel=BATCHING,
        ),
    ] = 5.0,
    fixed_batch: Annotated[
        bool,
        typer.Option(
            "--fixed-batch",
            help="Fill up every call to --max-batch, so that an image never depends on what came "
            "with it: the same pixels as batch, with OpenVINO too.",
            rich_help_panel=BATCHING,
        ),
    ] = False,
    queue: Annotated[
        int, _limit("Requests that may wait; further ones are answered 429.", "QUEUE")
    ] = 256,
    max_body_mib: Annotated[int, _limit("Largest request in MiB.", "MAX_BODY_MIB")] = 32,
    max_megapixels: Annotated[
        int, _limit("Largest photo in millions of pixels.", "MAX_MEGAPIXELS")
    ] = 64,
    max_images: Annotated[int, _limit("Most photos in a request.", "MAX_IMAGES")] = 16,
    max_results: Annotated[int, _limit("Most images that a request makes.", "MAX_RESULTS")] = 64,
    timeout_s: Annotated[
        int, _limit("Longest time for a request in seconds, with its upload.", "TIMEOUT_S")
    ] = 30,
    max_held_mib: Annotated[
        int, _limit("Memory for the bodies of all requests in MiB.", "MAX_HELD_MIB")
    ] = 1024,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Origin whose pages may use the service from a browser; may be given several "
            "times.",
            show_default="none",
            envvar="STARGAN_DEPLOY_CORS_ORIGIN",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Serve models over HTTP: requests of many clients share batches.

    POST /v1/translate takes a photo and answers with the result; /docs describes everything.
    Install it with: pip install 'stargan-deploy[serve]'.
    """
    typed = locals()
    try:
        from stargan_deploy.serving import server
    except ModuleNotFoundError as error:
        raise BackendError(f"the service needs {error.name}", hint=INSTALL) from error
    server.serve(_options(typed), settings(server.Address, typed))


def _options(typed: Mapping[str, Any]) -> Any:
    from stargan_deploy.serving.limits import Limits
    from stargan_deploy.serving.models import Batching
    from stargan_deploy.serving.service import ServiceOptions

    batch_size = typed["max_batch"] if typed["fixed_batch"] else None
    return ServiceOptions(
        models=tuple(typed["model"] or [None]),
        runtime=runtime_request({**typed, "batch_size": batch_size}),
        batching=settings(Batching, typed, fixed=typed["fixed_batch"]),
        limits=settings(Limits, typed),
        model_dir=typed["model_dir"],
        api_key=os.environ.get(API_KEY, ""),
        cors_origins=tuple(typed["cors_origin"] or ()),
    )
