"""Verdicts of a proof in words."""

from collections.abc import Iterable

from stargan_deploy.card.card import Verdict
from stargan_deploy.cli.console import show
from stargan_deploy.export.proof.compare import describe


def show_verdicts(verdicts: Iterable[Verdict], *, unverified: str | None = None) -> None:
    """Print a line for each verdict, those on images first.

    Args:
        verdicts: the results.
        unverified: why the artefact itself could not run; the verdicts are its source graph's.
    """
    for verdict in sorted(verdicts, key=lambda v: "psnr_db" not in v.measured):
        where = f"{verdict.entry_point} on {verdict.runtime} ({verdict.device})"
        proven = "its source graph equals PyTorch" if unverified else "proven equal to PyTorch"
        opening = proven if verdict.passed else "out of tolerance"
        show(f"{opening}: {where}: {describe(verdict)}")
    if unverified:
        show(
            f"unverified: {unverified}; where it can run, add the verdict with: stargan-deploy "
            "verify"
        )
