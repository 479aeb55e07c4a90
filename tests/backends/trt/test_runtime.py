import contextlib
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stargan_deploy.backends.base import OpenOptions
from stargan_deploy.backends.eager.runtime import EagerRuntime
from stargan_deploy.backends.exporter import EngineOptions
from stargan_deploy.backends.registry import open_runtime, read_card_of
from stargan_deploy.backends.trt import execution as trt_execution
from stargan_deploy.backends.trt.caches import NUM_KEPT, cache_path, keep_cache, read_cache
from stargan_deploy.backends.trt.execution import load_engine
from stargan_deploy.backends.trt.file import BuiltWith, read_card, read_record, record_path
from stargan_deploy.backends.trt.fit import check_fits, load_error
from stargan_deploy.backends.trt.gpu import Gpu
from stargan_deploy.backends.trt.provider import Provider, load_provider
from stargan_deploy.backends.trt.runtime import TensorRTRuntime
from stargan_deploy.card.pixels import pixels_to_tensor, tensor_to_pixels
from stargan_deploy.devices import CUDA_DRIVER
from stargan_deploy.errors import BackendError, CardError, ModelError, UsageError
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions

rtx = pytest.importorskip("tensorrt_rtx", reason="needs tensorrt-rtx, which builds without a GPU")

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
LABEL = np.eye(5, dtype=np.float32)[:3]
ADA = Gpu(device="cuda:0", name="NVIDIA L4", capability=(8, 9), driver="13.0")
TURING = Gpu(device="cuda:0", name="NVIDIA T4", capability=(7, 5), driver="13.0")
RTX = Provider(name="tensorrt_rtx", module=rtx)
PROPER = Provider(name="tensorrt", module=rtx)
"""The other provider's branches, on the bindings of its sister."""

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")


@pytest.fixture(scope="module")
def engine(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint as engine, in FP16; its classifier stands beside it."""
    out = tmp_path_factory.mktemp("engine") / "tiny.engine"
    options = ExportOptions(
        format="trt", max_batch=6, engine=EngineOptions(provider="tensorrt_rtx")
    )
    return export(checkpoint, out=out, options=options).files[0]


@pytest.fixture
def copied(engine: Path, tmp_path: Path) -> Path:
    """A copy of the engine that a test may spoil."""
    for path in engine.parent.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path / engine.name


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def usable_gpu() -> None:
    """Skips where an engine cannot really be tried."""
    try:
        TensorRTRuntime.self_test("tensorrt_rtx")
    except BackendError as error:
        pytest.skip(str(error))


def change_record(path: Path, **changes) -> None:
    place = record_path(path)
    place.write_text(json.dumps(json.loads(place.read_text()) | changes))


def change_engine(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_card_is_read_without_tensorrt(engine):
    program = (
        "import sys; from pathlib import Path; from stargan_deploy.backends.registry import *;"
        f"read_card_of(Path({str(engine)!r}));"
        "sys.exit(any(name.startswith('tensorrt') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_an_unproven_engine_runs_only_when_it_is_asked_for(engine):
    if read_card_of(engine).unverified is None:
        pytest.skip("it was proven on this machine's GPU")
    with pytest.raises(ModelError, match=r"not proven.*stargan-deploy verify.*`backend` trt"):
        open_runtime(engine)
    assert open_runtime(engine, backend="trt").backend == "trt"


@without_gpu
def test_without_a_gpu_the_reason_is_named(engine):
    runtime = open_runtime(engine, backend="trt", device="cuda")
    with pytest.raises(BackendError, match=rf"no NVIDIA driver \({CUDA_DRIVER}\)"), runtime:
        pass
    assert runtime.device.is_cuda


@pytest.mark.parametrize(
    ("device", "kind", "complaint"),
    [
        ("cpu", BackendError, "NVIDIA GPUs only, not on cpu; use `device` cuda"),
        ("tpu", UsageError, "unknown device 'tpu'"),
        ("cuda:x", UsageError, "unknown device 'cuda:x'"),
    ],
)
def test_other_devices_are_refused(engine, device, kind, complaint):
    with pytest.raises(kind, match=complaint), TensorRTRuntime(engine, OpenOptions(device=device)):
        pass


def test_a_batch_that_the_engine_does_not_take_is_refused(engine):
    TensorRTRuntime(engine, OpenOptions(batch_size=6))
    with pytest.raises(UsageError, match=r"at most 6 images per call .*, not 7.*export"):
        TensorRTRuntime(engine, OpenOptions(batch_size=7))


def test_a_closed_runtime_does_nothing(engine):
    runtime = TensorRTRuntime(engine)
    with pytest.raises(UsageError, match="closed"):
        runtime.run({"image": PIXELS, "label": LABEL})
    with pytest.raises(UsageError, match="closed"):
        runtime.device_call("translate", {"image": PIXELS, "label": LABEL})


def test_a_changed_engine_is_refused_before_anything_is_loaded(copied):
    runtime = TensorRTRuntime(copied)
    change_engine(copied)
    with pytest.raises(CardError, match=r"tiny\.engine is not the engine .*copy both"):
        read_card(copied)
    with pytest.raises(CardError, match="is not the engine"), runtime:
        pass


def test_a_forged_hash_still_contradicts_the_card(copied):
    change_engine(copied)
    sha256 = hashlib.sha256(copied.read_bytes()).hexdigest()
    change_record(copied, engine_sha256=sha256)
    with pytest.raises(CardError, match="is not the one that its model card was written for"):
        TensorRTRuntime(copied).__enter__()


def test_a_companion_of_another_export_is_refused(copied):
    for end in ("", ".json"):
        shutil.copy(f"{copied}{end}", f"{copied.with_suffix('')}.classifier.engine{end}")
    runtime = TensorRTRuntime(copied)
    with pytest.raises(CardError, match=r"tiny\.classifier\.engine.*the card in .*tiny\.engine"):
        runtime._engine("classify")


def test_a_renamed_engine_is_still_known(copied):
    renamed = copied.with_name("other.engine")
    record_path(copied).rename(record_path(renamed))
    copied.rename(renamed)
    assert read_card(renamed).entry_points["translate"].file == "tiny.engine"


def test_missing_files_are_named(copied, tmp_path):
    with pytest.raises(ModelError, match=r"no such artefact: .*gone\.engine"):
        read_card(tmp_path / "gone.engine")
    record_path(copied).unlink()
    with pytest.raises(CardError, match=r"tiny\.engine\.json is not next to it; copy both files"):
        TensorRTRuntime(copied)


def test_a_record_without_its_engine_is_no_artefact(copied):
    copied.unlink()
    with pytest.raises(ModelError, match="no such artefact"):
        read_card(copied)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"\xff\xfe", b'{"card": {}}', b"[" * 100_000, b'{"engine_sha256": 5}'],
)
def test_a_damaged_record_is_refused(copied, content):
    record_path(copied).write_bytes(content)
    with pytest.raises(CardError, match=r"tiny\.engine\.json"):
        read_card(copied)


@pytest.mark.parametrize(
    "changes",
    [
        {"provider": "os"},
        {"provider": None},
        {"version": 1},
        {"compute_capability": "all"},
        {"compute_capability": "8.0++"},
        {"surprise": True},
    ],
)
def test_a_record_of_something_else_is_refused(copied, changes):
    built_with = json.loads(record_path(copied).read_text())["built_with"] | changes
    change_record(copied, built_with=built_with)
    with pytest.raises(CardError, match=r"record of the engine .* does not fit"):
        read_card(copied)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damage_to_the_record_is_noticed_or_harmless(engine, tmp_path, data):
    """Bytes cut off or overwritten anywhere never give another engine, and never a traceback."""
    content = bytearray(record_path(engine).read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        place = data.draw(st.integers(0, len(content) - 1) | st.integers(0, 300))
        content[place] = data.draw(st.integers(0, 255))
    damaged = tmp_path / "damaged.engine"
    if not damaged.exists():
        shutil.copy(engine, damaged)
    record_path(damaged).write_bytes(content)
    with contextlib.suppress(ModelError):
        read_card(damaged)
        assert read_record(damaged).engine_sha256 == read_record(engine).engine_sha256


def test_rows_beyond_the_greatest_batch_are_split(engine):
    batches = []

    class Doubling:
        def run(self, inputs):
            batches.append(len(inputs["image"]))
            return {"translated": inputs["image"] * 2}

    runtime = TensorRTRuntime(engine)
    runtime._engines, runtime._entered = {"translate": Doubling()}, True
    pixels, labels = np.repeat(PIXELS, 5, axis=0), np.repeat(LABEL, 5, axis=0)
    found = runtime.run({"image": pixels, "label": labels})["translated"]
    np.testing.assert_array_equal(found, pixels * 2)
    assert batches == [6, 6, 3]


def built(**changes) -> BuiltWith:
    known = {"provider": "tensorrt", "version": rtx.__version__, "compute_capability": "8.9"}
    return BuiltWith(**(known | changes))


def test_an_engine_that_fits_is_taken(caplog):
    check_fits(built(gpu=ADA.name), PROPER, ADA)
    portable = RTX.built_with(None)
    assert portable.compute_capability == "8.0+"
    check_fits(portable, RTX, ADA)
    check_fits(portable, RTX, replace(ADA, capability=(12, 0)))
    check_fits(RTX.built_with(TURING), RTX, TURING)
    assert not caplog.messages


@pytest.mark.parametrize(
    ("built_with", "provider", "gpu", "complaint"),
    [
        (
            built(version="10.3.0"),
            PROPER,
            ADA,
            rf"built with tensorrt 10\.3\.0, this is {rtx.__version__}; export again, or pip "
            r"install tensorrt==10\.3\.0",
        ),
        (built(), PROPER, TURING, r"for compute capability 8\.9, and NVIDIA T4 has 7\.5; export"),
        (
            RTX.built_with(None),
            RTX,
            TURING,
            r"capability 8\.0 and newer, and NVIDIA T4 has 7\.5; export again on this machine",
        ),
        (RTX.built_with(TURING), RTX, ADA, r"capability 7\.5, and NVIDIA L4 has 8\.9"),
    ],
)
def test_what_does_not_fit_together_is_refused(built_with, provider, gpu, complaint):
    with pytest.raises(BackendError, match=complaint):
        check_fits(built_with, provider, gpu)


def test_an_engine_tuned_on_another_gpu_is_taken_with_a_warning(caplog):
    check_fits(built(gpu="NVIDIA L40"), PROPER, ADA)
    assert "tuned on NVIDIA L40, this is NVIDIA L4" in caplog.text


def test_an_engine_built_on_a_gpu_says_so():
    assert PROPER.built_with(ADA) == built(gpu="NVIDIA L4", driver="13.0")
    assert RTX.built_with(ADA).compute_capability == "8.0+"
    assert RTX.built_with(TURING).compute_capability == "7.5"


def test_an_engine_for_turing_is_really_built_for_it():
    builder = RTX.create_builder(RTX.new_log())
    config = RTX.create_config(builder, TURING)
    assert config.get_compute_capability(0) == rtx.ComputeCapability.SM75
    assert RTX.create_config(builder, ADA).num_compute_capabilities == 0


def test_the_librarys_diagnosis_is_put_into_words():
    message = str(load_error(RTX.built_with(ADA), ADA, ("UNSUPPORTED_CC", "NEW_ONE"), "logged"))
    assert "does not support this GPU" in message
    assert "NEW_ONE" in message
    assert "logged" not in message
    assert "logged" in str(load_error(RTX.built_with(ADA), ADA, (), "logged"))


@without_gpu
@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "CUDA driver version is insufficient"), (b"", "not an engine")],
)
def test_an_engine_that_does_not_load_says_why(engine, monkeypatch, content, reason):
    """The library really tries, and fails for want of a driver; or because it is no engine."""
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    content = engine.read_bytes() if content is None else b"not an engine" * 100
    with pytest.raises(BackendError, match=rf"cannot load the engine on NVIDIA L4.*{reason}"):
        load_engine(RTX, content, RTX.built_with(None), ADA)


def test_the_diagnoses_of_the_library_are_all_known():
    from stargan_deploy.backends.trt.fit import _DIAGNOSES

    assert set(rtx.EngineInvalidityDiagnostics.__members__) == set(_DIAGNOSES)


@pytest.mark.parametrize(
    ("owner", "members"),
    [
        ("Runtime", "deserialize_cuda_engine get_engine_validity"),
        (
            "ICudaEngine",
            "num_io_tensors get_tensor_name get_tensor_mode get_tensor_dtype get_tensor_shape "
            "device_memory_size_v2 create_runtime_config create_execution_context "
            "create_engine_inspector",
        ),
        (
            "IRuntimeConfig",
            "set_execution_context_allocation_strategy create_runtime_cache set_runtime_cache "
            "dynamic_shapes_kernel_specialization_strategy",
        ),
        ("IRuntimeCache", "deserialize serialize"),
        (
            "IExecutionContext",
            "nvtx_verbosity set_input_shape infer_shapes set_device_memory get_tensor_shape "
            "set_tensor_address execute_async_v3 is_stream_capturable",
        ),
        ("EngineInspector", "get_engine_information"),
        ("ExecutionContextAllocationStrategy", "USER_MANAGED"),
        ("DynamicShapesKernelSpecializationStrategy", "EAGER"),
        ("LayerInformationFormat", "JSON"),
        ("ProfilingVerbosity", "NONE DETAILED"),
    ],
)
def test_the_library_has_what_only_a_gpu_would_use(owner, members):
    missing = [name for name in members.split() if not hasattr(getattr(rtx, owner), name)]
    assert not missing


def test_a_provider_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(BackendError, match="tensorrt_rtx is not installed; pip install tensorrt-r"):
        load_provider("tensorrt_rtx")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(BackendError, match="no TensorRT is installed; pip install tensorrt-rtx"):
        load_provider()


def test_an_unknown_provider_is_refused():
    with pytest.raises(UsageError, match="did you mean 'tensorrt'"):
        load_provider("tensort")


def test_an_old_library_is_refused(monkeypatch):
    old = ModuleType("tensorrt")
    old.__version__ = "10.0.1"
    monkeypatch.setitem(sys.modules, "tensorrt", old)
    with pytest.raises(BackendError, match=r"tensorrt 10\.0\.1 is too old; pip install 'tensorrt>"):
        load_provider("tensorrt")


def test_a_library_that_does_not_load_gives_way_to_one_that_does(tmp_path, monkeypatch, caplog):
    (tmp_path / "tensorrt.py").write_text("raise ImportError('libnvinfer.so.10: no such file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(BackendError, match=r"tensorrt does not load: libnvinfer\.so\.10"):
        load_provider("tensorrt")
    assert load_provider().name == "tensorrt_rtx"
    assert "libnvinfer" in caplog.text


def test_the_log_keeps_errors_and_prints_nothing(capfd, caplog):
    caplog.set_level(logging.WARNING)
    log = RTX.new_log()
    runtime = RTX.create_runtime(log)
    assert runtime.deserialize_cuda_engine(b"nothing") is None
    assert log.errors
    assert capfd.readouterr() == ("", "")
    assert not caplog.messages


@without_gpu
def test_the_self_test_builds_and_says_what_is_missing(capfd):
    with pytest.raises(BackendError, match=r"rtx [\d.]+ builds engines, but cannot run them: no N"):
        TensorRTRuntime.self_test("tensorrt_rtx")
    assert capfd.readouterr() == ("", "")


def test_caches_are_told_apart_and_bounded(cache):
    assert cache_path("runtime", "a", "1", "x") != cache_path("runtime", "a", "1", "y")
    assert cache_path("runtime", "a", "1/../..", "x").parent == cache / "stargan-deploy/tensorrt"
    paths = [cache_path("runtime", "a", "1", str(number)) for number in range(NUM_KEPT + 3)]
    assert read_cache(paths[0]) == b""
    for age, path in enumerate(reversed(paths)):
        keep_cache(path, b"kernels")
        os.utime(path, (age, age))
    keep_cache(paths[0], b"newest")
    assert len(list(cache.rglob("*.runtime"))) == NUM_KEPT
    assert read_cache(paths[0]) == b"newest"
    assert read_cache(paths[-1]) == b""


@pytest.mark.gpu
def test_a_gpu_gives_what_pytorch_gives(engine, checkpoint, usable_gpu):
    with EagerRuntime(checkpoint, OpenOptions(device="cpu")) as eager:
        inputs = {"image": pixels_to_tensor(PIXELS), "label": LABEL}
        expected = tensor_to_pixels(eager.run(inputs)["translated"])
        logits = eager.run({"image": inputs["image"]}, entry_point="classify")["logits"]
    with TensorRTRuntime(engine) as runtime:
        assert str(runtime.device) == "cuda:0"
        for _ in range(3):  # the first call, and those that repeat it
            found = runtime.run({"image": PIXELS, "label": LABEL})["translated"]
            assert np.abs(found.astype(int) - expected).max() <= 8
        found = runtime.run({"image": PIXELS}, entry_point="classify")["logits"]
    np.testing.assert_allclose(found, logits, atol=0.02 * np.abs(logits).max())


@pytest.mark.gpu
def test_more_shapes_and_rows_than_fit(engine, usable_gpu):
    """Every batch from 1 to 6 has buffers of its own, of which the oldest give way; 13 is split."""
    pixels = np.repeat(PIXELS, 5, axis=0)[:13]
    labels = np.repeat(LABEL, 5, axis=0)[:13]
    with TensorRTRuntime(engine) as runtime:
        whole = runtime.run({"image": pixels, "label": labels})["translated"]
        assert len(whole) == 13
        for batch in (1, 2, 3, 4, 5, 6, 1):
            inputs = {"image": pixels[:batch], "label": labels[:batch]}
            part = runtime.run(inputs)["translated"]
            assert np.abs(part.astype(int) - whole[:batch]).max() <= 2
        assert len(runtime._engine("translate")._calls) <= trt_execution.MAX_SHAPES


@pytest.mark.gpu
def test_a_call_on_the_device_can_be_measured(engine, usable_gpu):
    with TensorRTRuntime(engine) as runtime:
        call = runtime.device_call("translate", {"image": PIXELS, "label": LABEL})
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(10):
            call()
        end.record()
        end.synchronize()
        assert start.elapsed_time(end) > 0


@pytest.mark.gpu
def test_the_compiled_kernels_are_kept(engine, usable_gpu, cache):
    with TensorRTRuntime(engine) as runtime:
        runtime.run({"image": PIXELS, "label": LABEL})
    assert next(cache.rglob("*.runtime")).stat().st_size > 0
