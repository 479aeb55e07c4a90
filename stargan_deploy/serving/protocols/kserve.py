"""KServe's protocol (V2), which Triton speaks too: `tritonclient.http` works as it is.

A served model is one of the protocol's by its own name, for the entry point that makes images, and
by `NAME.ENTRY_POINT` for each of its entry points.
"""

import asyncio
import zlib
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.errors import UsageError
from stargan_deploy.serving.batching.ticket import Ticket
from stargan_deploy.serving.limits import Limits
from stargan_deploy.serving.models import Models
from stargan_deploy.serving.problems import NotFoundError, TooLargeError
from stargan_deploy.serving.protocols.bodies import Receiver, too_large
from stargan_deploy.serving.protocols.tensors import (
    LENGTH_HEADER,
    InferRequest,
    describe_tensor,
    encode_infer,
    parse_infer,
)
from stargan_deploy.serving.service import service_of, wanted
from stargan_deploy.version import __version__

VERSION = "1"
"""The only version of a model."""

INLINE_BYTES = 1 << 16
"""Bodies up to this size are taken apart at once, larger ones in a thread."""

WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""Compressions of requests."""


async def server_metadata(_request: Request) -> Response:
    """`GET /v2`."""
    extensions = ["binary_tensor_data"]
    return JSONResponse(
        {"name": "stargan-deploy", "version": __version__, "extensions": extensions}
    )


async def live(_request: Request) -> Response:
    """`GET /v2/health/live`."""
    return JSONResponse({"live": True})


async def ready(request: Request) -> Response:
    """`GET /v2/health/ready`."""
    is_ready = service_of(request).is_ready
    return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)


async def model_ready(request: Request) -> Response:
    """`GET /v2/models/NAME/ready`."""
    name, _ = _find(request)
    return JSONResponse({"name": name, "ready": True})


async def model_metadata(request: Request) -> Response:
    """`GET /v2/models/NAME`."""
    service = service_of(request)
    name, entry_point = _find(request)
    model = service.models.find(name)
    point = model.card.entry_points[entry_point]
    return JSONResponse(
        {
            "name": request.path_params["name"],
            "versions": [VERSION],
            "platform": f"stargan-deploy_{model.batcher.runtime.backend}",
            "inputs": [describe_tensor(spec) for spec in point.inputs],
            "outputs": [describe_tensor(spec) for spec in point.outputs],
        }
    )


async def repository_index(request: Request) -> Response:
    """`POST /v2/repository/index`."""
    return JSONResponse(
        [
            {"name": name, "version": VERSION, "state": "READY", "reason": ""}
            for model in service_of(request).models
            for name in (model.name, *(f"{model.name}.{e}" for e in model.card.entry_points))
        ]
    )


async def infer(request: Request) -> Response:
    """`POST /v2/models/NAME/infer`."""
    service = service_of(request)
    ticket = Ticket(service.limits.timeout_s)
    async with service.receiving(request, ticket) as receiver:
        name, entry_point = _find(request)
        with service.metrics.stage("receive"):
            body = await _body(receiver, service.limits)
        with service.models.lease(name) as model:
            point = model.card.entry_point(entry_point)
            header_length = request.headers.get(LENGTH_HEADER)
            with service.metrics.stage("decode"):
                asked = await _apart(parse_infer, body, header_length, point, size=len(body))
            _check_rows(request, service.limits, asked, point)
            ticket.shorten(asked.timeout_s)
            with (
                service.place(),
                service.metrics.stage("model"),
                model.batcher.coming() as arrived,
            ):
                future = model.batcher.submit(entry_point, asked.inputs, ticket)
                arrived()
                results = await wanted(asyncio.wrap_future(future), request, ticket)
    size = 0 if all(asked.outputs.values()) else sum(r.nbytes for r in results.values())
    with service.metrics.stage("encode"):
        called = request.path_params["name"]
        content, length = await _apart(encode_infer, called, asked, results, point, size=size)
    return _answered(content, length)


def main_entry_point(card: ModelCard) -> str:
    """The entry point that a model's own name means: the first that makes images, by name."""
    names = sorted(card.entry_points)
    making = [name for name in names if card.entry_points[name].makes_images]
    usual = [name for name in making if name in ("translate", "sample")]
    return (usual or making or names)[0]


def _find(request: Request) -> tuple[str, str]:
    """The served model and the entry point that a path means.

    Raises:
        NotFoundError: there is none, or no such version of it.
    """
    models, wanted_name = service_of(request).models, request.path_params["name"]
    version = request.path_params.get("version", VERSION)
    if version != VERSION:
        raise NotFoundError(f"model {wanted_name!r} has the version {VERSION} only")
    return _entry_point(models, wanted_name)


def _entry_point(models: Models, wanted_name: str) -> tuple[str, str]:
    for model in models:
        if model.name == wanted_name:
            return model.name, main_entry_point(model.card)
    for model in models:
        name, _, entry_point = wanted_name.rpartition(".")
        if model.name == name and entry_point in model.card.entry_points:
            return name, entry_point
    models.find(wanted_name)  # raises, and names those that there are
    raise AssertionError(wanted_name)


async def _body(receiver: Receiver, limits: Limits) -> bytes:
    """The body, expanded where it is compressed."""
    body = await receiver.whole()
    encoding = receiver.request.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in WINDOW_BITS:
        raise UsageError(f"the body is compressed as {encoding[:20]!r}", hint="use gzip or deflate")
    return await asyncio.to_thread(expand, body, encoding, limits)


def expand(body: bytes, encoding: str, limits: Limits) -> bytes:
    """A compressed body as it was, within the limit of bodies.

    Raises:
        TooLargeError: it is larger than the limit.
        UsageError: it is damaged.
    """
    expander = zlib.decompressobj(WINDOW_BITS[encoding])
    try:
        found = expander.decompress(body, limits.max_body_bytes + 1)
    except zlib.error as error:
        raise UsageError(f"the body is not {encoding}: {error}") from error
    if len(found) > limits.max_body_bytes:
        raise too_large(limits)
    if not expander.eof:
        raise UsageError(f"the body is not {encoding}: it is cut")
    return found


async def _apart(work: Any, *args: Any, size: int) -> Any:
    """Do something that takes long for large bodies without keeping other requests waiting."""
    return work(*args) if size <= INLINE_BYTES else await asyncio.to_thread(work, *args)


def _check_rows(request: Request, limits: Limits, asked: InferRequest, point: EntryPoint) -> None:
    for spec in (spec for spec in point.inputs_of("image") if spec.name in asked.inputs):
        height_and_width = (spec.layout.index(letter) for letter in "HW")
        limits.check_size(max(asked.inputs[spec.name].shape[place] for place in height_and_width))
    num_rows = max((len(a) for a in asked.inputs.values() if a.ndim), default=0)
    if num_rows > limits.max_results:
        raise TooLargeError(f"{num_rows} rows are too many; at most {limits.max_results}")
    request.scope["num_images"] = num_rows


def _answered(content: bytes, length: int | None) -> Response:
    if length is None:
        return Response(content, media_type="application/json")
    headers = {LENGTH_HEADER: str(length)}
    return Response(content, media_type="application/octet-stream", headers=headers)
