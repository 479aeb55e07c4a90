"""Runs TensorRT engines on NVIDIA GPUs, with `tensorrt` or `tensorrt_rtx`, whichever built them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_deploy.backends.artefact import ArtefactRuntime, Payload, read_file
from stargan_deploy.backends.base import Arrays, OpenOptions, SelfTest
from stargan_deploy.backends.trt.execution import DeviceEngine, load_engine
from stargan_deploy.backends.trt.file import check_engine, read_card, read_record
from stargan_deploy.backends.trt.gpu import Gpu, describe_gpu, pick_gpu, why_no_gpu
from stargan_deploy.backends.trt.provider import Provider, describe_problems, load_provider
from stargan_deploy.backends.trt.spec import SPEC
from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.card.tensors import TensorSpec
from stargan_deploy.devices import Device, parse_device
from stargan_deploy.errors import BackendError, UsageError


class TensorRTRuntime(ArtefactRuntime[DeviceEngine]):
    """A TensorRT engine with CUDA graphs and pinned host buffers.

    Args:
        path: an exported `.engine` file with its `.engine.json` next to it; no TensorRT is imported
            until the runtime is entered.
        options: of the devices, "cuda" or "cuda:N"; None takes the first GPU.

    Raises:
        ModelError: no such engine.
        CardError: its card is missing, damaged or another engine's.
        UsageError: a batch size that the engine does not take.
        BackendError: on entry: no GPU, no TensorRT, or an engine that fits neither.
    """

    backend = SPEC.name

    def __init__(self, path: Path, options: OpenOptions | None = None) -> None:
        super().__init__(path, options)
        self._device = parse_device(self._options.device or "cuda")
        if self.batch_size is not None:
            for name, point in self.card.entry_points.items():
                most = point.batch.greatest or 1  # an engine always has one
                if self.batch_size > most:
                    raise UsageError(
                        f"{path} takes at most {most} images per call of {name!r}, not "
                        f"{self.batch_size}",
                        hint="take a smaller `batch_size`, or export again with `max_batch`",
                    )

    @classmethod
    def read_card(cls, path: Path) -> ModelCard:
        """Reads the card next to an engine."""
        return read_card(path)

    @classmethod
    def self_test(cls, provider_name: str = "auto") -> SelfTest:
        """Builds an engine of one convolution, and runs it where there is a GPU.

        Args:
            provider_name: as `load_provider` takes it.
        """
        provider = load_provider(provider_name)
        reason = why_no_gpu()
        gpu = None if reason else pick_gpu()
        engine = _build_tiny(provider, gpu)
        if gpu is None:
            raise BackendError(
                f"{provider.title} builds engines, but cannot run them: {reason}",
                hint="use a machine with an NVIDIA GPU",
            )
        _run_tiny(provider, engine, gpu)
        return SelfTest(text=f"{provider.title} on {gpu.name}")

    def _prepare_call(self, entry_point: str, inputs: Arrays) -> Callable[[], None]:
        return self._engine(entry_point).device_call(inputs)

    def _pick_device(self, wanted: Device | None) -> Device:
        return parse_device(pick_gpu(wanted).device)

    def _read_payload(self, path: Path) -> Payload:
        record, content = read_record(path), read_file(path)
        sha256 = check_engine(path, content, record)
        return Payload(sha256=sha256, content=(content, record.built_with))

    def _load_engine(self, point: EntryPoint, path: Path, payload: Payload) -> DeviceEngine:  # noqa: ARG002
        content, built_with = payload.content
        provider = load_provider(built_with.provider)
        loaded = load_engine(provider, content, built_with, describe_gpu(self._device))
        return DeviceEngine(loaded, point, key=payload.sha256)

    def _execute(self, entry_point: str, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        return self._engine(entry_point).run(inputs)

    def _close(self) -> None:
        for engine in set(self._engines.values()):
            engine.close()
        super()._close()


_TINY = tuple(
    TensorSpec(name=name, kind="image", dtype="float32", layout="NCHW", shape=(1, 1, 4, 4))
    for name in ("x", "y")
)
"""Input and output of the engine that `self_test` builds."""

_NINE_NEIGHBOURS = 9.0
"""Result of a 3x3 convolution of ones on ones, away from the border."""


def _build_tiny(provider: Provider, gpu: Gpu | None) -> bytes:
    log = provider.new_log()
    builder = provider.create_builder(log)
    network = provider.create_network(builder)
    x = network.add_input("x", provider.module.float32, (1, 1, 4, 4))
    ones = np.ones((1, 1, 3, 3), np.float32)
    layer = network.add_convolution_nd(x, 1, (3, 3), ones)
    layer.padding_nd = (1, 1)
    layer.get_output(0).name = "y"
    network.mark_output(layer.get_output(0))
    engine = builder.build_serialized_network(network, provider.create_config(builder, gpu))
    if engine is None:
        raise BackendError(f"{provider.title} cannot build engines: {describe_problems(log)}")
    return bytes(engine)


def _run_tiny(provider: Provider, content: bytes, gpu: Gpu) -> None:
    x, y = _TINY
    point = EntryPoint(file="", payload_sha256="", inputs=(x,), outputs=(y,))
    engine = DeviceEngine(
        load_engine(provider, content, provider.built_with(gpu), gpu), point, key="self-test"
    )
    found = engine.run({"x": np.ones((1, 1, 4, 4), np.float32)})["y"][0, 0, 1, 1]
    engine.close()
    if abs(found - _NINE_NEIGHBOURS) > 1e-3:
        raise BackendError(f"{provider.title} on {gpu.name} computed {found} instead of 9")
