import dataclasses
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stargan_deploy.backends.base import OpenOptions
from stargan_deploy.backends.eager.runtime import EagerRuntime
from stargan_deploy.backends.exporter import GraphRequest
from stargan_deploy.backends.onnx import file as onnx_file
from stargan_deploy.backends.onnx.exporter import OnnxExporter
from stargan_deploy.backends.registry import open_runtime, read_card_of
from stargan_deploy.backends.triton import exporter as to_triton
from stargan_deploy.backends.triton.exporter import TritonExporter
from stargan_deploy.card.card import CARD_KEY, EntryPoint, ModelCard, parse_card
from stargan_deploy.card.pixels import pixels_to_tensor, tensor_to_pixels
from stargan_deploy.card.tensors import Dim, TensorSpec
from stargan_deploy.errors import CardError, ModelError
from stargan_deploy.export.export import ExportResult, export
from stargan_deploy.export.plan import ExportOptions

text_format = pytest.importorskip("google.protobuf.text_format")
schema = pytest.importorskip("tritonclient.grpc.model_config_pb2")

BATCH = Dim(symbol="batch")
HOSTILE = 'a "quoted" \\ name\n\t{}[]:#\'; "}}} été 顔 \x7f'


@pytest.fixture(scope="module")
def repository(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportResult:
    """The tiny checkpoint as a model repository."""
    out = tmp_path_factory.mktemp("repository") / "faces"
    return export(checkpoint, out=out, options=ExportOptions(format="triton"))


@pytest.fixture
def model(repository: ExportResult, tmp_path: Path) -> Path:
    """A copy of the generator's folder that a test may change."""
    return Path(shutil.copytree(repository.files[0], tmp_path / "faces"))


def parse(path: Path):
    """A configuration as Triton's own schema reads it."""
    text = (path / to_triton.CONFIG_NAME).read_text(encoding="utf-8")
    return text_format.Parse(text, schema.ModelConfig())


def card_in(config) -> str:
    return config.parameters[CARD_KEY].string_value


def point(*inputs: TensorSpec, outputs: tuple[TensorSpec, ...] = ()) -> EntryPoint:
    return EntryPoint(file="", payload_sha256="", inputs=inputs, outputs=outputs or inputs[:1])


def spec(layout: str, *shape: int | Dim, name: str = "image", dtype: str = "uint8") -> TensorSpec:
    return TensorSpec(name=name, kind="image", dtype=dtype, layout=layout, shape=shape)


def config_of(wanted: EntryPoint):
    return text_format.Parse(to_triton.config_text(wanted), schema.ModelConfig())


def test_every_field_is_what_triton_shall_read(repository):
    generator, classifier = map(parse, repository.files)
    expected = schema.ModelConfig(
        backend="onnxruntime",
        max_batch_size=16,
        input=[
            schema.ModelInput(name="image", data_type="TYPE_UINT8", dims=[-1, -1, 3]),
            schema.ModelInput(name="label", data_type="TYPE_FP32", dims=[5]),
        ],
        output=[schema.ModelOutput(name="translated", data_type="TYPE_UINT8", dims=[-1, -1, 3])],
        instance_group=[schema.ModelInstanceGroup(count=1, kind="KIND_AUTO")],
        dynamic_batching=schema.ModelDynamicBatching(max_queue_delay_microseconds=1000),
    )
    accelerator = expected.optimization.execution_accelerators.gpu_execution_accelerator.add()
    accelerator.name = "cuda"
    accelerator.parameters["use_tf32"] = "0"
    expected.parameters[CARD_KEY].string_value = repository.card.to_json()
    assert generator == expected

    del expected.input[:], expected.output[:]
    expected.input.add(name="image", data_type="TYPE_UINT8", dims=[32, 32, 3])
    expected.output.add(name="logits", data_type="TYPE_FP32", dims=[5])
    assert classifier == expected


def test_a_repository_holds_a_folder_for_each_model_and_nothing_else(repository):
    root = repository.files[0].parent
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert [path.name for path in repository.files] == ["faces", "faces.classifier"]
    assert found == [
        "faces.classifier/1/model.onnx",
        "faces.classifier/config.pbtxt",
        "faces/1/model.onnx",
        "faces/config.pbtxt",
    ]


def test_graph_and_configuration_carry_one_card_with_the_graphs_proof(repository):
    assert repository.card.unverified is None
    verdicts = {(v.entry_point, v.runtime) for v in repository.card.verdicts if v.passed}
    assert verdicts >= {("translate", "onnx"), ("classify", "onnx")}
    assert repository.card.precision == {"conv": "float32", "norm": "float32"}
    for path in repository.files:
        assert read_card_of(path / to_triton.GRAPH_NAME) == repository.card
        assert parse_card(card_in(parse(path)), where="config") == repository.card


def test_the_configuration_says_of_the_graph_what_onnxruntime_finds(repository):
    """The checks of Triton's backend: names, types, and dimensions behind a free batch."""
    types = {"TYPE_UINT8": "tensor(uint8)", "TYPE_FP32": "tensor(float)"}
    for path in repository.files:
        config = parse(path)
        session = onnxruntime.InferenceSession(path / to_triton.GRAPH_NAME)
        for listed, real in (
            (config.input, session.get_inputs()),
            (config.output, session.get_outputs()),
        ):
            names = schema.DataType.Name
            told = [(v.name, types[names(v.data_type)], list(v.dims)) for v in listed]
            found = [
                (arg.name, arg.type, [d if isinstance(d, int) else -1 for d in arg.shape])
                for arg in real
            ]
            assert [(name, kind, [-1, *dims]) for name, kind, dims in told] == found


def test_the_graph_gives_what_pytorch_gives_under_any_folder_name(model, checkpoint):
    renamed = model.rename(model.with_name("other"))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 24, 40, 3)).astype(np.uint8)
    label = np.eye(5, dtype=np.float32)[:3]
    with EagerRuntime(checkpoint, OpenOptions(device="cpu")) as eager:
        image = pixels_to_tensor(pixels)
        expected = tensor_to_pixels(eager.run({"image": image, "label": label})["translated"])
    with open_runtime(renamed / to_triton.GRAPH_NAME, backend="onnx", device="cpu") as runtime:
        found = runtime.run({"image": pixels, "label": label})["translated"]
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_a_second_export_replaces_the_first(repository, checkpoint, tmp_path):
    out = tmp_path / "faces"
    shutil.copytree(repository.files[0], out)
    shutil.copytree(repository.files[1], tmp_path / "faces.classifier")
    (out / to_triton.CONFIG_NAME).write_text("spoilt")
    export(checkpoint, out=out, options=ExportOptions(format="triton", max_batch=8, overwrite=True))
    assert parse(out).max_batch_size == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces", "faces.classifier"]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_what_the_source_graph_measured_is_passed_on(model, tmp_path, precision):
    assert TritonExporter().source_precision(precision) == precision
    graph = tmp_path / "source.onnx"
    shutil.copy(model / to_triton.GRAPH_NAME, graph)
    measured = {"conv": "float16", "norm": "float32"}
    card = dataclasses.replace(read_card_of(graph), precision=measured, notes=("a note",))
    OnnxExporter().attach_card(graph, card)
    request = GraphRequest(
        module=None,
        point=card.entry_points["translate"],
        precision=precision,
        image_size=32,
        graph=graph,
    )
    written = TritonExporter().write_graph(request, tmp_path / "new")
    assert (written.precision, written.notes) == (measured, ("a note",))
    assert written.payload_sha256 == card.entry_points["translate"].payload_sha256
    bare = tmp_path / "new" / to_triton.GRAPH_NAME
    assert onnx_file.payload_sha256(bare.read_bytes()) == written.payload_sha256
    with pytest.raises(CardError):
        read_card_of(bare)


def test_a_graphs_limits_are_the_servers(repository):
    translate = repository.card.entry_points["translate"]
    limited = Dim(symbol="batch", max=6)
    inputs = tuple(
        dataclasses.replace(spec, shape=(limited, *spec.shape[1:])) for spec in translate.inputs
    )
    config = config_of(dataclasses.replace(translate, inputs=inputs))
    assert config.max_batch_size == 6
    assert config.HasField("dynamic_batching")
    single = config_of(point(spec("NHWC", Dim(symbol="batch", max=1), 8, 8, 3)))
    assert single.max_batch_size == 1
    assert not single.HasField("dynamic_batching")


def test_without_a_free_batch_triton_gets_all_dimensions(repository):
    config = config_of(point(spec("NHWC", 4, 8, 8, 3), outputs=(spec("NK", BATCH, 5),)))
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")
    assert [list(value.dims) for value in (*config.input, *config.output)] == [
        [4, 8, 8, 3],
        [-1, 5],
    ]


def test_rows_without_dimensions_are_reshaped(repository):
    config = config_of(point(spec("N", BATCH, name="class", dtype="int64")))
    (found,) = config.input
    assert (found.data_type, list(found.dims)) == (schema.TYPE_INT64, [1])
    assert found.HasField("reshape")
    assert list(found.reshape.shape) == []
    assert not config_of(point(spec("NK", BATCH, 1))).input[0].HasField("reshape")


def test_names_of_any_letters_are_written_right(repository):
    config = config_of(point(spec("NK", BATCH, 2, name=HOSTILE)))
    assert config.input[0].name == HOSTILE


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_read_back(text):
    written = to_triton.quoted(text)
    assert written.isascii()
    assert "\n" not in written
    assert text_format.Parse(f"name: {written}", schema.ModelConfig()).name == text


def with_hostile_note(card: ModelCard) -> ModelCard:
    note = f'{HOSTILE}" }} }} parameters {{ key: "{CARD_KEY}" value {{ string_value: "x" }} }}'
    return dataclasses.replace(card, notes=(note,))


def test_a_new_card_takes_the_place_of_the_old_one(model):
    before = parse(model)
    card = with_hostile_note(read_card_of(model / to_triton.GRAPH_NAME))
    for step in (1, 2):
        card = dataclasses.replace(card, step=step)
        TritonExporter().attach_card(model, card)
        config = parse(model)
        assert parse_card(card_in(config), where="config") == card
        assert read_card_of(model / to_triton.GRAPH_NAME) == card
    text = (model / to_triton.CONFIG_NAME).read_text(encoding="utf-8")
    assert text.count("\nparameters {") == 1
    config.parameters[CARD_KEY].string_value = card_in(before)
    assert config == before


def test_a_card_keeps_what_a_person_changed(model):
    """Also after a tool wrote the configuration anew, with line breaks and colons of its own."""
    config = parse(model)
    config.max_batch_size = 64
    config.parameters["intra_op_thread_count"].string_value = "2"
    rewritten = text_format.MessageToString(config, as_utf8=True).replace("value {", "value: {")
    place = model / to_triton.CONFIG_NAME
    place.write_text(f"# mine\n{rewritten}", encoding="utf-8")
    card = dataclasses.replace(read_card_of(model / to_triton.GRAPH_NAME), step=9)
    TritonExporter().attach_card(model, card)
    config.parameters[CARD_KEY].string_value = card.to_json()
    assert parse(model) == config
    text = place.read_text(encoding="utf-8")
    assert text.startswith("# mine\n")
    assert text.count(CARD_KEY) == 1


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_folder_that_is_no_model_is_named(repository, tmp_path, content):
    if content:
        (tmp_path / to_triton.CONFIG_NAME).write_bytes(content)
    with pytest.raises(ModelError, match="not a folder of a Triton model"):
        TritonExporter().attach_card(tmp_path, repository.card)
