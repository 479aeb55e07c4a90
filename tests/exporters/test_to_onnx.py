import logging
import warnings
from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from stargan_deploy.card import Dim, EntryPoint, TensorSpec
from stargan_deploy.errors import ExportError
from stargan_deploy.exporters import to_onnx
from stargan_deploy.exporters.pixels import PixelModule
from stargan_deploy.images import pixels_to_tensor, tensor_to_pixels
from stargan_deploy.models.checkpoint import build_model, load_checkpoint
from stargan_deploy.runtimes.onnxrt import OnnxRuntime

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
    with OnnxRuntime(exported.files[0], device="cpu") as runtime:
        found = runtime.run({"image": pixels, "label": label})["translated"]
    differences = np.abs(found.astype(int) - tensor_to_pixels(expected.numpy()))
    assert differences.max() <= 1
    assert differences.mean() < 0.01


def test_the_graph_keeps_no_trace_of_the_machine(exported):
    content = exported.files[0].read_bytes()
    assert b"site-packages" not in content
    assert b"stack_trace" not in content
    assert b".py" not in content


def test_equal_checkpoints_give_equal_graphs(exported, checkpoint, tmp_path):
    content = load_checkpoint(checkpoint)
    point = content.card.entry_points["classify"]
    network = build_model(content)["discriminator"]

    class Logits(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return network(image)[1]

    hashes = {
        to_onnx.write_graph(
            PixelModule(Logits(), point, "float").eval(), point, tmp_path / f"{i}.onnx"
        ).payload_sha256
        for i in range(2)
    }
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
    module = PixelModule(Half(), point, "float").eval()
    written = to_onnx.write_graph(module, point, tmp_path / "half.onnx")
    assert written.precision == {"conv": "float16+float32", "norm": "float32"}


def test_sizes_baked_into_the_graph_are_refused(tmp_path):
    class Baked(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image.expand(-1, 3, 24, image.shape[3])

    point = image_point(Dim(symbol="height", min=4, multiple=4), Dim(symbol="width"))
    with pytest.raises(ExportError):
        to_onnx.write_graph(PixelModule(Baked(), point, "float"), point, tmp_path / "baked.onnx")
    assert not list(tmp_path.iterdir())


def test_a_module_that_cannot_be_traced_is_refused_in_one_line(tmp_path):
    class Branching(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image if image.sum() > 0 else -image

    point = image_point(Dim(symbol="height"), Dim(symbol="width"))
    with pytest.raises(ExportError, match="torch cannot write this model as ONNX: ") as caught:
        to_onnx.write_graph(PixelModule(Branching(), point, "float"), point, tmp_path / "x.onnx")
    assert "\n" not in str(caught.value)


def test_exporting_is_quiet_and_restores_what_it_silenced(checkpoint, tmp_path, capfd):
    content = load_checkpoint(checkpoint)
    point = content.card.entry_points["translate"]
    module = PixelModule(build_model(content)["generator"], point, "float").eval()
    filters = list(warnings.filters)
    to_onnx.write_graph(module, point, tmp_path / "quiet.onnx")
    assert capfd.readouterr() == ("", "")
    assert warnings.filters == filters
    assert logging.root.manager.disable == logging.NOTSET
