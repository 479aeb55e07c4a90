"""HTML and Markdown from templates; a page is one file that needs no script and no network.

The templates lie in the folder `templates`. Pages share a layout and a style sheet (`page.css`),
which knows light and dark.
"""

import base64
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from stargan_deploy.files.atomic import write_text
from stargan_deploy.files.images import encode_image
from stargan_deploy.presentation.text import plain_markdown, visible


class Tile(NamedTuple):
    """A number to look at first."""

    title: str
    value: str
    note: str
    """How to read it."""


def write_page(path: Path, template: str, **parts: Any) -> None:
    """Writes a page that needs no other file, atomically.

    Args:
        path: the file to write.
        template: name of its template; in HTML every text is escaped.
        **parts: objects that the template shows.

    Raises:
        OutputError: the file cannot be written.
    """
    page = render(template, **parts)
    write_text(path, page.encode("utf-8", "replace").decode())  # JSON may hold half characters


def png_uri(image: Image.Image) -> str:
    """An image as a data URI, which a page holds itself."""
    content = base64.b64encode(encode_image(image, "PNG")).decode("ascii")
    return f"data:image/png;base64,{content}"


def render(template: str, **parts: Any) -> str:
    """Fills a template in; one that names what is not there is a bug of ours."""
    return _environment(template.endswith(".html")).get_template(template).render(**parts)


@cache
def _environment(is_html: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("stargan_deploy.presentation"),
        autoescape=is_html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_escaped if is_html else visible,
        keep_trailing_newline=True,
    )
    environment.filters |= {"plain": plain_markdown}
    return environment


def _escaped(value: object) -> Markup:
    """Our own markup as it is, and anything else as visible, escaped text."""
    return value if isinstance(value, Markup) else escape(visible(value))
