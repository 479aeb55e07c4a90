"""Output of the commands: messages on stderr, results on stdout, so that results can be piped."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stargan_deploy.cli.flags import with_flags

_quiet = False


def set_quiet(quiet: bool) -> None:
    """Silence `say`; results and errors are still printed."""
    global _quiet  # noqa: PLW0603 - one switch for one process, set once by the command line
    _quiet = quiet


def is_quiet() -> bool:
    """Whether the user asked for silence."""
    return _quiet


def say(message: str) -> None:
    """Print a message for the user, unless silenced."""
    if not _quiet:
        print(message, file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def log_to_stderr() -> Iterator[None]:
    """Print what the library logs, one line per message, with flags in place of settings."""
    logger, handler = logging.getLogger("stargan_deploy"), _LineHandler()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _LineHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        text = with_flags(" ".join(record.getMessage().split()))
        say(text if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {text}")


def complain(message: str) -> None:
    """Print an error in one line."""
    print(f"stargan-deploy: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201


def show(text: str) -> None:
    """Print a result."""
    print(text)  # noqa: T201


def show_json(result: Any) -> None:
    """Print a result as JSON."""
    text = json.dumps(result, indent=2, ensure_ascii=False)
    # A hostile card may hold half a surrogate pair, which no encoding can print.
    print(text.encode("utf-8", "backslashreplace").decode("utf-8"))  # noqa: T201
