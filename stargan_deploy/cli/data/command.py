"""`stargan-deploy data`: checking a data folder, and downloading one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from stargan_deploy.cli.commands import App
from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.flags import with_flags
from stargan_deploy.cli.guidance.next_steps import say_next
from stargan_deploy.cli.options import Json, Quiet, names_of
from stargan_deploy.cli.progress import progress
from stargan_deploy.config import to_mapping
from stargan_deploy.data.inspect.check import FolderReport, Part, Size, check_folder
from stargan_deploy.data.inspect.download import download_celeba
from stargan_deploy.data.layout import load_layout
from stargan_deploy.data.layouts.listed import PAPER_ATTRIBUTES
from stargan_deploy.data.registry import LAYOUTS, WITHOUT_FOLDER
from stargan_deploy.errors import DataError, UsageError
from stargan_deploy.files.colours import ValueRange
from stargan_deploy.typed import read_typed

if TYPE_CHECKING:
    Kind = str
else:
    Kind = Literal[("auto", *(name for name in LAYOUTS if name not in WITHOUT_FOLDER))]

data = App(help="Checks a folder of images and labels, or downloads one.", no_args_is_help=True)

MAX_COLUMNS = 8
"""Labels shown in the table of co-occurrence, which is as wide as their names."""

MAX_NAMED = 3
"""Broken images named in the error."""

MAX_LISTED = 20
"""Broken images listed in the report."""


@data.command()
def check(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER...", help="Folder of a data set, or its label file."),
    ],
    attrs: Annotated[
        list[str] | None,
        typer.Option(help="Labels to count, or the two domains: A,B,...", show_default="all"),
    ] = None,
    kind: Annotated[
        Kind,
        typer.Option(help="Layout of the folder, as data.kind of a recipe; auto recognises it."),
    ] = "auto",
    range: Annotated[
        str | None,
        typer.Option(
            metavar="LOW,HIGH",
            help="Values of deep images (16 bits, floats) that become black and white, as "
            "data.range of a recipe.",
            show_default="the full range of their type",
        ),
    ] = None,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Show what a data folder holds: layout, images, sizes, labels, broken files."""
    names = names_of(attrs)
    if attrs and not names:
        raise UsageError("`attributes` names no label", hint="leave it out for all of them")
    values = None if range is None else read_typed("range", ValueRange | None, range)
    reports = []
    for number, folder in enumerate(folders):
        with progress("images") as on_progress:
            report = check_folder(
                folder, kind=kind, attributes=names, range=values, progress=on_progress
            )
        reports.append(report)
        if not json_output:
            heading = ["", str(folder)] if number else [str(folder)]
            show("\n".join([*(heading if len(folders) > 1 else []), with_flags(_text(report))]))
    if json_output:
        plain = [to_mapping(report) for report in reports]
        show_json(plain[0] if len(plain) == 1 else plain)
    _refuse_faults(reports)
    if len(folders) == 1:
        say_next("train", _recipe(reports[0].layout), "--data", folders[0])


@data.command()
def download(
    name: Annotated[
        Literal["celeba", "face-api"],
        typer.Argument(help="celeba, or face-api: the network that tells persons apart."),
    ],
    path: Annotated[
        Path | None,
        typer.Argument(
            help="A new folder for celeba. For face-api a file that `npm pack` wrote elsewhere.",
            show_default="face-api is fetched with npm",
        ),
    ] = None,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Download CelebA (1.4 GB from Google Drive), or face descriptors (13 MB with npm)."""
    if name == "face-api":
        _download_face_api(path)
    elif path is None:
        raise UsageError("celeba needs a folder", hint="stargan-deploy data download celeba FOLDER")
    else:
        _download_celeba(path)


def _download_face_api(archive: Path | None) -> None:
    from stargan_deploy.evaluation.features.face_api import PACKAGE, fetch_face_api

    say(f"{PACKAGE} (MIT licence) {'from npm' if archive is None else f'from {archive}'} ...")
    show(f"face descriptors in {fetch_face_api(archive)}")


def _download_celeba(folder: Path) -> None:
    say("celeba: for non-commercial research only, by the terms of its makers")
    number = download_celeba(folder)
    show(f"{number:,} images in {folder}")
    say_next("train", "celeba128", "--data", folder)


def _refuse_faults(reports: Sequence[FolderReport]) -> None:
    faults = [problem for report in reports for problem in report.problems]
    for report in reports:
        if report.broken:
            named = "; ".join(image.reason for image in report.broken[:MAX_NAMED])
            number = f"{len(report.broken)} of {report.num_images}"
            faults.append(f"{number} images in {report.root} are broken: {named}")
    if faults:
        raise DataError("; ".join(faults))


def _text(report: FolderReport) -> str:
    """The report for a person to read."""
    lines = [
        f"layout   {_summary(report.layout)}",
        f"{_noun(report):8} {report.num_images:,}: {report.num_colour:,} in colour, "
        f"{report.num_grey:,} grey, {len(report.broken):,} broken",
        *_size_lines(report),
        *(_part_line(part, _noun(report)) for part in report.parts),
        *(f"remark   {remark}" for remark in report.remarks),
        *(f"problem  {problem}" for problem in report.problems),
        *_broken_lines(report),
    ]
    if report.labels:
        lines += ["", *_count_lines(report)]
    if len(report.labels) > 1 and not _excludes_itself(report):
        lines += ["", *_table_lines(report)]
    return "\n".join(lines)


def _summary(layout: str) -> str:

    return load_layout(layout).summary if layout in LAYOUTS else "images without labels"


def _recipe(layout: str) -> str:
    """The recipe of the package that trains on a layout; images without labels suit the plain."""
    return load_layout(layout if layout in LAYOUTS else "plain").recipe


def _noun(report: FolderReport) -> str:

    return load_layout(report.layout).noun if report.layout in LAYOUTS else "images"


def _part_line(part: Part, noun: str) -> str:
    """A line for a split, or for a domain of a split."""
    domain = f"{part.domain} ({Path(part.folder).name}): " if part.domain else ""
    sizes = ", ".join(f"{_size(size)} ({size.num_images:,})" for size in part.sizes)
    broken = f", {part.num_broken:,} broken" if part.num_broken else ""
    return f"{part.split:8} {domain}{part.num_images:,} {noun}{broken}: {sizes or 'none readable'}"


def _broken_lines(report: FolderReport) -> list[str]:
    more = len(report.broken) - MAX_LISTED
    hint = [f"         (and {more:,} more: see --json)"] if more > 0 else []
    return [f"broken   {image.reason}" for image in report.broken[:MAX_LISTED]] + hint


def _size_lines(report: FolderReport) -> list[str]:
    if report.smallest is None or report.largest is None:
        return []
    common = ", ".join(f"{_size(size)} ({size.num_images:,})" for size in report.sizes)
    title = "halves" if _noun(report) == "pairs" else "sizes"
    return [
        f"{title:8} {common}",
        f"         smallest {_size(report.smallest)}, largest {_size(report.largest)}",
    ]


def _size(size: Size) -> str:
    return f"{size.width}x{size.height}"


def _count_lines(report: FolderReport) -> list[str]:
    width = max(map(len, report.labels))
    lines = [
        f"{name:{width}}  {count:9,}  {count / report.num_images:6.1%}"
        + "".join(f"  {part.labels[name]:9,}" for part in report.parts)
        for name, count in report.labels.items()
    ]
    head = f"{'':{width}}  {'all':>9}  {'':6}" + "".join(f"  {p.split:>9}" for p in report.parts)
    return [head, *lines] if report.parts else lines


def _excludes_itself(report: FolderReport) -> bool:
    """Whether no image has two labels, as with domains."""
    pairs = ((a, b) for a in report.labels for b in report.labels if a != b)
    return not any(report.together[a][b] for a, b in pairs)


def _table_lines(report: FolderReport) -> list[str]:
    """How many images have two labels at once: the paper's labels, or the first ones."""
    of_paper = len(report.labels) > MAX_COLUMNS and set(PAPER_ATTRIBUTES) <= set(report.labels)
    names = list(PAPER_ATTRIBUTES if of_paper else report.labels)[:MAX_COLUMNS]
    first = max(len("together"), *map(len, names))
    head = f"{'together':{first}}" + "".join(f"  {name:>7}" for name in names)
    rows = [
        f"{row:{first}}"
        + "".join(f"  {report.together[row][name]:>{max(7, len(name))},}" for name in names)
        for row in names
    ]
    more = len(report.labels) - len(names)
    hint = [f"({more} more labels: choose with --attrs A,B, or see --json)"] if more else []
    return [head, *rows, *hint]
