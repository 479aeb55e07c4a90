"""torch's compiler: whether it works here, and how it turns a traced network into a package.

On a CPU it writes C++ and runs the machine's own compiler; the convolutions stay calls of oneDNN,
which do nine tenths of the work and choose their instructions where they run. The rest is fused
into few loops.
"""

import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from stargan_deploy.backends.exporter import quiet
from stargan_deploy.backends.pt2.file import TARGET_ENTRY, read_entries
from stargan_deploy.backends.pt2.target import Target, features_of, machine_here
from stargan_deploy.backends.trial import trial_input, trial_layer
from stargan_deploy.card.card import EntryPoint, Precision
from stargan_deploy.config import to_mapping
from stargan_deploy.errors import BackendError, brief

NAME = "model"
"""Stem of the generated files."""

DTYPES: dict[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}
"""Type of the convolutions, by precision."""

_ARCHITECTURE_OPTION = "cpp.march"

_THREADS_OPTION = "cpp.dynamic_threads"

_OPTIONS: dict[str, Any] = {
    "freezing": True,  # changes the weights' layout here, not in each call: 2 to 4 % of the time
    # Else the code keeps the number of threads of the exporter for ever: with one it never starts
    # a second, with two it starts two wherever it runs.
    _THREADS_OPTION: True,
    "aot_inductor.enable_line_tables": False,  # a third of the code's size, and paths
    "aot_inductor.model_name_for_generated_files": NAME,
    # Not -march=native, which is no faster here and ties the code to this very processor; the
    # flags that remain are those of the instruction set that the package's metadata names.
    _ARCHITECTURE_OPTION: "",
}
"""Options of the package's compiler; those that a torch does not have are left out."""

INSTALL_COMPILER = (
    "where the C++ compiler is not whole, install it again with Python's headers (apt install g++ "
    "python3-dev)"
)
"""The hint of a compilation that failed."""


def check_compiler() -> None:
    """Looks for the C++ compiler that torch's compiler calls.

    Raises:
        BackendError: there is none.
    """
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    name = os.environ.get("CXX") or usual
    if shutil.which(name) is None:
        raise BackendError(
            f"torch's compiler needs a C++ compiler, and there is no {name} here",
            hint="install it (apt install g++, dnf install gcc-c++), or name one in the variable "
            "CXX",
        )


def check_precision(precision: Precision, device: str) -> None:
    """Refuses a precision that a device has no convolutions for.

    Raises:
        BackendError: torch would fall back to plain code, which took 26 s for one image of 128x128
            in fp16 where fp32 took 0.14.
    """
    if not computes_in(precision, device):
        raise BackendError(
            f"torch has no fast {precision} convolutions for {device} on this machine",
            hint=f"take `precision` {' or '.join(precisions_for(device))}",
        )


def precisions_for(device: str) -> tuple[Precision, ...]:
    """Precisions that the compiled networks of a device may compute in."""
    return tuple(precision for precision in DTYPES if computes_in(precision, device))


def computes_in(precision: Precision, device: str) -> bool:
    """Whether torch has fast convolutions of a precision for a device."""
    if precision == "fp32":
        return True
    if device.startswith("cuda"):
        return precision == "fp16" or torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "cpu" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        library = torch.ops.mkldnn
        known = {
            "bf16": library._is_mkldnn_bf16_supported,
            "fp16": library._is_mkldnn_fp16_supported,
        }
        return precision in known and bool(known[precision]())
    return False


def compile_package(program: ExportedProgram, point: EntryPoint, device: str) -> dict[str, bytes]:
    """Compiles a traced network to native code.

    Args:
        program: the network, traced on the device.
        point: what it takes and gives.
        device: "cpu" or "cuda:N".

    Returns:
        The files of a package by name, with a `Target`; of C++ sources nothing but their names.

    Raises:
        BackendError: the compiler is missing or failed.
    """
    check_compiler()
    # In a folder of its own: torch's cache names the code after the network's structure, so that
    # two exports at once that differ in weights alone would meet in one file.
    with tempfile.TemporaryDirectory(prefix="stargan-deploy-") as folder:
        try:
            with quiet(), torch.no_grad():
                files = _compile(program, Path(folder))
        except RuntimeError as error:
            raise BackendError(
                f"torch's compiler failed: {reason_of(error)}", hint=INSTALL_COMPILER
            ) from error
    # The sources' names stay: by them the loader of torch 2.11 finds the metadata.
    entries = {name: b"" if name.endswith(".cpp") else file for name, file in files.items()}
    target = _target(entries, point, device)
    return entries | {TARGET_ENTRY: json.dumps(to_mapping(target), sort_keys=True).encode()}


def compile_trial(device: str) -> dict[str, bytes]:
    """A package of one convolution, see `backends.trial`.

    Raises:
        BackendError: the compiler is missing or failed.
    """
    nothing = EntryPoint(file="", payload_sha256="", inputs=(), outputs=())
    program = torch.export.export(trial_layer().to(device), (trial_input().to(device),))
    return compile_package(program, nothing, device)


def reason_of(error: BaseException) -> str:
    """The reason for a failure on one line; the C++ compiler's first complaint, if it failed."""
    text = str(error)
    found = re.search(r"^.*?((?:fatal )?error: .*)$", text, re.MULTILINE)
    if found and "CppCompileError" in text:
        return brief(RuntimeError(f"the C++ compiler said: {found.group(1)}"))
    return brief(error)


def _compile(program: ExportedProgram, folder: Path) -> dict[str, bytes]:
    """Runs the compiler in a folder; the package's files by name."""
    from torch._inductor import aot_compile, list_options
    from torch._inductor.package.package import package_aoti

    known = list_options()
    options = {name: value for name, value in _OPTIONS.items() if name in known}
    if _is_folded_wrongly(program):
        options["freezing"] = False
    options |= {"aot_inductor.package": True, "aot_inductor.output_path": str(folder)}
    assert program.example_inputs is not None, "a program that was just traced has its examples"
    args, kwargs = program.example_inputs
    module = program.module(check_guards=False)
    package = folder / "package.pt2"
    files = aot_compile(module, args, kwargs, options=options)
    assert isinstance(files, list), "the option package asks for a list"
    package_aoti(str(package), files)
    return read_entries(package)


def _is_folded_wrongly(program: ExportedProgram) -> bool:
    """Whether torch's freezing could spoil a network, as that of torch 2.14 does.

    It folds a norm's factors into the weights before it along the axis of a convolution's outputs,
    also of transposed ones, where that axis is another; the check of sizes lets it pass where both
    axes are as long.
    """
    transposed = torch.ops.aten.conv_transpose2d
    found = [
        node.args[1]
        for node in program.graph.nodes
        if getattr(node.target, "overloadpacket", None) == transposed
    ]
    shapes = [weight.meta["val"].shape for weight in found if isinstance(weight, Node)]
    return any(shape[0] == shape[1] for shape in shapes)


def _target(entries: dict[str, bytes], point: EntryPoint, device: str) -> Target:
    """The target of the code, from the metadata that the compiler wrote."""
    from torch._inductor import list_options

    place = next(name for name in sorted(entries) if name.endswith("wrapper_metadata.json"))
    metadata: dict[str, str] = json.loads(entries[place])
    isa = metadata.get("AOTI_CPU_ISA", "")
    return Target(
        device=metadata["AOTI_DEVICE_KEY"],
        isa=isa,
        cpu_features=features_of(isa, is_native=_ARCHITECTURE_OPTION not in list_options()),
        inputs=point.inputs,
        outputs=point.outputs,
        threads=0 if _THREADS_OPTION in list_options() else torch.get_num_threads(),
        **machine_here(device),
    )
