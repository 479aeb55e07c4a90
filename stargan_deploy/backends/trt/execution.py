"""Runs a TensorRT engine on a GPU: buffers, contexts and CUDA graphs, one set for each shape.

A CUDA graph repeats the launches of one call, so it holds for one shape, one set of buffers and one
execution context, which must not be changed afterwards. All contexts of an engine compute in the
same memory, because they take turns on one stream.
"""

import collections
import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stargan_deploy.backends.artefact import OUT_OF_MEMORY
from stargan_deploy.backends.base import Arrays
from stargan_deploy.backends.trt.caches import cache_path, keep_cache, read_cache
from stargan_deploy.backends.trt.file import BuiltWith
from stargan_deploy.backends.trt.fit import check_fits, load_error
from stargan_deploy.backends.trt.gpu import Gpu
from stargan_deploy.backends.trt.inspection import check_engine_interface
from stargan_deploy.backends.trt.provider import Provider, describe_problems
from stargan_deploy.card.card import EntryPoint
from stargan_deploy.errors import BackendError, brief

MAX_SHAPES = 4
"""Shapes whose buffers and graphs are kept; the one that was not used for longest goes first."""

Shapes = tuple[tuple[int, ...], ...]
"""Shapes of an entry point's inputs, in their order."""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedEngine:
    """An engine on a GPU, and the objects that must live as long as it does."""

    provider: Provider
    gpu: Gpu
    log: Any
    runtime: Any
    engine: Any


def load_engine(
    provider: Provider, content: bytes, built_with: BuiltWith, gpu: Gpu
) -> LoadedEngine:
    """Loads an engine whose bytes were checked against its card.

    Raises:
        BackendError: engine, library, GPU and driver do not fit together.
    """
    check_fits(built_with, provider, gpu)
    log = provider.new_log()
    with torch.cuda.device(gpu.device):
        runtime = provider.create_runtime(log)
        engine = runtime.deserialize_cuda_engine(content)
        if engine is None:
            diagnoses = provider.why_invalid(runtime, content)
            raise load_error(built_with, gpu, diagnoses, describe_problems(log))
    return LoadedEngine(provider=provider, gpu=gpu, log=log, runtime=runtime, engine=engine)


class DeviceEngine:
    """A loaded engine that is ready to run one entry point.

    Args:
        loaded: the engine.
        point: the names, types and dimensions that it should have.
        key: names the engine's cache of compiled kernels, such as its hash.

    Raises:
        CardError: the engine has other inputs and outputs.
        BackendError: the GPU has too little memory.
    """

    def __init__(self, loaded: LoadedEngine, point: EntryPoint, *, key: str) -> None:
        check_engine_interface(loaded.provider, loaded.engine, point)
        provider, gpu = loaded.provider, loaded.gpu
        self._cache_path = cache_path("runtime", provider.name, provider.version, gpu.name, key)
        self._cached = read_cache(self._cache_path)
        with _converted_errors(gpu.device), torch.cuda.device(gpu.device):
            config = provider.runtime_config(loaded.engine)
            size_bytes = loaded.engine.device_memory_size_v2
            self._place = _Workplace(
                loaded=loaded,
                point=point,
                config=config,
                cache=provider.runtime_cache(config, self._cached),
                stream=torch.cuda.Stream(gpu.device),  # type: ignore[no-untyped-call]
                memory=torch.empty(size_bytes, dtype=torch.uint8, device=gpu.device),
            )
        self._calls = collections.OrderedDict[Shapes, _HostCall]()

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        """Runs one batch, from the host's memory to the host's memory.

        Args:
            inputs: one array for each input, with sizes that the engine takes.

        Returns:
            One array for each output.

        Raises:
            BackendError: the engine failed, or memory ran out.
        """
        with self._on_device():
            call = self._call_for(self._shapes(inputs))
            call.take(inputs)
            call.device.enqueue()
            return call.give()

    def device_call(self, inputs: Arrays) -> Callable[[], None]:
        """Prepares a call on inputs that are on the GPU before it, for measuring the engine alone.

        Args:
            inputs: as `run` takes them; they are copied to the GPU here, once.

        Returns:
            Runs the engine on them, in order with what torch's current stream does, and leaves the
            outputs on the GPU. It copies nothing and waits for nothing.

        Raises:
            BackendError: the engine failed, or memory ran out.
        """
        with self._on_device():
            call = self._new_call(self._shapes(inputs))
            call.take(inputs)
            self._place.stream.synchronize()
        return lambda: self._in_order(call.device)

    def close(self) -> None:
        """Releases the GPU's memory, and keeps the kernels that were compiled."""
        with contextlib.suppress(RuntimeError):  # whoever broke the GPU was notified then
            self._place.stream.synchronize()
        self._calls.clear()
        cache = self._place.cache
        compiled = None if cache is None else cache.serialize()
        if compiled is not None and bytes(compiled) != self._cached:
            keep_cache(self._cache_path, bytes(compiled))

    @contextmanager
    def _on_device(self) -> Iterator[None]:
        """Makes the engine's stream torch's current one, and converts errors."""
        device = self._place.device
        with (
            _converted_errors(device),
            torch.cuda.device(device),
            torch.cuda.stream(self._place.stream),
        ):
            yield

    def _in_order(self, call: "_DeviceCall") -> None:
        current = torch.cuda.current_stream(self._place.device)
        self._place.stream.wait_stream(current)
        with self._on_device():
            call.enqueue()
        current.wait_stream(self._place.stream)

    def _call_for(self, shapes: Shapes) -> "_HostCall":
        if shapes not in self._calls:
            while len(self._calls) >= MAX_SHAPES:
                self._calls.popitem(last=False)
            self._calls[shapes] = self._new_call(shapes)
        self._calls.move_to_end(shapes)
        return self._calls[shapes]

    def _new_call(self, shapes: Shapes) -> "_HostCall":
        loaded = self._place.loaded
        context = loaded.engine.create_execution_context(self._place.config)
        if context is None:
            problem = describe_problems(loaded.log)
            raise BackendError(
                f"TensorRT cannot run the engine: {problem}", hint="update the driver"
            )
        return _HostCall(_DeviceCall(self._place, context, shapes))

    def _shapes(self, inputs: Arrays) -> Shapes:
        return tuple(inputs[spec.name].shape for spec in self._place.point.inputs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Workplace:
    """Objects that all calls of an engine share, and that their contexts must not outlive."""

    loaded: LoadedEngine
    point: EntryPoint
    config: Any
    cache: Any
    stream: torch.cuda.Stream
    memory: Tensor
    """For the activations of one call at a time, in bytes."""

    @property
    def device(self) -> str:
        return self.loaded.gpu.device


class _DeviceCall:
    """One shape's buffers on the GPU with the context, and the CUDA graph, that work on them."""

    def __init__(self, place: _Workplace, context: Any, shapes: Shapes) -> None:
        self._graph: torch.cuda.CUDAGraph | None = None  # first, to go before the context does
        self._context = context
        self.place = place
        context.nvtx_verbosity = place.loaded.provider.module.ProfilingVerbosity.NONE
        for spec, shape in zip(place.point.inputs, shapes, strict=True):
            self._check(context.set_input_shape(spec.name, shape), f"{spec.name!r} of {shape}")
        self._check(not context.infer_shapes(), f"inputs of {shapes}")
        context.set_device_memory(place.memory.data_ptr(), place.memory.numel())
        self.buffers = {
            spec.name: torch.empty(
                tuple(context.get_tensor_shape(spec.name)),
                dtype=getattr(torch, spec.dtype),
                device=place.device,
            )
            for spec in (*place.point.inputs, *place.point.outputs)
        }
        for name, buffer in self.buffers.items():
            self._check(context.set_tensor_address(name, buffer.data_ptr()), repr(name))
        self._graph = self._capture()

    def enqueue(self) -> None:
        """Puts the call onto torch's current stream, which must be the engine's."""
        if self._graph is not None:
            self._graph.replay()
        else:
            self._execute()

    def _execute(self) -> None:
        self._check(self._context.execute_async_v3(self.place.stream.cuda_stream), "the call")

    def _capture(self) -> torch.cuda.CUDAGraph | None:
        """Makes a CUDA graph of the call; None where that is not possible."""
        provider, stream = self.place.loaded.provider, self.place.stream
        self._execute()  # changes on the host for a new shape are not part of a graph
        stream.synchronize()
        if not provider.is_capturable(self._context, stream.cuda_stream):
            return None
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                self._execute()
        except (RuntimeError, BackendError) as error:
            _log.info("running without a CUDA graph: %s", brief(error))
            return None
        return graph

    def _check(self, done: bool, what: str) -> None:
        if not done:
            problem = describe_problems(self.place.loaded.log)
            raise BackendError(f"TensorRT refuses {what}: {problem}")


class _HostCall:
    """A call with pinned buffers on the host, which the GPU copies from and to by itself."""

    def __init__(self, device: _DeviceCall) -> None:
        self.device = device
        self._pinned = {
            name: torch.empty(buffer.shape, dtype=buffer.dtype, pin_memory=True)
            for name, buffer in device.buffers.items()
        }

    def take(self, inputs: Arrays) -> None:
        """Starts the copies of inputs to the GPU."""
        for spec in self.device.place.point.inputs:
            pinned = self._pinned[spec.name]
            np.copyto(pinned.numpy(), inputs[spec.name])
            self.device.buffers[spec.name].copy_(pinned, non_blocking=True)

    def give(self) -> dict[str, npt.NDArray[Any]]:
        """Copies the outputs to the host and waits for them."""
        names = [spec.name for spec in self.device.place.point.outputs]
        for name in names:
            self._pinned[name].copy_(self.device.buffers[name], non_blocking=True)
        self.device.place.stream.synchronize()
        return {name: self._pinned[name].numpy().copy() for name in names}


@contextmanager
def _converted_errors(device: str) -> Iterator[None]:
    """Converts torch's errors of CUDA and of memory."""
    try:
        yield
    except RuntimeError as error:
        raise BackendError(
            f"TensorRT failed on {device}: {brief(error)}", hint=OUT_OF_MEMORY
        ) from error
