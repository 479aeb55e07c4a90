"""Runs a whole benchmark: every usable backend, at every precision, entry point, batch and size.

All candidates of one entry point, batch and size are measured together in rounds (see `timing`),
path by path; scenarios, image errors, memory and the roof follow. What is not usable is listed with
the reason.
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
from stargan_deploy.backends.registry import REFERENCE
from stargan_deploy.benchmarking.machine.machine import describe_machine, take_snapshot
from stargan_deploy.benchmarking.measure.rounds import Speed
from stargan_deploy.benchmarking.measure.scenarios import (
    ServerPlan,
    measure_offline,
    measure_server,
)
from stargan_deploy.benchmarking.measure.timing import Limits, measure
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
from stargan_deploy.benchmarking.suite.assemble_rows import (
    assemble_rows,
    changed_rows,
    peak_memory,
    with_roof,
)
from stargan_deploy.benchmarking.suite.batch_speed import BatchSpeedConfig, measure_batch
from stargan_deploy.benchmarking.suite.candidates import (
    Candidate,
    Entry,
    Opened,
    choose_points,
    choose_sizes,
    list_entries,
    make_candidate,
    open_entry,
)
from stargan_deploy.benchmarking.suite.config import SuiteConfig
from stargan_deploy.benchmarking.suite.timed_calls import InputBatches
from stargan_deploy.benchmarking.suite.training_speed import TrainingSpeedConfig, measure_training
from stargan_deploy.card.card import Precision
from stargan_deploy.config import from_mapping
from stargan_deploy.devices import Device
from stargan_deploy.errors import StarganDeployError
from stargan_deploy.files.atomic import file_sha256
from stargan_deploy.inference.find import ModelFile

ROOF_BUDGET_S = 10.0

PATH_SHARES: dict[MeasuredPath, float] = {
    "host to host": 0.5,
    "device only": 0.25,
    "end to end": 0.25,
}
"""Shares of the time for timing: what most people mean by latency gets half of it."""

_log = logging.getLogger(__name__)


def run_suite(
    config: SuiteConfig, model: ModelFile, *, checkpoint: ModelFile | None = None, device: Device
) -> Results:
    """Measures everything that a benchmark asks for.

    Args:
        config: what to measure.
        model: a checkpoint, or an artefact to compare with its checkpoint.
        checkpoint: what an artefact was made from; None for a model that is a checkpoint itself.
        device: where to measure.

    Raises:
        StarganDeployError: eager FP32, which everything is compared with, does not run here.
    """
    checkpoint = checkpoint or model
    before = after = take_snapshot(device)
    rows, unusable, roofs = list[Row](), list[Unusable](), dict[Precision, Roof]()
    if config.inference:
        run = _Run(config, model, checkpoint, device)
        rows, unusable, roofs = run.measure()
        after = run.after
    training, batch = _train(config), _batch(config, checkpoint, device)
    return Results(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=model.path.name,
        model_sha256=file_sha256(model.path),
        machine=describe_machine(before=before, after=after, device=device),
        rows=tuple(rows),
        training=training.rows,
        batch=batch.rows,
        unusable=(*unusable, *training.unusable, *batch.unusable),
        roofs=tuple(roofs.values()),
    )


class _Run:
    """The inference part of one benchmark."""

    def __init__(
        self, config: SuiteConfig, model: ModelFile, checkpoint: ModelFile, device: Device
    ) -> None:
        self.config = config
        self.model = model
        self.checkpoint = checkpoint
        self.device = device
        self.card = checkpoint.card
        self.points = choose_points(model.card, config.entry_points)
        self.sizes = choose_sizes(model.card, self.points, config.sizes)
        self.unusable: list[Unusable] = []
        self.after = Snapshot()

    def measure(self) -> tuple[list[Row], list[Unusable], dict[Precision, Roof]]:
        """Opens everything, measures it at every entry point, batch and size, and closes it."""
        with ExitStack() as stack:
            candidates = self._open_all(stack)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            places = list(product(self.points, self.sizes, self.config.batch_sizes))
            rows: list[Row] = []
            for point, size, batch in places:
                group = [each for each in candidates if each.entry_point == point]
                batches = InputBatches(self.card, batch, size, folder)
                rows += self._measure_place(group, batches, self.config.budget_s / len(places))
            self.after = take_snapshot(self.device)  # before clocks fall back
            rows = self._with_scenarios(rows, candidates, folder)
        rows = self._with_memory(rows, candidates)
        roofs = self._roofs(candidates)
        return [with_roof(row, self.card, roofs) for row in rows], self.unusable, roofs

    def _open_all(self, stack: ExitStack) -> list[Candidate]:
        entries, self.unusable = self._entries()
        start, opened = time.perf_counter(), list[Candidate]()
        for entry, model in entries:
            if opened and time.perf_counter() - start > self.config.build_budget_s:
                reason = f"no time left of {self.config.build_budget_s:g} s for building"
                self.unusable.append(Unusable(name=entry.name, reason=reason))
                continue
            _log.info("opening %s ...", entry.name)
            try:
                found = open_entry(entry, model, self.device)
            except StarganDeployError as error:
                if not opened:
                    raise
                self.unusable.append(Unusable(name=entry.name, reason=str(error)))
                continue
            with ExitStack() as own:
                own.push(found.runtime)
                made = list(self._candidates(found, is_needed=not opened))
                opened += made
                if made:
                    stack.push(own.pop_all())
        return opened

    def _candidates(self, opened: Opened, *, is_needed: bool) -> Iterator[Candidate]:
        """Calls a backend's entry points; it must have them all where the rest needs it."""
        batch, size = self.config.batch_sizes[0], self.sizes[0]
        for point in self.points:
            name = f"{opened.entry.name} {point}" if len(self.points) > 1 else opened.entry.name
            try:
                yield make_candidate(name, opened, point, batch_size=batch, size=size)
            except StarganDeployError as error:
                if is_needed:
                    raise
                self.unusable.append(Unusable(name=name, reason=str(error)))

    def _entries(self) -> tuple[list[tuple[Entry, ModelFile]], list[Unusable]]:
        """Entries to open, each with the file to open it from, eager FP32 first."""
        config, model = self.config, self.model
        if not model.is_checkpoint:
            eager = Entry(backend=REFERENCE, precision="fp32")
            own = Entry(backend=model.backends[0], precision=precision_of(model.card.precision))
            return [(eager, self.checkpoint), (own, model)], []
        entries, unusable = list_entries(self.device, config.backends, config.precisions)
        return [(entry, model) for entry in entries], unusable

    def _measure_place(
        self, candidates: Sequence[Candidate], batches: InputBatches, budget_s: float
    ) -> list[Row]:
        shares = {path: PATH_SHARES[path] for path in PATHS if path in self.config.paths}
        timings: dict[str, list[Timing]] = {candidate.name: [] for candidate in candidates}
        for path, share in shares.items():
            where = f"batch {batches.batch_size} at {batches.size}x{batches.size}"
            _log.info("measuring %s %s, %s ...", candidates[0].entry_point, path, where)
            found = measure(
                [batches.workload(candidate, path) for candidate in candidates],
                Limits(budget_s=budget_s * share / sum(shares.values())),
            )
            for name, measured in found.measured.items():
                timings[name].append(Timing.of(measured, path, batch_size=batches.batch_size))
            for name, error in found.failed.items():
                self.unusable.append(Unusable(name=f"{name}, {path}, {where}", reason=str(error)))
        return assemble_rows(candidates, batches, timings)

    def _with_scenarios(
        self, rows: list[Row], candidates: Sequence[Candidate], folder: Path
    ) -> list[Row]:
        """Offline at the greatest batch and server at batch 1, both at the first size."""
        config, size = self.config, self.sizes[0]
        greatest, least = max(config.batch_sizes), min(config.batch_sizes)
        for candidate in candidates:
            if config.offline:
                _log.info("offline scenario: %s ...", candidate.name)
                batches = InputBatches(self.card, greatest, size, folder)
                offline = measure_offline(
                    batches.workload(candidate, "host to host"),
                    batch_size=greatest,
                    num_images=10**9,
                    max_s=config.offline_s,
                )
                rows = changed_rows(rows, candidate, greatest, size, offline=offline)
            if config.server:
                _log.info("server scenario: %s ...", candidate.name)
                batches = InputBatches(self.card, 1, size, folder)
                plan = ServerPlan(
                    latency_bound_ms=config.latency_bound_ms, budget_s=config.server_s
                )
                server = measure_server(batches.workload(candidate, "host to host"), plan)
                rows = changed_rows(rows, candidate, least, size, server=server)
        return rows

    def _with_memory(self, rows: list[Row], candidates: Sequence[Candidate]) -> list[Row]:
        if self.config.memory == "none":
            return rows
        batches = self.config.batch_sizes
        for candidate in candidates:
            for batch in batches if self.config.memory == "all" else (max(batches),):
                _log.info("peak memory: %s, batch %d ...", candidate.name, batch)
                peak = peak_memory(candidate, batch, self.sizes[0])
                if peak.reason:
                    name = f"{candidate.name}, peak memory at batch {batch}"
                    self.unusable.append(Unusable(name=name, reason=peak.reason))
                rows = changed_rows(
                    rows,
                    candidate,
                    batch,
                    self.sizes[0],
                    peak_host_bytes=peak.host_bytes,
                    peak_device_bytes=peak.device_bytes,
                )
        return rows

    def _roofs(self, candidates: Sequence[Candidate]) -> dict[Precision, Roof]:
        if not self.config.roofline:
            return {}
        _log.info("measuring the machine's limits ...")
        precisions = list(dict.fromkeys(candidate.precision for candidate in candidates))
        return measure_roofs(precisions, device=self.device, budget_s=ROOF_BUDGET_S)


def _train(config: SuiteConfig) -> Speed[TrainingRow]:
    if not config.training:
        return Speed()
    _log.info("measuring training, all setups in turn ...")
    return measure_training(from_mapping(TrainingSpeedConfig, config.training, path="training"))


def _batch(config: SuiteConfig, checkpoint: ModelFile, device: Device) -> Speed[BatchRow]:
    if not config.batch:
        return Speed()
    settings = from_mapping(BatchSpeedConfig, config.batch, path="batch")
    return measure_batch(settings, checkpoint, device=device)
