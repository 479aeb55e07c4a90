import logging
import tempfile
import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stargan_deploy.backends.base import OpenOptions
from stargan_deploy.backends.exporter import GraphRequest, WrittenGraph
from stargan_deploy.backends.onnx import exporter as to_onnx
from stargan_deploy.backends.onnx.exporter import OnnxExporter
from stargan_deploy.backends.onnx.runtime import OnnxRuntime
from stargan_deploy.backends.pixel_graph import PixelModule
from stargan_deploy.card.card import EntryPoint, Precision
from stargan_deploy.card.pixels import pixels_to_tensor, tensor_to_pixels
from stargan_deploy.card.tensors import Dim, TensorSpec
from stargan_deploy.errors import ExportError, ModelError
from stargan_deploy.export.export import ExportResult, export
from stargan_deploy.export.plan import ExportOptions
from stargan_deploy.export.proof.calibration import make_calibration
from stargan_deploy.export.proof.images import CalibrationFaces, synthetic_face
from stargan_deploy.families.checkpoint import build_model, load_checkpoint

DRAWN = CalibrationFaces(ranges=synthetic_face, held_out=synthetic_face, facts={})

RNG = np.random.default_rng(0)


def operators(path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def dims(value) -> list[int | str]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def image_point(*sides: int | Dim) -> EntryPoint:
    shape = (Dim(symbol="batch"), 3, *sides)
    specs = [
        TensorSpec(name=name, kind="image", dtype="float32", layout="NCHW", shape=shape)
        for name in ("image", "translated")
    ]
    return EntryPoint(file="", payload_sha256="", inputs=(specs[0],), outputs=(specs[1],))


def write(network: nn.Module, point: EntryPoint, path, precision: Precision = "fp32"):
    module = PixelModule(network, point, "float").eval()
    request = GraphRequest(module=module, point=point, precision=precision, image_size=32)
    return OnnxExporter().write_graph(request, path)


def test_norms_use_the_images_own_statistics(exported, checkpoint):
    generator = build_model(load_checkpoint(checkpoint))["generator"]
    norms = sum(isinstance(module, nn.InstanceNorm2d) for module in generator.modules())
    counts = Counter(operators(exported.files[0]))
    assert counts["InstanceNormalization"] == norms
    assert "BatchNormalization" not in counts
    convolutions = sum(
        isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in generator.modules()
    )
    assert counts["Conv"] + counts["ConvTranspose"] == convolutions


def test_no_operator_is_there_without_need(exported, exported_float):
    around = ["Shape", "Shape", "Unsqueeze", "Concat", "Expand", "Concat"]  # the label's planes
    bare = operators(exported_float.files[0])
    assert bare[: len(around)] == around
    network = {"Conv", "ConvTranspose", "InstanceNormalization", "Relu", "Add", "Tanh"}
    assert set(bare[len(around) :]) == network
    pixels = Counter(operators(exported.files[0])) - Counter(bare)
    assert pixels == Counter(
        {"Cast": 2, "Transpose": 2, "Div": 1, "Sub": 1, "Add": 1, "Mul": 1, "Round": 1, "Clip": 1}
    )


def test_pixels_are_never_transposed_as_integers(exported):
    """TensorRT's Transpose refuses uint8."""
    order = operators(exported.files[0])
    assert order.index("Cast") < order.index("Transpose")
    assert order[-2:] == ["Transpose", "Cast"]


def test_names_and_dimensions_are_the_cards(exported, exported_float):
    main, companion = (onnx.load(path).graph for path in exported.files)
    assert [value.name for value in main.input] == ["image", "label"]
    assert [dims(value) for value in main.input] == [["batch", "height", "width", 3], ["batch", 5]]
    assert [(v.name, dims(v)) for v in main.output] == [
        ("translated", ["batch", "height", "width", 3])
    ]
    assert [(v.name, dims(v)) for v in companion.input] == [("image", ["batch", 32, 32, 3])]
    assert [(v.name, dims(v)) for v in companion.output] == [("logits", ["batch", 5])]
    assert dims(onnx.load(exported_float.files[0]).graph.input[0]) == [
        "batch",
        3,
        "height",
        "width",
    ]


@pytest.mark.parametrize("size", [(8, 8), (44, 20), (36, 100)])
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_any_batch_and_size_gives_what_pytorch_gives(exported, checkpoint, batch, size):
    generator = build_model(load_checkpoint(checkpoint))["generator"]
    pixels = RNG.integers(0, 256, (batch, *size, 3)).astype(np.uint8)
    label = RNG.integers(0, 2, (batch, 5)).astype(np.float32)
    expected = generator(torch.from_numpy(pixels_to_tensor(pixels)), torch.from_numpy(label))
    with OnnxRuntime(exported.files[0], OpenOptions(device="cpu")) as runtime:
        found = runtime.run({"image": pixels, "label": label})["translated"]
    differences = np.abs(found.astype(int) - tensor_to_pixels(expected.numpy()))
    assert differences.max() <= 1
    assert differences.mean() < 0.01


def test_the_graph_keeps_no_trace_of_the_machine(exported):
    content = exported.files[0].read_bytes()
    assert b"site-packages" not in content
    assert b"stack_trace" not in content
    assert b".py" not in content


def test_equal_checkpoints_give_equal_graphs(checkpoint, tmp_path):
    content = load_checkpoint(checkpoint)
    point = content.card.entry_points["classify"]
    network = build_model(content)["discriminator"]

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: Tensor) -> Tensor:
            return self.network(image)[1]

    hashes = {write(Logits(), point, tmp_path / f"{i}.onnx").payload_sha256 for i in range(2)}
    assert len(hashes) == 1


def test_precision_is_read_off_the_graph(exported, tmp_path):
    assert exported.card.precision == {"conv": "float32", "norm": "float32"}

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv16 = nn.Conv2d(3, 3, 1).half()
            self.conv32 = nn.Conv2d(3, 3, 1)
            self.norm = nn.InstanceNorm2d(3, affine=True)

        def forward(self, image: Tensor) -> Tensor:
            return self.norm(self.conv32(self.conv16(image.half()).float()))

    point = image_point(Dim(symbol="height"), Dim(symbol="width"))
    written = write(Half(), point, tmp_path / "half.onnx")
    assert written.precision == {"conv": "float16+float32", "norm": "float32"}


def test_sizes_baked_into_the_graph_are_refused(tmp_path):
    class Baked(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image.expand(-1, 3, 24, image.shape[3])

    point = image_point(Dim(symbol="height", min=4, multiple=4), Dim(symbol="width"))
    with pytest.raises(ExportError):
        write(Baked(), point, tmp_path / "baked.onnx")
    assert not list(tmp_path.iterdir())


def test_a_module_that_cannot_be_traced_is_refused_in_one_line(tmp_path):
    class Branching(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image if image.sum() > 0 else -image

    point = image_point(Dim(symbol="height"), Dim(symbol="width"))
    with pytest.raises(ExportError, match="torch cannot write this model as ONNX: ") as caught:
        write(Branching(), point, tmp_path / "x.onnx")
    assert "\n" not in str(caught.value)


def test_what_torch_logs_before_it_raises_is_kept_from_the_user(tmp_path, capfd):
    """Of a contradiction between sizes it logs every guard, each with a Python stack."""

    class Wordy(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            logging.getLogger("torch._guards").error("many lines")
            raise RuntimeError("one thing")

    point = image_point(Dim(symbol="height"), Dim(symbol="width"))
    with pytest.raises(ExportError, match="torch cannot write this model as ONNX: ") as caught:
        write(Wordy(), point, tmp_path / "x.onnx")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def generator_request(checkpoint, precision: Precision, batches: slice = slice(2)) -> GraphRequest:
    """A request for the generator with few calibration batches."""
    content = load_checkpoint(checkpoint)
    own = content.card.entry_points["translate"]
    point = own.with_io("uint8")
    calibration = make_calibration(point, content.card, DRAWN)
    calibration = replace(
        calibration, batches=calibration.batches[batches], held_out=calibration.held_out[batches]
    )
    return GraphRequest(
        module=PixelModule(build_model(content)["generator"], own, "uint8").eval(),
        point=point,
        precision=precision,
        image_size=32,
        calibration=calibration if precision == "int8" else None,
    )


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_exporting_is_quiet_and_restores_what_it_silenced(
    checkpoint, tmp_path, tmp_path_factory, capfd, caplog, monkeypatch, precision
):
    # Tests of compiled networks in the same process leave an empty cache folder of PyTorch's.
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("inductor")))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    request = generator_request(checkpoint, precision)
    filters = list(warnings.filters)
    OnnxExporter().write_graph(request, tmp_path / "quiet.onnx")
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.levelno >= logging.INFO]
    assert warnings.filters == filters
    assert logging.root.manager.disable == logging.NOTSET
    assert not list(temporary.iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"temporary", "quiet.onnx"}


@pytest.fixture(scope="module")
def half(checkpoint, tmp_path_factory) -> ExportResult:
    """The checkpoint at FP16."""
    path = tmp_path_factory.mktemp("half") / "half.onnx"
    return export(checkpoint, out=path, options=ExportOptions(precision="fp16"))


def test_fp16_convolutions_have_half_weights_between_casts(half):
    graph = onnx.load(half.files[0]).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
    assert len(convolutions) == 8
    for node in convolutions:
        assert all(types[name] == onnx.TensorProto.FLOAT16 for name in node.input[1:])
        assert makers[node.input[0]].op_type == "Cast"
        readers = [reader for reader in graph.node if node.output[0] in reader.input]
        assert [reader.op_type for reader in readers] == ["Cast"]
        assert readers[0].attribute[0].i == onnx.TensorProto.FLOAT
    assert not any(node.op_type == "Cast" and node.input[0] in types for node in graph.node)
    assert half.card.precision == {"conv": "float16", "norm": "float32"}


def test_fp16_ends_are_those_of_fp32(half, exported):
    for path, whole_path in zip(half.files, exported.files, strict=True):
        graph, whole = onnx.load(path).graph, onnx.load(whole_path).graph
        assert list(graph.input) == list(whole.input)
        assert list(graph.output) == list(whole.output)


def test_fp16_weights_are_half_as_big(half, exported):
    sizes = [
        sum(len(tensor.raw_data) for tensor in onnx.load(path).graph.initializer if tensor.dims)
        for path in (half.files[0], exported.files[0])
    ]
    assert 0.5 < sizes[0] / sizes[1] < 0.51


def test_fp16_is_proven_for_every_entry_point(half):
    verdicts = {verdict.entry_point: verdict for verdict in half.verdicts}
    assert set(verdicts) == {"translate", "classify"}
    assert verdicts["translate"].measured["max_difference"] <= 1
    assert "batch 2 at 24x40" in verdicts["translate"].cases


class Functional(nn.Module):
    """A convolution that is no layer, and so cannot be lowered."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.weight = nn.Parameter(torch.rand(3, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        return F.conv2d(self.conv(image), self.weight)


def test_fp16_with_another_convolution_is_refused(tmp_path):
    point = image_point(Dim(symbol="height"), Dim(symbol="width"))
    with pytest.raises(ExportError, match=r"conv in float16\+float32; .* fp32"):
        write(Functional(), point, tmp_path / "x.onnx", "fp16")
    assert not list(tmp_path.iterdir())


def test_weights_too_large_for_fp16_are_refused(tmp_path):
    layer = nn.Conv2d(3, 3, 1)
    with torch.no_grad():
        layer.weight.fill_(1e6)
    point = image_point(Dim(symbol="height"), Dim(symbol="width"))
    with pytest.raises(ModelError, match="weight of 1e"):
        write(layer, point, tmp_path / "x.onnx", "fp16")


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_what_cannot_be_written_is_refused(tmp_path, precision):
    """There is no ONNX at bf16, and no INT8 without calibration."""
    point = image_point(Dim(symbol="height"), Dim(symbol="width"))
    with pytest.raises(ExportError, match=precision):
        write(nn.Conv2d(3, 3, 1), point, tmp_path / "x.onnx", precision)


@pytest.mark.parametrize("entry_point", ["translate", "classify"])
def test_tensorrt_parses_fp16_and_keeps_it(half, entry_point):
    trt = pytest.importorskip("tensorrt_rtx")
    path = half.files[entry_point == "classify"]
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR))
    assert parser.parse(path.read_bytes()), parser.get_error(0)
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    kinds = (trt.LayerType.CONVOLUTION, trt.LayerType.DECONVOLUTION)
    convolutions = [layer for layer in layers if layer.type in kinds]
    assert len(convolutions) == (8 if entry_point == "translate" else 4)
    assert {layer.get_output(0).dtype for layer in convolutions} == {trt.DataType.HALF}
    norms = [layer for layer in layers if layer.type == trt.LayerType.NORMALIZATION]
    assert len(norms) == (7 if entry_point == "translate" else 0)
    assert all(layer.get_output(0).dtype == trt.DataType.FLOAT for layer in norms)


@pytest.fixture(scope="module")
def quantized(checkpoint, tmp_path_factory) -> tuple[onnx.ModelProto, WrittenGraph]:
    """The generator at INT8."""
    path = tmp_path_factory.mktemp("int8") / "int8.onnx"
    written = OnnxExporter().write_graph(generator_request(checkpoint, "int8"), path)
    return onnx.load(path), written


def test_int8_graphs_have_the_ends_of_fp32_and_nothing_else_in_them(quantized, exported):
    model, _ = quantized
    whole = onnx.load(exported.files[0]).graph
    assert list(model.graph.input) == list(whole.input)
    assert list(model.graph.output) == list(whole.output)
    assert not model.metadata_props
    assert not model.graph.value_info
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)


def test_int8_is_read_off_the_graph(quantized):
    """With any of the QDQ nodes around it missing, onnxruntime computes a layer in float."""
    model, written = quantized
    assert written.precision == {"conv": "float32+int8", "norm": "float32"}
    graph = model.graph
    readers = {name: node for node in graph.node for name in node.input}
    for node in [node for node in graph.node if node.op_type == "Conv"]:
        readers[node.output[0]].op_type = "Identity"
    assert to_onnx.measured_precision(model)["conv"] == "float32"
