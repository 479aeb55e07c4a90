"""The callback by which long work tells how far it is."""

from collections.abc import Callable

OnProgress = Callable[[int, int], None]
"""Called with the number of items done and the number of all items."""
