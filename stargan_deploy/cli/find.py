"""Which model a command takes when the user names none."""

from collections.abc import Iterator
from pathlib import Path

from stargan_deploy.cli.console import say
from stargan_deploy.errors import ModelError

RUNS = Path("runs")
EXPORTS = Path("exports")
DEMO_MODEL = Path(__file__).parent.parent / "assets" / "demo.safetensors"


def find_model(model: Path | None, *, not_the_demo: str = "") -> Path:
    """The model given, else the newest run's newest whole checkpoint, else the demo model.

    Says in one line which it took where none was given. A run's folder stands for its newest
    whole checkpoint.

    Args:
        model: what was typed.
        not_the_demo: where the demo model is of no use, why, and what to do instead.

    Raises:
        ModelError: there is no such file or no whole checkpoint in the folder, or nothing but the
            demo model where it is of no use.
    """
    if model is None:
        found = _newest_in_runs() or DEMO_MODEL
        if not_the_demo and is_demo_model(found):
            raise ModelError(f"there is no run in ./{RUNS} yet, and {not_the_demo}")
        say(f"model: {_describe(found)}")
        return found
    if model.is_dir():
        return _newest_in(model)
    if not model.is_file():
        raise ModelError(f"no such model: {model}")
    return model


def is_demo_model(model: Path) -> bool:
    """Whether a path is the demo model inside the package."""
    return model.resolve() == DEMO_MODEL.resolve()


def known_checkpoints() -> Iterator[Path]:
    """The checkpoints of all runs under ./runs, the newest first, and the demo model."""
    for folder in _run_folders():
        yield from sorted(folder.glob("*.safetensors"), reverse=True)
    yield DEMO_MODEL


def _run_folders() -> list[Path]:
    """The folders of checkpoints under ./runs, the newest first."""
    if not RUNS.is_dir():
        return []
    folders = RUNS.glob("*/checkpoints")
    return sorted(folders, key=lambda folder: folder.stat().st_mtime, reverse=True)


def _newest_in_runs() -> Path | None:
    from stargan_deploy.families.checkpoint import newest_whole

    found = (newest_whole(folder.glob("*.safetensors")) for folder in _run_folders())
    return next((path for path in found if path), None)


def _newest_in(folder: Path) -> Path:
    from stargan_deploy.families.checkpoint import newest_whole

    found = newest_whole(folder.glob("checkpoints/*.safetensors")) or newest_whole(
        folder.glob("*.safetensors")
    )
    if found is None:
        raise ModelError(f"{folder} holds no whole checkpoint")
    return found


def _describe(found: Path) -> str:
    if is_demo_model(found):
        return "the demo model in the package (synthetic faces, 64x64)"
    return f"{found} (newest run)"
