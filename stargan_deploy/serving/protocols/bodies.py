"""Bodies of requests: received within limits of size and time, kept in memory, taken apart."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from stargan_deploy.errors import UsageError
from stargan_deploy.serving.limits import MIB, Admission, Limits
from stargan_deploy.serving.problems import ClientLeftError, SlowClientError, TooLargeError

PHOTOS = "image"
"""Name of the field for photos."""

MAX_FIELDS = 64
MAX_FIELD_BYTES = 4096
"""Limits of the fields of a form other than its photos."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """A form that was received whole."""

    files: tuple[bytes, ...]
    """Contents of the photos, in order."""
    words: tuple[tuple[str, str], ...]
    """The other fields with their texts, in order."""


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """Receives the body of one request.

    Use `open`, which gives the memory back.
    """

    request: Request
    limits: Limits
    admission: Admission
    remaining_s: float
    retry_after_s: int

    async def whole(self) -> bytes:
        """The body as it is.

        Raises:
            TooLargeError, SlowClientError, ClientLeftError, OverloadedError: as `stream`.
        """
        async with _within(self.remaining_s):
            return b"".join([chunk async for chunk in self.stream()])

    async def form(self) -> Form:
        """The fields of a multipart form, kept in memory.

        Raises:
            UsageError: it is damaged, has too many or too large fields, or a file in a field that
                takes none.
            TooLargeError, SlowClientError, ClientLeftError, OverloadedError: as `stream`.
        """
        parser = _MemoryParser(
            self.request.headers,
            self.stream(),
            max_files=self.limits.max_images,
            max_fields=MAX_FIELDS,
            max_part_size=MAX_FIELD_BYTES,
        )
        parser.spool_max_size = self.limits.max_body_bytes + 1
        try:
            async with _within(self.remaining_s):
                return await _taken_apart(await parser.parse())
        except (MultiPartException, ValueError, LookupError) as error:
            reason = getattr(error, "message", "") or "no boundary"
            raise UsageError(f"the form cannot be read: {reason}") from error

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body, piece by piece.

        Raises:
            TooLargeError: more than the limit.
            OverloadedError: the memory for bodies is used up.
            ClientLeftError: the client left.
        """
        received = 0
        try:
            async for chunk in self.request.stream():
                received += len(chunk)
                if received > self.limits.max_body_bytes:
                    raise too_large(self.limits)
                self._hold(len(chunk))
                yield chunk
        except ClientDisconnect as error:
            raise ClientLeftError("the client left while sending") from error

    def _hold(self, num_bytes: int) -> None:
        self.admission.hold(num_bytes, self.retry_after_s)
        self.request.state.held_bytes += num_bytes


@asynccontextmanager
async def open_receiver(
    request: Request,
    limits: Limits,
    admission: Admission,
    *,
    remaining_s: float,
    retry_after_s: int,
) -> AsyncIterator[Receiver]:
    """Receive the body of a request, and count the memory for it until the end of the block.

    Raises:
        TooLargeError: its announced length is above the limit.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limits.max_body_bytes:
        raise too_large(limits)
    request.state.held_bytes = 0
    try:
        yield Receiver(
            request=request,
            limits=limits,
            admission=admission,
            remaining_s=remaining_s,
            retry_after_s=retry_after_s,
        )
    finally:
        admission.release(request.state.held_bytes)


def too_large(limits: Limits) -> TooLargeError:
    """The complaint about a body above the limit."""
    return TooLargeError(f"the body is too large; at most {limits.max_body_bytes // MIB} MiB")


class _MemoryParser(MultiPartParser):
    """Keeps files in memory, however large: nothing of a client is written to a disk."""


@asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise SlowClientError("the body did not arrive in time") from error


async def _taken_apart(form: FormData) -> Form:
    """The files and words of a form, which is closed."""
    try:
        files = list[bytes]()
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name != PHOTOS:
                    what = f"{name[:40]!r} is not a field for files"
                    raise UsageError(what, hint=f"use {PHOTOS!r}")
                files.append(await value.read())
        words = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
        return Form(files=tuple(files), words=tuple(words))
    finally:
        await form.close()


def words_of(items: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Texts by field, each as often as it was sent."""
    found: dict[str, list[str]] = {}
    for name, value in items:
        found.setdefault(name, []).append(value)
    return found
