"""Says which layers of a network lose most in half precision, when an export is refused for it.

Each layer is rounded alone, in PyTorch, so that what is found is the network's own sensitivity and
not a runtime's: where rounding in PyTorch does as much as the artefact's difference, no other
runtime will do better at this precision.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy.typing as npt
import torch
from torch import nn

from stargan_deploy.backends.difference import Measures, compare_outputs, overall
from stargan_deploy.card.card import EntryPoint, ModelCard, Precision
from stargan_deploy.card.pixels import as_pixels
from stargan_deploy.export.proof.cases import Case, make_cases
from stargan_deploy.export.proof.images import Faces
from stargan_deploy.families.base import Checkpoint
from stargan_deploy.families.blocks.precision import LOWERED_LAYERS, lower_convolutions
from stargan_deploy.families.checkpoint import build_model
from stargan_deploy.families.registry import load_family

DTYPES: dict[Precision, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16}
"""Types of half precision."""

DOMINANT = 0.5
"""Share of the error from which one layer counts as its cause."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rounding:
    """Effect of half precision on an entry point, measured in PyTorch."""

    shares: dict[str, float]
    """Share of each layer in the sum of the errors of all, by name, the largest first."""
    figures: Measures
    """Differences with all layers rounded."""

    def describe(self, precision: Precision) -> str:
        """Whether one layer is to blame, and how far the rounding alone goes."""
        name, share = next(iter(self.shares.items()))
        every = f"rounded in PyTorch to {precision}, the same layers differ {_worded(self.figures)}"
        if share >= DOMINANT:
            return f"layer {name!r} makes {share:.0%} of the error; {every}"
        return (
            f"no layer stands out (of {len(self.shares)}, {name!r} makes most of the error, "
            f"{share:.0%}); {every}"
        )


def measure_rounding(
    content: Checkpoint, card: ModelCard, entry_point: str, precision: Precision, faces: Faces
) -> Rounding | None:
    """Round the layers of an entry point, each alone and then all.

    Args:
        content: the checkpoint.
        card: that of its export, whose weights are meant.
        entry_point: what to do.
        precision: half precision; for others there is nothing to say.
        faces: images to try it on.

    Returns:
        None where there is nothing to round, or rounding changes nothing.
    """
    dtype = DTYPES.get(precision)
    networks = build_model(content, weights=card.weights)
    module = load_family(card.family).entry_module(networks, entry_point).eval()
    names = [name for name, layer in module.named_modules() if isinstance(layer, LOWERED_LAYERS)]
    if dtype is None or not names:
        return None
    point = content.card.entry_points[entry_point]
    cases = make_cases(point, content.card, faces)[:2]
    differ = _differences(module, point, cases, content.card)
    errors = {name: differ(lower_convolutions(module, dtype, only={name}))[0] for name in names}
    if not (whole := sum(errors.values())):
        return None
    ranking = sorted(names, key=lambda name: -errors[name])
    return Rounding(
        shares={name: errors[name] / whole for name in ranking},
        figures=differ(lower_convolutions(module, dtype))[1],
    )


def _differences(
    module: nn.Module, point: EntryPoint, cases: Iterable[Case], card: ModelCard
) -> Callable[[nn.Module], tuple[float, Measures]]:
    """A function that compares another network with a module: size of the error, and figures."""
    inputs = [[torch.as_tensor(case.inputs(point)[s.name]) for s in point.inputs] for case in cases]
    expected = [_outputs(module, tensors) for tensors in inputs]

    def differ(other: nn.Module) -> tuple[float, Measures]:
        found = [
            compare_outputs(spec, _shown(spec.kind, wanted), _shown(spec.kind, got), card.labels)
            for tensors, outputs in zip(inputs, expected, strict=True)
            for spec, wanted, got in zip(
                point.outputs, outputs, _outputs(other, tensors), strict=True
            )
        ]
        return sum(each.error for each in found), overall(found)

    return differ


def _outputs(module: nn.Module, tensors: list[torch.Tensor]) -> list[npt.NDArray[Any]]:
    with torch.inference_mode():
        outputs = module(*tensors)
    return [y.numpy() for y in ((outputs,) if isinstance(outputs, torch.Tensor) else outputs)]


def _shown(kind: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return as_pixels(values) if kind == "image" else values


def _worded(figures: Measures) -> str:
    if "mean_difference" in figures:
        return f"by {figures['mean_difference']:.2g} levels on average"
    return f"by {next(iter(figures.values())):.2g}"
