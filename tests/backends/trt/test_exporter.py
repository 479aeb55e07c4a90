import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

from stargan_deploy.backends.exporter import EngineOptions, GraphRequest
from stargan_deploy.backends.onnx.exporter import OnnxExporter
from stargan_deploy.backends.pixel_graph import PixelModule
from stargan_deploy.backends.trt import build as engine_build
from stargan_deploy.backends.trt import exporter as to_tensorrt
from stargan_deploy.backends.trt.exporter import TensorRTExporter
from stargan_deploy.backends.trt.file import read_card, read_record, record_path
from stargan_deploy.backends.trt.inspection import (
    check_convolutions,
    inspected_layers,
    measured_precision,
    network_layers,
)
from stargan_deploy.backends.trt.profile import InputShapes, describe_profile, profile_shapes
from stargan_deploy.backends.trt.provider import Provider, load_provider
from stargan_deploy.card.card import EntryPoint
from stargan_deploy.card.tensors import Dim, TensorSpec
from stargan_deploy.errors import BackendError, CardError, ExportError, UsageError
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions
from stargan_deploy.families.blocks.precision import LoweredLayer, lower_convolutions
from stargan_deploy.families.checkpoint import load_checkpoint, save_checkpoint

rtx = pytest.importorskip("tensorrt_rtx", reason="needs tensorrt-rtx, which builds without a GPU")

RTX = EngineOptions(provider="tensorrt_rtx")
BATCH = Dim(symbol="batch", max=8)
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")


class Tiny(nn.Module):
    """A convolution, a norm, and a transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 4, stride=2, padding=1)
        self.norm = nn.InstanceNorm2d(4, affine=True)
        self.up = nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return self.up(self.norm(self.down(image)))


def image_point(height: int | Dim = 8, width: int | Dim = 8) -> EntryPoint:
    specs = [
        TensorSpec(
            name=name,
            kind="image",
            dtype="float32",
            layout="NCHW",
            shape=(BATCH, 3, height, width),
        )
        for name in ("image", "translated")
    ]
    return EntryPoint(file="", payload_sha256="", inputs=(specs[0],), outputs=(specs[1],))


def make_request(folder: Path, module: nn.Module, **changes) -> GraphRequest:
    """A module as ONNX, and the request to make an engine of it."""
    point = changes.pop("point", image_point())
    request = GraphRequest(
        module=PixelModule(module, point, "float").eval(),
        point=point,
        precision="fp32",
        image_size=8,
        graph=folder / "source.onnx",
        engine=RTX,
    )
    OnnxExporter().write_graph(request, request.graph)
    return replace(request, **changes)


def tensorrt_played_by_rtx() -> Provider:
    """The branches for `tensorrt`, on the bindings of its sister, which has the same calls."""
    return Provider(name="tensorrt", module=rtx)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def half(tmp_path_factory) -> GraphRequest:
    module = lower_convolutions(Tiny(), torch.float16)
    return make_request(tmp_path_factory.mktemp("half"), module, precision="fp16")


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> GraphRequest:
    return make_request(tmp_path_factory.mktemp("full"), Tiny())


@without_gpu
def test_without_a_gpu_the_source_is_proven_and_the_card_says_so(checkpoint, tmp_path, capfd):
    result = export(
        checkpoint,
        out=tmp_path / "out" / "tiny.engine",
        options=ExportOptions(format="trt", max_batch=6, engine=RTX),
    )
    card = result.card
    assert card.precision == {"conv": "float16", "norm": "float32"}
    assert "NVIDIA" in card.unverified
    assert {(v.entry_point, v.runtime, v.passed) for v in card.verdicts} == {
        ("translate", "onnx", True),
        ("classify", "onnx", True),
    }
    assert "batch 1-6 (tuned for 6), 32x32; tensorrt_rtx" in card.notes[0]
    assert card.versions["tensorrt-rtx"] == rtx.__version__
    names = {f"tiny{part}.engine{end}" for part in ("", ".classifier") for end in ("", ".json")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    for path in result.files:
        assert read_card(path) == card
        assert read_record(path).built_with.compute_capability == "8.0+"
    assert capfd.readouterr() == ("", "")


def test_an_engine_of_any_size_says_its_limits(tmp_path):
    sides = [Dim(symbol=name, min=4, max=24, multiple=4) for name in ("height", "width")]
    request = make_request(tmp_path, Tiny(), point=image_point(*sides))
    written = TensorRTExporter().write_graph(request, tmp_path / "any.engine")
    assert "batch 1-8 (tuned for 8), 4x4 to 24x24 (tuned for 8x8)" in written.notes[0]


def test_an_engine_of_one_size(tmp_path):
    shape = (1, 3, 8, 8)
    point = image_point()
    fixed = [replace(spec, shape=shape) for spec in (*point.inputs, *point.outputs)]
    point = replace(point, inputs=(fixed[0],), outputs=(fixed[1],))
    written = TensorRTExporter().write_graph(
        make_request(tmp_path, Tiny(), point=point), tmp_path / "one.engine"
    )
    assert "batch 1, 8x8;" in written.notes[0]


def test_the_types_are_read_back_from_the_network(half, full, tmp_path):
    written = TensorRTExporter().write_graph(half, tmp_path / "half.engine")
    assert written.precision == {"conv": "float16", "norm": "float32"}
    assert TensorRTExporter().write_graph(full, tmp_path / "full.engine").precision == {
        "conv": "float32",
        "norm": "float32",
    }
    assert read_record(tmp_path / "half.engine").engine_sha256 == written.payload_sha256


def test_a_convolution_in_another_precision_fails_the_export(tmp_path):
    module = Tiny()
    module.down = LoweredLayer(module.down, torch.float16)
    request = make_request(tmp_path, module, precision="fp16")
    with pytest.raises(ExportError, match=r"convolution 'node_\w+' computes in float32 and not in"):
        TensorRTExporter().write_graph(request, tmp_path / "mixed.engine")
    assert not (tmp_path / "mixed.engine").exists()


def test_linear_layers_are_measured_too(tmp_path):
    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(8, 8)

        def forward(self, image: Tensor) -> Tensor:
            return self.linear(image)

    request = make_request(tmp_path, lower_convolutions(Linear(), torch.float16), precision="fp16")
    written = TensorRTExporter().write_graph(request, tmp_path / "linear.engine")
    assert written.precision == {"linear": "float16"}


def test_an_operator_that_tensorrt_lacks_is_named(full, tmp_path):
    model = onnx.load(full.graph)
    model.graph.node[1].op_type = "NoSuchOperator"
    request = replace(full, graph=tmp_path / "odd.onnx")
    request.graph.write_bytes(model.SerializeToString())
    name = model.graph.node[1].name
    with pytest.raises(ExportError, match=rf"node '{name}' \(NoSuchOperator\): .*Plugin not found"):
        TensorRTExporter().write_graph(request, tmp_path / "odd.engine")


def test_a_graph_that_is_none_is_refused(full, tmp_path):
    request = replace(full, graph=tmp_path / "bad.onnx")
    request.graph.write_bytes(b"garbage")
    with pytest.raises(ExportError, match=r"cannot take this graph: .*Failed to parse"):
        TensorRTExporter().write_graph(request, tmp_path / "bad.engine")


def test_a_graph_with_other_inputs_than_the_card_is_refused(full, tmp_path):
    request = replace(full, point=image_point(8, 12))
    with pytest.raises(ExportError, match=r"a network with .*\(-1, 3, 8, 8\).*not .*8, 12\)"):
        TensorRTExporter().write_graph(request, tmp_path / "other.engine")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"optimization_level": 6}, "from 0 to 5"),
        ({"optimization_level": 3}, r"tensorrt_rtx builds the same engine.*leave it out"),
        (
            {"opt_batch": 9},
            "`opt_batch` 9 is not a valid batch size of this engine, which takes 1 to 8",
        ),
        ({"opt_batch": 0}, "`opt_batch` 0"),
        ({"provider": "tensort_rtx"}, "did you mean 'tensorrt_rtx'"),
    ],
)
def test_options_that_cannot_be_are_refused(full, tmp_path, options, complaint):
    request = replace(full, engine=replace(RTX, **options))
    with pytest.raises(UsageError, match=complaint):
        TensorRTExporter().write_graph(request, tmp_path / "x.engine")
    assert not list(tmp_path.glob("x.*"))


def test_a_missing_library_is_named_with_the_command(full, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    request = replace(full, engine=EngineOptions(provider="tensorrt"))
    with pytest.raises(BackendError, match="tensorrt is not installed; pip install tensorrt"):
        TensorRTExporter().write_graph(request, tmp_path / "x.engine")


@pytest.mark.parametrize(
    ("dim", "opt_batch", "expected"),
    [
        (8, None, [(1, 3, 8, 8), (8, 3, 8, 8), (8, 3, 8, 8)]),
        (8, 2, [(1, 3, 8, 8), (2, 3, 8, 8), (8, 3, 8, 8)]),
        (
            Dim(symbol="side", min=3, max=30, multiple=4),
            1,
            [(1, 3, 4, 4), (1, 3, 8, 8), (8, 3, 28, 28)],
        ),
        (
            Dim(symbol="side", min=12, max=16),
            None,
            [(1, 3, 12, 12), (8, 3, 12, 12), (8, 3, 16, 16)],
        ),
        (Dim(symbol="side", min=1, max=4), None, [(1, 3, 1, 1), (8, 3, 4, 4), (8, 3, 4, 4)]),
    ],
)
def test_the_profile_follows_the_limits(dim, opt_batch, expected):
    shapes = profile_shapes(image_point(dim, dim), image_size=8, opt_batch=opt_batch)
    least, best, greatest = expected
    assert shapes == {"image": InputShapes(min=least, opt=best, max=greatest)}


def test_a_dimension_without_a_limit_is_refused():
    point = image_point(Dim(symbol="height"), 8)
    with pytest.raises(UsageError, match="greatest height; give `max_size`"):
        profile_shapes(point, image_size=8, opt_batch=None)


def test_a_profile_without_pictures_is_described_by_its_batch():
    spec = TensorSpec(name="z", kind="latent", dtype="float32", layout="ND", shape=(BATCH, 8))
    point = EntryPoint(file="", payload_sha256="", inputs=(spec,), outputs=(spec,))
    shapes = profile_shapes(point, image_size=8, opt_batch=2)
    assert describe_profile(point, shapes) == "batch 1-8 (tuned for 2)"


@pytest.fixture
def generator_only(checkpoint, tmp_path) -> Path:
    """A checkpoint with one entry point, which is exported in half the time."""
    content = load_checkpoint(checkpoint)
    card = replace(
        content.card,
        network={**content.card.network, "discriminator_layers": 0},
        entry_points={"translate": content.card.entry_points["translate"]},
    )
    generator = {k: v for k, v in content.tensors.items() if k.startswith("generator.")}
    path = tmp_path / "generator.safetensors"
    save_checkpoint(path, card, generator)
    return path


INTERRUPTED_BUILD = """
import os, signal, sys, time
from pathlib import Path

from stargan_deploy.backends.trt import build as engine_build
from stargan_deploy.export.export import export
from stargan_deploy.backends.exporter import EngineOptions
from stargan_deploy.export.plan import ExportOptions

make_monitor = engine_build._new_monitor


def interrupting(provider):
    monitor = make_monitor(provider)

    def phase_start(*_):
        if not monitor.is_cancelled:
            os.kill(os.getpid(), signal.SIGINT)
        deadline = time.monotonic() + 20  # the main thread may have to wait for a core
        while not monitor.is_cancelled and time.monotonic() < deadline:
            time.sleep(0.01)

    monitor.phase_start = phase_start
    return monitor


engine_build._new_monitor = interrupting
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
options = ExportOptions(format="trt", engine=EngineOptions(provider="tensorrt_rtx"))
try:
    export(Path(sys.argv[1]), out=Path(sys.argv[2]), options=options)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.slow
def test_ctrl_c_ends_the_build_and_leaves_nothing(generator_only, tmp_path):
    """The signal comes while the library builds; it stops at its next step."""
    out = tmp_path / "out" / "x.engine"
    words = [sys.executable, "-c", INTERRUPTED_BUILD, generator_only, out]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 130, done.stderr
    assert not list(out.parent.iterdir())


def test_fp32_is_no_tf32():
    provider = load_provider("tensorrt_rtx")
    builder = provider.create_builder(provider.new_log())
    assert builder.create_builder_config().get_flag(rtx.BuilderFlag.TF32)
    assert not provider.create_config(builder, None).get_flag(rtx.BuilderFlag.TF32)


@pytest.mark.filterwarnings("ignore:.*[Tt]iming cache.*:DeprecationWarning")
class TestTensorRTProper:
    """What only `tensorrt` has: timing cache and optimization levels."""

    @pytest.fixture(autouse=True)
    def provider(self, monkeypatch) -> None:
        monkeypatch.setattr(to_tensorrt, "load_provider", lambda name: tensorrt_played_by_rtx())

    def test_timings_are_kept_and_used_again(self, full, tmp_path, cache, monkeypatch):
        given, use = [], engine_build.use_timing_cache
        monkeypatch.setattr(
            engine_build,
            "use_timing_cache",
            lambda config, content: [given.append(content), use(config, content)],
        )
        TensorRTExporter().write_graph(full, tmp_path / "first.engine")
        (kept,) = cache.rglob("*.timing")
        assert kept.name.startswith(f"tensorrt-{rtx.__version__}")
        before = kept.read_bytes()
        TensorRTExporter().write_graph(full, tmp_path / "second.engine")
        assert given == [b"", before]

    def test_a_damaged_cache_is_made_again(self, full, tmp_path, cache):
        TensorRTExporter().write_graph(full, tmp_path / "first.engine")
        (kept,) = cache.rglob("*.timing")
        kept.write_bytes(b"damaged" * 100)
        TensorRTExporter().write_graph(full, tmp_path / "second.engine")
        assert kept.read_bytes() not in (b"", b"damaged" * 100)

    def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(
        self, full, tmp_path, monkeypatch, caplog
    ):
        (tmp_path / "file").touch()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        TensorRTExporter().write_graph(full, tmp_path / "x.engine")
        assert "cannot write" in caplog.text

    def test_the_optimization_level_reaches_the_builder(self, full, tmp_path, monkeypatch):
        levels, build = [], to_tensorrt.build_engine

        def spy(provider, builder, network, config, gpu):
            levels.append(config.builder_optimization_level)
            return build(provider, builder, network, config, gpu)

        monkeypatch.setattr(to_tensorrt, "build_engine", spy)
        for level in (None, 0, 5):
            request = replace(full, engine=EngineOptions(optimization_level=level))
            TensorRTExporter().write_graph(request, tmp_path / "x.engine")
        assert levels == [3, 0, 5]


def test_rtx_keeps_no_timings(full, tmp_path, cache):
    TensorRTExporter().write_graph(full, tmp_path / "x.engine")
    assert not cache.exists()


def test_building_is_quiet(half, tmp_path, capfd, recwarn):
    TensorRTExporter().write_graph(half, tmp_path / "x.engine")
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_the_network_tells_each_layer(half):
    provider = load_provider("tensorrt_rtx")
    builder = provider.create_builder(provider.new_log())
    network = to_tensorrt.parse_graph(provider, builder, half.graph.read_bytes())
    layers = network_layers(provider, network)
    assert [layer.kind for layer in layers] == ["conv", "norm", "conv"]
    assert [set(layer.types) for layer in layers] == [{"float16"}, {"float32"}, {"float16"}]


REPORT_OF_10 = {
    "Layers": [
        {
            "Name": "conv_1 + relu_1",
            "LayerType": "CaskConvolution",
            "ParameterType": "Convolution",
            "Inputs": [{"Name": "x", "Format/Datatype": "N/A due to dynamic shapes"}],
            "Weights": {"Type": "Half", "Count": 27},
        },
        {
            "Name": "up_1",
            "LayerType": "CaskDeconvolutionV2",
            "ParameterType": "Deconvolution",
            "Weights": {"Type": "Half", "Count": 27},
        },
        {"Name": "{ForeignNode[a...b]}", "LayerType": "Myelin", "TacticName": ""},
        {"Name": "copy", "LayerType": "Reformat", "ParameterType": "Reformat"},
        "a name only",
    ],
    "Bindings": ["image", "translated"],
}


def test_the_inspector_tells_weights():
    layers = inspected_layers(json.dumps(REPORT_OF_10))
    assert [layer.name for layer in layers] == ["conv_1 + relu_1", "up_1"]
    assert measured_precision(layers) == {"conv": "float16"}
    check_convolutions(layers, "fp16")
    text = json.dumps(REPORT_OF_10).replace("Half", "Float", 1)
    with pytest.raises(ExportError, match=r"'conv_1 \+ relu_1' computes in float32"):
        check_convolutions(inspected_layers(text), "fp16")
    assert inspected_layers("{}") == []


def test_a_later_card_keeps_what_stands_beside_it(full, tmp_path, checkpoint):
    path = tmp_path / "tiny.engine"
    TensorRTExporter().write_graph(full, path)
    with pytest.raises(CardError, match="holds no model card"):
        read_card(path)
    card = load_checkpoint(checkpoint).card
    before = read_record(path)
    for step in (1, 2):
        TensorRTExporter().attach_card(path, replace(card, step=step))
    assert read_card(path).step == 2
    assert replace(read_record(path), card=None) == before
    assert sorted(tmp_path.glob("tiny*")) == [path, record_path(path)]


def gpu_problem() -> str | None:
    """Why no engine can be tried on a GPU here."""
    from stargan_deploy.backends.trt.runtime import TensorRTRuntime

    try:
        TensorRTRuntime.self_test()
    except BackendError as error:
        return str(error)
    return None


@pytest.mark.gpu
def test_on_a_gpu_the_engine_itself_is_proven(checkpoint, tmp_path):
    if reason := gpu_problem():
        pytest.skip(reason)
    result = export(checkpoint, out=tmp_path / "x.engine", options=ExportOptions(format="trt"))
    assert result.card.unverified is None
    assert {(v.runtime, v.device) for v in result.verdicts} == {("trt", "cuda:0")}
    assert "float16" in result.card.precision["conv"]
