from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from stargan_deploy.backends.difference import compare_images
from stargan_deploy.backends.exporter import Calibration, GraphRequest
from stargan_deploy.backends.onnx import exporter as to_onnx
from stargan_deploy.backends.onnx import quantize
from stargan_deploy.backends.onnx.exporter import OnnxExporter
from stargan_deploy.backends.onnx.quantize import GOAL, quantize_graph
from stargan_deploy.backends.pixel_graph import PixelModule
from stargan_deploy.card.card import EntryPoint
from stargan_deploy.card.pixels import tensor_to_pixels
from stargan_deploy.card.tensors import Dim, TensorSpec
from stargan_deploy.errors import ExportError
from stargan_deploy.export.export import ExportResult, export
from stargan_deploy.export.plan import ExportOptions
from stargan_deploy.export.proof.calibration import make_calibration
from stargan_deploy.export.proof.images import CalibrationFaces, synthetic_face

DRAWN = CalibrationFaces(ranges=synthetic_face, held_out=synthetic_face, facts={})

RNG = np.random.default_rng(0)


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def run(model: onnx.ModelProto, inputs) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, dict(inputs))[0]


def makers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in model.graph.node for name in node.output}


def weights_of(model: onnx.ModelProto, name: str) -> np.ndarray:
    return next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == name)


def is_quantized(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    source = makers(model).get(node.input[1])
    return source is not None and source.op_type == "DequantizeLinear"


def int8_layers(model: onnx.ModelProto) -> set[str]:
    nodes = model.graph.node
    return {n.name for n in nodes if n.op_type == "Conv" and is_quantized(model, n)}


@pytest.fixture(scope="module")
def generator(exported) -> onnx.ModelProto:
    """The tiny generator in FP32: six convolutions and two transposed ones."""
    model = onnx.load(exported.files[0])
    del model.metadata_props[:]
    return model


@pytest.fixture(scope="module")
def calibration(exported) -> Calibration:
    """A few synthetic faces."""
    card = exported.card
    whole = make_calibration(card.entry_points["translate"], card, DRAWN)
    return replace(whole, batches=whole.batches[:4], held_out=whole.held_out[:2])


@pytest.fixture(scope="module")
def quantized(generator, calibration) -> quantize.QuantizedGraph:
    """The tiny generator in INT8."""
    return quantize_graph(generator, calibration)


def test_onnxruntime_runs_every_quantised_convolution_as_int8(quantized, tmp_path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it warns that such a file is for this machine only
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(
        quantized.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    kernels = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert kernels["QLinearConv"] == len(int8_layers(quantized.model)) == 6
    assert kernels["Conv"] == 0


def test_weights_have_seven_bits_and_a_scale_a_channel(quantized, generator):
    for node in quantized.model.graph.node:
        if node.op_type == "Conv":
            source = makers(quantized.model)[node.input[1]]
            weights, scales, zeros = (weights_of(quantized.model, n) for n in source.input)
            assert weights.dtype == np.int8
            assert np.abs(weights.astype(int)).max() <= 64
            assert scales.shape == (len(weights),)
            assert not zeros.any()
            original = next(n for n in generator.graph.node if n.name == node.name)
            wanted = weights_of(generator, original.input[1])
            steps = scales[:, None, None, None]
            assert (np.abs(weights * steps - wanted) <= steps * 0.5001).all()


def test_norms_and_transposed_convolutions_stay_in_float(quantized):
    assert to_onnx.measured_precision(quantized.model) == {
        "conv": "float32+int8",
        "norm": "float32",
    }
    transposed = [n for n in quantized.model.graph.node if n.op_type == "ConvTranspose"]
    assert len(transposed) == 2
    for node in transposed:
        assert weights_of(quantized.model, node.input[1]).dtype == np.float32
        assert makers(quantized.model)[node.input[0]].op_type != "DequantizeLinear"
    assert quantized.notes == (
        "2 of 8 convolutions behind 'translated' stay in float32: main.10, main.13 (transposed, "
        "for which onnxruntime has no INT8 kernel)",
    )


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 32, 32), (3, 20, 44), (5, 64, 36)])
def test_any_batch_and_size_is_near_fp32(quantized, generator, batch, height, width):
    faces = [synthetic_face(900 + index, height, width) for index in range(batch)]
    inputs = {"image": np.stack(faces), "label": np.eye(5, dtype=np.float32)[:batch]}
    difference = compare_images(run(generator, inputs), run(quantized.model, inputs))
    assert difference.figures["psnr_db"] > 32
    assert difference.figures["max_difference"] > 0


def test_equal_input_gives_equal_graphs_and_stays_as_it_is(generator, calibration, quantized):
    before = generator.SerializeToString(deterministic=True)
    again = quantize_graph(generator, calibration)
    assert generator.SerializeToString(deterministic=True) == before
    assert again.notes == quantized.notes
    assert again.model.SerializeToString(deterministic=True) == (
        quantized.model.SerializeToString(deterministic=True)
    )


def test_the_fewest_layers_stay_in_float(generator, calibration, monkeypatch):
    trial = quantize._Trial(generator, calibration)
    all_int8 = min(
        d.figures["psnr_db"] for d in trial._differences(trial.layers, calibration.held_out)
    )
    monkeypatch.setattr(quantize, "GOAL", replace(GOAL, psnr_db=all_int8 + 3))
    kept = quantize._layers_to_keep(trial)
    assert 0 < len(kept) < len(trial.layers)
    assert trial.is_accurate([name for name in trial.layers if name not in kept])
    assert not trial.is_accurate([name for name in trial.layers if name not in kept[:-1]])
    errors = {name: trial.error_alone(name) for name in trial.layers}
    assert kept == sorted(errors, key=errors.__getitem__, reverse=True)[: len(kept)]
    result = quantize_graph(generator, calibration)
    assert int8_layers(result.model) == set(trial.layers) - set(kept)
    assert "(whose error in INT8 is out of proportion)" in result.notes[0]


class Uneven(nn.Module):
    """Two convolutions of which the second takes channels whose sizes differ a thousandfold."""

    def __init__(self) -> None:
        super().__init__()
        self.easy = nn.Conv2d(3, 3, 1, bias=False)
        self.hard = nn.Conv2d(3, 3, 1, bias=False)
        self.register_buffer("gain", torch.tensor([1000.0, 1.0, 1.0])[:, None, None])
        with torch.no_grad():
            self.easy.weight.copy_(torch.eye(3)[:, :, None, None])
            self.hard.weight.copy_(torch.diag(torch.tensor([1e-3, 1, 1]))[:, :, None, None])

    def forward(self, image: Tensor) -> Tensor:
        return self.hard(self.easy(image) * self.gain)


def float_graph(network: nn.Module, path) -> onnx.ModelProto:
    shape = (Dim(symbol="batch"), 3, Dim(symbol="height"), Dim(symbol="width"))
    specs = [
        TensorSpec(name=name, kind="image", dtype="float32", layout="NCHW", shape=shape)
        for name in ("image", "translated")
    ]
    point = EntryPoint(file="", payload_sha256="", inputs=(specs[0],), outputs=(specs[1],))
    module = PixelModule(network, point, "float").eval()
    OnnxExporter().write_graph(
        GraphRequest(module=module, point=point, precision="fp32", image_size=16), path
    )
    return onnx.load(path)


def noise_calibration() -> Calibration:
    batches = [{"image": RNG.uniform(-1, 1, (2, 3, 16, 16)).astype(np.float32)} for _ in range(4)]

    def compare(expected, actual):
        return compare_images(
            *(tensor_to_pixels(arrays["translated"]) for arrays in (expected, actual))
        )

    return Calibration(batches=batches[:2], held_out=batches[2:], compare=compare)


def test_a_layer_whose_error_is_out_of_proportion_stays_in_float(tmp_path):
    model = float_graph(Uneven(), tmp_path / "uneven.onnx")
    calibration = noise_calibration()
    result = quantize_graph(model, calibration)
    assert result.notes == (
        "1 of 2 convolutions behind 'translated' stays in float32: hard (whose error in INT8 is "
        "out of proportion)",
    )
    assert to_onnx.measured_precision(result.model) == {"conv": "float32+int8"}
    inputs = calibration.held_out[0]
    difference = compare_images(
        tensor_to_pixels(run(model, inputs)), tensor_to_pixels(run(result.model, inputs))
    )
    assert difference.figures["psnr_db"] >= GOAL.psnr_db


def test_a_model_that_cannot_be_int8_at_all_is_refused(tmp_path, monkeypatch):
    model = float_graph(Uneven(), tmp_path / "uneven.onnx")
    monkeypatch.setattr(quantize, "GOAL", replace(GOAL, psnr_db=99))
    with pytest.raises(ExportError, match=r"none of the 2 convolutions can be INT8.*at fp16"):
        quantize_graph(model, noise_calibration())


def test_a_model_without_convolutions_is_refused(tmp_path):
    model = float_graph(nn.ReLU(), tmp_path / "relu.onnx")
    with pytest.raises(ExportError, match="no convolution"):
        quantize_graph(model, noise_calibration())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_diverged_model_is_refused(generator, calibration, bad):
    model = copied(generator)
    tensor = next(t for t in model.graph.initializer if t.name == "module.main.3.weight")
    weights = numpy_helper.to_array(tensor).copy()
    weights[0, 0, 0, 0] = bad
    tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    with pytest.raises(ExportError, match=r"not finite.*diverged"):
        quantize_graph(model, calibration)


def test_inputs_that_do_not_fit_are_one_clear_line(generator, calibration):
    wrong = replace(calibration, batches=[{"image": np.zeros((1, 3), np.float32)}])
    with pytest.raises(ExportError, match="onnxruntime cannot run") as caught:
        quantize_graph(generator, wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", range(1, 20))
def test_bisection_finds_the_least(size):
    for wanted in range(1, size + 1):
        tried: list[int] = []

        def is_enough(number: int, wanted: int = wanted, tried: list[int] = tried) -> bool:
            tried.append(number)
            return number >= wanted

        assert quantize._least(1, size, is_enough) == wanted
        assert len(tried) <= 1 + size.bit_length() + 1


@pytest.fixture(scope="module")
def exported_int8(checkpoint, tmp_path_factory) -> ExportResult:
    """The checkpoint at INT8, calibrated on synthetic faces."""
    return export(
        checkpoint,
        out=tmp_path_factory.mktemp("int8") / "int8.onnx",
        options=ExportOptions(precision="int8"),
    )


def test_an_export_is_proven_on_onnxruntime(exported_int8):
    assert exported_int8.card.precision == {"conv": "float32+int8", "norm": "float32"}
    verdicts = {verdict.entry_point: verdict for verdict in exported_int8.verdicts}
    assert verdicts["translate"].tolerance["psnr_db"] == 32
    assert verdicts["translate"].passed
    assert verdicts["classify"].passed
    assert {"onnxruntime", "onnxruntime-gpu"} & set(exported_int8.card.versions)
    assert exported_int8.card.notes[0].startswith("2 of 8 convolutions behind 'translated'")


def test_a_classifier_is_quantised_as_a_whole(exported_int8):
    model = onnx.load(exported_int8.files[1])
    assert to_onnx.measured_precision(model) == {"conv": "int8"}
