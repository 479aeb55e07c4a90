"""Takes StarGAN (multi-domain face translation) from training to production.

The public API is `load`; everything else is used through the command line.
"""

from typing import TYPE_CHECKING

from stargan_deploy.version import __version__

if TYPE_CHECKING:
    from stargan_deploy.inference.model import load

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> object:
    """Imports `load` on first use, so that `import stargan_deploy` stays light."""
    if name == "load":
        from stargan_deploy.inference.model import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
