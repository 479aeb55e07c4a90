"""Runs a whole benchmark: every usable backend, at every precision, batch and size.

All contestants of one batch and size are measured together in rounds (see `timing`), path by path;
scenarios, picture errors, memory and the roof follow. What is not usable is listed with the reason.
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from stargan_deploy.benchmarking.calls import Workload
from stargan_deploy.benchmarking.contestants import (
    Contestant,
    Entry,
    list_entries,
    make_contestant,
    own_entry,
    why_unusable,
)
from stargan_deploy.benchmarking.machine import describe_machine, take_snapshot
from stargan_deploy.benchmarking.results import (
    BatchRow,
    MeasuredPath,
    Results,
    Roof,
    Row,
    Snapshot,
    Timing,
    TrainingRow,
    Unusable,
)
from stargan_deploy.benchmarking.roofline import measure_roofs
from stargan_deploy.benchmarking.rows import (
    changed_rows,
    make_row,
    peak_memory,
    speedup_over,
    with_roof,
)
from stargan_deploy.benchmarking.scenarios import ServerPlan, measure_offline, measure_server
from stargan_deploy.benchmarking.suite_config import SuiteConfig
from stargan_deploy.benchmarking.timing import Limits, measure
from stargan_deploy.benchmarking.training_speed import (
    TrainingSpeedConfig,
    measure_training,
    training_rows,
)
from stargan_deploy.benchmarking.wording import PATHS
from stargan_deploy.card import ModelCard, Precision
from stargan_deploy.errors import StarganDeployError
from stargan_deploy.exporters.difference import (
    compare_pictures,
    precision_of,
)
from stargan_deploy.files import file_sha256
from stargan_deploy.runtimes.choose import CHECKPOINT_SUFFIX, read_card_of

ROOF_BUDGET_S = 10.0

PATH_SHARES: dict[MeasuredPath, float] = {
    "host to host": 0.5,
    "device only": 0.25,
    "end to end": 0.25,
}
"""Of the time for timing: what most people mean by latency gets half of it."""


Say = Callable[[str], None]


def run_suite(
    config: SuiteConfig, model: Path, *, checkpoint: Path, device: str, say: Say = lambda _: None
) -> Results:
    """Measures.

    Args:
        config: what to measure.
        model: a checkpoint, or an artefact to compare with its checkpoint.
        checkpoint: the model itself, or what the artefact was made from.
        device: "cpu" or "cuda:N".
        say: told what is being done.

    Raises:
        StarganDeployError: eager FP32, which all is compared with, does not run here.
    """
    before = after = take_snapshot(device)
    rows, unusable, roofs = list[Row](), list[Unusable](), dict[Precision, Roof]()
    if config.inference:
        run = _Run(config, model, checkpoint, device, say)
        rows, unusable, roofs = run.measure()
        after = run.after
    training, reasons = _train(config, say)
    batch, more_reasons = _batch(config, checkpoint, device, say)
    return Results(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=model.name,
        model_sha256=file_sha256(model),
        machine=describe_machine(before=before, after=after, device=device),
        rows=tuple(rows),
        training=training,
        batch=batch,
        unusable=(*unusable, *reasons, *more_reasons),
        roofs=tuple(roofs.values()),
    )


class _Run:
    """The inference part of one benchmark."""

    def __init__(
        self, config: SuiteConfig, model: Path, checkpoint: Path, device: str, say: Say
    ) -> None:
        self.config = config
        self.model = model
        self.checkpoint = checkpoint
        self.device = device
        self.say = say
        self.card: ModelCard = read_card_of(checkpoint)
        self.sizes = config.sizes or (self.card.preprocessing.image_size,)
        self.unusable: list[Unusable] = []
        self.after = Snapshot()

    def measure(self) -> tuple[list[Row], list[Unusable], dict[Precision, Roof]]:
        """Opens everything, measures it at every batch and size, and closes it."""
        with ExitStack() as stack:
            contestants = self._open_all(stack)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            shapes = [(batch, size) for size in self.sizes for batch in self.config.batch_sizes]
            rows: list[Row] = []
            for batch, size in shapes:
                workload = Workload(self.card, batch, size, folder)
                rows += self._measure_shape(contestants, workload, len(shapes))
            self.after = take_snapshot(self.device)  # before clocks fall back
            rows = self._with_scenarios(rows, contestants, folder)
        rows = self._with_memory(rows, contestants)
        roofs = self._roofs(contestants)
        return [with_roof(row, self.card, roofs) for row in rows], self.unusable, roofs

    def _open_all(self, stack: ExitStack) -> list[Contestant]:
        entries, self.unusable = self._entries()
        start, opened = time.perf_counter(), list[Contestant]()
        for entry, model in entries:
            if opened and time.perf_counter() - start > self.config.build_budget_s:
                reason = f"no time left of {self.config.build_budget_s:g} s for building"
                self.unusable.append(Unusable(name=entry.name, reason=reason))
                continue
            self.say(f"opening {entry.name} ...")
            try:
                contestant = self._open(entry, model)
            except StarganDeployError as error:
                if not opened:
                    raise
                self.unusable.append(why_unusable(entry, error))
                continue
            stack.callback(contestant.runtime.__exit__, None, None, None)
            opened.append(contestant)
        return opened

    def _open(self, entry: Entry, model: Path) -> Contestant:
        batch, size = self.config.batch_sizes[0], self.sizes[0]
        return make_contestant(entry, model, device=self.device, batch_size=batch, size=size)

    def _entries(self) -> tuple[list[tuple[Entry, Path]], list[Unusable]]:
        """What to open, with the file to open it from, eager FP32 first."""
        config = self.config
        if self.model.suffix.lower() != CHECKPOINT_SUFFIX:
            precision = precision_of(read_card_of(self.model).precision)
            eager = Entry(backend="eager", precision="fp32")
            return [(eager, self.checkpoint), (own_entry(self.model, precision), self.model)], []
        entries, left_out = list_entries(self.device, config.backends, config.precisions)
        return [(entry, self.model) for entry in entries], left_out

    def _measure_shape(
        self, contestants: Sequence[Contestant], workload: Workload, num_shapes: int
    ) -> list[Row]:
        shares = {path: PATH_SHARES[path] for path in PATHS if path in self.config.paths}
        timings: dict[str, list[Timing]] = {contestant.name: [] for contestant in contestants}
        for path, share in shares.items():
            where = f"batch {workload.batch_size} at {workload.size}x{workload.size}"
            self.say(f"measuring {path}, {where} ...")
            budget_s = self.config.budget_s * share / sum(shares.values()) / num_shapes
            found = measure(
                [workload.subject(contestant, path) for contestant in contestants],
                Limits(budget_s=budget_s),
            )
            for name, measured in found.measured.items():
                timing = measured.timing(path, batch_size=workload.batch_size)
                timings[name].append(timing)
            for name, error in found.failed.items():
                self.unusable.append(Unusable(name=f"{name}, {path}, {where}", reason=str(error)))
        return self._rows(contestants, workload, timings)

    def _rows(
        self,
        contestants: Sequence[Contestant],
        workload: Workload,
        timings: dict[str, list[Timing]],
    ) -> list[Row]:
        expected = workload.translate(contestants[0])
        rows: list[Row] = []
        for contestant in contestants:
            if not timings[contestant.name]:
                continue
            difference = compare_pictures(expected, workload.translate(contestant))
            row = make_row(contestant, workload, timings[contestant.name], difference)
            rows.append(
                dataclasses.replace(row, speedup=speedup_over(row, rows[0] if rows else row))
            )
        return rows

    def _with_scenarios(
        self, rows: list[Row], contestants: Sequence[Contestant], folder: Path
    ) -> list[Row]:
        """Offline at the greatest batch and server at batch 1, both at the first size."""
        config, size = self.config, self.sizes[0]
        greatest, least = max(config.batch_sizes), min(config.batch_sizes)
        for contestant in contestants:
            if config.offline:
                self.say(f"offline scenario: {contestant.name} ...")
                workload = Workload(self.card, greatest, size, folder)
                offline = measure_offline(
                    workload.subject(contestant, "host to host"),
                    batch_size=greatest,
                    num_images=10**9,
                    max_s=config.offline_s,
                )
                rows = changed_rows(rows, contestant, greatest, size, offline=offline)
            if config.server:
                self.say(f"server scenario: {contestant.name} ...")
                workload = Workload(self.card, 1, size, folder)
                plan = ServerPlan(
                    latency_bound_ms=config.latency_bound_ms, budget_s=config.server_s
                )
                server = measure_server(workload.subject(contestant, "host to host"), plan)
                rows = changed_rows(rows, contestant, least, size, server=server)
        return rows

    def _with_memory(self, rows: list[Row], contestants: Sequence[Contestant]) -> list[Row]:
        if self.config.memory == "none":
            return rows
        batches = self.config.batch_sizes
        for contestant in contestants:
            for batch in batches if self.config.memory == "all" else (max(batches),):
                self.say(f"peak memory: {contestant.name}, batch {batch} ...")
                peak = peak_memory(contestant, batch, self.sizes[0])
                if peak.reason:
                    name = f"{contestant.name}, peak memory at batch {batch}"
                    self.unusable.append(Unusable(name=name, reason=peak.reason))
                rows = changed_rows(
                    rows,
                    contestant,
                    batch,
                    self.sizes[0],
                    peak_host_bytes=peak.host_bytes,
                    peak_device_bytes=peak.device_bytes,
                )
        return rows

    def _roofs(self, contestants: Sequence[Contestant]) -> dict[Precision, Roof]:
        if not self.config.roofline:
            return {}
        self.say("measuring the machine's limits ...")
        precisions = list(dict.fromkeys(contestant.precision for contestant in contestants))
        return measure_roofs(precisions, device=self.device, budget_s=ROOF_BUDGET_S)


def _train(config: SuiteConfig, say: Say) -> tuple[tuple[TrainingRow, ...], list[Unusable]]:
    if not config.training:
        return (), []
    from stargan_deploy.config import from_mapping

    say("measuring training, all sides in turn ...")
    found = measure_training(from_mapping(TrainingSpeedConfig, config.training))
    return training_rows(found), list(found.unusable)


def _batch(
    config: SuiteConfig, checkpoint: Path, device: str, say: Say
) -> tuple[tuple[BatchRow, ...], tuple[Unusable, ...]]:
    if not config.batch:
        return (), ()
    from stargan_deploy.benchmarking.batch_speed import BatchSpeedConfig, measure_batch
    from stargan_deploy.config import from_mapping

    settings = from_mapping(BatchSpeedConfig, config.batch, path="batch")
    found = measure_batch(settings, checkpoint, device=device, say=say)
    return found.rows, found.unusable
