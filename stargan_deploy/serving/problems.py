"""What goes wrong with a request, and the HTTP status of every error.

The body of an error is `{"error": message, "hint": what to do}`, which clients of KServe's protocol
read too. Fields of a request are named in backticks as they are sent.
"""

import re
from typing import Any

from stargan_deploy import errors
from stargan_deploy.errors import ImageError, StarganDeployError


class RequestError(StarganDeployError):
    """A request that is refused for itself, and not for what it asks of a model."""


class NotFoundError(RequestError):
    """No such model or address."""


class NotAcceptableError(RequestError):
    """The client accepts no format that the result can have."""


class UnauthorizedError(RequestError):
    """An API key is missing or wrong."""


class ForbiddenError(RequestError):
    """Something that this service was not started for."""


class TooLargeError(RequestError):
    """A body, or a number of images, above a limit."""


class TooManyPixelsError(ImageError):
    """An image with more pixels than the limit."""


class UnknownTypeError(ImageError):
    """Content of a type that is not taken from clients."""


class SlowClientError(RequestError):
    """A body that did not arrive in time."""


class ClientLeftError(RequestError):
    """The client closed the connection."""


class ConflictError(RequestError):
    """A change that the state of the service does not permit."""


class OverloadedError(RequestError):
    """The queue is full.

    Args:
        retry_after_s: when a place is likely to be free, in seconds.
    """

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("the queue is full", hint=f"try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class DeadlineError(RequestError):
    """A request that took longer than the limit."""


class ClosingError(RequestError):
    """The service, or the model, is shutting down."""


STATUS: dict[type[StarganDeployError], int] = {
    StarganDeployError: 500,
    errors.UsageError: 400,
    RequestError: 400,
    UnauthorizedError: 401,
    ForbiddenError: 403,
    NotFoundError: 404,
    NotAcceptableError: 406,
    SlowClientError: 408,
    ConflictError: 409,
    TooLargeError: 413,
    TooManyPixelsError: 413,
    UnknownTypeError: 415,
    errors.DataError: 422,
    OverloadedError: 429,
    ClientLeftError: 499,
    errors.BackendError: 503,
    ClosingError: 503,
    DeadlineError: 504,
}
"""Subclasses that are not listed have the status of their nearest listed base class. 499 is never
sent: it stands in logs and metrics for a client that left."""

FIELDS = {"targets": "attrs", "strengths": "strength", "entry_point": "direction"}
"""Fields of a request that are not spelt like their setting."""


def status_of(error: StarganDeployError) -> int:
    """The HTTP status of an error."""
    return next(STATUS[base] for base in type(error).__mro__ if base in STATUS)


def body_of(error: StarganDeployError) -> dict[str, Any]:
    """The body of an answer to an error."""
    body = {"error": with_fields(error.message)}
    return body | ({"hint": with_fields(error.hint)} if error.hint else {})


def headers_of(error: StarganDeployError) -> dict[str, str]:
    """The headers of an answer to an error, besides the usual ones."""
    if isinstance(error, OverloadedError):
        return {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, UnauthorizedError):
        return {"WWW-Authenticate": "Bearer"}
    return {}


def with_fields(text: str) -> str:
    """A library's message with the fields of a request in place of settings."""
    return re.sub(r"`([a-z_]+)`", lambda match: f"`{FIELDS.get(match[1], match[1])}`", text)
