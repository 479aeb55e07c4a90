"""Runs a whole benchmark: every usable backend, at every precision, entry point, batch and size.

All contestants of one entry point, batch and size are measured together in rounds (see `timing`),
path by path; scenarios, picture errors, memory and the roof follow. What is not usable is listed
with the reason.
"""

import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

from stargan_deploy.backends.difference import precision_of
from stargan_deploy.backends.registry import REFERENCE, read_card_of
from stargan_deploy.backends.spec import CHECKPOINT_SUFFIX
from stargan_deploy.benchmarking.machine.machine import describe_machine, take_snapshot
from stargan_deploy.benchmarking.measure.timed_calls import Workload
from stargan_deploy.benchmarking.measure.timing import Limits, measure
from stargan_deploy.benchmarking.measure.training_speed import (
    TrainingSpeedConfig,
    measure_training,
    training_rows,
)
from stargan_deploy.benchmarking.report.format import PATHS
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
from stargan_deploy.benchmarking.roofline.roofline import measure_roofs
from stargan_deploy.benchmarking.suite.candidates import (
    Contestant,
    Entry,
    Opened,
    choose_points,
    choose_sizes,
    list_entries,
    make_contestant,
    open_entry,
    own_entry,
)
from stargan_deploy.benchmarking.suite.config import SuiteConfig
from stargan_deploy.benchmarking.suite.rows import (
    changed_rows,
    make_rows,
    peak_memory,
    with_roof,
)
from stargan_deploy.benchmarking.suite.scenarios import ServerPlan, measure_offline, measure_server
from stargan_deploy.card.card import ModelCard, Precision
from stargan_deploy.devices import parse_device
from stargan_deploy.errors import StarganDeployError
from stargan_deploy.files.atomic import file_sha256

_log = logging.getLogger(__name__)

ROOF_BUDGET_S = 10.0

PATH_SHARES: dict[MeasuredPath, float] = {
    "host to host": 0.5,
    "device only": 0.25,
    "end to end": 0.25,
}
"""Of the time for timing: what most people mean by latency gets half of it."""


def run_suite(config: SuiteConfig, model: Path, *, checkpoint: Path, device: str) -> Results:
    """Measures.

    Args:
        config: what to measure.
        model: a checkpoint, or an artefact to compare with its checkpoint.
        checkpoint: the model itself, or what the artefact was made from.
        device: "cpu" or "cuda:N".

    Raises:
        StarganDeployError: eager FP32, which all is compared with, does not run here.
    """
    before = after = take_snapshot(parse_device(device))
    rows, unusable, roofs = list[Row](), list[Unusable](), dict[Precision, Roof]()
    if config.inference:
        run = _Run(config, model, checkpoint, device)
        rows, unusable, roofs = run.measure()
        after = run.after
    training, reasons = _train(config)
    batch, more_reasons = _batch(config, checkpoint, device)
    return Results(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=model.name,
        model_sha256=file_sha256(model),
        machine=describe_machine(before=before, after=after, device=parse_device(device)),
        rows=tuple(rows),
        training=training,
        batch=batch,
        unusable=(*unusable, *reasons, *more_reasons),
        roofs=tuple(roofs.values()),
    )


class _Run:
    """The inference part of one benchmark."""

    def __init__(self, config: SuiteConfig, model: Path, checkpoint: Path, device: str) -> None:
        self.config = config
        self.model = model
        self.checkpoint = checkpoint
        self.device = device
        self.card: ModelCard = read_card_of(checkpoint)
        own_card = read_card_of(model)
        self.points = choose_points(own_card, config.entry_points)
        self.sizes = choose_sizes(own_card, self.points, config.sizes)
        self.unusable: list[Unusable] = []
        self.after = Snapshot()

    def measure(self) -> tuple[list[Row], list[Unusable], dict[Precision, Roof]]:
        """Opens everything, measures it at every entry point, batch and size, and closes it."""
        with ExitStack() as stack:
            contestants = self._open_all(stack)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            places = list(product(self.points, self.sizes, self.config.batch_sizes))
            rows: list[Row] = []
            for point, size, batch in places:
                rivals = [each for each in contestants if each.entry_point == point]
                workload = Workload(self.card, batch, size, folder)
                rows += self._measure_place(rivals, workload, self.config.budget_s / len(places))
            self.after = take_snapshot(parse_device(self.device))  # before clocks fall back
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
            _log.info(f"opening {entry.name} ...")
            try:
                found = open_entry(entry, model, device=self.device)
            except StarganDeployError as error:
                if not opened:
                    raise
                self.unusable.append(Unusable(name=entry.name, reason=str(error)))
                continue
            with ExitStack() as own:
                own.push(found.runtime)
                made = list(self._contestants(found, is_needed=not opened))
                opened += made
                if made:
                    stack.push(own.pop_all())
        return opened

    def _contestants(self, opened: Opened, *, is_needed: bool) -> Iterator[Contestant]:
        """Calls a backend's entry points; it must have them all where the rest needs it."""
        batch, size = self.config.batch_sizes[0], self.sizes[0]
        for point in self.points:
            name = f"{opened.entry.name} {point}" if len(self.points) > 1 else opened.entry.name
            try:
                yield make_contestant(name, opened, point, batch_size=batch, size=size)
            except StarganDeployError as error:
                if is_needed:
                    raise
                self.unusable.append(Unusable(name=name, reason=str(error)))

    def _entries(self) -> tuple[list[tuple[Entry, Path]], list[Unusable]]:
        """What to open, with the file to open it from, eager FP32 first."""
        config = self.config
        if self.model.suffix.lower() != CHECKPOINT_SUFFIX:
            precision = precision_of(read_card_of(self.model).precision)
            eager = Entry(backend=REFERENCE, precision="fp32")
            return [(eager, self.checkpoint), (own_entry(self.model, precision), self.model)], []
        entries, left_out = list_entries(self.device, config.backends, config.precisions)
        return [(entry, self.model) for entry in entries], left_out

    def _measure_place(
        self, contestants: Sequence[Contestant], workload: Workload, budget_s: float
    ) -> list[Row]:
        shares = {path: PATH_SHARES[path] for path in PATHS if path in self.config.paths}
        timings: dict[str, list[Timing]] = {contestant.name: [] for contestant in contestants}
        for path, share in shares.items():
            where = f"batch {workload.batch_size} at {workload.size}x{workload.size}"
            _log.info(f"measuring {contestants[0].entry_point} {path}, {where} ...")
            found = measure(
                [workload.subject(contestant, path) for contestant in contestants],
                Limits(budget_s=budget_s * share / sum(shares.values())),
            )
            for name, measured in found.measured.items():
                timing = measured.timing(path, batch_size=workload.batch_size)
                timings[name].append(timing)
            for name, error in found.failed.items():
                self.unusable.append(Unusable(name=f"{name}, {path}, {where}", reason=str(error)))
        return make_rows(contestants, workload, timings)

    def _with_scenarios(
        self, rows: list[Row], contestants: Sequence[Contestant], folder: Path
    ) -> list[Row]:
        """Offline at the greatest batch and server at batch 1, both at the first size."""
        config, size = self.config, self.sizes[0]
        greatest, least = max(config.batch_sizes), min(config.batch_sizes)
        for contestant in contestants:
            if config.offline:
                _log.info(f"offline scenario: {contestant.name} ...")
                workload = Workload(self.card, greatest, size, folder)
                offline = measure_offline(
                    workload.subject(contestant, "host to host"),
                    batch_size=greatest,
                    num_images=10**9,
                    max_s=config.offline_s,
                )
                rows = changed_rows(rows, contestant, greatest, size, offline=offline)
            if config.server:
                _log.info(f"server scenario: {contestant.name} ...")
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
                _log.info(f"peak memory: {contestant.name}, batch {batch} ...")
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
        _log.info("measuring the machine's limits ...")
        precisions = list(dict.fromkeys(contestant.precision for contestant in contestants))
        return measure_roofs(precisions, device=self.device, budget_s=ROOF_BUDGET_S)


def _train(config: SuiteConfig) -> tuple[tuple[TrainingRow, ...], list[Unusable]]:
    if not config.training:
        return (), []
    from stargan_deploy.config import from_mapping

    _log.info("measuring training, all sides in turn ...")
    found = measure_training(from_mapping(TrainingSpeedConfig, config.training))
    return training_rows(found), list(found.unusable)


def _batch(
    config: SuiteConfig, checkpoint: Path, device: str
) -> tuple[tuple[BatchRow, ...], tuple[Unusable, ...]]:
    if not config.batch:
        return (), ()
    from stargan_deploy.benchmarking.measure.batch_speed import BatchSpeedConfig, measure_batch
    from stargan_deploy.config import from_mapping

    settings = from_mapping(BatchSpeedConfig, config.batch, path="batch")
    found = measure_batch(settings, checkpoint, device=device)
    return found.rows, found.unusable
