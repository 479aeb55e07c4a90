"""Writes entry points as `.pt2` packages: traced by `torch.export`, compiled ahead of time.

A package holds native code for one kind of device, operating system, processor and torch version.
It says which, and the runtime refuses all others (see `backends.pt2.target`).
"""

import copy
from pathlib import Path

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.fx import Node

from stargan_deploy.backends.compile.inductor import (
    DTYPES,
    check_compiler,
    check_precision,
    compile_package,
)
from stargan_deploy.backends.exporter import (
    Exporter,
    GraphRequest,
    WrittenGraph,
    check_lowered,
    quiet,
    types_by_kind,
)
from stargan_deploy.backends.pt2.file import (
    attach_card,
    parse_target,
    payload_sha256,
    write_package,
)
from stargan_deploy.backends.pt2.spec import SPEC
from stargan_deploy.backends.tensors import true_fp32
from stargan_deploy.backends.tracing import dynamic_shapes, example_inputs
from stargan_deploy.card.card import ModelCard
from stargan_deploy.devices import choose_device
from stargan_deploy.errors import BackendError, ExportError, brief
from stargan_deploy.families.blocks.precision import lower_convolutions

_ATEN = torch.ops.aten

LAYER_KINDS = {
    _ATEN.conv2d: "conv",
    _ATEN.conv_transpose2d: "conv",
    _ATEN.convolution: "conv",
    _ATEN.instance_norm: "norm",
    _ATEN.batch_norm: "norm",
    _ATEN.group_norm: "norm",
    _ATEN.layer_norm: "norm",
    _ATEN.linear: "linear",
    _ATEN.addmm: "linear",
    _ATEN.mm: "linear",
    _ATEN.matmul: "linear",
}
"""Kind of layer by torch operator."""


class Pt2Exporter(Exporter):
    """Writes packages of native code, straight from the networks."""

    compiles_for_device = True

    def write_graph(self, request: GraphRequest, path: Path) -> WrittenGraph:
        """Writes one entry point as a package without a card; see `Exporter`.

        At fp16 and bf16, convolutions and linear layers have half weights and a cast on either
        side; norms and the graph's ends stay FP32.

        Raises:
            ExportError: torch cannot trace the module with these dimensions, or a layer computes in
                another precision than was asked for.
            BackendError: there is no C++ compiler, or it failed, or the device is not usable at
                this precision.
            ModelError: weights that are too large for float16.
        """
        _check_device(request.device)
        check_compiler()
        check_precision(request.precision, request.device)
        program = _trace(_prepared(request), request)
        precision = measured_precision(program)
        lowered = str(DTYPES[request.precision]).removeprefix("torch.")
        check_lowered(precision, request.precision, lowered)
        with true_fp32():
            entries = compile_package(program, request.point, request.device)
        write_package(path, entries)
        return WrittenGraph(
            payload_sha256=payload_sha256(entries),
            precision=precision,
            notes=(f"{path.name} runs on {parse_target(entries, path).text}",),
            packages=tuple(SPEC.packages),
        )

    def attach_card(self, path: Path, card: ModelCard) -> None:
        """Puts a card into a package, replacing an earlier one."""
        attach_card(path, card)


def measured_precision(program: ExportedProgram) -> dict[str, str]:
    """Types that a program's layers compute with, by kind of layer; several joined with a plus."""
    pairs = ((getattr(n.target, "overloadpacket", None), n) for n in program.graph.nodes)
    return types_by_kind((LAYER_KINDS[p], _types(node)) for p, node in pairs if p in LAYER_KINDS)


def _types(node: Node) -> set[str]:
    values = (arg.meta["val"] for arg in node.args if isinstance(arg, Node))
    return {str(v.dtype).removeprefix("torch.") for v in values if isinstance(v, torch.Tensor)}


def _check_device(device: str) -> None:
    if choose_device(device).kind not in SPEC.devices:
        raise BackendError(
            f"packages are compiled for {' or '.join(SPEC.devices)}, not for {device}",
            hint="use `device` cpu",
        )


def _prepared(request: GraphRequest) -> nn.Module:
    """A copy of the module at the precision, on the device."""
    module: nn.Module
    if request.precision == "fp32":
        module = copy.deepcopy(request.module)
    else:
        module = lower_convolutions(request.module, DTYPES[request.precision])
    # On a GPU, the layout of the weights decides that of the convolutions.
    return module.to(request.device).to(memory_format=torch.channels_last)


def _trace(module: nn.Module, request: GraphRequest) -> ExportedProgram:
    try:
        with quiet(), torch.no_grad():
            return torch.export.export(
                module,
                example_inputs(request.point, request.device),
                dynamic_shapes=dynamic_shapes(request.point),
            )
    except Exception as error:  # tracing runs the module's own code, which may raise anything
        raise ExportError(f"torch cannot trace this model: {brief(error)}") from error
