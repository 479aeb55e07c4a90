import dataclasses
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if not importlib.util.find_spec("openvino"):  # which must not be imported with its telemetry
    pytest.skip("needs openvino", allow_module_level=True)

from stargan_deploy.backends.base import OpenOptions
from stargan_deploy.backends.eager.runtime import EagerRuntime
from stargan_deploy.backends.openvino import compile as ir_compile
from stargan_deploy.backends.openvino import file as ir
from stargan_deploy.backends.openvino.exporter import OpenVinoExporter
from stargan_deploy.backends.openvino.file import read_card
from stargan_deploy.backends.openvino.runtime import (
    KEPT_SHAPES,
    OpenVinoRuntime,
)
from stargan_deploy.backends.registry import open_runtime, read_card_of
from stargan_deploy.card.card import ModelCard
from stargan_deploy.card.pixels import pixels_to_tensor, tensor_to_pixels
from stargan_deploy.errors import BackendError, CardError, ModelError, UsageError
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
LABEL = np.eye(5, dtype=np.float32)
INPUTS = {"image": PIXELS, "label": LABEL}

BILLION_LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE net [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<net><rt_info><stargan_deploy.card value="&b;" /></rt_info></net>"""


@pytest.fixture(scope="module")
def tiny(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint as OpenVINO IR with pixels in and out; its classifier stands beside it."""
    out = tmp_path_factory.mktemp("ov") / "tiny.xml"
    return export(checkpoint, out=out, options=ExportOptions(format="openvino")).files[0]


@pytest.fixture
def copied(tiny: Path, tmp_path: Path) -> Path:
    """A copy of the artefact that a test may spoil."""
    for path in tiny.parent.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path / tiny.name


def forge(path: Path, old: bytes, new: bytes) -> None:
    """Changes a graph, with a card that claims that it is the right one."""
    card = read_card(path)
    graph = path.read_bytes()
    assert old in graph
    path.write_bytes(graph.replace(old, new, 1))
    points = dict(card.entry_points)
    points["translate"] = dataclasses.replace(
        points["translate"], payload_sha256=ir.read_representation(path).sha256
    )
    OpenVinoExporter().attach_card(path, dataclasses.replace(card, entry_points=points))


def claim(path: Path, **changes: object) -> ModelCard:
    """Attaches a card with other fields."""
    card = dataclasses.replace(read_card(path), **changes)
    OpenVinoExporter().attach_card(path, card)
    return card


def has_bf16() -> bool:
    core = ir_compile.openvino_core()
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


needs_x86 = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="imitates an older x86 CPU"
)


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess:
    variables = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])} | environment
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def on_an_old_cpu(code: str) -> subprocess.CompletedProcess:
    """Runs code with OpenVINO taking this CPU for one without AVX512 and bf16."""
    return run_python(code, OV_CPU_MAX_ISA="AVX2", ONEDNN_MAX_CPU_ISA="AVX2")


def test_it_gives_what_pytorch_gives(tiny, checkpoint):
    image = pixels_to_tensor(PIXELS)
    with EagerRuntime(checkpoint, OpenOptions(device="cpu")) as eager:
        pictures = tensor_to_pixels(eager.run({"image": image, "label": LABEL})["translated"])
        logits = eager.run({"image": image}, entry_point="classify")["logits"]
    with OpenVinoRuntime(tiny) as runtime:
        assert str(runtime.device) == "cpu"
        found = runtime.run(INPUTS)["translated"]
        found_logits = runtime.run({"image": PIXELS}, entry_point="classify")["logits"]
    assert found.dtype == np.uint8
    differences = np.abs(found.astype(int) - pictures)
    assert differences.max() <= 1
    assert differences.mean() < 0.01
    np.testing.assert_allclose(found_logits, logits, atol=1e-5)


@pytest.mark.parametrize("batch_size", [None, 1, 2, 4, 16])
def test_throughput_gives_the_same_pictures_in_the_same_order(tiny, batch_size):
    with OpenVinoRuntime(tiny) as latency:
        expected = latency.run(INPUTS)["translated"]
    options = OpenOptions(batch_size=batch_size)
    with OpenVinoRuntime(tiny, options, mode="throughput") as throughput:
        found = throughput.run(INPUTS)["translated"]
        alone = throughput.run({name: rows[2:3] for name, rows in INPUTS.items()})["translated"]
    differences = np.abs(found.astype(int) - expected)
    assert differences.max() <= 1
    assert differences.mean() < 0.01
    assert np.abs(alone.astype(int) - expected[2:3]).max() <= 1


def test_several_requests_share_a_batch_and_come_back_in_order(tiny):
    model = ir_compile.load_model(ir.read_representation(tiny), tiny)
    compiled = ir_compile.compile_model(model, "f32", mode="throughput")
    requests = [compiled.create_infer_request() for _ in range(3)]
    names = ["translated"]
    rows = [{name: array[i : i + 1] for name, array in INPUTS.items()} for i in range(5)]
    expected = [ir_compile.infer(requests[:1], row, names)["translated"] for row in rows]
    for num_rows in (5, 1, 2):
        batch = {name: array[:num_rows] for name, array in INPUTS.items()}
        found = ir_compile.infer(requests, batch, names)["translated"]
        wanted = np.concatenate(expected[:num_rows])
        assert np.abs(found.astype(int) - wanted).max() <= 1


def test_results_do_not_depend_on_the_shapes_that_came_before(tiny):
    sizes = [(height, width) for height in (8, 16, 32) for width in (12, 20, 32)]
    assert len(sizes) > 2 * KEPT_SHAPES
    batches = [{"image": PIXELS[:, :h, :w], "label": LABEL} for h, w in sizes]
    with OpenVinoRuntime(tiny) as runtime:
        first = [runtime.run(batch)["translated"] for batch in batches]
        again = [runtime.run(batch)["translated"] for batch in reversed(batches)]
    for one, other in zip(first, reversed(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_failed_request_leaves_the_others_usable(tiny):
    model = ir_compile.load_model(ir.read_representation(tiny), tiny)
    compiled = ir_compile.compile_model(model, "f32")
    requests = [compiled.create_infer_request() for _ in range(2)]
    with pytest.raises(RuntimeError):
        ir_compile.infer(requests, {"image": PIXELS, "label": LABEL[:, :4]}, ["translated"])
    found = ir_compile.infer(requests, INPUTS, ["translated"])["translated"]
    assert found.shape == PIXELS.shape


def test_what_goes_in_is_never_written_to(tiny):
    """OpenVINO's copying calls write into the array that an earlier call had shared with it."""
    image, label = PIXELS.copy(), LABEL.copy()
    with OpenVinoRuntime(tiny) as runtime:
        first = runtime.run({"image": image, "label": label})["translated"]
        runtime.run({"image": image[:2, :16, :20], "label": label[:2]})
        image.flags.writeable = False
        runtime.run({"image": image[:, ::-1], "label": label})
        again = runtime.run({"image": image, "label": label})["translated"]
    np.testing.assert_array_equal(image, PIXELS)
    np.testing.assert_array_equal(label, LABEL)
    np.testing.assert_array_equal(first, again)


def test_results_are_not_overwritten_by_the_next_call(tiny):
    with OpenVinoRuntime(tiny, OpenOptions(batch_size=2)) as runtime:
        first = runtime.run(INPUTS)["translated"]
        kept = first.copy()
        runtime.run({"image": 255 - PIXELS, "label": LABEL})
    np.testing.assert_array_equal(first, kept)


def test_the_precision_is_set_to_what_the_card_measured(tiny):
    model = ir_compile.load_model(ir.read_representation(tiny), tiny)
    compiled = ir_compile.compile_model(model, ir_compile.hint_for({"conv": "float32+int8"}))
    assert ir_compile.layer_precision(compiled) == {"conv": "float32", "norm": "float32"}
    if has_bf16():
        hint = ir_compile.hint_for({"conv": "bfloat16", "norm": "bfloat16"})
        compiled = ir_compile.compile_model(model, hint)
        assert ir_compile.layer_precision(compiled) == {"conv": "bfloat16", "norm": "bfloat16"}


@pytest.mark.skipif(not has_bf16(), reason="needs a CPU with bf16")
def test_a_bf16_artefact_differs_from_an_fp32_one(copied):
    with OpenVinoRuntime(copied) as runtime:
        exact = runtime.run(INPUTS)["translated"]
    claim(copied, precision={"conv": "bfloat16", "norm": "bfloat16"})
    with OpenVinoRuntime(copied) as runtime:
        rounded = runtime.run(INPUTS)["translated"]
    difference = np.abs(exact.astype(int) - rounded)
    assert 0.05 < difference.mean() < 2


@needs_x86
def test_a_bf16_artefact_is_refused_on_a_cpu_without_bf16(copied):
    claim(copied, precision={"conv": "bfloat16", "norm": "bfloat16"})
    done = on_an_old_cpu(
        "from pathlib import Path\n"
        "from stargan_deploy.errors import BackendError\n"
        "from stargan_deploy.backends.openvino.runtime import OpenVinoRuntime\n"
        f"try: OpenVinoRuntime(Path({str(copied)!r})).__enter__()\n"
        "except BackendError as error: print(error)\n"
    )
    assert "no bf16 arithmetic" in done.stdout, done.stderr
    assert "`precision` fp32 or int8" in done.stdout


def test_another_device_is_refused(tiny):
    for device in ("cuda", "cuda:0", "mps"):
        with pytest.raises(BackendError, match=f"not on {device}.*; use `device` cpu"):
            OpenVinoRuntime(tiny, OpenOptions(device=device)).__enter__()


def test_it_is_chosen_by_the_files_ending(tiny):
    assert read_card_of(tiny) == read_card(tiny)
    with open_runtime(tiny, batch_size=4) as runtime:
        assert (runtime.backend, runtime.batch_size) == ("openvino", 4)


def test_nothing_runs_before_it_is_entered_or_after(tiny):
    runtime = OpenVinoRuntime(tiny)
    with pytest.raises(UsageError, match="closed"):
        runtime.run(INPUTS)
    with runtime:
        runtime.run(INPUTS)
    with pytest.raises(UsageError, match="closed"):
        runtime.run(INPUTS)


def test_the_card_is_read_without_openvino(tiny):
    done = run_python(
        "import sys\n"
        "from pathlib import Path\n"
        "from stargan_deploy.backends.openvino.runtime import OpenVinoRuntime\n"
        f"path = Path({str(tiny)!r}); card = OpenVinoRuntime.read_card(path)\n"
        "OpenVinoRuntime(path)\n"
        "print(card.family, 'openvino' in sys.modules)\n"
    )
    assert done.stdout == "stargan False\n", done.stderr


def test_a_missing_openvino_is_named_with_the_command(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    runtime = OpenVinoRuntime(tiny)
    with pytest.raises(BackendError, match=r"pip install 'stargan-deploy\[openvino\]'"):
        runtime.__enter__()
    with pytest.raises(BackendError, match=r"pip install 'stargan-deploy\[openvino\]'"):
        OpenVinoRuntime.self_test()


def test_both_files_may_be_renamed(copied):
    for path in (copied, copied.with_suffix(".bin")):
        path.rename(path.with_stem("other"))
    with OpenVinoRuntime(copied.with_stem("other")) as runtime:
        runtime.run(INPUTS)
        runtime.run({"image": PIXELS}, entry_point="classify")


def test_the_classifiers_file_opens_the_whole_artefact(tiny):
    with OpenVinoRuntime(tiny.with_name("tiny.classifier.xml")) as runtime:
        runtime.run({"image": PIXELS}, entry_point="classify")
        runtime.run(INPUTS)


def test_missing_weights_are_named(copied):
    copied.with_suffix(".bin").unlink()
    with pytest.raises(ModelError, match=r"tiny\.bin, which is not next to it"):
        OpenVinoRuntime(copied).__enter__()


def test_a_missing_companion_is_missed_when_it_is_needed(copied):
    copied.with_name("tiny.classifier.xml").unlink()
    with OpenVinoRuntime(copied) as runtime:
        runtime.run(INPUTS)
        with pytest.raises(ModelError, match=r"tiny\.classifier\.xml, which is not next to it"):
            runtime.run({"image": PIXELS}, entry_point="classify")


def test_weights_of_another_graph_are_refused(copied):
    shutil.copy(copied.with_name("tiny.classifier.bin"), copied.with_suffix(".bin"))
    with pytest.raises(CardError, match="changed"):
        OpenVinoRuntime(copied).__enter__()


def test_a_verdict_added_later_leaves_the_hash_alone(copied):
    claim(copied, step=7)
    with OpenVinoRuntime(copied) as runtime:
        assert runtime.card.step == 7


def test_inputs_other_than_the_cards_are_refused(copied):
    forge(copied, b'element_type="u8"', b'element_type="i8"')
    with pytest.raises(CardError, match=r"the inputs of .*'i8'"):
        OpenVinoRuntime(copied).__enter__()


def test_a_graph_that_openvino_refuses_is_named(copied):
    forge(copied, b'type="MVN"', b'type="NoSuchOperator"')
    with pytest.raises(ModelError, match=r"OpenVINO cannot load .*NoSuchOperator") as caught:
        OpenVinoRuntime(copied).__enter__()
    assert "\n" not in str(caught.value)


def test_weights_that_are_too_short_for_their_graph_are_named(copied):
    weights = copied.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:100])
    forge(copied, b"", b"")
    with pytest.raises(ModelError, match=r"OpenVINO cannot load .*weights"):
        OpenVinoRuntime(copied).__enter__()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not a whole OpenVINO IR"),
        (b"hello", "not a whole OpenVINO IR"),
        (b"\x08\x0a", "not a whole OpenVINO IR"),
        (b"<net><layers>", "not a whole OpenVINO IR"),
        (b"<svg></svg>", "<svg>, not <net>"),
        (b'<?xml version="1.0" encoding="no-such"?><net></net>', "not a whole OpenVINO IR"),
        (b"<net></net>", "carries no model card"),
        (b'<net><rt_info><stargan_deploy.card value="" /></rt_info></net>', "no model card"),
        (b'<net><stargan_deploy.card value="{}"></stargan_deploy.card></net>', "damaged"),
        (b'<net><stargan_deploy.card value="{" /></net>', "damaged"),
        (b'<net><stargan_deploy.card value="" /><stargan_deploy.card value="" /></net>', "damaged"),
        (BILLION_LAUGHS, "declares a document type"),
        (b"<net>" + b"<a>" * 200_000, "not a whole OpenVINO IR"),
    ],
)
def test_what_is_no_artefact_is_refused_in_one_line(tmp_path, content, complaint):
    path = tmp_path / "bad.xml"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=complaint) as caught:
        read_card(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_unlikely_size_is_not_even_read(tmp_path):
    path = tmp_path / "huge.xml"
    with open(path, "wb") as stream:
        stream.truncate(ir.MAX_XML_BYTES + 1)
    with pytest.raises(ModelError, match="far too large"):
        read_card(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(ModelError, match="no such artefact"):
        read_card(tmp_path / "gone.xml")
    with pytest.raises(ModelError, match="cannot read"):
        read_card(tmp_path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_unharmed(tiny, tmp_path, data):
    """Bytes cut off or overwritten anywhere never give another graph, and never a traceback."""
    whole = ir.read_representation(tiny)
    for path in (tiny, tiny.with_suffix(".bin")):
        shutil.copy(path, tmp_path)
    damaged = tmp_path / data.draw(st.sampled_from(["tiny.xml", "tiny.bin"]))
    content = bytearray(damaged.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        place = data.draw(st.integers(0, len(content) - 1) | st.integers(-6000, -1))
        content[place] = data.draw(st.integers(0, 255))
    damaged.write_bytes(content)
    runtime = None
    try:
        runtime = OpenVinoRuntime(tmp_path / tiny.name).__enter__()
    except (ModelError, UsageError):
        return
    finally:
        if runtime is not None:
            runtime.__exit__(None, None, None)
    assert ir.read_representation(tmp_path / tiny.name) == whole


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "random.xml"
    path.write_bytes(content)
    with pytest.raises(ModelError):
        read_card(path)


def test_nothing_is_printed_on_success(tiny, capfd):
    with OpenVinoRuntime(tiny) as runtime:
        runtime.run(INPUTS)
    assert capfd.readouterr() == ("", "")


def test_the_self_test_names_version_cpu_and_precisions():
    openvino = ir_compile.load_library()
    text = OpenVinoRuntime.self_test().text
    assert text.startswith(openvino.get_version().split("-")[0] + " on ")
    precisions = text.rpartition(": ")[2].split(", ")
    assert precisions[0] == "f32"
    assert ("bf16" in precisions) == has_bf16()


@needs_x86
def test_the_self_test_lists_no_precision_that_the_cpu_lacks():
    done = on_an_old_cpu(
        "from stargan_deploy.backends.openvino.runtime import OpenVinoRuntime\n"
        "print(OpenVinoRuntime.self_test().text)"
    )
    assert done.stdout.strip().endswith(": f32, int8"), done.stderr
    assert done.stderr == ""
