"""The page for photos: plain files, which the service and an export to the web share.

The page talks to one module, named in its `data-engine`, which has the functions of `service.js`.
"""

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Types of the files by ending."""


@cache
def page_files() -> dict[str, bytes]:
    """The content of every file of the page, by name."""
    paths = (path for path in sorted(FOLDER.iterdir()) if path.suffix in MEDIA_TYPES)
    return {path.name: path.read_bytes() for path in paths}
