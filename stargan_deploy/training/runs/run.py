"""The folder of one training run and everything in it.

<run>/recipe.toml              the resolved settings; `train <run>/recipe.toml` repeats the run
<run>/environment.json         versions, device, git revision
<run>/metrics.jsonl            a line every `log_every` steps
<run>/report.html              curves, sample grids, accuracy and settings in one file
<run>/samples/step-0001000.jpg
<run>/checkpoints/step-0001000.safetensors, best.safetensors
<run>/model.safetensors        the finished model: only weights and card
<run>/tensorboard/             if tensorboard is installed
"""

import contextlib
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stargan_deploy.card.card import library_versions
from stargan_deploy.config import to_mapping, to_toml
from stargan_deploy.errors import OutputError, TrainingError
from stargan_deploy.families.checkpoint import newest_whole
from stargan_deploy.files.atomic import (
    copy_file,
    make_folder,
    missing_folders,
    remove_empty,
    write_text,
)
from stargan_deploy.files.images import save_image
from stargan_deploy.files.revision import git_revision
from stargan_deploy.files.runs import RUNS
from stargan_deploy.training.recipe import Recipe
from stargan_deploy.training.runs.report import write_report


class Run:
    """A run's files: their places, and how they are written."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.checkpoints = self.folder / "checkpoints"
        self.recipe_path = self.folder / "recipe.toml"
        self._environment = self.folder / "environment.json"
        self._metrics = self.folder / "metrics.jsonl"
        self._board: Any = None
        self._made: list[Path] = []
        """Folders that did not exist before, the inner ones first."""

    def make(self) -> None:
        """Make the folder, unless it exists.

        Raises:
            OutputError: it cannot be made; nothing is left of it then.
        """
        self._made += missing_folders(self.checkpoints)
        with self.removed_on_failure():
            make_folder(self.checkpoints)

    @contextlib.contextmanager
    def removed_on_failure(self, *, unless: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Remove the folder if the block fails, but only if `make` made it.

        Args:
            unless: called after a failure; whether the folder holds something worth keeping.
        """
        try:
            yield
        except BaseException:
            if not unless():
                self._remove()
            raise

    def begin(
        self,
        recipe: Recipe,
        *,
        device: str,
        first_step: int,
        num_steps: int,
        parents: Mapping[str, str],
    ) -> None:
        """Write settings and surroundings, and drop metrics from after the first step.

        Raises:
            OutputError: the folder cannot be written.
        """
        self.make()
        write_text(self.recipe_path, to_toml(to_mapping(recipe)))
        versions = library_versions("torch", "torchvision", "numpy", "pillow", "safetensors")
        surroundings = {
            "versions": versions,
            "device": device,
            "git_revision": git_revision() or "",
            "num_steps": num_steps,
            "parents": dict(parents),
        }
        write_text(self._environment, json.dumps(surroundings, indent=2))
        self._keep_metrics_before(first_step)
        self._board = _board_writer(self.folder / "tensorboard", first_step)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append a line of metrics."""
        line = json.dumps({"step": step} | dict(values))
        try:
            with open(self._metrics, "a", encoding="utf-8") as stream:
                stream.write(f"{line}\n")
        except OSError as error:
            raise OutputError(f"cannot write {self._metrics}: {error.strerror}") from error
        if self._board is not None:
            with self._board_errors():
                for name, value in values.items():
                    self._board.add_scalar(name, value, step)

    def save_sample(self, step: int, grid: Image.Image) -> Path:
        """Write a sample grid."""
        path = self.folder / "samples" / f"step-{step:07d}.jpg"
        save_image(grid, path)
        if self._board is not None:
            with self._board_errors():
                self._board.add_image("samples", np.asarray(grid), step, dataformats="HWC")
        return path

    def checkpoint_path(self, step: int) -> Path:
        """Path of the checkpoint of a step."""
        return self.checkpoints / f"step-{step:07d}.safetensors"

    @property
    def model_path(self) -> Path:
        """Path of the finished model."""
        return self.folder / "model.safetensors"

    @property
    def report_path(self) -> Path:
        """Path of the report."""
        return self.folder / "report.html"

    def newest_checkpoint(self) -> Path | None:
        """The newest whole checkpoint, or None."""
        return newest_whole(self.checkpoints.glob("step-*.safetensors"))

    def check_can_begin_again(self) -> None:
        """Refuse to begin again a run that needs more for it than its recipe.

        Raises:
            TrainingError: there are damaged checkpoints, or weights that the run started from.
        """
        if damaged := sorted(self.checkpoints.glob("step-*.safetensors")):
            raise TrainingError(
                f"no checkpoint in {self.checkpoints} is whole",
                hint=f"delete them to begin this run again (the newest: {damaged[-1].name})",
            )
        try:
            parents = json.loads(self._environment.read_text(encoding="utf-8"))["parents"]
        except (OSError, ValueError, KeyError, TypeError):
            parents = {}
        if parents:
            raise TrainingError(
                f"{self.folder} has no checkpoint yet, and began with `init_from`",
                hint="start it again with the same `init_from` and without `resume`",
            )

    def drop_old_checkpoints(self, keep: int) -> None:
        """Delete all but the newest checkpoints; keep = 0 deletes none."""
        old = sorted(self.checkpoints.glob("step-*.safetensors"))[:-keep] if keep else []
        for path in old:
            path.unlink(missing_ok=True)

    def write_report(self) -> None:
        """Write `report.html` from the folder's content."""
        write_report(self.folder)

    def keep_as_best(self, step: int, score: float) -> None:
        """Keep a step's checkpoint as the best one, and record its score."""
        copy_file(self.checkpoint_path(step), self.checkpoints / "best.safetensors")
        best = {"step": step, "score": score}
        write_text(self.checkpoints / "best.json", json.dumps(best))

    def best_score(self, last_step: int) -> float:
        """The score of the best checkpoint up to a step; minus infinity if there is none."""
        try:
            best = json.loads((self.checkpoints / "best.json").read_text(encoding="utf-8"))
            return float(best["score"]) if best["step"] <= last_step else -math.inf
        except (OSError, ValueError, KeyError, TypeError):
            return -math.inf

    def close(self) -> None:
        """Finish background writes."""
        if self._board is not None:
            with self._board_errors():
                self._board.close()

    def _remove(self) -> None:
        if self.folder in self._made:
            shutil.rmtree(self.folder, ignore_errors=True)
        remove_empty(path for path in self._made if path.exists())
        self._made = []

    @contextlib.contextmanager
    def _board_errors(self) -> Iterator[None]:
        """Convert errors of TensorBoard, whose thread raises them in a later call."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"cannot write {self.folder / 'tensorboard'}: {reason}") from error

    def _keep_metrics_before(self, first_step: int) -> None:
        if not self._metrics.exists():
            return
        kept = []
        for line in self._metrics.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                if json.loads(line)["step"] <= first_step:
                    kept.append(line)
        write_text(self._metrics, "".join(f"{line}\n" for line in kept))


def new_run_folder(name: str) -> Path:
    """A folder under `runs` that does not exist yet, named by recipe and time."""
    stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    candidates = (RUNS / f"{stem}{suffix}" for suffix in ("", *(f"-{i}" for i in range(2, 1000))))
    return next(path for path in candidates if not path.exists())


def _board_writer(folder: Path, first_step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=first_step + 1)
