"""The ASGI application: routes, errors and what is around them."""

from pathlib import PurePosixPath
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from stargan_deploy.errors import StarganDeployError
from stargan_deploy.presentation.web import MEDIA_TYPES, page_files
from stargan_deploy.serving.gate import Gate
from stargan_deploy.serving.metrics import CONTENT_TYPE
from stargan_deploy.serving.problems import body_of, headers_of, status_of
from stargan_deploy.serving.protocols import kserve, v1
from stargan_deploy.serving.protocols.openapi import KSERVE_MODELS, describe, docs_page
from stargan_deploy.serving.service import Service

EXPOSED = ("Stargan-Tiles", "Stargan-Source", "Stargan-Already", "Retry-After")
"""Headers of answers that pages of other origins may read."""

ROUTES = (
    Route("/v1/translate", v1.translate_photos, methods=["POST"]),
    Route("/v1/classify", v1.classify_photos, methods=["POST"]),
    Route("/v1/sample", v1.sample_images, methods=["POST"]),
    Route("/v1/models", v1.list_models, methods=["GET"]),
    Route("/v1/models/{name}", v1.put_model, methods=["PUT"]),
    Route("/v1/models/{name}", v1.delete_model, methods=["DELETE"]),
)


DOCS_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""What the page at /docs may use: its own style sheet, and nothing else."""

KSERVE_ROUTES = (
    Route("/v2", kserve.server_metadata, methods=["GET"]),
    Route("/v2/health/live", kserve.live, methods=["GET"]),
    Route("/v2/health/ready", kserve.ready, methods=["GET"]),
    Route("/v2/repository/index", kserve.repository_index, methods=["POST"]),
    *(Route(path, kserve.model_metadata, methods=["GET"]) for path in KSERVE_MODELS),
    *(Route(f"{path}/ready", kserve.model_ready, methods=["GET"]) for path in KSERVE_MODELS),
    *(Route(f"{path}/infer", kserve.infer, methods=["POST"]) for path in KSERVE_MODELS),
)


def create_app(service: Service) -> ASGIApp:
    """The application of a service, whose models are open."""
    app = Starlette(
        routes=[*ROUTES, *KSERVE_ROUTES, *own_routes()],
        exception_handlers={
            StarganDeployError: _answer_error,
            HTTPException: _answer_http_error,
            Exception: _answer_bug,
        },
        middleware=_cors(service.options.cors_origins),
    )
    app.state.service = service
    return Gate(
        app,
        api_key=service.options.api_key,
        origins=service.options.cors_origins,
        on_answer=service.metrics.count,
    )


def own_routes() -> list[Route]:
    """The routes about the service itself."""
    return [
        Route("/healthz", _live, methods=["GET"]),
        Route("/readyz", _ready, methods=["GET"]),
        Route("/metrics", _metrics, methods=["GET"]),
        Route("/openapi.json", _openapi, methods=["GET"]),
        Route("/docs", _docs, methods=["GET"]),
        Route("/", _page, methods=["GET"]),
        *(Route(f"/{name}", _page, methods=["GET"]) for name in page_files()),
    ]


def _cors(origins: tuple[str, ...]) -> list[Middleware]:
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "X-API-Key", "Content-Type"],
            expose_headers=list(EXPOSED),
        )
    ]


async def _page(request: Request) -> Response:
    """The page, or one of its files."""
    name = request.url.path.removeprefix("/") or "index.html"
    media_type = MEDIA_TYPES[PurePosixPath(name).suffix]
    return Response(
        page_files()[name], headers={"Content-Type": media_type, "Cache-Control": "no-cache"}
    )


async def _live(_request: Request) -> Response:
    return JSONResponse({"status": "alive"})


async def _ready(request: Request) -> Response:
    is_ready = request.app.state.service.is_ready
    return JSONResponse(
        {"status": "ready" if is_ready else "not ready"}, status_code=200 if is_ready else 503
    )


async def _metrics(request: Request) -> Response:
    return Response(request.app.state.service.metrics.text(), media_type=CONTENT_TYPE)


async def _openapi(_request: Request) -> Response:
    return JSONResponse(describe())


async def _docs(_request: Request) -> Response:
    return HTMLResponse(docs_page(), headers={"Content-Security-Policy": DOCS_POLICY})


async def _answer_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, StarganDeployError)
    return JSONResponse(body_of(error), status_of(error), headers_of(error))


async def _answer_http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers: dict[str, Any] = dict(error.headers or {})
    return JSONResponse({"error": error.detail}, error.status_code, headers)


async def _answer_bug(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"error": "an error of the service itself; see its log"}, 500)
