"""Runs the rows of many requests together: one queue and one engine thread per model.

Calls of the same entry point whose arrays have the same sizes share a batch, whatever their rows
ask for. A batch starts at once when it is full or nothing else is on its way, else after at most
`max_wait_s`. Calls take turns: one with more rows than a batch goes to the back of the queue after
each part, so that it delays nobody by more than a batch.

A batch that fails is repeated call by call, so that only the one that causes it gets the error.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stargan_deploy.backends.base import Arrays, Runtime
from stargan_deploy.card.inputs import check_inputs, draw_inputs
from stargan_deploy.serving.batching.ticket import Ticket
from stargan_deploy.serving.problems import ClosingError

Outputs = dict[str, Any]
"""One array for each output of an entry point, by name."""

OnBatch = Callable[[str, int, float], None]
"""Called after a batch with its entry point, number of rows and seconds in the engine."""

RECENT = 0.2
"""Weight of the newest batch in the mean time per row."""

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Call:
    """Rows of one request for one entry point."""

    entry_point: str
    inputs: Arrays
    num_rows: int
    ticket: Ticket
    arrived_s: float
    future: "Future[Outputs]" = field(default_factory=Future)
    next_row: int = 0
    """First row that was not yet given to the engine."""
    parts: list[Outputs] = field(default_factory=list)

    @property
    def key(self) -> tuple[object, ...]:
        """What calls have in common that can share a batch."""
        return (self.entry_point, *((n, a.shape[1:]) for n, a in sorted(self.inputs.items())))

    @property
    def num_left(self) -> int:
        return self.num_rows - self.next_row

    @property
    def is_wanted(self) -> bool:
        return not self.future.done() and not self.ticket.is_over

    def take(self, num: int) -> "_Piece":
        rows = slice(self.next_row, self.next_row + num)
        self.next_row += num
        return _Piece(self, {name: array[rows] for name, array in self.inputs.items()}, num)

    def add(self, part: Outputs) -> None:
        """Keep the outputs of a piece; the pieces of a call end in their order."""
        self.parts.append(part)
        if sum(len(next(iter(p.values()))) for p in self.parts) == self.num_rows:
            self._finish(lambda: self.future.set_result(_joined(self.parts)))

    def fail(self, error: BaseException) -> None:
        self._finish(lambda: self.future.set_exception(error))

    def _finish(self, change: Callable[[], None]) -> None:
        try:
            change()
        except InvalidStateError:  # given up in the meantime
            _log.debug("a result came too late")


@dataclass(frozen=True)
class _Piece:
    """Rows of a call in one batch."""

    call: _Call
    inputs: Arrays
    num_rows: int


class Batcher:
    """Owns a runtime, and the thread that runs it.

    Args:
        runtime: to be entered by the batcher's own thread.
        max_batch: most rows of a call to the engine.
        max_wait_s: how long a batch that is not full may wait for more, in seconds.
        on_batch: told about every batch.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        max_batch: int,
        max_wait_s: float,
        on_batch: OnBatch = lambda _entry_point, _rows, _seconds: None,
    ) -> None:
        self.runtime = runtime
        self.card = runtime.card
        self.max_batch = max_batch
        self._max_wait_s = max_wait_s
        self._on_batch = on_batch
        self._changed = threading.Condition()
        self._waiting: deque[_Call] = deque()
        self._num_coming = 0
        self._last_calls = 1
        self._row_s = 0.0
        self._is_closing = False
        self._opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    @property
    def num_waiting(self) -> int:
        """Rows that no batch has taken yet."""
        with self._changed:
            return sum(call.num_left for call in self._waiting)

    @property
    def wait_s(self) -> float:
        """Seconds that the waiting rows will probably take."""
        return self.num_waiting * self._row_s

    def open(self) -> None:
        """Open the runtime and run each entry point once, so that the first request is not slow.

        Raises:
            ModelError, BackendError: it cannot be opened.
        """
        self._thread.start()
        self._opened.result()

    def close(self) -> None:
        """Run what waits, then close the runtime."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    @contextmanager
    def coming(self) -> Iterator[Callable[[], None]]:
        """Announce a call, for which a batch that is not full waits a little.

        Yields:
            Takes the announcement back, as the end of the block does.
        """
        with self._changed:
            self._num_coming += 1
        is_open = [True]

        def arrived() -> None:
            with self._changed:
                self._num_coming -= is_open[0]
                is_open[0] = False
                self._changed.notify_all()

        try:
            yield arrived
        finally:
            arrived()

    def submit(self, entry_point: str, inputs: Arrays, ticket: Ticket) -> "Future[Outputs]":
        """Queue rows.

        Args:
            entry_point: what to do, as the card names it.
            inputs: as `Runtime.run` takes them; not to be changed until the result is there.
            ticket: of the request; rows that nobody waits for are not run.

        Returns:
            One array for each output; cancel it to give up the rows.

        Raises:
            CardError: no such entry point.
            UsageError: missing, surplus or ill-shaped inputs.
            ClosingError: the model is being closed.
        """
        num_rows = check_inputs(entry_point, self.card.entry_point(entry_point), inputs)
        call = _Call(entry_point, inputs, num_rows, ticket, time.monotonic())
        with self._changed:
            if self._is_closing:
                raise ClosingError("the model is being closed", hint="send the request again")
            self._waiting.append(call)
            self._changed.notify_all()
        return call.future

    def _work(self) -> None:
        try:
            runtime = self.runtime.__enter__()
        except BaseException as error:
            self._opened.set_exception(error)
            return
        try:
            self._warm_up()
        except BaseException as error:
            self._opened.set_exception(error)
        else:
            self._opened.set_result(None)
            while batch := self._next_batch():
                self._run(batch)
        finally:
            runtime.__exit__(None, None, None)

    def _warm_up(self) -> None:
        side = self.card.preprocessing.image_size
        for name, point in self.card.entry_points.items():
            inputs = draw_inputs(point, range(1), sizes={"H": side, "W": side})
            self.runtime.run(inputs, entry_point=name)

    def _next_batch(self) -> list[_Piece]:
        """The rows to run now; waits for some, and is empty when the batcher is closed."""
        with self._changed:
            while True:
                self._drop_unwanted()
                if self._waiting:
                    patience_s = self._patience_s()
                    if patience_s <= 0:
                        return self._take()
                    self._changed.wait(patience_s)
                elif self._is_closing:
                    return []
                else:
                    self._changed.wait()

    def _drop_unwanted(self) -> None:
        self._waiting = deque(call for call in self._waiting if call.is_wanted)

    def _patience_s(self) -> float:
        """How much longer the first call may wait for others, in seconds.

        Others are those that were announced. Clients that sent calls together, and were answered
        together, are about to send the next ones.
        """
        first = self._waiting[0]
        alike = [call for call in self._waiting if call.key == first.key]
        expected = max(self._num_coming + len(alike), self._last_calls)
        is_full = sum(call.num_left for call in alike) >= self._limit(first)
        if is_full or self._is_closing or expected <= len(alike):
            return 0.0
        return first.arrived_s + self._max_wait_s - time.monotonic()

    def _limit(self, call: _Call) -> int:
        """Most rows of a batch."""
        batch = self.card.entry_point(call.entry_point).batch
        greatest = batch.greatest if batch.is_free else batch.least
        return self.max_batch if greatest is None else min(self.max_batch, greatest)

    def _take(self) -> list[_Piece]:
        first = self._waiting[0]
        room, taken, pieces = self._limit(first), set[int](), list[_Piece]()
        for call in (call for call in self._waiting if call.key == first.key):
            num = min(room, call.num_left)
            pieces.append(call.take(num))
            taken.add(id(call))
            room -= num
            if not room:
                break
        rest = [call for call in self._waiting if id(call) not in taken]
        unfinished = [piece.call for piece in pieces if piece.call.num_left]
        self._waiting = deque([*rest, *unfinished])
        self._last_calls = len(pieces)
        return pieces

    def _run(self, pieces: Sequence[_Piece]) -> None:
        try:
            self._run_together(pieces)
        except Exception as error:
            if len(pieces) == 1:
                pieces[0].call.fail(error)
                return
            _log.warning("a batch failed and is repeated call by call: %s", type(error).__name__)
            for piece in pieces:
                self._run([piece])

    def _run_together(self, pieces: Sequence[_Piece]) -> None:
        entry_point = pieces[0].call.entry_point
        inputs = _joined([piece.inputs for piece in pieces])
        start_s = time.perf_counter()
        outputs = self.runtime.run(inputs, entry_point=entry_point)
        seconds = time.perf_counter() - start_s
        num_rows = sum(piece.num_rows for piece in pieces)
        self._row_s += RECENT * (seconds / num_rows - self._row_s)
        self._on_batch(entry_point, num_rows, seconds)
        row = 0
        for piece in pieces:
            rows = slice(row, row + piece.num_rows)
            piece.call.add({name: array[rows] for name, array in outputs.items()})
            row += piece.num_rows


def _joined(parts: Sequence[Arrays]) -> Outputs:
    """Arrays of several parts one after the other, by name."""
    if len(parts) == 1:
        return dict(parts[0])
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
