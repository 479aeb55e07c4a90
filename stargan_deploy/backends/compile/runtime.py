"""Runs a checkpoint's entry points through torch's compiler: eager's networks with fused loops."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stargan_deploy.backends.base import OpenOptions, SelfTest
from stargan_deploy.backends.compile.inductor import (
    DTYPES,
    INSTALL_COMPILER,
    check_compiler,
    check_precision,
    precisions_for,
    reason_of,
)
from stargan_deploy.backends.compile.spec import SPEC
from stargan_deploy.backends.eager.runtime import EagerRuntime, Outputs
from stargan_deploy.backends.exporter import quiet
from stargan_deploy.backends.tensors import true_fp32
from stargan_deploy.backends.trial import check_trial, trial_devices, trial_input, trial_layer
from stargan_deploy.errors import BackendError, UsageError
from stargan_deploy.families.blocks.precision import lower_convolutions

_RECOMPILE_LIMIT = 64
"""Shapes of one network that are compiled before torch refuses more; its own limit is 8."""

_GRAPH_OPTIONS: dict[str, Any] = {
    "max_autotune": True,
    "coordinate_descent_tuning": True,
    "triton.cudagraphs": True,
    "autotune_num_choices_displayed": 0,
}
"""The mode "max-autotune", without its reports on the terminal."""


class CompiledRuntime(EagerRuntime):
    """A checkpoint in `torch.compile`, in true FP32 or with half-precision convolutions.

    The compiler runs at the first call of an entry point, not on entry, and takes 10 to 60 seconds;
    torch keeps what it made in its own cache, so that the next process takes about 5. The code
    serves most batch and image sizes; for a single image, and for oblong ones after squares, the
    compiler runs once more. On a GPU with a fixed batch size every image size is compiled for,
    tuned and recorded as a CUDA graph.

    Args:
        path: a checkpoint, as `save_checkpoint` writes it; only its card is read until entered.
        options: of the devices, None takes a usable GPU, else the CPU; of the precisions, fp32
            (also for None), fp16 and bf16, where the device has convolutions for it.

    Raises:
        ModelError: not a checkpoint of ours; on entry: damaged weights.
        BackendError: on entry, there is no C++ compiler, or the device is not usable or not at this
            precision; at a first call, the compiler failed.
        UsageError: another precision; on entry, the checkpoint does not hold the weights asked for.
    """

    backend = SPEC.name
    precisions = SPEC.precisions

    def __init__(self, path: Path, options: OpenOptions | None = None) -> None:
        super().__init__(path, options)
        self._shapes_seen: set[tuple[object, ...]] = set()

    @classmethod
    def self_test(cls) -> SelfTest:
        """Compiles and runs one convolution on every device that torch can use."""
        check_compiler()
        found = []
        for device in trial_devices():
            layer = torch.compile(trial_layer().to(device), fullgraph=True)
            try:
                with quiet(), torch.inference_mode(), true_fp32():
                    check_trial(layer(trial_input().to(device)), device)
            except RuntimeError as error:
                raise BackendError(
                    f"torch's compiler failed on {device}: {reason_of(error)}",
                    hint=INSTALL_COMPILER,
                ) from error
            found.append(f"{', '.join(precisions_for(device))} on {device}")
        return SelfTest(text=f"torch {torch.__version__}: {'; '.join(found)}")

    def _no_such_precision(self) -> UsageError:
        return UsageError(
            f"the compile backend computes in fp32, fp16 or bf16, not in {self.precision}",
            hint=f"for {self.precision} make an artefact with: stargan-deploy export --precision "
            f"{self.precision}",
        )

    def _open(self) -> None:
        check_compiler()
        super()._open()

    def _lowered(self, network: nn.Module) -> nn.Module:
        check_precision(self.precision, str(self.device))
        if self.precision != "fp32":
            network = lower_convolutions(network, DTYPES[self.precision])
        return network.to(memory_format=torch.channels_last)

    def _callable(self, network: nn.Module) -> Callable[..., Outputs]:
        compiled: Callable[..., Outputs]
        if self._has_graphs:
            compiled = torch.compile(
                network, fullgraph=True, dynamic=False, options=dict(_GRAPH_OPTIONS)
            )
        else:
            compiled = torch.compile(network, fullgraph=True, dynamic=True)
        return compiled

    @property
    def _has_graphs(self) -> bool:
        """Whether calls have one shape, which pays for a CUDA graph."""
        return self._device.is_cuda and self.batch_size is not None

    def _call(self, entry_point: str, tensors: Sequence[Tensor]) -> Outputs:
        if self._has_graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        shapes = (entry_point, *(tensor.shape for tensor in tensors))
        if shapes in self._shapes_seen:
            return super()._call(entry_point, tensors)
        outputs = self._first_call(entry_point, tensors)
        self._shapes_seen.add(shapes)
        return outputs

    def _first_call(self, entry_point: str, tensors: Sequence[Tensor]) -> Outputs:
        """A call that may compile."""
        try:
            with quiet(), torch._dynamo.config.patch(recompile_limit=_RECOMPILE_LIMIT):
                return super()._call(entry_point, tensors)
        except RuntimeError as error:
            raise BackendError(
                f"torch's compiler failed on {entry_point!r} ({self.device}): {reason_of(error)}",
                hint="the eager backend runs the same checkpoint without it",
            ) from error
