"""A model that many requests share, as the runtime of one of them."""

from collections.abc import Callable
from typing import Any

from stargan_deploy.backends.base import Arrays, Runtime
from stargan_deploy.devices import Device
from stargan_deploy.serving.batching.batcher import Batcher
from stargan_deploy.serving.batching.ticket import Ticket

ROWS_AT_ONCE = 1 << 16
"""Rows that a request may queue at once: the batcher splits them."""


class SharedRuntime(Runtime):
    """Runs rows in the batches of a batcher, so that whatever takes a runtime shares it.

    Args:
        batcher: runs the rows.
        ticket: of the request; waiting ends with it.
        arrived: called when the first rows are queued, which `Batcher.coming` announced.
    """

    def __init__(
        self, batcher: Batcher, ticket: Ticket, arrived: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(batcher.card, batch_size=ROWS_AT_ONCE)
        self.backend = batcher.runtime.backend
        self._batcher = batcher
        self._ticket = ticket
        self._arrived = arrived

    @property
    def device(self) -> Device:
        """The device that the engine really runs on."""
        return self._batcher.runtime.device

    def run(self, inputs: Arrays, *, entry_point: str = "translate") -> dict[str, Any]:
        """Run rows together with those of other requests; see `Runtime.run`.

        Raises:
            ClientLeftError, DeadlineError: the result is no longer wanted.
        """
        future = self._batcher.submit(entry_point, inputs, self._ticket)
        self._arrived()
        return self._ticket.wait(future)

    def _open(self) -> None:
        """Nothing: the batcher has opened it."""

    def _close(self) -> None:
        """Nothing: others use it."""

    def _execute(self, entry_point: str, inputs: Arrays) -> dict[str, Any]:
        return self.run(inputs, entry_point=entry_point)
