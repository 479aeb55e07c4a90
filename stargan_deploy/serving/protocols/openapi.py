"""The description of the service in OpenAPI 3.1, and a page that shows it without any script."""

from collections.abc import Sequence
from functools import cache
from http import HTTPStatus
from typing import Any

from stargan_deploy.serving.photos import MEDIA_TYPES, ZIP
from stargan_deploy.serving.protocols.fields import CLASSIFY, SAMPLE, TRANSLATE, Field
from stargan_deploy.version import __version__

PHOTO_TYPES = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")

SENDING = (400, 401, 408, 413, 429, 500, 503, 504)
"""Statuses of errors that every request with a body can have."""

KSERVE_MODELS = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
"""Paths of a model in KServe's protocol."""

OF_PHOTOS = (404, 406, 415, 422)


@cache
def describe() -> dict[str, Any]:
    """The OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "stargan-deploy",
            "version": __version__,
            "description": "Translates photos to other attributes or domains. Results are marked "
            "as edited by AI. Nothing that is sent is stored.",
        },
        "paths": {**_photo_paths(), **_model_paths(), **_kserve_paths(), **_health_paths()},
        "components": {
            "schemas": {"Error": _ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


@cache
def docs_page() -> str:
    """The page at /docs."""
    from stargan_deploy.presentation.page import render

    operations = [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in describe()["paths"].items()
        for method, operation in methods.items()
    ]
    return render("service.html", info=describe()["info"], operations=operations)


_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {"type": "string", "description": "What is wrong, and where."},
        "hint": {"type": "string", "description": "What to do about it."},
    },
}

_CARD = {"type": "object", "description": "The model card."}

_MODEL = {
    "type": "object",
    "required": ["name", "card"],
    "properties": {"name": {"type": "string"}, "card": _CARD},
}

_LABELS = {
    "type": "object",
    "description": "Each attribute or domain, and whether the face has it.",
    "additionalProperties": {"type": "boolean"},
}


def _photo_paths() -> dict[str, Any]:
    pictures = {name: {"schema": _binary()} for name in (*MEDIA_TYPES, ZIP)}
    box = {
        "type": "array",
        "items": {"type": "number"},
        "description": "Left, top, right and bottom of the face in the photo, with `faces`.",
    }
    faces = _array_of({**_object(labels=_LABELS, box=box), "required": ["labels"]})
    readings = _object(model={"type": "string"}, images=_array_of(_object(faces=faces)))
    return {
        "/v1/translate": {
            "post": _operation(
                "Translate photos. One result is a picture, in the format that `Accept` prefers or "
                "the photo has; several are a ZIP.",
                fields=TRANSLATE,
                body=_photo_body(TRANSLATE),
                content=pictures,
                errors=(*SENDING, *OF_PHOTOS),
            )
        },
        "/v1/classify": {
            "post": _operation(
                "Predict which attributes or domain the faces of photos have.",
                fields=CLASSIFY,
                body=_photo_body(CLASSIFY),
                content={"application/json": {"schema": readings}},
                errors=(*SENDING, *OF_PHOTOS),
            )
        },
        "/v1/sample": {
            "post": _operation(
                "Make images from noise, with a model that does.",
                fields=SAMPLE,
                body={"content": {"application/json": {"schema": _form(SAMPLE)}}},
                content=pictures,
                errors=(*SENDING, 404, 406),
            )
        },
    }


def _model_paths() -> dict[str, Any]:
    model = {"application/json": {"schema": _MODEL}}
    models = {"application/json": {"schema": _object(models=_array_of(_MODEL))}}
    file = _object(file={"type": "string", "description": "Its name in the folder of models."})
    name = _in_path("name")
    put = _operation(
        "Load a model from the folder of models, or replace it without losing a request. Needs the "
        "API key.",
        body={"content": {"application/json": {"schema": file}}},
        content=model,
        errors=(400, 401, 403, 404, 500, 503),
    )
    delete = _operation(
        "Remove a model; requests that use it are finished. Needs the API key.",
        status=204,
        errors=(401, 403, 404, 409),
    )
    return {
        "/v1/models": {"get": _operation("List the models.", content=models, errors=(401,))},
        "/v1/models/{name}": {
            "put": {**put, "parameters": [name]},
            "delete": {**delete, "parameters": [name]},
        },
    }


def _kserve_paths() -> dict[str, Any]:
    """KServe's protocol, whose own description has the details."""
    plain = {"application/json": {"schema": {"type": "object"}}}
    tensors = {**plain, "application/octet-stream": {"schema": _binary()}}
    health = _operation("KServe's protocol: health.", content=plain, errors=(503,))
    about = _operation("KServe's protocol: metadata of a model.", content=plain, errors=(401, 404))
    is_ready = _operation("KServe's protocol: readiness.", content=plain, errors=(401, 404))
    infer = _operation(
        "KServe's protocol: inference on tensors, as JSON or binary data. The model NAME is its "
        "entry point for images, and NAME.ENTRY_POINT any other.",
        body={"required": True, "content": tensors},
        content=tensors,
        errors=(*SENDING, 404),
    )
    index = _operation("KServe's protocol: all models.", content=plain, errors=(401,))
    paths: dict[str, Any] = {
        "/v2": {"get": _operation("KServe's protocol: the server.", content=plain)},
        "/v2/health/live": {"get": health},
        "/v2/health/ready": {"get": health},
        "/v2/repository/index": {"post": index},
    }
    names = ("name",), ("name", "version")
    for path, parameters in zip(KSERVE_MODELS, names, strict=True):
        in_path = {"parameters": [_in_path(name) for name in parameters]}
        paths[path] = {"get": {**about, **in_path}}
        paths[f"{path}/ready"] = {"get": {**is_ready, **in_path}}
        paths[f"{path}/infer"] = {"post": {**infer, **in_path}}
    return paths


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _health_paths() -> dict[str, Any]:
    text = {"text/plain": {"schema": {"type": "string"}}}
    status = {"application/json": {"schema": _object(status={"type": "string"})}}
    return {
        "/healthz": {"get": _operation("Whether the process is alive.", content=status)},
        "/readyz": {
            "get": _operation("Whether requests are taken.", content=status, errors=(503,))
        },
        "/metrics": {"get": _operation("Figures for Prometheus.", content=text)},
    }


def _operation(
    summary: str,
    *,
    fields: Sequence[Field] = (),
    body: dict[str, Any] | None = None,
    content: dict[str, Any] | None = None,
    status: int = 200,
    errors: Sequence[int] = (),
) -> dict[str, Any]:
    good = {"description": HTTPStatus(status).phrase} | ({"content": content} if content else {})
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    responses = {str(status): good} | {
        str(code): {"description": HTTPStatus(code).phrase, "content": error}
        for code in sorted(errors)
    }
    found: dict[str, Any] = {"summary": summary, "responses": responses}
    if fields:
        found["parameters"] = [
            {
                "name": field.name,
                "in": "query",
                "description": field.about,
                "schema": _schema(field),
            }
            for field in fields
        ]
    return found | ({"requestBody": body} if body else {})


def _photo_body(fields: Sequence[Field]) -> dict[str, Any]:
    """A photo as it is, or photos and fields as a form."""
    form = _form(fields)
    form["properties"] = {"image": _array_of(_binary()), **form["properties"]}
    form["required"] = ["image"]
    whole = {name: {"schema": _binary()} for name in PHOTO_TYPES}
    return {"required": True, "content": {"multipart/form-data": {"schema": form}, **whole}}


def _form(fields: Sequence[Field]) -> dict[str, Any]:
    properties = {field.name: {"description": field.about, **_schema(field)} for field in fields}
    return {"type": "object", "properties": properties}


def _schema(field: Field) -> dict[str, Any]:
    own: dict[str, Any] = {"type": field.kind}
    if field.choices:
        own["enum"] = list(field.choices)
    return _array_of(own) if field.repeatable else own


def _array_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _binary() -> dict[str, Any]:
    return {"type": "string", "format": "binary"}
