import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from stargan_deploy.backends.compile.inductor import computes_in
from stargan_deploy.backends.exporter import GraphRequest
from stargan_deploy.backends.pixel_graph import PixelModule
from stargan_deploy.backends.pt2 import exporter as to_pt2
from stargan_deploy.backends.pt2.exporter import Pt2Exporter
from stargan_deploy.backends.pt2.file import payload_sha256, read_card, read_entries
from stargan_deploy.backends.pt2.runtime import load_code
from stargan_deploy.backends.registry import format_spec, load_exporter
from stargan_deploy.card.card import CARD_KEY, EntryPoint, parse_card
from stargan_deploy.card.tensors import Dim, TensorSpec
from stargan_deploy.errors import BackendError, ExportError, UsageError
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions
from tests.pt2_packages import exported_packages

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pt2")]  # which compiles its packages once

NO_BF16 = pytest.mark.skipif(not computes_in("bf16", "cpu"), reason="no fast bf16 here")


@pytest.fixture(scope="session")
def packages(checkpoint):
    return exported_packages(checkpoint)


class Small(nn.Module):
    """A convolution, a norm and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.InstanceNorm2d(4, affine=True)
        self.linear = nn.Linear(4, 4)

    def forward(self, image: Tensor) -> Tensor:
        features = self.norm(self.conv(image))
        return self.linear(features.movedim(1, 3)).movedim(3, 1)[:, :3].tanh()


def request(module, precision="fp32", device="cpu"):
    batch = Dim(symbol="batch")
    height, width = Dim(symbol="height", min=4), Dim(symbol="width", min=4)
    spec = TensorSpec(
        name="image",
        kind="image",
        dtype="float32",
        layout="NCHW",
        shape=(batch, 3, height, width),
        value_range=(-1.0, 1.0),
    )
    point = EntryPoint(file="", payload_sha256="", inputs=(spec,), outputs=(spec,))
    return GraphRequest(
        module=PixelModule(module, point, "float").eval(),
        point=point,
        precision=precision,
        image_size=8,
        device=device,
    )


def test_it_is_a_format_that_the_exporter_finds():
    spec, target = format_spec("pt2"), load_exporter("pt2")
    assert (spec.suffix, spec.backend, target.runs_source) == (".pt2", "pt2", False)
    assert target.source_precision("bf16") is None


def test_an_export_is_proven_on_the_packages_themselves(packages):
    assert [path.name for path in packages.files] == ["tiny.pt2", "tiny.classifier.pt2"]
    assert {(v.entry_point, v.runtime, v.device) for v in packages.verdicts} == {
        ("translate", "pt2", "cpu"),
        ("classify", "pt2", "cpu"),
    }
    translate = next(v for v in packages.verdicts if v.entry_point == "translate")
    assert "batch 1 at 32x32" in translate.cases
    assert "batch 2 at 24x40" in translate.cases
    assert packages.card.unverified is None


def test_the_card_says_what_was_measured_and_what_it_runs_on(packages):
    card = read_card(packages.files[0])
    assert card == packages.card
    assert card.precision == {"conv": "float32", "norm": "float32"}
    assert card.versions["torch"] == torch.__version__.partition("+")[0]
    version = ".".join(torch.__version__.split(".")[:2])
    assert card.notes[0].startswith("tiny.pt2 runs on ")
    assert card.notes[0].endswith(f", torch {version}")
    for name, path in zip(("translate", "classify"), packages.files, strict=True):
        assert card.entry_points[name].payload_sha256 == payload_sha256(read_entries(path))


def test_no_source_code_is_in_a_package(packages):
    entries = read_entries(packages.files[0])
    assert any(name.endswith(".so") for name in entries)
    assert not [name for name in entries if name.endswith((".py", ".h"))]
    assert {content for name, content in entries.items() if name.endswith(".cpp")} == {b""}


def test_torch_itself_loads_the_package_and_gives_the_card(packages):
    from torch.export.pt2_archive._package import load_pt2

    content = load_pt2(packages.files[0])
    card = parse_card(content.extra_files[CARD_KEY], where="torch")
    assert card == packages.card
    pixels, label = torch.zeros(3, 32, 32, 3, dtype=torch.uint8), torch.zeros(3, 5)
    (translated,) = content.aoti_runners["model"](pixels, label)
    assert translated.shape == pixels.shape


@NO_BF16
def test_half_precision_is_in_the_convolutions_alone(tmp_path, monkeypatch, capfd):
    """Also: nothing is printed, and nothing is left in the folder that it is run in."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    torch.manual_seed(0)
    module = Small()
    wish = request(module, "bf16")
    path = tmp_path / "small.pt2"
    written = Pt2Exporter().write_graph(wish, path)
    assert capfd.readouterr() == ("", "")
    assert not list(Path.cwd().iterdir())
    assert written.precision == {"conv": "bfloat16", "linear": "bfloat16", "norm": "float32"}
    assert written.payload_sha256 == payload_sha256(read_entries(path))
    assert module.conv.weight.dtype == torch.float32
    image = torch.rand(3, 3, 8, 8) * 2 - 1
    (found,) = load_code(read_entries(path), "cpu")([image])
    expected = module(image)
    assert found.dtype == torch.float32
    difference = (found - expected).abs().max()
    assert 1e-4 < difference < 0.05


@pytest.mark.skipif(computes_in("fp16", "cpu"), reason="this processor has fast fp16")
def test_a_precision_that_would_be_emulated_is_refused(tmp_path):
    with pytest.raises(
        BackendError, match=r"no fast fp16 convolutions.*`precision` fp32"
    ) as caught:
        Pt2Exporter().write_graph(request(Small(), "fp16"), tmp_path / "small.pt2")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_int8_does_not_exist(checkpoint, tmp_path):
    options = ExportOptions(format="pt2", precision="int8")
    with pytest.raises(UsageError, match="there is no pt2 at precision 'int8'"):
        export(checkpoint, out=tmp_path / "a.pt2", options=options)


def test_precision_is_read_off_the_graph(tmp_path):
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv16 = nn.Conv2d(3, 3, 1).to(torch.bfloat16)
            self.conv32 = nn.ConvTranspose2d(3, 3, 1)

        def forward(self, image: Tensor) -> Tensor:
            return self.conv32(self.conv16(image.to(torch.bfloat16)).float())

    program = torch.export.export(Half(), (torch.zeros(1, 3, 4, 4),))
    assert to_pt2.measured_precision(program) == {"conv": "bfloat16+float32"}
    with pytest.raises(ExportError, match=r"does not compute in fp32: conv in bfloat16\+float32"):
        Pt2Exporter().write_graph(request(Half()), tmp_path / "half.pt2")
    assert not list(tmp_path.iterdir())


def test_a_module_that_cannot_be_traced_is_refused_in_one_line(tmp_path):
    class Branching(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image if image.sum() > 0 else -image

    with pytest.raises(ExportError, match="torch cannot trace this model: ") as caught:
        Pt2Exporter().write_graph(request(Branching()), tmp_path / "x.pt2")
    assert "\n" not in str(caught.value)


def test_sizes_baked_into_the_graph_are_refused(tmp_path):
    class Baked(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image + torch.zeros(1, 3, 6, 6)

    with pytest.raises(ExportError, match="torch cannot trace"):
        Pt2Exporter().write_graph(request(Baked()), tmp_path / "x.pt2")


def test_a_missing_compiler_is_named_before_anything_is_done(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BackendError, match="there is no no-such-compiler here; install it"):
        Pt2Exporter().write_graph(request(Small()), tmp_path / "x.pt2")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(tmp_path, device):
    with pytest.raises(BackendError, match=rf"device {device}(:0)? is not usable"):
        Pt2Exporter().write_graph(request(Small(), device=device), tmp_path / "x.pt2")


def test_a_compiler_that_fails_is_quoted_and_nothing_is_left(tmp_path, monkeypatch):
    """The temporary folder is emptied, whatever happens in it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(
            "CppCompileError: C++ compile error\n g++ x\nx.cpp:3:1: error: no room\n"
        )

    monkeypatch.setattr("torch._inductor.aot_compile", fail)
    with pytest.raises(
        BackendError, match=r"the C\+\+ compiler said: error: no room; .*apt install"
    ):
        Pt2Exporter().write_graph(request(Small()), tmp_path / "x.pt2")
    assert not list(tmp_path.iterdir())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_a_gpu_runs_its_own_packages(checkpoint, tmp_path, precision):
    options = ExportOptions(format="pt2", precision=precision, device="cuda")
    result = export(checkpoint, out=tmp_path / "gpu.pt2", options=options)
    assert {v.device for v in result.verdicts} == {"cuda:0"}
    types = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
    assert result.card.precision == {"conv": types[precision], "norm": "float32"}


def test_a_package_is_a_plain_zip(packages):
    with zipfile.ZipFile(packages.files[0]) as archive:
        assert archive.testzip() is None
        assert {name.partition("/")[0] for name in archive.namelist()} == {"package"}


class Square(nn.Module):
    """A transposed convolution with as many features in as out, and a norm after it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.ConvTranspose2d(4, 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(4),
        )
        with torch.no_grad():
            self.layers[2].running_var.copy_(torch.tensor([0.1, 0.5, 1.0, 4.0]))

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image)[:, :3].tanh()


@pytest.mark.slow
def test_factors_of_a_norm_stay_with_their_features(tmp_path):
    """Torch's freezing folds them into a transposed convolution's weights along the wrong axis."""
    wish = request(Square())
    path = tmp_path / "square.pt2"
    Pt2Exporter().write_graph(wish, path)
    image = torch.rand(2, 3, 8, 8) * 2 - 1
    (found,) = load_code(read_entries(path), "cpu")([image])
    with torch.no_grad():
        (expected,) = wish.module(image)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
