import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stargan_deploy.backends.base import OpenOptions
from stargan_deploy.backends.eager.runtime import EagerRuntime
from stargan_deploy.backends.onnx import file as onnx_file
from stargan_deploy.backends.onnx import runtime as onnx_runtime
from stargan_deploy.backends.onnx.file import read_card
from stargan_deploy.backends.onnx.runtime import OnnxRuntime
from stargan_deploy.card.card import CARD_KEY
from stargan_deploy.card.pixels import pixels_to_tensor, tensor_to_pixels
from stargan_deploy.devices import Device
from stargan_deploy.errors import BackendError, CardError, ModelError, UsageError
from stargan_deploy.inference.model import load

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
LABEL = np.eye(5, dtype=np.float32)[:3]


@pytest.fixture
def copied(artefact: Path, tmp_path: Path) -> Path:
    """A copy of the artefact that a test may spoil."""
    for path in (artefact, artefact.with_suffix(".classifier.onnx")):
        shutil.copy(path, tmp_path)
    return tmp_path / artefact.name


def without_card(path: Path) -> onnx.ModelProto:
    model = onnx.load(path)
    del model.metadata_props[:]
    return model


def save_with_card(model: onnx.ModelProto, card: str, path: Path) -> None:
    others = [entry for entry in model.metadata_props if entry.key != CARD_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(others)
    model.metadata_props.add(key=CARD_KEY, value=card)
    onnx.save(model, path)


def forge_hash(path: Path, model: onnx.ModelProto) -> None:
    """Writes a changed graph whose card claims that it is the right one."""
    card = read_card(path)
    forged = onnx_file.payload_sha256(onnx_file.graph_bytes(model))
    old = card.entry_points["translate"].payload_sha256
    save_with_card(model, card.to_json().replace(old, forged), path)


def test_it_gives_what_pytorch_gives(artefact, checkpoint):
    image = pixels_to_tensor(PIXELS)
    with EagerRuntime(checkpoint, OpenOptions(device="cpu")) as eager:
        pictures = tensor_to_pixels(eager.run({"image": image, "label": LABEL})["translated"])
        logits = eager.run({"image": image}, entry_point="classify")["logits"]
    with OnnxRuntime(artefact, OpenOptions(device="cpu")) as runtime:
        assert str(runtime.device) == "cpu"
        found = runtime.run({"image": PIXELS, "label": LABEL})["translated"]
        found_logits = runtime.run({"image": PIXELS}, entry_point="classify")["logits"]
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - pictures).max() <= 1
    np.testing.assert_allclose(found_logits, logits, atol=1e-5)


def test_neither_batch_nor_threads_change_an_image(artefact):
    """docs/batch.md says so, and no manifest records threads of onnxruntime."""
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (5, 32, 32, 3), np.uint8)
    inputs = {"image": image, "label": np.eye(5, dtype=np.float32)}
    found = []
    for num_threads in (1, 2, 3):
        session_options = onnxruntime.SessionOptions()
        session_options.intra_op_num_threads = num_threads
        for size in (1, 2, 8):
            options = OpenOptions(batch_size=size, session_options=session_options)
            with OnnxRuntime(artefact, options) as runtime:
                assert runtime.pinned_threads is None
                found.append(runtime.run(inputs)["translated"])
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_nothing_runs_before_it_is_entered_or_after(artefact):
    runtime = OnnxRuntime(artefact, OpenOptions(device="cpu"))
    inputs = {"image": PIXELS, "label": LABEL}
    with pytest.raises(UsageError, match="closed"):
        runtime.run(inputs)
    with runtime:
        runtime.run(inputs)
    with pytest.raises(UsageError, match="closed"):
        runtime.run(inputs)


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ({"image": PIXELS}, "needs 'label' .label. too"),
        ({"image": PIXELS[:, :30], "label": LABEL}, "multiple of 4"),
        ({"image": PIXELS.astype(np.float32), "label": LABEL}, "must be uint8"),
        ({"image": PIXELS, "label": LABEL[:, :4]}, "'label' must be float32 batchx5"),
        ({"image": PIXELS, "label": LABEL[:2]}, "same number of rows"),
    ],
)
def test_wrong_inputs_are_refused(artefact, inputs, complaint):
    with (
        OnnxRuntime(artefact, OpenOptions(device="cpu")) as runtime,
        pytest.raises(UsageError, match=complaint),
    ):
        runtime.run(inputs)


def test_an_unknown_entry_point_is_refused(artefact):
    runtime = OnnxRuntime(artefact, OpenOptions(device="cpu"))
    with runtime, pytest.raises(CardError, match="did you mean 'classify'"):
        runtime.run({"image": PIXELS}, entry_point="clasify")


def test_a_renamed_file_is_told_by_its_graph(copied):
    renamed = copied.rename(copied.with_name("other.onnx"))
    with OnnxRuntime(renamed, OpenOptions(device="cpu")) as runtime:
        runtime.run({"image": PIXELS, "label": LABEL})
        runtime.run({"image": PIXELS}, entry_point="classify")


def test_the_classifiers_file_opens_the_whole_artefact(copied):
    with OnnxRuntime(copied.with_suffix(".classifier.onnx"), OpenOptions(device="cpu")) as runtime:
        runtime.run({"image": PIXELS}, entry_point="classify")
        runtime.run({"image": PIXELS, "label": LABEL})


def test_a_missing_companion_is_missed_when_it_is_needed(copied):
    copied.with_suffix(".classifier.onnx").unlink()
    with OnnxRuntime(copied, OpenOptions(device="cpu")) as runtime:
        runtime.run({"image": PIXELS, "label": LABEL})
        with pytest.raises(ModelError, match=r"tiny\.classifier\.onnx, which is not next to it"):
            runtime.run({"image": PIXELS}, entry_point="classify")


def test_changed_weights_are_refused(copied):
    card, model = read_card(copied).to_json(), onnx.load(copied)
    weights = model.graph.initializer[0]
    values = onnx.numpy_helper.to_array(weights) * 1.01
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    save_with_card(model, card, copied)
    with pytest.raises(CardError, match="changed"), OnnxRuntime(copied, OpenOptions(device="cpu")):
        pass


def test_a_companion_of_another_export_is_refused(copied):
    shutil.copy(copied, copied.with_suffix(".classifier.onnx"))
    with (
        OnnxRuntime(copied, OpenOptions(device="cpu")) as runtime,
        pytest.raises(CardError, match="another"),
    ):
        runtime.run({"image": PIXELS}, entry_point="classify")


def test_a_verdict_added_later_leaves_the_hash_alone(copied):
    card, model = read_card(copied), onnx.load(copied)
    save_with_card(model, card.to_json().replace('"step": 0', '"step": 7'), copied)
    with OnnxRuntime(copied, OpenOptions(device="cpu")) as runtime:
        assert runtime.card.step == 7


def test_inputs_other_than_the_cards_are_refused(copied):
    model = without_card(copied)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 32
    forge_hash(copied, model)
    with (
        pytest.raises(CardError, match="the inputs of"),
        OnnxRuntime(copied, OpenOptions(device="cpu")),
    ):
        pass


def test_a_graph_that_onnxruntime_refuses_is_named(copied):
    model = without_card(copied)
    model.graph.node[-1].op_type = "NoSuchOperator"
    forge_hash(copied, model)
    with (
        pytest.raises(ModelError, match="onnxruntime cannot load"),
        OnnxRuntime(copied, OpenOptions(device="cpu")),
    ):
        pass


def test_a_foreign_onnx_is_refused(copied):
    onnx.save(without_card(copied), copied)
    with pytest.raises(CardError, match="stargan-deploy did not export it"):
        OnnxRuntime(copied)


def test_weights_in_other_files_are_refused(copied):
    onnx.save(onnx.load(copied), copied, save_as_external_data=True, size_threshold=0)
    with pytest.raises(ModelError, match="other files"):
        OnnxRuntime(copied)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x0a", b"PK\x03\x04" + bytes(64)])
def test_what_is_not_onnx_is_refused(tmp_path, content):
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.onnx is not"):
        read_card(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match="no such artefact"):
        read_card(tmp_path / "gone.onnx")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_unharmed(artefact, tmp_path, data):
    """Bytes cut off or overwritten anywhere never give other pictures, and never a traceback."""
    content = bytearray(artefact.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        place = data.draw(st.integers(0, len(content) - 1) | st.integers(0, 3000))
        content[place] = data.draw(st.integers(0, 255))
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(content)
    inputs = {"image": PIXELS, "label": LABEL}
    with OnnxRuntime(artefact, OpenOptions(device="cpu")) as runtime:
        expected = runtime.run(inputs)["translated"]
    try:
        with OnnxRuntime(damaged, OpenOptions(device="cpu")) as runtime:
            found = runtime.run(inputs)["translated"]
    except (ModelError, UsageError):
        return
    np.testing.assert_array_equal(found, expected)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "random.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError):
        read_card(path)


def test_nothing_is_printed_on_success(artefact, capfd):
    with OnnxRuntime(artefact, OpenOptions(device="cpu")) as runtime:
        runtime.run({"image": PIXELS, "label": LABEL})
    assert capfd.readouterr() == ("", "")


def test_a_gpu_that_onnxruntime_cannot_use_is_refused_with_what_is_missing(
    artefact, monkeypatch, capfd
):
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("needs onnxruntime-gpu")
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    monkeypatch.setattr(onnx_runtime, "num_gpus", lambda: 1)
    with pytest.raises(BackendError, match=r"onnxruntime cannot use cuda:0: .*`device` cpu"):
        OnnxRuntime(artefact, OpenOptions(device="cuda")).__enter__()
    assert capfd.readouterr() == ("", "")


def test_a_gpu_that_nobody_asked_for_falls_back_with_a_warning(artefact, monkeypatch, caplog):
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("needs onnxruntime-gpu")
    monkeypatch.setattr(onnx_runtime, "num_gpus", lambda: 1)
    with OnnxRuntime(artefact) as runtime:
        assert str(runtime.device) == "cpu"
    assert "computing on the CPU" in caplog.text


def test_an_onnxruntime_without_cuda_says_how_to_get_it(artefact, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(BackendError, match="onnxruntime-gpu"):
        OnnxRuntime(artefact, OpenOptions(device="cuda:0")).__enter__()
    with pytest.raises(BackendError, match="mps"):
        OnnxRuntime(artefact, OpenOptions(device="mps")).__enter__()
    with OnnxRuntime(artefact) as runtime:
        assert str(runtime.device) == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(
    not (
        torch.cuda.is_available()
        and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    ),
    reason="needs a GPU and onnxruntime-gpu",
)
def test_a_gpu_gives_the_same_pictures(artefact):
    inputs = {"image": PIXELS, "label": LABEL}
    with (
        OnnxRuntime(artefact, OpenOptions(device="cpu")) as cpu,
        OnnxRuntime(artefact, OpenOptions(device="cuda")) as gpu,
    ):
        assert str(gpu.device) == "cuda:0"
        expected, found = (runtime.run(inputs)["translated"] for runtime in (cpu, gpu))
    assert np.abs(expected.astype(int) - found).max() <= 1


def test_a_session_of_the_users_own_is_run(artefact):
    session = onnxruntime.InferenceSession(artefact, providers=["CPUExecutionProvider"])
    inputs = {"image": PIXELS, "label": LABEL}
    with OnnxRuntime(artefact, OpenOptions(device="cpu")) as runtime:
        expected = runtime.run(inputs)["translated"]
    with OnnxRuntime(artefact, OpenOptions(session=session)) as runtime:
        assert runtime._engine("translate") is session
        np.testing.assert_array_equal(runtime.run(inputs)["translated"], expected)
        assert runtime.run({"image": PIXELS}, entry_point="classify")["logits"].shape[0]
        assert str(runtime.device) == "cpu"


def test_a_session_of_another_file_is_refused(artefact, tmp_path):
    session = onnxruntime.InferenceSession(artefact.with_name("tiny.classifier.onnx"))
    with pytest.raises(CardError, match="but its model card says"):
        OnnxRuntime(artefact, OpenOptions(session=session)).__enter__()


def test_session_options_and_providers_reach_every_session(artefact, monkeypatch):
    made, genuine = [], onnxruntime.InferenceSession

    def record(graph, options, providers):
        made.append((options, providers))
        return genuine(graph, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", record)
    options = onnxruntime.SessionOptions()
    providers = [("CPUExecutionProvider", {})]
    settings = OpenOptions(session_options=options, providers=providers)
    with OnnxRuntime(artefact, settings) as runtime:
        runtime.run({"image": PIXELS, "label": LABEL})
        runtime.run({"image": PIXELS}, entry_point="classify")
    assert made == [(options, providers)] * 2


def test_load_takes_a_session(artefact):
    session = onnxruntime.InferenceSession(artefact)
    with load(artefact, session=session) as model, load(artefact, device="cpu") as plain:
        pixels = model.translate(PIXELS[:1], "Male")
        np.testing.assert_array_equal(pixels, plain.translate(PIXELS[:1], "Male"))


def test_another_provider_is_the_device(artefact):
    assert onnx_runtime._device_of(["CoreMLExecutionProvider", "CPUExecutionProvider"], None) == (
        Device(provider="CoreMLExecutionProvider")
    )
    assert onnx_runtime._device_of(["CUDAExecutionProvider"], None) == Device("cuda")


def test_only_onnxruntime_takes_sessions(checkpoint):
    with pytest.raises(UsageError, match="runs with eager"):
        load(checkpoint, providers=["CPUExecutionProvider"])


def test_a_file_that_another_tool_wrote_anew_still_fits_its_card(copied):
    """Fields in another order are the same message."""
    content = onnx.load(copied)
    parts = []
    for field, value in content.ListFields():
        part = onnx.ModelProto()
        if field.name in ("metadata_props", "opset_import"):
            getattr(part, field.name).extend(value)
        elif field.name == "graph":
            part.graph.CopyFrom(value)
        else:
            setattr(part, field.name, value)
        parts.append(part.SerializePartialToString())
    copied.write_bytes(b"".join(reversed(parts)))
    with OnnxRuntime(copied, OpenOptions(device="cpu")) as runtime:
        runtime.run({"image": PIXELS, "label": LABEL})
