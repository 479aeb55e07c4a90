"""HTML pages in one file each, which need no script, no other file and no network.

They share one style sheet, `page.css`, which knows light and dark.
"""

import html
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template

from stargan_deploy.files.atomic import write_text
from stargan_deploy.presentation.text import visible

NOTHING = "\N{EN DASH}"
"""Stands where there is no value."""


def escaped(value: object) -> str:
    """Any value as text that HTML and SVG show as it is, in attributes too."""
    return html.escape(visible(value))


def tile(title: str, value: str, note: str) -> str:
    """A number to look at first, with how to read it; all plain text."""
    return (
        f'<div class="tile"><span>{escaped(title)}</span><b>{escaped(value)}</b>'
        f"<small>{escaped(note)}</small></div>"
    )


def charts_section(heading: str, figures: Sequence[str], *, note: str = "", style: str = "") -> str:
    """A section of figures side by side; empty where there are none.

    Args:
        heading: plain text.
        figures: HTML figures.
        note: a sentence on how to read them, plain text.
        style: class of the section.
    """
    if not figures:
        return ""
    words = f'<p class="note">{escaped(note)}</p>\n' if note else ""
    look = f' class="{style}"' if style else ""
    return (
        f'<section{look}>\n<h2>{escaped(heading)}</h2>\n{words}<div class="charts">\n'
        + "\n".join(figures)
        + "\n</div>\n</section>"
    )


def write_page(path: Path, package: str, template: str, **parts: str) -> None:
    """Writes an HTML page that needs no other file, atomically.

    Args:
        path: the file to write.
        package: where the template lies, such as "stargan_deploy.training".
        template: its file name; `$style` in it becomes the common style sheet.
        **parts: HTML for its other placeholders.

    Raises:
        OutputError: the file cannot be written.
    """
    text = resources.files(package).joinpath(template).read_text(encoding="utf-8")
    style = (
        resources.files("stargan_deploy.presentation")
        .joinpath("page.css")
        .read_text(encoding="utf-8")
    )
    page = Template(text).substitute(style=style.strip(), **parts)
    write_text(path, page.encode("utf-8", "replace").decode())  # JSON may hold half characters
