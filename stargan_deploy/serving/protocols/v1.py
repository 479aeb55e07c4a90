"""Requests under /v1: photos in, pictures or JSON out."""

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stargan_deploy.card.card import SAMPLE as SAMPLE_POINT
from stargan_deploy.card.card import ModelCard
from stargan_deploy.errors import UsageError
from stargan_deploy.serving.batching.ticket import Ticket
from stargan_deploy.serving.negotiation import split_accept
from stargan_deploy.serving.photos import ZIP, Upload, zipped
from stargan_deploy.serving.problems import ForbiddenError
from stargan_deploy.serving.protocols.bodies import Receiver, words_of
from stargan_deploy.serving.protocols.fields import (
    CLASSIFY,
    SAMPLE,
    TRANSLATE,
    Field,
    Words,
    check_fields,
    chosen_face,
    image_options,
    sample_request,
    translation_job,
)
from stargan_deploy.serving.service import Service, service_of
from stargan_deploy.serving.work import Answer, Reading, classify, sample, translate

FORM = "multipart/form-data"

MODEL_NAME = r"[\w.-]{1,100}"
"""Names that are safe in addresses, logs and files."""


@dataclass(frozen=True, kw_only=True)
class Received:
    """A request that was received whole."""

    uploads: tuple[Upload, ...]
    words: Words

    @property
    def model(self) -> str | None:
        """The model that is asked for."""
        return self.words["model"][0] if "model" in self.words else None


async def translate_photos(request: Request) -> Response:
    """`POST /v1/translate`."""
    service = service_of(request)
    ticket = Ticket(service.limits.timeout_s)
    async with service.receiving(request, ticket) as receiver:
        received = await _receive(service, receiver, TRANSLATE)
        with service.models.lease(received.model) as model:
            job = translation_job(model.card, received.words)
            only = chosen_face(received.words)
            num = len(received.uploads)
            service.limits.check_size(job.options.size)
            num_made = num * len(job.targets) * len(job.options.strengths)
            _check_images(request, service, num, num_made)
            accept, as_zip = split_accept(request.headers.get("accept", ""))
            answer = await service.work(
                request,
                ticket,
                model,
                lambda place: translate(place, received.uploads, job, accept, only),
            )
    return _answered(answer, as_zip=as_zip)


async def classify_photos(request: Request) -> Response:
    """`POST /v1/classify`."""
    service = service_of(request)
    ticket = Ticket(service.limits.timeout_s)
    async with service.receiving(request, ticket) as receiver:
        received = await _receive(service, receiver, CLASSIFY)
        with service.models.lease(received.model) as model:
            num = len(received.uploads)
            _check_images(request, service, num, num)
            options = image_options(received.words)
            service.limits.check_size(options.size)
            found = await service.work(
                request,
                ticket,
                model,
                lambda place: classify(place, received.uploads, options),
            )
            name = model.name
    images = [{"faces": [_reading(reading) for reading in readings]} for readings in found]
    return JSONResponse({"model": name, "images": images})


async def sample_images(request: Request) -> Response:
    """`POST /v1/sample`."""
    service = service_of(request)
    ticket = Ticket(service.limits.timeout_s)
    async with service.receiving(request, ticket) as receiver:
        words = await _receive_words(receiver, SAMPLE)
        wanted = sample_request(words)
        _check_images(request, service, 0, wanted.count)
        with service.models.lease(words["model"][0] if "model" in words else None) as model:
            if SAMPLE_POINT not in model.card.entry_points:
                raise UsageError(
                    f"the model {model.name!r} makes no images from noise",
                    hint="POST /v1/translate translates photos",
                )
            accept, as_zip = split_accept(request.headers.get("accept", ""))
            answer = await service.work(
                request, ticket, model, lambda place: sample(place, wanted, accept)
            )
    return _answered(answer, as_zip=as_zip)


async def list_models(request: Request) -> Response:
    """`GET /v1/models`."""
    service = service_of(request)
    models = [{"name": model.name, "card": card_of(model.card)} for model in service.models]
    return JSONResponse({"models": models})


async def put_model(request: Request) -> Response:
    """`PUT /v1/models/NAME`."""
    service = service_of(request)
    ticket = Ticket(service.limits.timeout_s)
    _refuse_without_key(service)
    async with service.receiving(request, ticket) as receiver:
        file = _file_in(await receiver.whole())
    name = request.path_params["name"]
    if not re.fullmatch(MODEL_NAME, name):
        raise UsageError(f"{name[:40]!r} is not a name for a model")
    model = await asyncio.to_thread(service.models.put, name, file)
    return JSONResponse({"name": model.name, "card": card_of(model.card)})


async def delete_model(request: Request) -> Response:
    """`DELETE /v1/models/NAME`."""
    service = service_of(request)
    _refuse_without_key(service)
    service.models.remove(request.path_params["name"])
    return Response(status_code=204)


def card_of(card: ModelCard) -> Any:
    """A card as JSON."""
    return json.loads(card.to_json())


def _reading(reading: Reading) -> dict[str, Any]:
    box = {} if reading.box is None else {"box": [round(side, 1) for side in reading.box]}
    return {"labels": reading.labels, **box}


def _check_images(request: Request, service: Service, num_images: int, num_results: int) -> None:
    service.limits.check_images(num_images, num_results)
    request.scope["num_images"] = num_results


def _refuse_without_key(service: Service) -> None:
    """Changes of the models are for those who have the key, which was checked before."""
    if not service.options.api_key:
        raise ForbiddenError(
            "models are changed with an API key only",
            hint="start the service with the environment variable STARGAN_DEPLOY_API_KEY",
        )


def _file_in(body: bytes) -> str | None:
    """The file that a request to load a model names, if any."""
    if not body.strip():
        return None
    found = _json_object(body)
    file = found.get("file")
    if set(found) - {"file"} or not isinstance(file, str):
        raise UsageError('the body must be {"file": "its name in the folder of models"}, or empty')
    return file


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UsageError("the body is not a JSON object")
    return found


async def _receive(service: Service, receiver: Receiver, fields: Sequence[Field]) -> Received:
    """Photos and words of a request."""
    request = receiver.request
    items = request.query_params.multi_items()
    with service.metrics.stage("receive"):
        if _content_type(request) == FORM:
            form = await receiver.form()
            contents, words = form.files, words_of([*items, *form.words])
        else:
            contents, words = (await receiver.whole(),), words_of(items)
    check_fields(words, fields)
    if not any(contents):
        raise UsageError(
            "there is no photo",
            hint="send it as the body, or as a form with the field 'image'",
        )
    uploads = tuple(Upload(content=c, number=n) for n, c in enumerate(contents, 1))
    return Received(uploads=uploads, words=words)


async def _receive_words(receiver: Receiver, fields: Sequence[Field]) -> Words:
    """The words of a request without photos: in its address, a form or a JSON object."""
    request = receiver.request
    items = request.query_params.multi_items()
    if _content_type(request) == FORM:
        items += (await receiver.form()).words
    elif body := await receiver.whole():
        found = _json_object(body)
        items += [(n, v if isinstance(v, str) else json.dumps(v)) for n, v in found.items()]
    words = words_of(items)
    check_fields(words, fields)
    return words


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _answered(answer: Answer, *, as_zip: bool) -> Response:
    headers = {f"Stargan-{n.title()}": quote(v, safe=" ,;:+-") for n, v in answer.notes.items()}
    if as_zip or len(answer.pictures) != 1:
        return Response(zipped(answer.pictures), media_type=ZIP, headers=headers)
    (picture,) = answer.pictures
    return Response(picture.content, media_type=picture.media_type, headers=headers)
