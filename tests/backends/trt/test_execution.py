"""The order of calls around an engine, with a library that works on the host's memory.

The real one needs a GPU, and its own tests are in test_trt.py. This one is strict where the real
one would crash or compute nonsense: shapes before memory, memory before addresses, addresses that
are alive, and no change to a context after its CUDA graph was made.
"""

import contextlib
import ctypes
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from stargan_deploy.backends.trt import execution as trt_execution
from stargan_deploy.backends.trt.execution import DeviceEngine, LoadedEngine
from stargan_deploy.backends.trt.gpu import Gpu
from stargan_deploy.card.card import EntryPoint
from stargan_deploy.card.tensors import Dim, TensorSpec
from stargan_deploy.errors import BackendError, CardError

GPU = Gpu(device="cpu", name="the host", capability=(8, 9), driver="13.0")
SCRATCH_BYTES = 64


def spec(name: str, width: int) -> TensorSpec:
    shape = (Dim(symbol="batch", max=8), width)
    return TensorSpec(name=name, kind="latent", dtype="float32", layout="ND", shape=shape)


POINT = EntryPoint(
    file="", payload_sha256="", inputs=(spec("a", 3), spec("b", 3)), outputs=(spec("sum", 3),)
)


class Context:
    """Adds `a` and `b`, at the addresses that it was given."""

    def __init__(self, log: list[str]) -> None:
        self.log, self.shapes, self.addresses, self.frozen = log, {}, {}, False
        self.memory = None

    def set_input_shape(self, name, shape):
        assert not self.frozen
        assert isinstance(shape, tuple)
        self.shapes[name] = shape
        return shape[0] <= 8

    def infer_shapes(self):
        return [name for name in ("a", "b") if name not in self.shapes]

    def set_device_memory(self, address, size):
        assert not self.infer_shapes()
        assert size == SCRATCH_BYTES
        self.memory = address

    def get_tensor_shape(self, name):
        return self.shapes.get(name, self.shapes["a"])

    def set_tensor_address(self, name, address):
        assert not self.frozen
        assert self.memory is not None
        self.addresses[name] = address
        return True

    def is_stream_capturable(self, stream):
        return True

    def execute_async_v3(self, stream):
        assert stream == 7
        self.log.append("execute")
        self.compute()
        return True

    def compute(self):
        np.add(self.array("a"), self.array("b"), out=self.array("sum"))

    def array(self, name):
        shape = self.get_tensor_shape(name)
        kind = ctypes.c_float * int(np.prod(shape))
        return np.frombuffer(kind.from_address(self.addresses[name]), np.float32).reshape(shape)


class Engine:
    device_memory_size_v2 = SCRATCH_BYTES
    num_io_tensors = 3

    def __init__(self) -> None:
        self.log, self.contexts = [], []

    def get_tensor_name(self, index):
        return ("a", "b", "sum")[index]

    def get_tensor_mode(self, name):
        return SimpleNamespace(name="OUTPUT" if name == "sum" else "INPUT")

    def get_tensor_dtype(self, name):
        return SimpleNamespace(name="FLOAT")

    def get_tensor_shape(self, name):
        return (-1, 3)

    def create_execution_context(self, config):
        assert config == "config"
        self.contexts.append(Context(self.log))
        return self.contexts[-1]


class Cache:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self):
        return b"compiled" if not self.content else self.content


PROVIDER = SimpleNamespace(
    name="fake",
    version="1",
    module=SimpleNamespace(ProfilingVerbosity=SimpleNamespace(NONE=0)),
    dtype_name=lambda dtype: {"FLOAT": "float32"}[dtype.name],
    runtime_config=lambda engine: "config",
    runtime_cache=lambda config, content: Cache(content),
    is_capturable=lambda context, stream: context.is_stream_capturable(stream),
)


class Graph:
    """Repeats what the context last did."""

    def __init__(self, engine: Engine) -> None:
        self.context = engine.contexts[-1]

    def replay(self):
        self.context.log.append("replay")
        self.context.compute()


@pytest.fixture
def engine(tmp_path, monkeypatch) -> Engine:
    """An engine, and a torch without a GPU that plays along."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found, allocate = Engine(), torch.empty
    stream = SimpleNamespace(cuda_stream=7, synchronize=lambda: None, wait_stream=lambda _: None)

    @contextlib.contextmanager
    def capture(graph, *, stream, capture_error_mode):
        yield
        graph.context.frozen = True

    def empty(*args, pin_memory=False, **rest):
        return allocate(*args, **rest)

    monkeypatch.setattr(torch, "empty", empty)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: Graph(found))
    monkeypatch.setattr(torch.cuda, "graph", capture)
    return found


def make(engine: Engine, point: EntryPoint = POINT) -> DeviceEngine:
    log = SimpleNamespace(errors=["the library's reason"], warnings=[])
    loaded = LoadedEngine(provider=PROVIDER, gpu=GPU, log=log, runtime=None, engine=engine)
    return DeviceEngine(loaded, point, key="k")


def batch(size: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(size)
    return {name: rng.standard_normal((size, 3), np.float32) for name in ("a", "b")}


def test_results_are_the_engines_and_stay(engine):
    device = make(engine)
    first, second = batch(2), batch(2)
    found = device.run(first)["sum"]
    again = device.run({name: array[::-1] * 2 for name, array in second.items()})["sum"]
    np.testing.assert_array_equal(found, first["a"] + first["b"])
    np.testing.assert_allclose(again, (second["a"] + second["b"])[::-1] * 2)


def test_a_shape_is_prepared_once_and_then_replayed(engine):
    device = make(engine)
    for _ in range(3):
        device.run(batch(2))
    assert engine.log == ["execute", "execute", "replay", "replay", "replay"]
    assert len(engine.contexts) == 1


def test_shapes_take_turns_and_the_oldest_gives_way(engine):
    device = make(engine)
    order = [*range(1, trt_execution.MAX_SHAPES + 1), 1, 8, 1, 2]
    for size in order:
        inputs = batch(size)
        np.testing.assert_array_equal(device.run(inputs)["sum"], inputs["a"] + inputs["b"])
    assert len(device._calls) == trt_execution.MAX_SHAPES
    assert len(engine.contexts) == trt_execution.MAX_SHAPES + 2  # 8 is new; 2 was let go of


def test_without_a_graph_the_engine_still_runs(engine, monkeypatch):
    def failing(graph, *, stream, capture_error_mode):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "graph", failing)
    device, inputs = make(engine), batch(4)
    for _ in range(2):
        np.testing.assert_array_equal(device.run(inputs)["sum"], inputs["a"] + inputs["b"])
    assert set(engine.log) == {"execute"}


def test_a_device_call_has_buffers_of_its_own(engine):
    device, inputs = make(engine), batch(3)
    call = device.device_call(inputs)
    device.run({name: array * 0 for name, array in inputs.items()})
    engine.log.clear()
    call()
    call()
    assert engine.log == ["replay", "replay"]
    own = engine.contexts[0]
    np.testing.assert_array_equal(own.array("sum"), inputs["a"] + inputs["b"])


def test_refusals_are_worded_with_the_librarys_reason(engine):
    with pytest.raises(BackendError, match=r"refuses 'a' of \(9, 3\): the library's reason"):
        make(engine).run(batch(9))


def test_what_torch_raises_is_worded(engine, monkeypatch):
    def out_of_memory(self):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(Context, "compute", out_of_memory)
    with pytest.raises(BackendError, match=r"failed on cpu: out of memory; where memory ran out"):
        make(engine).run(batch(2))


def test_an_engine_with_other_tensors_than_the_card_is_refused(engine):
    other = EntryPoint(file="", payload_sha256="", inputs=POINT.inputs[:1], outputs=POINT.outputs)
    with pytest.raises(CardError, match=r"the engine has .*'b'.*its model card says"):
        make(engine, other)


def test_compiled_kernels_are_kept_when_they_are_new(engine, tmp_path):
    device = make(engine)
    device.run(batch(2))
    device.close()
    (kept,) = tmp_path.rglob("*.runtime")
    assert kept.read_bytes() == b"compiled"
    kept.write_bytes(b"older")
    make(engine).close()
    assert kept.read_bytes() == b"older"
