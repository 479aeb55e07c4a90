import dataclasses
import functools
import importlib.util
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

if not importlib.util.find_spec("openvino"):  # which must not be imported with its telemetry
    pytest.skip("needs openvino", allow_module_level=True)

from stargan_deploy.backends.base import OpenOptions
from stargan_deploy.backends.difference import compare_images
from stargan_deploy.backends.eager.runtime import EagerRuntime
from stargan_deploy.backends.exporter import Calibration, GraphRequest, WrittenGraph
from stargan_deploy.backends.onnx.exporter import OnnxExporter
from stargan_deploy.backends.openvino import file as ir
from stargan_deploy.backends.openvino.compile import openvino_core
from stargan_deploy.backends.openvino.exporter import OpenVinoExporter
from stargan_deploy.backends.openvino.file import read_card
from stargan_deploy.backends.openvino.runtime import OpenVinoRuntime
from stargan_deploy.backends.pixel_graph import PixelModule
from stargan_deploy.backends.registry import is_proven
from stargan_deploy.card.card import ModelCard
from stargan_deploy.card.pixels import pixels_to_tensor, tensor_to_pixels
from stargan_deploy.card.tensors import Dim
from stargan_deploy.errors import BackendError, ExportError, OutputError
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions
from stargan_deploy.export.proof.calibration import make_calibration
from stargan_deploy.export.proof.images import CalibrationFaces, synthetic_face
from stargan_deploy.families.checkpoint import build_model, load_checkpoint
from stargan_deploy.families.registry import load_family

DRAWN = CalibrationFaces(ranges=synthetic_face, held_out=synthetic_face, facts={})

OLD_CPU = {"OV_CPU_MAX_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
"""Makes OpenVINO's two halves take the CPU for one without AVX512 and bf16."""


def has_bf16() -> bool:
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


needs_x86 = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="imitates an older x86 CPU"
)

needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="needs a CPU with bf16")


@dataclasses.dataclass(frozen=True)
class Source:
    """An ONNX graph with what it was made from."""

    request: GraphRequest
    card: ModelCard

    @functools.cached_property
    def calibration(self) -> Calibration:
        return make_calibration(self.request.point, self.card, DRAWN)

    def at(self, precision: str) -> GraphRequest:
        calibration = self.calibration if precision == "int8" else None
        return dataclasses.replace(self.request, precision=precision, calibration=calibration)

    @property
    def num_weights(self) -> int:
        return sum(weights.numel() for weights in self.request.module.parameters())


def make_source(checkpoint: Path, name: str, folder: Path, spoil: Callable | None = None) -> Source:
    content = load_checkpoint(checkpoint)
    networks = build_model(content)
    if spoil is not None:
        spoil(networks["generator"])
    point = content.card.entry_points[name]
    module = PixelModule(load_family("stargan").entry_module(networks, name), point, "uint8").eval()
    request = GraphRequest(
        module=module,
        point=point.with_io("uint8"),
        precision="fp32",
        image_size=content.card.preprocessing.image_size,
    )
    graph = folder / f"{name}.onnx"
    OnnxExporter().write_graph(request, graph)
    return Source(dataclasses.replace(request, graph=graph), content.card)


@pytest.fixture(scope="module")
def translate(checkpoint, tmp_path_factory) -> Source:
    return make_source(checkpoint, "translate", tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="module")
def classify(checkpoint, tmp_path_factory) -> Source:
    return make_source(checkpoint, "classify", tmp_path_factory.mktemp("onnx"))


@dataclasses.dataclass(frozen=True)
class Written:
    """An IR without a card."""

    path: Path
    graph: WrittenGraph
    source: Source

    @property
    def weights(self) -> Path:
        return self.path.with_suffix(".bin")

    def copy_to(self, folder: Path) -> Path:
        shutil.copy(self.weights, folder)
        return Path(shutil.copy(self.path, folder))

    @property
    def card(self) -> ModelCard:
        point = dataclasses.replace(
            self.source.request.point,
            file=self.path.name,
            payload_sha256=self.graph.payload_sha256,
        )
        points = {"translate": point}
        precision = self.graph.precision
        return dataclasses.replace(self.source.card, entry_points=points, precision=precision)


def write(source: Source, precision: str, folder: Path) -> Written:
    path = folder / "tiny.xml"
    graph = OpenVinoExporter().write_graph(source.at(precision), path)
    return Written(path=path, graph=graph, source=source)


@pytest.fixture(scope="module")
def in_fp32(translate, tmp_path_factory) -> Written:
    return write(translate, "fp32", tmp_path_factory.mktemp("fp32"))


@pytest.fixture(scope="module")
def in_int8(translate, tmp_path_factory) -> Written:
    return write(translate, "int8", tmp_path_factory.mktemp("int8"))


def outlying_channel(generator) -> None:
    """Changes no picture, but gives one channel 2,000 times the range of the others."""
    block = generator.main[9].main
    block[1].weight.data[3] *= 2048
    block[1].bias.data[3] *= 2048
    block[3].weight.data[:, 3] /= 2048


def ports(path: Path) -> list[tuple]:
    model = openvino_core().read_model(path)
    return [
        (next(iter(port.names)), port.element_type.get_type_name(), str(port.partial_shape))
        for port in (*model.inputs, *model.outputs)
    ]


def run_python(code: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-W", "error", "-c", code]
    variables = os.environ | {"PYTHONPATH": str(root)} | environment
    return subprocess.run(
        command, cwd=cwd, env=variables, capture_output=True, text=True, check=False
    )


def test_an_export_is_proven_on_openvino(checkpoint, tmp_path):
    result = export(checkpoint, out=tmp_path / "tiny.xml", options=ExportOptions(format="openvino"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "tiny.bin",
        "tiny.classifier.bin",
        "tiny.classifier.xml",
        "tiny.xml",
    ]
    assert {v.entry_point for v in result.verdicts} == {"translate", "classify"}
    assert {(v.runtime, v.device, v.passed) for v in result.verdicts} == {("openvino", "cpu", True)}
    for path in result.files:
        assert read_card(path) == result.card
    assert result.card.precision == {"conv": "float32", "norm": "float32"}
    assert result.card.versions["openvino"]
    assert is_proven(result.card, "openvino")


def test_names_types_and_dimensions_are_the_cards(in_fp32, classify, tmp_path):
    assert ports(in_fp32.path) == [
        ("image", "u8", "[1..,4..,4..,3]"),
        ("label", "f32", "[1..,5]"),
        ("translated", "u8", "[1..,4..,4..,3]"),
    ]
    assert ports(write(classify, "fp32", tmp_path).path) == [
        ("image", "u8", "[1..,32,32,3]"),
        ("logits", "f32", "[1..,5]"),
    ]


def test_limits_of_the_card_stand_in_the_graph(translate, tmp_path):
    def limited(spec):
        limits = {"N": 8, "H": 64, "W": 96}
        shape = tuple(
            dataclasses.replace(dim, max=limits[letter]) if isinstance(dim, Dim) else dim
            for letter, dim in zip(spec.layout, spec.shape, strict=True)
        )
        return dataclasses.replace(spec, shape=shape)

    point = dataclasses.replace(
        translate.request.point, inputs=tuple(map(limited, translate.request.point.inputs))
    )
    request = dataclasses.replace(translate.request, point=point)
    OpenVinoExporter().write_graph(request, tmp_path / "limited.xml")
    assert ports(tmp_path / "limited.xml")[:2] == [
        ("image", "u8", "[1..8,4..64,4..96,3]"),
        ("label", "f32", "[1..8,5]"),
    ]


def test_fp32_computes_in_float32_although_openvino_would_take_bf16(in_fp32):
    assert in_fp32.graph.precision == {"conv": "float32", "norm": "float32"}


@needs_bf16
def test_bf16_computes_in_bfloat16_from_float32_weights(in_fp32, translate, tmp_path):
    written = write(translate, "bf16", tmp_path)
    assert written.graph.precision == {"conv": "bfloat16", "norm": "bfloat16"}
    assert written.graph.payload_sha256 == in_fp32.graph.payload_sha256
    num_bytes = written.weights.stat().st_size
    assert num_bytes > 3.9 * translate.num_weights  # norms by 1 and 0 are left out


def test_int8_has_whole_numbers_for_weights_and_float_norms(in_int8, translate):
    assert in_int8.graph.precision == {"conv": "int8", "norm": "float32"}
    assert in_int8.graph.notes == ()
    assert set(in_int8.graph.packages) == {"openvino", "nncf"}
    assert in_int8.weights.stat().st_size < 1.5 * translate.num_weights


def test_int8_pictures_are_near_those_of_pytorch(in_int8, translate, checkpoint, tmp_path):
    path = in_int8.copy_to(tmp_path)
    OpenVinoExporter().attach_card(path, in_int8.card)
    batch = translate.calibration.held_out[0]
    with EagerRuntime(checkpoint, OpenOptions(device="cpu")) as eager:
        floats = {"image": pixels_to_tensor(batch["image"]), "label": batch["label"]}
        expected = tensor_to_pixels(eager.run(floats)["translated"])
    with OpenVinoRuntime(path) as runtime:
        found = runtime.run(batch)["translated"]
    figures = compare_images(expected, found).figures
    assert figures["psnr_db"] > 33
    assert figures["max_difference"] > 1  # or it would not be INT8


def test_a_layer_whose_error_is_out_of_proportion_stays_in_float(checkpoint, tmp_path):
    source = make_source(checkpoint, "translate", tmp_path, outlying_channel)
    graph = write(source, "int8", tmp_path).graph
    assert graph.precision["conv"] == "float32+int8"
    (note,) = graph.notes
    assert note.startswith("translated: layer 5 of 8 stays in float32, held-out psnr_db")
    before, after = (float(number) for number in note.rpartition("psnr_db")[2].split("->"))
    assert before < 33 <= after


@pytest.mark.parametrize(
    "text",
    ["", "<&>\"'/>", "]]> <!-- ", "tab\tline\nend", "\x00\x1f\x7f\ufffe\uffff", "é漢😀\ud800"],
)
def test_a_card_comes_back_whatever_is_in_it_and_leaves_the_hash_alone(in_fp32, tmp_path, text):
    path = in_fp32.copy_to(tmp_path)
    card = dataclasses.replace(in_fp32.card, intended_use=text)
    for step in (1, 2):  # the second one replaces the first
        card = dataclasses.replace(card, step=step)
        OpenVinoExporter().attach_card(path, card)
        assert read_card(path) == card
        assert ir.read_representation(path).sha256 == in_fp32.graph.payload_sha256
    model = openvino_core().read_model(path)
    kept = json.loads(model.get_rt_info("stargan_deploy.card").astype(str))
    assert kept == json.loads(card.to_json())


def test_equal_graphs_give_equal_files(in_fp32, translate, tmp_path):
    again = write(translate, "fp32", tmp_path)
    assert again.path.read_bytes() == in_fp32.path.read_bytes()
    assert again.weights.read_bytes() == in_fp32.weights.read_bytes()


def test_the_file_keeps_no_trace_of_the_machine_and_its_making(in_int8):
    xml = in_int8.path.read_bytes()
    for trace in (b"/tmp", b".py", b".onnx", b"framework", b"conversion_parameters", b"nncf"):
        assert trace not in xml


def test_the_classifier_is_quantised_too_without_a_word(classify, tmp_path, capfd, monkeypatch):
    request = classify.at("int8")
    monkeypatch.chdir(tmp_path)
    filters = list(warnings.filters)
    written = OpenVinoExporter().write_graph(request, tmp_path / "tiny.xml")
    assert written.precision == {"conv": "int8"}
    assert capfd.readouterr() == ("", "")
    assert warnings.filters == filters
    assert logging.root.manager.disable == logging.NOTSET
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.bin", "tiny.xml"]


def test_libraries_are_loaded_without_telemetry(tmp_path):
    code = (
        "import logging, sys\n"
        "from stargan_deploy.backends.openvino.compile import load_library\n"
        "load_library('openvino'); load_library('nncf')\n"
        "assert 'openvino_telemetry' not in sys.modules\n"
        "assert logging.getLoggerClass() is logging.Logger\n"
    )
    done = run_python(code, tmp_path, HOME=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("library", "precision"), [("openvino", "fp32"), ("nncf", "int8")])
def test_a_missing_library_is_named_with_the_command(
    translate, tmp_path, monkeypatch, library, precision
):
    request = translate.at(precision)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(BackendError, match=rf"cannot use {library}: .*stargan-deploy\[openvino\]"):
        OpenVinoExporter().write_graph(request, tmp_path / "tiny.xml")


@needs_x86
def test_bf16_is_refused_on_a_cpu_without_it(translate, tmp_path):
    code = (
        "from stargan_deploy.errors import BackendError\n"
        "from stargan_deploy.backends.openvino import compile as ir_compile\n"
        "model = ir_compile.load_library().convert_model(%r)\n"
        "print(ir_compile.layer_precision(ir_compile.compile_model(model, 'f32')))\n"
        "try: ir_compile.compile_model(model, 'bf16')\n"
        "except BackendError as error: print(error)\n"
    )
    done = run_python(code % str(translate.request.graph), tmp_path, **OLD_CPU)
    precision, refusal = done.stdout.splitlines()
    assert precision == "{'conv': 'float32', 'norm': 'float32'}"
    assert "no bf16 arithmetic" in refusal
    assert "`precision` fp32 or int8" in refusal


def test_a_graph_that_is_not_onnx_is_refused_in_one_line(translate, tmp_path):
    graph = tmp_path / "bad.onnx"
    graph.write_bytes(translate.request.graph.read_bytes()[:5000])
    request = dataclasses.replace(translate.request, graph=graph)
    root = logging.root.level, list(logging.root.filters)
    with pytest.raises(ExportError, match="OpenVINO cannot take this model: ") as caught:
        OpenVinoExporter().write_graph(request, tmp_path / "tiny.xml")
    assert "\n" not in str(caught.value)
    assert (logging.root.level, logging.root.filters) == root


def test_a_graph_of_other_dimensions_is_refused(translate, classify, tmp_path):
    request = dataclasses.replace(translate.request, graph=classify.request.graph)
    with pytest.raises(ExportError, match="OpenVINO cannot take this model"):
        OpenVinoExporter().write_graph(request, tmp_path / "tiny.xml")


def test_weights_that_cannot_be_written_are_reported(translate, tmp_path):
    (tmp_path / "tiny.bin").mkdir()
    with pytest.raises(OutputError, match="choose another folder"):
        OpenVinoExporter().write_graph(translate.request, tmp_path / "tiny.xml")


SIGNALLED = """
import os, signal, sys
from pathlib import Path
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions
from stargan_deploy.backends.registry import open_runtime


checkpoint, folder = map(Path, sys.argv[1:])
signal.signal(signal.SIGUSR1, lambda *_: print("heard"))
for precision in ("fp32", "int8", "fp32"):
    out = folder / f"{precision}.xml"
    out.unlink(missing_ok=True)
    export(checkpoint, out=out, options=ExportOptions(
        format="openvino", precision=precision, overwrite=True
    ))
    os.kill(os.getpid(), signal.SIGUSR1)
first, second = open_runtime(folder / "fp32.xml"), open_runtime(folder / "int8.xml")
for step in (first.__enter__, second.__enter__):
    step()
for runtime in (first, second):
    runtime.__exit__(None, None, None)
    os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.slow
def test_a_signal_is_still_heard_after_openvino(checkpoint, tmp_path):
    """OpenVINO left the thread a stack for signals that was gone: Ctrl-C crashed the process."""
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, checkpoint, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.count("heard")) == (0, 5), done.stderr


ON_ONE_PROCESSOR = """
import hashlib, os, sys
from pathlib import Path
import numpy as np
if sys.argv[2:]:
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
from stargan_deploy.backends.base import OpenOptions
from stargan_deploy.backends.openvino.runtime import OpenVinoRuntime
image = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
label = np.eye(5, dtype=np.float32)
for size in (1, 3, 8):
    options = OpenOptions(batch_size=size, threads="pinned")
    with OpenVinoRuntime(Path(sys.argv[1]), options) as runtime:
        found = runtime.run({"image": image, "label": label})["translated"]
        assert runtime.pinned_threads == 1
    print(hashlib.sha256(found.tobytes()).hexdigest())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_pinned_images_depend_neither_on_batch_nor_on_processors(
    precision, in_int8, in_fp32, tmp_path
):
    """In INT8 half of the values differed, by up to 7 levels, where an image was alone."""
    if precision == "bf16" and not has_bf16():
        pytest.skip("needs a CPU with bf16")
    written = {"int8": in_int8, "bf16": in_fp32}[precision]
    path, card = written.copy_to(tmp_path), written.card
    if precision == "bf16":  # the file is that of FP32
        card = dataclasses.replace(card, precision={"conv": "bfloat16", "norm": "bfloat16"})
    OpenVinoExporter().attach_card(path, card)
    (tmp_path / "run.py").write_text(ON_ONE_PROCESSOR)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    lines = []
    for restriction in ([], ["one"]):
        command = [sys.executable, tmp_path / "run.py", path, *restriction]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        lines += done.stdout.split()
    assert len(lines) == 6
    assert len(set(lines)) == 1


def test_more_threads_than_there_are_processors_are_refused(in_fp32, tmp_path):
    """OpenVINO would take fewer without a word, and give other images than those resumed."""
    path = in_fp32.copy_to(tmp_path)
    OpenVinoExporter().attach_card(path, in_fp32.card)
    inputs = {"image": np.zeros((1, 32, 32, 3), np.uint8), "label": np.zeros((1, 5), np.float32)}
    with (
        OpenVinoRuntime(path, OpenOptions(threads=4096)) as runtime,
        pytest.raises(BackendError, match="threads here, although 4096 were set"),
    ):
        runtime.run(inputs)


def test_a_pinned_runtime_recovers_from_a_request_that_fails(in_fp32, tmp_path):
    path = in_fp32.copy_to(tmp_path)
    OpenVinoExporter().attach_card(path, in_fp32.card)
    with OpenVinoRuntime(path, OpenOptions(threads="pinned", batch_size=2)) as runtime:
        image = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
        inputs = {"image": image, "label": np.eye(5, dtype=np.float32)[:3]}
        first = runtime.run(inputs)["translated"]
        engine = runtime._engine("translate")
        with pytest.raises(RuntimeError):
            engine.infer({**inputs, "label": inputs["label"][:, :4]}, ["translated"])
        again = runtime.run(inputs)["translated"]
    np.testing.assert_array_equal(first, again)
