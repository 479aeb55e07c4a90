"""Quantises OpenVINO graphs to INT8 after training, as far as the outputs stay right.

NNCF measures the ranges and inserts the quantisers. What it costs is then measured on held-out
faces on the CPU plug-in that will run the graph; where it costs too much, the layers that cost most
get their FP32 weights and inputs back.

Measured on a generator trained on faces at 64x64 (worst of 16 held-out pictures, against FP32):
NNCF's defaults gave 34.9 dB; with the inputs of instance norms in floating point 39.9 dB; with the
sums of the residual blocks too 41.9 dB, at the same speed. Its preset "mixed" was worse (41.2 dB),
and bf16 for the rest gained neither dB (42.0) nor time (1 %), but would need a CPU that has it.
"""

import dataclasses
from collections.abc import Collection
from typing import Any

from stargan_deploy.backends.base import Arrays
from stargan_deploy.backends.difference import TOLERANCES, Measures, keeps, limits_for, overall
from stargan_deploy.backends.exporter import Calibration, quiet
from stargan_deploy.backends.openvino.compile import compile_model, infer, load_library, reason
from stargan_deploy.errors import ExportError

_LIMITS = TOLERANCES["int8"]

GOAL = dataclasses.replace(
    _LIMITS,
    mean_difference=0.9 * _LIMITS.mean_difference,
    psnr_db=_LIMITS.psnr_db + 1,
    relative_difference=0.75 * _LIMITS.relative_difference,
    label_agreement=(_LIMITS.label_agreement + 1) / 2,
)
"""Limits for the held-out faces: INT8's tolerance with a margin for other faces."""

MOST_FLOAT = 0.5
"""Share of the layers that may stay in FP32; beyond that the speed of INT8 is gone."""

LAYERS = ("Convolution", "ConvolutionBackpropData", "MatMul")
"""Operations whose first input is quantised by its range, and whose second input is weights."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Trial:
    """The errors of a graph on the held-out faces."""

    figures: Measures
    error: float

    @property
    def is_good(self) -> bool:
        """Whether all figures keep to `GOAL`."""
        return keeps(self.figures, limits_for(self.figures, GOAL))


class _HeldOut:
    """The held-out faces with their FP32 outputs."""

    def __init__(self, model: Any, calibration: Calibration) -> None:
        self._calibration = calibration
        self._expected = self._run(model)

    def measure(self, model: Any) -> _Trial:
        """Compares a graph with FP32."""
        pairs = zip(self._expected, self._run(model), strict=True)
        found = [self._calibration.compare(expected, actual) for expected, actual in pairs]
        return _Trial(figures=overall(found), error=sum(each.error for each in found))

    def _run(self, model: Any) -> list[Arrays]:
        names = [min(port.names) for port in model.outputs]
        requests = [compile_model(model, "f32").create_infer_request()]
        try:
            return [infer(requests, batch, names) for batch in self._calibration.held_out]
        except RuntimeError as error:
            raise ExportError(f"OpenVINO failed on the held-out faces: {reason(error)}") from error


def quantise(model: Any, calibration: Calibration) -> tuple[Any, tuple[str, ...]]:
    """Quantises an `openvino.Model`.

    Args:
        model: in FP32; it is left as it is.
        calibration: what to measure with.

    Returns:
        The quantised model, and a note for each layer that stays in FP32. Where that was not
        enough to reach `GOAL`, the proof of the export has the last word.

    Raises:
        ExportError: NNCF cannot quantise this graph.
        BackendError: NNCF is not installed.
    """
    quantised = _insert_quantisers(model, calibration)
    held_out = _HeldOut(model, calibration)
    before = held_out.measure(quantised)
    if before.is_good:
        return quantised, ()
    return _restore_worst_layers(model, quantised, held_out, before)


def _insert_quantisers(model: Any, calibration: Calibration) -> Any:
    nncf = load_library("nncf")
    batches = [dict(batch) for batch in calibration.batches]
    try:
        with quiet(stdout=True):
            return nncf.quantize(
                model.clone(),
                nncf.Dataset(batches),
                subset_size=len(batches),
                ignored_scope=nncf.IgnoredScope(names=_float_by_design(model)),
            )
    except Exception as error:  # NNCF's errors share no base class
        raise ExportError(f"NNCF cannot quantise this model: {reason(error)}") from error


def _float_by_design(model: Any) -> list[str]:
    """Operations whose inputs are not quantised: instance norms, and sums of two activations."""
    return [
        node.get_friendly_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() == "MVN" or _adds_activations(node)
    ]


def _adds_activations(node: Any) -> bool:
    sources = (node.input_value(index).get_node() for index in range(node.get_input_size()))
    return node.get_type_name() == "Add" and not any(map(_is_constant, sources))


def _restore_worst_layers(
    model: Any, quantised: Any, held_out: _HeldOut, before: _Trial
) -> tuple[Any, tuple[str, ...]]:
    """Gives layers back to FP32, the one that gains most first, until the goal is reached."""
    layers = _layer_names(model)
    alone = {name: held_out.measure(_with_float(quantised, model, {name})) for name in layers}
    ranking = sorted(layers, key=lambda name: alone[name].error)
    candidate, notes = quantised, list[str]()
    for count in range(1, int(MOST_FLOAT * len(layers)) + 1):
        candidate = _with_float(quantised, model, ranking[:count])
        after = held_out.measure(candidate)
        place = f"layer {layers.index(ranking[count - 1]) + 1} of {len(layers)}"
        output = min(model.output(0).names)
        notes.append(f"{output}: {place} stays in float32, {_gain(before, after)}")
        before = after
        if after.is_good:
            break
    return candidate, tuple(notes)


def _layer_names(model: Any) -> list[str]:
    """Names of the layers with weights, in the order of the graph."""
    return [
        node.get_friendly_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() in LAYERS and _is_constant(node.input_value(1).get_node())
    ]


def _with_float(quantised: Any, model: Any, names: Collection[str]) -> Any:
    """A copy of a quantised model in which some layers have their FP32 weights and inputs back."""
    originals = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    copy = quantised.clone()
    for node in copy.get_ordered_ops():
        if node.get_friendly_name() in names and node.get_type_name() in LAYERS:
            source = node.input(0).get_source_output().get_node()
            if source.get_type_name() == "FakeQuantize":
                node.input(0).replace_source_output(source.input_value(0))
            weights = originals[node.get_friendly_name()].input_value(1).get_node()
            constant = load_library().opset8.constant(weights.get_data())
            node.input(1).replace_source_output(constant.output(0))
    copy.validate_nodes_and_infer_types()
    return copy


def _gain(before: _Trial, after: _Trial) -> str:
    name = "psnr_db" if "psnr_db" in before.figures else "relative_difference"
    return f"held-out {name} {before.figures[name]:.3g} -> {after.figures[name]:.3g}"


def _is_constant(node: Any) -> bool:
    return bool(node.get_type_name() == "Constant")
