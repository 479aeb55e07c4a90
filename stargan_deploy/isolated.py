"""Asks a question of a fresh Python process, which may crash, hang, or print whatever it likes."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """The outcome of a child process."""

    fields: dict[str, Any] | None
    """The JSON object that the child wrote; None where it wrote none."""
    code: int | None
    """Exit code, negative for a signal; None where the child had to be ended."""
    last_line: str
    """Last line of its output, at most 200 characters."""

    def ending(self, limit_s: float) -> str:
        """Describe the end of a child that gave no answer."""
        if self.code is None:
            return f"no answer in {limit_s:g} s"
        detail = f": {self.last_line}" if self.last_line else ""
        if self.code < 0:
            return f"crashed with {_signal_name(-self.code)}{detail}"
        return f"ended with exit code {self.code} and no answer{detail}"


def ask_child(program: str, words: Sequence[str], *, limit_s: float) -> Answer:
    """Runs a program in a process of its own, and ends it with all that it started.

    Args:
        program: Python code. `sys.argv` holds where this package is, then the words, then the path
            of the file to write the answer to, as a JSON object.
        words: for the program.
        limit_s: how long to wait, in seconds.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        place = Path(folder) / "answer.json"
        code = _run(program, [*words, str(place)], log, limit_s)
        log.seek(0)
        said = log.read().decode(errors="replace").strip().splitlines()[-1:]
        last_line = said[0].strip()[:200] if said else ""
        return Answer(fields=_read(place), code=code, last_line=last_line)


def _run(program: str, words: Sequence[str], log: IO[bytes], limit_s: float) -> int | None:
    # At the end of the path, so that no module beside this package hides the standard library's.
    package = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", program, package, *words],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a child and what it started, such as compilers, where there is still something."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _read(place: Path) -> dict[str, Any] | None:
    try:
        fields = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return fields if isinstance(fields, dict) else None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
