"""A planned batch carried out: every photo to every target, none lost and none done twice."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from stargan_deploy.batch.disk import DiskWait
from stargan_deploy.batch.manifest.lines import PhotoRecord
from stargan_deploy.batch.manifest.reader import Manifests, read_manifests
from stargan_deploy.batch.manifest.writer import ManifestWriter
from stargan_deploy.batch.outcome import Outcome
from stargan_deploy.batch.photos.photo_remarks import Trait, already_notes, trait_notes
from stargan_deploy.batch.plan import BatchPlan, Photo
from stargan_deploy.batch.report import BatchReport, Failure, report_name
from stargan_deploy.batch.resume import (
    HASHED_AT_ONCE,
    Decision,
    ResumePolicy,
    claim_in_groups,
    decide,
)
from stargan_deploy.batch.settings import Settings
from stargan_deploy.card.card import ModelCard
from stargan_deploy.errors import StoppedError
from stargan_deploy.files.atomic import remove_temporaries
from stargan_deploy.inference.translator import ZEROS_NOTE
from stargan_deploy.presentation.text import printable
from stargan_deploy.progress import OnProgress
from stargan_deploy.stop_signals import StopSignals

_log = logging.getLogger(__name__)

Work = Callable[[Iterator[Photo]], Generator[Outcome | None, None, None]]
"""Translates photos, here (`Pipeline.work`) or elsewhere, and yields the outcome of each; None
where none ended for a while, so that a signal is noticed."""

COMPARED_PER_LINE = 40 * HASHED_AT_ONCE
"""Finished photos compared per line of progress."""


@dataclass(frozen=True, kw_only=True)
class BatchContext:
    """The settings of a run and its surroundings."""

    settings: Settings
    """Everything but the photos that decides the images."""
    card: ModelCard
    model: str = ""
    """Name of the model, for the report."""
    policy: ResumePolicy = field(default_factory=ResumePolicy)
    """How to treat the work of earlier runs."""
    covers_folder: bool = False
    """Whether the report covers all photos ever recorded in the output folder, not only those of
    the plan; meant for a watched folder."""
    wait: DiskWait = field(default_factory=lambda: DiskWait(Path(), wait_s=0, say=lambda _: None))
    """Repeats writes while the disk is full."""
    on_progress: OnProgress = lambda _done, _all: None


def execute_plan(
    plan: BatchPlan, work: Work, context: BatchContext, earlier: Manifests | None = None
) -> BatchReport:
    """Translate a planned batch; writes images, manifest and report.

    A first report is written before the work starts, so that an unwritable folder is noticed then,
    and that an interrupted batch leaves a report that says so.

    Args:
        plan: from `plan_batch`.
        work: translates photos.
        context: settings, policy, a full disk.
        earlier: the output folder's manifests if they were read already.

    Raises:
        UsageError: another run is at work, or the work of earlier runs does not fit.
        OutputError: the output folder cannot be written, or the disk stayed full.
        BackendError: the runtime failed.
        StoppedError: a signal arrived; what was finished is recorded.
    """
    shard, output, run = plan.job.shard, plan.job.output, context

    def tell_compared(num_compared: int, num_all: int) -> None:
        if num_compared % COMPARED_PER_LINE == 0:
            _log.info("%d of %d finished photos compared with their files", num_compared, num_all)

    with ManifestWriter(output, shard=shard, guard=run.wait) as manifest:
        earlier = read_manifests(output, earlier)
        decision = decide(
            plan.photos,
            output=output,
            earlier=earlier,
            settings=run.settings,
            policy=run.policy,
            shard=shard,
            on_progress=tell_compared,
        )
        for note in (*manifest.notes, *earlier.notes()):
            _log.info("note: %s", note)
        names = {photo.name.as_posix() for photo in plan.photos}
        others = [r for r in earlier.photos.values() if run.covers_folder and r.photo not in names]
        tally = _Tally(plan, decision, others, run)
        tally.report(finished=False)
        if decision.to_do:
            manifest.begin(run.settings, earlier)
            remove_temporaries(path for photo in decision.to_do for path in photo.outputs)
            _do(decision.to_do, work, manifest, tally)
        return tally.report(finished=True)


def _do(photos: Sequence[Photo], work: Work, manifest: ManifestWriter, tally: "_Tally") -> None:
    """Translate photos and record the end of each; stops at a signal."""
    output = tally.plan.job.output
    with (
        StopSignals() as stop,
        closing(work(claim_in_groups(photos, manifest, output=output))) as outcomes,
    ):
        for outcome in outcomes:
            if outcome is not None:
                manifest.append(outcome.record(output))
                tally.add(outcome)
            if stop.received is not None:
                tally.run.wait.give_up()
                break
    if stop.received is not None and tally.num_ended < len(photos):
        raise StoppedError(
            f"stopped by {stop.received.name} after {tally.num_ended} of {len(photos)} photos",
            signal=stop.received,
            hint="continue with the same command and `resume`",
        )


class _Tally:
    """The progress of a run in numbers."""

    def __init__(
        self,
        plan: BatchPlan,
        decision: Decision,
        others: Sequence[PhotoRecord],
        run: BatchContext,
    ) -> None:
        self.plan = plan
        self.run = run
        self.num_ended = 0
        self._to_do = decision.to_do
        self._num_photos = len(plan.photos) + len(others)
        before = (*decision.done, *others)
        self._before = Counter(record.result for record in before)
        self._skipped = [r.photo for r in before if r.result in ("skipped", "copied")]
        failed = [record for record in others if record.result == "failed"]
        self._failures = [Failure(path=printable(r.photo), reason=r.reason) for r in failed]
        self._failures += plan.failures
        self._ended: Counter[str] = Counter()
        self._traits: Counter[Trait] = Counter()
        self._already: Counter[str] = Counter()
        self._num_images = 0
        self._origin = ""
        self._start_s = time.perf_counter()

    def add(self, outcome: Outcome) -> None:
        """Count the end of one photo."""
        self.num_ended += 1
        self._ended[outcome.result] += 1
        self._num_images += len(outcome.images)
        if outcome.result == "failed":
            self._failures.append(outcome.failure)
        else:
            self._traits.update(outcome.traits)
            self._already.update(outcome.already)
        if outcome.result in ("skipped", "copied"):
            self._skipped.append(outcome.photo.name.as_posix())
        if outcome.result == "translated":
            self._origin = outcome.source_origin
        self.run.on_progress(self.num_ended, len(self._to_do))

    def report(self, *, finished: bool) -> BatchReport:
        """Write the report on the progress so far, and return it."""
        seconds = time.perf_counter() - self._start_s
        job, settings = self.plan.job, self.run.settings
        results = self._before + self._ended
        report = BatchReport(
            path=str(job.output / report_name(job.shard)),
            finished=finished,
            input=printable(job.input),
            output=printable(job.output),
            targets={named.folder: named.target.text for named in job.targets},
            model=self.run.model,
            backend=settings.backend,
            device=settings.device,
            image_size=int(settings.options["size"]),
            num_photos=self._num_photos,
            num_done_before=self._before.total() - self._before["failed"],
            num_translated=results["translated"],
            num_pictures=self._num_images,
            num_failed=len(self._failures),
            seconds=round(seconds, 3),
            images_per_s=round(self._num_images / max(seconds, 1e-9), 2),
            source_origin=self._origin,
            renamed=self.plan.renamed,
            without_face=tuple(sorted(map(printable, self._skipped))),
            left_out=dict(self.plan.left_out),
            failures=tuple(sorted(self._failures, key=lambda failure: failure.path)),
            notes=self._notes(),
        )
        self.run.wait(report.write)
        return report

    def _notes(self) -> tuple[str, ...]:
        num_looked_at = self.num_ended - self._ended["failed"]
        size = int(self.run.settings.options["size"])
        notes = trait_notes(self._traits, num_looked_at, self.run.card, size)
        if self.plan.job.options.strengths != (1.0,):
            notes += already_notes(self._already, num_looked_at, self._origin)
        if self.plan.note:
            notes.append(self.plan.note)
        if self._origin == "zeros" and self.plan.job.source == "predict":
            notes.append(ZEROS_NOTE)
        if self.plan.renamed:
            notes.append(
                f"renamed: {len(self.plan.renamed)} of the images, because another photo's has "
                "the name; the report lists them"
            )
        return tuple(notes)
