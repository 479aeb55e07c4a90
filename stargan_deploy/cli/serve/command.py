"""`stargan-deploy serve`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from stargan_deploy.cli.options import BACKENDS, Fields, Quiet
from stargan_deploy.errors import BackendError
from stargan_deploy.inference.choose import RuntimeRequest

try:
    from stargan_deploy.serving.limits import Limits
    from stargan_deploy.serving.models import Batching
    from stargan_deploy.serving.server import Address
    from stargan_deploy.serving.server import serve as run_service
    from stargan_deploy.serving.service import ServiceOptions
except ModuleNotFoundError as error:
    raise BackendError(
        f"the service needs {error.name}",
        hint="install it with: pip install 'stargan-deploy[serve]'",
    ) from error

ENVIRONMENT = "STARGAN_DEPLOY_"
"""Beginning of the names of environment variables that set options."""

API_KEY = f"{ENVIRONMENT}API_KEY"

MODELS, LIMITS = "Models", "Limits, also from environment variables"

Models = Annotated[
    list[Path] | None,
    typer.Option(
        help="Checkpoint, a run's folder, or an exported model; may be given several times. The "
        "first answers requests that name none.",
        show_default="the newest run's newest checkpoint, else the demo model",
        rich_help_panel=MODELS,
    ),
]
ModelDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help=f"Folder of models that clients with the key in {API_KEY} may load.",
        show_default="none",
        rich_help_panel=MODELS,
    ),
]
CorsOrigin = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ORIGIN",
        help="Origin whose pages may use the service; may be given several times.",
        show_default="none",
        envvar=f"{ENVIRONMENT}CORS_ORIGIN",
        rich_help_panel=LIMITS,
    ),
]


def serve(
    model: Models = None,
    model_dir: ModelDir = None,
    *,
    address: Annotated[Address, Fields()],
    runtime: Annotated[
        RuntimeRequest,
        Fields(panel=MODELS, without=("batch_size", "earlier", "size", "dry_run"), notes=BACKENDS),
    ],
    batching: Annotated[Batching, Fields(panel="Batches")],
    limits: Annotated[Limits, Fields(panel=LIMITS, env=ENVIRONMENT)],
    cors_origin: CorsOrigin = None,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Serve models over HTTP: the requests of all clients share batches.

    POST /v1/translate takes a photo and answers with the result; /docs describes everything.
    SIGTERM and Ctrl-C finish the requests that were taken.
    """
    options = ServiceOptions(
        models=tuple(model or [None]),
        runtime=runtime,
        batching=batching,
        limits=limits,
        model_dir=model_dir,
        api_key=os.environ.get(API_KEY, ""),
        cors_origins=tuple(cors_origin or ()),
    )
    run_service(options, address)
