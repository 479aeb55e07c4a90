"""The folder of artefacts and timings that can be made again."""

from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """The user's cache folder for the package, which may not exist; XDG_CACHE_HOME moves it."""
    return platformdirs.user_cache_path("stargan-deploy", appauthor=False)
