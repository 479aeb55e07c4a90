"""The git revision of the package."""

import os
import subprocess
from pathlib import Path

_GIT_LIMIT_S = 10.0


def git_revision(package: Path | None = None) -> str | None:
    """The commit of the package's own checkout, with a "+" if its files differ from it.

    None for an installed package, even one installed somewhere inside another repository.

    Args:
        package: folder of the package; None takes this one's.
    """
    package = (package or Path(__file__).parents[1]).resolve()
    top = _git(package, "rev-parse", "--show-toplevel")
    if not top or Path(top).resolve() != package.parent:
        return None
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit = _git(package, "rev-parse", "HEAD")
    changes = _git(package, "status", "--porcelain", "--", ".")
    return commit + ("+" if changes else "") if commit else None


def _git(folder: Path, *words: str) -> str | None:
    """The output of a git command that changes nothing, not even the index; None on failure."""
    # Variables such as GIT_DIR, which a hook sets, would point to another repository.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_GIT_LIMIT_S,
            check=False,
            env=clean,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
