"""The facts about a backend that are known before it is imported.

Each backend's folder has a `spec.py` with one `BackendSpec`, and `backends.registry` lists them. A
spec imports neither the backend nor its library.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stargan_deploy.devices import DeviceKind

if TYPE_CHECKING:
    from stargan_deploy.card.card import Precision

CHECKPOINT_SUFFIX = ".safetensors"
"""File name suffix of checkpoints."""


@dataclass(frozen=True)
class Recommendation:
    """An artefact that is worth making for a device."""

    device: DeviceKind
    rank: int
    """Place among the recommendations of all backends for the device; the lowest is tried first."""
    precision: "Precision"


@dataclass(frozen=True, kw_only=True)
class BackendSpec:
    """A backend: a runtime, an exporter, or both, under one name."""

    name: str
    """Name of the backend and of its format, as users type it."""
    title: str
    """Name in sentences and help texts."""
    suffix: str
    """File name suffix of what it runs or writes; empty where an entry point becomes a folder."""
    weights_suffix: str = ""
    """File name suffix of the weights, where they are kept in a file next to the main one."""
    runtime: str = ""
    """Its `FileRuntime` as "module:Class"; empty where another backend runs the artefacts."""
    exporter: str = ""
    """Its `Exporter` as "module:Class"; empty where there is nothing to export."""
    run_by: str = ""
    """Name of the backend that runs the artefacts, where it is another one."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Python packages with their minimal versions; any one of them computes."""
    tools: tuple[str, ...] = ()
    """Further Python packages that take part in an export or a compilation."""
    extra: str = ""
    """Extra of this package that installs them; empty where they are always installed."""
    devices: tuple[DeviceKind, ...]
    """Kinds of devices that it computes on."""
    precisions: "tuple[Precision, ...]"
    """Precisions that it computes in, the default first."""
    recommended: tuple[Recommendation, ...] = ()
    """Artefacts that `auto` makes of a checkpoint."""
    library: str = ""
    """Name of its library in a roofline, where it can be measured alone."""
    product: str = ""
    """Function that prepares a matrix product in the library, as "module:function"."""
    colours: tuple[str, str] = ("#8a8f98", "#6f747d")
    """Colour in charts, on a light and on a dark page."""

    @property
    def install(self) -> str:
        """Command that installs its packages."""
        extra = f"'stargan-deploy[{self.extra}]'" if self.extra else "stargan-deploy"
        return f"pip install {extra}"

    @property
    def backend(self) -> str:
        """Name of the backend that runs its artefacts."""
        return self.run_by or self.name

    def runs(self, suffix: str) -> bool:
        """Whether its runtime opens files with a suffix."""
        return bool(self.runtime) and self.suffix == suffix.lower()

    def least_version(self, package: str) -> tuple[int, ...]:
        """Minimal version of one of its packages."""
        return tuple(map(int, re.findall(r"\d+", self.packages[package])))
