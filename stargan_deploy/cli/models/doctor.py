"""`stargan-deploy doctor`."""

from typing import Annotated

import typer

from stargan_deploy.backends.doctor import Finding, Machine, examine, examine_machine
from stargan_deploy.backends.registry import runtime_names, runtime_spec
from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.guidance.next_steps import say_next
from stargan_deploy.cli.options import Json, Quiet
from stargan_deploy.config import to_mapping
from stargan_deploy.errors import BackendError

HEADINGS = ("backend", "usable", "version", "seconds", "what was found")


def doctor(
    backend: Annotated[
        str | None,
        typer.Option(
            help="Try only this one; the exit code is 7 if it is not usable.", show_default="all"
        ),
    ] = None,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Try every backend on a one-layer graph; say which are usable and how to fix the rest.

    The exit code is 0 whenever the table could be made, unless --backend asks for one.
    """
    if backend is not None:
        runtime_spec(backend)
    machine = examine_machine()
    findings = _examine([backend] if backend else list(runtime_names()))
    if json_output:
        rows = [to_mapping(finding) for finding in findings]
        show_json({"machine": to_mapping(machine), "backends": rows})
    else:
        show("\n".join([*_machine_lines(machine), "", *_table(findings)]))
    if backend is None:
        say_next("bench")
    elif not findings[0].usable:
        found = findings[0]
        message = f"the {found.backend} backend is not usable here: {found.text}"
        raise BackendError(message, hint=found.remedy)


def _examine(names: list[str]) -> list[Finding]:
    """Try backends one after the other, so that each has all cores."""
    findings = []
    for number, name in enumerate(names, start=1):
        say(f"trying {name} ({number} of {len(names)})")
        findings.append(examine(name))
    return findings


def _machine_lines(machine: Machine) -> list[str]:
    cores = "1 core" if machine.num_cores == 1 else f"{machine.num_cores} cores"
    torch = f"torch {machine.torch}" if machine.torch else "no torch"
    return [
        f"machine  {machine.processor}, {cores}; Python {machine.python}, {torch}",
        f"GPU      {', '.join(machine.gpus) or 'no NVIDIA GPU with a working driver'}",
        f"cache    {machine.cache}",
    ]


def _table(findings: list[Finding]) -> list[str]:
    """A row per backend, and below it the remedy if there is something to fix."""
    rows = [HEADINGS, *map(_row, findings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    first, *others = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    indent = " " * (widths[0] + 2)
    lines = [first]
    for finding, line in zip(findings, others, strict=True):
        lines += [line, *([f"{indent}to fix it: {finding.remedy}"] if finding.remedy else [])]
    return lines


def _row(finding: Finding) -> tuple[str, ...]:
    usable = "yes" if finding.usable else "no"
    return finding.backend, usable, finding.version, f"{finding.seconds:.1f}", finding.text
