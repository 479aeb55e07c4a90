"""Static INT8 quantisation of ONNX graphs, with accuracy control.

Convolutions are put between QuantizeLinear and DequantizeLinear nodes (QDQ), and onnxruntime fuses
each of these groups into one INT8 kernel. Norms, activations, sums and the graph's ends stay FP32.

Each convolution is first quantised alone, to see what error it brings on held-out inputs. Those
whose error is out of proportion stay FP32 (on two trained generators that is the first layer, which
brings half of all error: 3 to 6 dB for 4 % of the multiplications). If the rest together is not
accurate enough, more of the worst stay FP32, as few as possible. That needs one pass over the
held-out inputs for each layer, and a few for counting. It works because the squared errors of
layers nearly add up: on a trained generator their sum was within 1.6 dB of the error of all.
"""

import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnxruntime.quantization import (
    CalibrationMethod,
    QDQQuantizer,
    QuantType,
    TensorData,
    TensorsData,
)

from stargan_deploy.backends.base import Arrays
from stargan_deploy.backends.difference import TOLERANCES, Difference, keeps, limits_for
from stargan_deploy.backends.exporter import Calibration
from stargan_deploy.backends.onnx.runtime import SILENT
from stargan_deploy.errors import ExportError, brief

QUANTIZED_OPERATOR = "Conv"
"""ConvTranspose is left out: onnxruntime's CPU has no INT8 kernel for it and would compute it in
FP32 on rounded numbers, which cost two trained generators 3.5 and 4.6 dB and won no time."""

GOAL = dataclasses.replace(
    TOLERANCES["int8"], psnr_db=33.0, mean_difference=3.5, relative_difference=0.18
)
"""The criterion for choosing layers: the tolerance of the proof with 1 dB to spare, because the
proof is made on other faces and sizes."""

OUT_OF_PROPORTION = 4.0
"""Times its even share of the sum of all layers' errors, above which a layer stays FP32."""

Ranges = dict[str, tuple[float, float]]
"""Least and greatest value of tensors by name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantizedGraph:
    """A graph whose convolutions compute in INT8 where that is accurate enough."""

    model: onnx.ModelProto
    notes: tuple[str, ...]
    """Which convolutions stay in float32 and why, in words; empty where none does."""


def has_quantizable(model: onnx.ModelProto) -> bool:
    """Whether a graph has layers that are quantised."""
    return any(node.op_type == QUANTIZED_OPERATOR for node in model.graph.node)


def quantize_graph(model: onnx.ModelProto, calibration: Calibration) -> QuantizedGraph:
    """Quantises a graph's convolutions; those stay FP32 whose error is out of proportion.

    Args:
        model: an FP32 graph that onnxruntime can run, with names on its nodes; it stays as it is.
        calibration: what ranges are measured with and layers are chosen by.

    Returns:
        The graph that keeps `GOAL` on the held-out inputs with the fewest FP32 convolutions.

    Raises:
        ExportError: there is nothing to quantise, or no convolution can be INT8 within the goal.
    """
    trial = _Trial(model, calibration)
    kept = _layers_to_keep(trial)
    quantized = [name for name in trial.layers if name not in kept]
    return QuantizedGraph(model=trial.quantized(quantized), notes=_notes(model, kept))


class _Trial:
    """Quantises any choice of layers and measures what comes of it.

    Args, Raises: as `quantize_graph`.
    """

    def __init__(self, model: onnx.ModelProto, calibration: Calibration) -> None:
        self._model = model
        self._calibration = calibration
        nodes = [node for node in model.graph.node if node.op_type == QUANTIZED_OPERATOR]
        if not nodes:
            raise ExportError("this model has no convolution to quantise", hint="export it at fp32")
        self.layers = [node.name for node in nodes]
        self._ranges = _measure_ranges(model, nodes, calibration.batches)

    def quantized(self, layers: Collection[str]) -> onnx.ModelProto:
        """The graph with some layers in INT8.

        What was measured for this choice, on two trained generators and 160 faces each: unsigned
        activations are fused throughout by onnxruntime on x86, signed ones in 10 of 16
        convolutions only. Ranges symmetric about zero cost 1 to 2 dB. Ranges are the extremes:
        percentiles (99.99 %) won 1 dB on most faces but lost 5 dB on one, whose values they cut
        off. Weights use 7 of the 8 bits, which cost 0.4 to 0.9 dB: x86 processors without VNNI add
        pairs of products in 16 bits, which full 8-bit weights can overflow, so that the graph
        would compute something else there than was proven here.
        """
        ranges = {
            name: TensorData(lowest=np.float32(least), highest=np.float32(greatest))
            for name, (least, greatest) in self._ranges.items()
        }
        quantizer = QDQQuantizer(
            model=self._model,
            per_channel=True,
            reduce_range=True,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, ranges),
            nodes_to_quantize=list(layers),
            nodes_to_exclude=[],
            op_types_to_quantize=[QUANTIZED_OPERATOR],
            extra_options={"WeightSymmetric": True, "ActivationSymmetric": False},
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
        model: onnx.ModelProto = quantizer.model.model
        return model

    def is_accurate(self, layers: Collection[str]) -> bool:
        """Whether the goal is kept with these layers in INT8."""
        found = self._differences(layers, self._calibration.held_out)
        return all(keeps(each.figures, limits_for(each.figures, GOAL)) for each in found)

    def error_alone(self, layer: str) -> float:
        """How bad it is to have this layer alone in INT8, on half of the held-out inputs."""
        held_out = self._calibration.held_out
        half = held_out[: (len(held_out) + 1) // 2]
        return max(difference.error for difference in self._differences([layer], half))

    def _differences(
        self, layers: Collection[str], batches: Sequence[Arrays]
    ) -> Iterator[Difference]:
        """From the graph as it is, batch by batch."""
        found = _run(self.quantized(layers), batches)
        for expected, actual in zip(self._expected, found, strict=False):
            yield self._calibration.compare(expected, actual)

    @cached_property
    def _expected(self) -> list[Arrays]:
        return list(_run(self._model, self._calibration.held_out))


def _layers_to_keep(trial: _Trial) -> list[str]:
    """The fewest layers that have to stay FP32, the worst first."""
    errors = {layer: trial.error_alone(layer) for layer in trial.layers}
    worst_first = sorted(errors, key=lambda layer: errors[layer], reverse=True)
    even_share = sum(errors.values()) / len(errors)
    num_extreme = sum(error > OUT_OF_PROPORTION * even_share for error in errors.values())
    num_kept = _least(
        num_extreme, len(worst_first), lambda kept: trial.is_accurate(worst_first[kept:])
    )
    if num_kept == len(worst_first):
        raise ExportError(
            f"none of the {num_kept} convolutions can be INT8 within the tolerance (PSNR "
            f"{GOAL.psnr_db:g} dB, logits {GOAL.relative_difference:g}) on the calibration's "
            "faces; calibrate on photos like those of training, or export at fp16 or fp32"
        )
    return worst_first[:num_kept]


def _least(low: int, high: int, is_enough: Callable[[int], bool]) -> int:
    """The least number from `low` on that is enough; `high` is without trying.

    `low` itself is tried first, which is nearly always enough; then by bisection.
    """
    if low < high and is_enough(low):
        return low
    low = min(low + 1, high)
    while low < high:
        middle = (low + high) // 2
        if is_enough(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _measure_ranges(
    model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto], batches: Sequence[Arrays]
) -> Ranges:
    """Extremes over all batches of what convolutions take and give."""
    names = list(dict.fromkeys(name for node in nodes for name in (node.input[0], node.output[0])))
    extremes = list(_run(_with_extremes(model, names), batches))
    ranges = {
        name: (
            min(float(found[_output(name, "ReduceMin")]) for found in extremes),
            max(float(found[_output(name, "ReduceMax")]) for found in extremes),
        )
        for name in names
    }
    for name, values in ranges.items():
        if not all(map(math.isfinite, values)):
            raise ExportError(
                f"the network gives numbers that are not finite (at {name!r}): its training "
                "diverged; export an earlier checkpoint"
            )
    return ranges


def _with_extremes(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """A graph that gives the extremes of inner tensors, in place of its own outputs."""
    measuring = onnx.ModelProto()
    measuring.CopyFrom(model)
    del measuring.graph.output[:]
    for name in names:
        for operator in ("ReduceMin", "ReduceMax"):
            output = _output(name, operator)
            node = onnx.helper.make_node(operator, [name], [output], keepdims=0)
            measuring.graph.node.append(node)
            value = onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, [])
            measuring.graph.output.append(value)
    return measuring


def _output(name: str, operator: str) -> str:
    return f"{name}/{operator}"


def _run(model: onnx.ModelProto, batches: Iterable[Arrays]) -> Iterator[Arrays]:
    """A graph's outputs by name for each batch, in onnxruntime on the CPU."""
    names = [value.name for value in model.graph.output]
    onnxruntime.set_default_logger_severity(SILENT)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        for batch in batches:
            outputs: list[npt.NDArray[np.generic]] = session.run(names, dict(batch))
            yield dict(zip(names, outputs, strict=True))
    except Exception as error:  # onnxruntime's errors share no base class
        raise ExportError(
            f"onnxruntime cannot run the graph to quantise it: {brief(error)}"
        ) from error


def _notes(model: onnx.ModelProto, kept: Sequence[str]) -> tuple[str, ...]:
    nodes = model.graph.node
    inaccurate = [_title(node) for node in nodes if node.name in kept]
    transposed = [_title(node) for node in nodes if node.op_type == "ConvTranspose"]
    total = len(transposed) + sum(node.op_type == QUANTIZED_OPERATOR for node in nodes)
    reasons = (
        (inaccurate, "whose error in INT8 is out of proportion"),
        (transposed, "transposed, for which onnxruntime has no INT8 kernel"),
    )
    clauses = [f"{', '.join(titles)} ({why})" for titles, why in reasons if titles]
    if not clauses:
        return ()
    number, output = len(inaccurate) + len(transposed), model.graph.output[0].name
    verb = "stays" if number == 1 else "stay"
    return (
        f"{number} of {total} convolutions behind {output!r} {verb} in float32: "
        f"{'; '.join(clauses)}",
    )


def _title(node: onnx.NodeProto) -> str:
    """A layer's name as the network's own state dict has it, such as "main.0"."""
    return str(node.input[1]).removeprefix("module.").removesuffix(".weight")
