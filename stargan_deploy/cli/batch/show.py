"""Shows what a batch would do and what it did."""

from pathlib import Path
from typing import Any

from stargan_deploy.batch.plan import BatchPlan
from stargan_deploy.batch.report import BatchReport
from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.flags import with_flags
from stargan_deploy.errors import IncompleteError
from stargan_deploy.presentation.text import printable

MAX_SHOWN_FAILURES = 20


def show_plan(plan: BatchPlan, model: Path, *, json_output: bool) -> None:
    """Print where each image would go."""
    photos: list[dict[str, Any]] = [
        {"photo": printable(photo.path), "pictures": [printable(path) for path in photo.outputs]}
        for photo in plan.photos
    ]
    if json_output:
        show_json({"dry_run": True, "model": str(model), "photos": photos})
        return
    for photo in photos:
        for image in photo["pictures"]:
            show(f"{photo['photo']} -> {image}")
    say(f"dry run: translating {plan.summary} was not done")


def show_report(report: BatchReport, *, json_output: bool) -> None:
    """Print the outcome.

    Raises:
        IncompleteError: a photo failed.
    """
    if json_output:
        show_json(report.to_mapping())
    else:
        show_outcome(report)
    if report.num_failed:
        photos = _count(report.num_photos, "photo")
        raise IncompleteError(
            f"{report.num_failed} of {photos} failed; see {report.path}",
            hint="the same command with `resume` tries them again",
        )


def show_outcome(report: BatchReport) -> None:
    """Print the outcome in words."""
    for note in report.notes:
        say(f"note: {with_flags(note)}")
    for failure in report.failures[:MAX_SHOWN_FAILURES]:
        show(f"failed: {with_flags(failure.reason)}")
    if (more := len(report.failures) - MAX_SHOWN_FAILURES) > 0:
        show(f"... and {more} more in {report.path}")
    if report.without_face:
        show(f"no face in {_count(len(report.without_face), 'photo')}; listed in {report.path}")
    before = f", {report.num_done_before} of them before" if report.num_done_before else ""
    show(
        f"translated {report.num_translated} of {_count(report.num_photos, 'photo')}{before}: "
        f"{_count(report.num_pictures, 'image')} in {report.output}/, "
        f"{report.seconds:.1f} s, {report.images_per_s:.1f} images/s"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
