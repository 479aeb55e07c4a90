"""What every request passes: API key, security headers, figures, one line in the log."""

import hmac
import logging
import time
from collections.abc import Callable, Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stargan_deploy.serving.problems import (
    UnauthorizedError,
    body_of,
    headers_of,
    status_of,
)

GUARDED = ("/v1/", "/v2/models", "/v2/repository")
"""Beginnings of the paths that need the API key, where there is one."""

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Headers of every answer. Pages use nothing but the service itself."""

OnAnswer = Callable[[str, int, int], None]
"""Called after an answer with the route, its status and the number of images."""

CLIENT_LEFT = 499

_log = logging.getLogger(__name__)


class Gate:
    """An ASGI application around another one.

    Args:
        app: the other one.
        api_key: key that guarded paths need; empty for none.
        origins: whose pages may read answers.
        on_answer: told about every answer.
    """

    def __init__(
        self, app: ASGIApp, *, api_key: str, origins: Iterable[str], on_answer: OnAnswer
    ) -> None:
        self._app = app
        self._api_key = api_key.encode()
        self._origins = frozenset(origins)
        self._on_answer = on_answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, start_s = CLIENT_LEFT, time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(MutableHeaders(scope=message), scope["path"])
            await send(message)

        try:
            if self._is_permitted(scope):
                await self._app(scope, receive, send_with_headers)
            else:
                await _refusal()(scope, receive, send_with_headers)
        except Exception:  # its answer was sent
            _log.exception("a request ended in an error of ours")
        finally:
            self._note(scope, status, time.perf_counter() - start_s)

    def _is_permitted(self, scope: Scope) -> bool:
        if not self._api_key or not scope["path"].startswith(GUARDED):
            return True
        if scope["method"] == "OPTIONS":
            return True
        headers = Headers(scope=scope)
        bearer = headers.get("authorization", "").partition(" ")
        sent = bearer[2].strip() if bearer[0].lower() == "bearer" else headers.get("x-api-key", "")
        return hmac.compare_digest(sent.encode(), self._api_key)

    def _add_headers(self, headers: MutableHeaders, path: str) -> None:
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        if self._origins:  # the pages of these origins may read the answers
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if path.startswith(("/v1/", "/v2/")):
            headers.setdefault("Cache-Control", "no-store")

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        """Log and count an answer: by its route, never by what the client wrote."""
        route = getattr(scope.get("route"), "path", "") or "other"
        self._on_answer(route, status, scope.get("num_images", 0))
        _log.info("%s %s %d, %.0f ms", scope["method"][:8], route, status, 1000 * seconds)


def _refusal() -> JSONResponse:
    error = UnauthorizedError("an API key is needed", hint="send it as `Authorization: Bearer KEY`")
    return JSONResponse(body_of(error), status_of(error), headers_of(error))
