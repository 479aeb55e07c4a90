"""The run folders of trainings under ./runs."""

from pathlib import Path

RUNS = Path("runs")


def run_folders() -> list[Path]:
    """The run folders under ./runs, the most recently written first."""
    found = {
        path.parent for name in ("recipe.toml", "checkpoints") for path in RUNS.glob(f"*/{name}")
    }
    return sorted(found, key=lambda folder: (_written_at(folder), folder.name), reverse=True)


def _written_at(folder: Path) -> float:
    """When a run last wrote a checkpoint, or anything if it has no folder for them."""
    checkpoints = folder / "checkpoints"
    return (checkpoints if checkpoints.is_dir() else folder).stat().st_mtime
