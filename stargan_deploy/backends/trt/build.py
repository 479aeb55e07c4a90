"""Builds an engine from a network, so that Ctrl-C ends it and the next build is faster."""

import concurrent.futures
import contextlib
import threading
from typing import Any

import torch

from stargan_deploy.backends.trt.caches import cache_path, keep_cache, read_cache
from stargan_deploy.backends.trt.gpu import Gpu
from stargan_deploy.backends.trt.provider import Provider, describe_problems
from stargan_deploy.errors import ExportError


def build_engine(
    provider: Provider, builder: Any, network: Any, config: Any, gpu: Gpu | None
) -> bytes:
    """Builds and serialises an engine; an interrupt ends the build at its next step.

    Args:
        provider: the library.
        builder: from `Provider.create_builder`.
        network: the network to build.
        config: from `Provider.create_config`, with an optimization profile.
        gpu: the GPU to build on, if there is one.

    Raises:
        ExportError: the library cannot build it.
    """
    cache = cache_path("timing", provider.name, provider.version, gpu.name if gpu else "")
    if not provider.is_rtx:
        use_timing_cache(config, read_cache(cache))
    engine = _build(provider, builder, network, config, gpu)
    if engine is None:
        problem = describe_problems(builder.logger)
        raise ExportError(f"{provider.title} cannot build the engine: {problem}")
    if not provider.is_rtx:
        keep_cache(cache, bytes(config.get_timing_cache().serialize()))
    return bytes(engine)


def use_timing_cache(config: Any, content: bytes) -> None:
    """Gives a builder earlier timings, or none where they do not fit."""
    cache = config.create_timing_cache(content)
    if cache is None or not config.set_timing_cache(cache, False):
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _build(provider: Provider, builder: Any, network: Any, config: Any, gpu: Gpu | None) -> Any:
    """Builds in a thread, because Python handles no signal while a library keeps its main thread.

    An exception that a monitor raises would be printed by the library; so it only answers.
    """
    monitor, may_start = _new_monitor(provider), threading.Event()
    config.progress_monitor = monitor

    def build() -> Any:
        may_start.wait()  # a thread that is interrupted while it is started is not waited for
        # Each thread has a current GPU of its own.
        with torch.cuda.device(gpu.device) if gpu is not None else contextlib.nullcontext():
            return builder.build_serialized_network(network, config)

    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        try:
            future = pool.submit(build)
            may_start.set()
            return future.result()
        except BaseException:
            monitor.is_cancelled = True
            may_start.set()
            raise


def _new_monitor(provider: Provider) -> Any:
    """An `IProgressMonitor` that ends the build once it `is_cancelled`."""

    class Monitor(provider.module.IProgressMonitor):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.is_cancelled = False

        def phase_start(self, phase: str, parent: str | None, num_steps: int) -> None:
            """Nothing to show."""

        def phase_finish(self, phase: str) -> None:
            """Nothing to show."""

        def step_complete(self, phase: str, step: int) -> bool:  # noqa: ARG002
            return not self.is_cancelled

    return Monitor()
