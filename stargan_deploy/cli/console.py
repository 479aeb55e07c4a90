"""What commands say: words on stderr, results on stdout, so that results can be piped."""

import json
import sys
from typing import Any

_quiet = False


def set_quiet(quiet: bool) -> None:
    """Silences `say`; results and errors are still printed."""
    global _quiet  # noqa: PLW0603 - one switch for one process, set once by the command line
    _quiet = quiet


def is_quiet() -> bool:
    """Whether the user asked for silence."""
    return _quiet


def say(message: str) -> None:
    """Tells the user something in passing, unless silenced."""
    if not _quiet:
        print(message, file=sys.stderr, flush=True)  # noqa: T201


def complain(message: str) -> None:
    """Prints an error in one line."""
    print(f"stargan-deploy: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201


def show(text: str) -> None:
    """Prints a result."""
    print(text)  # noqa: T201


def show_json(result: Any) -> None:
    """Prints a result as JSON."""
    text = json.dumps(result, indent=2, ensure_ascii=False)
    # A hostile card may hold half a surrogate pair, which no encoding can print.
    print(text.encode("utf-8", "backslashreplace").decode("utf-8"))  # noqa: T201
