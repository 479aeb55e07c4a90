"""StarGAN and the GANs around it, from training to production.

    import stargan_deploy

    model = stargan_deploy.load("model.onnx")
    model.translate(photo, "Blond_Hair")

The names below are the public API, documented in `docs/python.md`; they are imported on first use,
so that `import stargan_deploy` stays light. The command line offers the rest.
"""

import importlib
from typing import TYPE_CHECKING

from stargan_deploy.version import __version__

if TYPE_CHECKING:
    from stargan_deploy.api import (
        distil_model,
        evaluate_models,
        export_model,
        train_model,
        verify_model,
    )
    from stargan_deploy.data.source import ImageSource, SequenceSource
    from stargan_deploy.errors import StarganDeployError
    from stargan_deploy.inference.model import Model, load

__all__ = [
    "ImageSource",
    "Model",
    "SequenceSource",
    "StarganDeployError",
    "__version__",
    "distil_model",
    "evaluate_models",
    "export_model",
    "load",
    "train_model",
    "verify_model",
]

_MODULES = {
    "ImageSource": "data.source",
    "Model": "inference.model",
    "SequenceSource": "data.source",
    "StarganDeployError": "errors",
    "distil_model": "api",
    "evaluate_models": "api",
    "export_model": "api",
    "load": "inference.model",
    "train_model": "api",
    "verify_model": "api",
}


def __getattr__(name: str) -> object:
    """Imports a public name on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"stargan_deploy.{_MODULES[name]}"), name)
