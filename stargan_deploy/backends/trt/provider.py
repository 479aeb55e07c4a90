"""One face for TensorRT's two Python modules, `tensorrt` (10.1 to 11) and `tensorrt_rtx`.

Parser, network, optimization profiles and engines are the same in both and used through `module`.
What differs is here. Checked against tensorrt_rtx 1.7 and the bindings of TensorRT 10.1, 10.16 and
11.1 (github.com/NVIDIA/TensorRT, python/src/infer).
"""

import dataclasses
import importlib
import importlib.util
import logging
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

from stargan_deploy.backends.trt.file import BuiltWith, ProviderName
from stargan_deploy.backends.trt.gpu import Gpu
from stargan_deploy.backends.trt.spec import SPEC
from stargan_deploy.errors import BackendError, UsageError, brief, unknown_name

PACKAGES: dict[ProviderName, str] = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt-rtx"}
"""Package by name of the module, in the order that "auto" tries them."""

TURING = (7, 5)
"""Compute capability that TensorRT-RTX builds for only when it is named."""

AMPERE = (8, 0)
"""Least compute capability that TensorRT-RTX builds for by itself."""

_DTYPE_NAMES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "bfloat16",
    "UINT8": "uint8",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}
"""The names that numpy and model cards use, by those in `DataType`."""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provider:
    """An installed TensorRT."""

    name: ProviderName
    module: ModuleType

    @property
    def version(self) -> str:
        """The module's version."""
        return str(self.module.__version__)

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"

    @property
    def package(self) -> str:
        """Name of the Python package."""
        return PACKAGES[self.name]

    @property
    def is_rtx(self) -> bool:
        """Whether it compiles kernels when an engine is loaded, instead of when it is built.

        Its builder takes an optimization level and a timing cache, and neither has an effect.
        """
        return self.name == "tensorrt_rtx"

    def new_log(self) -> Any:
        """An `ILogger` that prints nothing and keeps the `errors` and `warnings` it is told of."""
        severity = self.module.ILogger.Severity

        class Log(self.module.ILogger):  # type: ignore[name-defined, misc]
            def __init__(self) -> None:
                super().__init__()
                self.errors, self.warnings = list[str](), list[str]()

            def log(self, level: Any, message: str) -> None:
                if level in (severity.INTERNAL_ERROR, severity.ERROR):
                    self.errors.append(message)
                elif level == severity.WARNING:
                    self.warnings.append(message)
                _log.debug("%s: %s", level.name, message)

        return Log()

    def create_builder(self, log: Any) -> Any:
        """A builder.

        Raises:
            BackendError: it does not work on this machine.
        """
        hint = "it needs an NVIDIA GPU with its driver, which `provider` tensorrt_rtx does not"
        return self._make(self.module.Builder, log, "build", hint)

    def create_runtime(self, log: Any) -> Any:
        """The object that loads engines.

        Raises:
            BackendError: it does not work on this machine.
        """
        return self._make(self.module.Runtime, log, "run", "update the NVIDIA driver")

    def _make(self, kind: Callable[[Any], Any], log: Any, verb: str, hint: str) -> Any:
        try:
            return kind(log)
        except (TypeError, RuntimeError) as error:  # the bindings' words for a null pointer
            problem = f"{self.title} cannot {verb} engines here: {describe_problems(log, error)}"
            raise BackendError(problem, hint=hint) from error

    def create_network(self, builder: Any) -> Any:
        """An empty network in which every tensor has the type that it says it has.

        From 11 on there are no other networks, and the flag is ignored.
        """
        flag = self.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED
        return builder.create_network(1 << int(flag))

    def create_config(self, builder: Any, gpu: Gpu | None) -> Any:
        """A builder's configuration: true FP32, fit for CUDA graphs, and open to inspection.

        Args:
            builder: from `create_builder`.
            gpu: the GPU of this machine to build on, if there is one.

        Raises:
            BackendError: the library cannot build for this GPU.
        """
        config = builder.create_builder_config()
        config.profiling_verbosity = self.module.ProfilingVerbosity.DETAILED
        config.clear_flag(self.module.BuilderFlag.TF32)  # on by default; rounds FP32 to 10 bits
        if self.is_rtx:
            config.set_flag(self.module.BuilderFlag.REQUIRE_USER_ALLOCATION)  # for CUDA graphs
        if self.is_rtx and gpu is not None and gpu.capability == TURING:
            config.num_compute_capabilities = 1
            if not config.set_compute_capability(self.module.ComputeCapability.SM75, 0):
                raise BackendError(f"{self.title} does not build for {gpu.name}")
        return config

    def built_with(self, gpu: Gpu | None) -> BuiltWith:
        """The requirements of engines that are built with `create_config` on this GPU."""
        capability = f"{dotted(AMPERE)}+"
        if gpu is not None and not (self.is_rtx and gpu.capability != TURING):
            capability = dotted(gpu.capability)
        return BuiltWith(
            provider=self.name,
            version=self.version,
            compute_capability=capability,
            gpu=gpu.name if gpu else None,
            driver=gpu.driver if gpu else None,
        )

    def runtime_config(self, engine: Any) -> Any:
        """How the contexts of an engine are to be made; must live as long as they do.

        They compute in memory that they are given. RTX compiles kernels for each shape before it
        is first used, rather than swapping them later under a CUDA graph and a verdict.
        """
        strategy = self.module.ExecutionContextAllocationStrategy.USER_MANAGED
        if not self.is_rtx:
            return strategy
        config = engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(strategy)
        specialization = self.module.DynamicShapesKernelSpecializationStrategy
        config.dynamic_shapes_kernel_specialization_strategy = specialization.EAGER
        return config

    def runtime_cache(self, runtime_config: Any, content: bytes) -> Any:
        """The cache of compiled kernels that contexts fill; None where there is no such thing.

        The library does not keep it alive, so it must live as long as the contexts do.

        Args:
            runtime_config: from `runtime_config`.
            content: what an earlier one held; ignored where it does not fit GPU or version.
        """
        if not self.is_rtx:
            return None
        cache = runtime_config.create_runtime_cache()
        if content:
            cache.deserialize(content)
        runtime_config.set_runtime_cache(cache)
        return cache

    def is_capturable(self, context: Any, stream: int) -> bool:
        """Whether a context's work on a CUDA stream can become a CUDA graph."""
        return not self.is_rtx or bool(context.is_stream_capturable(stream))

    def why_invalid(self, runtime: Any, engine: bytes) -> tuple[str, ...]:
        """The library's own diagnosis of an engine that did not load, where it makes one.

        Not to be asked before: on GPUs that the library does not list it calls engines invalid
        that work.
        """
        if not self.is_rtx:
            return ()
        _, bits = runtime.get_engine_validity(engine)
        members = self.module.EngineInvalidityDiagnostics.__members__
        return tuple(name for name, member in members.items() if bits & member.value)

    def dtype_name(self, dtype: Any) -> str:
        """The name of a `DataType`, as numpy has it."""
        return _DTYPE_NAMES.get(dtype.name, str(dtype.name).lower())


def load_provider(name: str = "auto") -> Provider:
    """Imports a TensorRT.

    Args:
        name: "tensorrt", "tensorrt_rtx", or "auto" for the first one that is installed and loads.

    Raises:
        UsageError: there is no such provider.
        BackendError: it is not installed, does not load, or is too old.
    """
    named = next((known for known in PACKAGES if known == name), None)
    if named is not None:
        return _load(named)
    if name != "auto":
        raise UsageError(unknown_name("provider", name, ("auto", *PACKAGES)))
    installed = [known for known in PACKAGES if importlib.util.find_spec(known) is not None]
    if not installed:
        raise BackendError(
            "no TensorRT is installed",
            hint="pip install tensorrt-rtx (for RTX GPUs, builds without a GPU), or pip install "
            "tensorrt (for any NVIDIA GPU, which it also needs for building)",
        )
    for known in installed[:-1]:
        try:
            return _load(known)
        except BackendError as error:
            _log.warning("%s; taking %s", error, installed[-1])
    return _load(installed[-1])


def describe_problems(log: Any, error: BaseException | None = None) -> str:
    """The first error (else the last warning) since this was last asked, on one line.

    Args:
        log: from `Provider.new_log`; it is emptied.
        error: what to describe where the log is silent.
    """
    found = log.errors[:1] or log.warnings[-1:]
    log.errors, log.warnings = [], []
    if found:
        problem = re.sub(r"In \w+ at \S+\s*", "", found[0])
        return brief(RuntimeError(problem.replace("; ", ", ")))
    return brief(error) if error is not None else "it gives no reason"


def dotted(pair: tuple[int, int]) -> str:
    """A version or compute capability as people write it."""
    return f"{pair[0]}.{pair[1]}"


def _load(name: ProviderName) -> Provider:
    package = PACKAGES[name]
    try:
        provider = Provider(name=name, module=importlib.import_module(name))
    except (ImportError, OSError, RuntimeError) as error:  # the last two: its libraries
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            raise BackendError(f"{name} is not installed", hint=f"pip install {package}") from error
        raise BackendError(
            f"{name} does not load: {brief(error)}",
            hint=f"pip install --force-reinstall {package}",
        ) from error
    found = tuple(int(part) for part in re.findall(r"\d+", provider.version)[:2])
    if found < SPEC.least_version(package):
        least = SPEC.packages[package]
        raise BackendError(f"{provider.title} is too old", hint=f"pip install '{package}>={least}'")
    return provider
