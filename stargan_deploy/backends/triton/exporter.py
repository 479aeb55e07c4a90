"""Writes models of a Triton Inference Server repository: an ONNX graph and how to serve it.

A model is a folder, `<name>/config.pbtxt` and `<name>/1/model.onnx`, and the folders of an
export stand side by side in the repository. Triton's onnxruntime backend runs the graph as it is.
The configuration is the text format of Triton's `ModelConfig` (github.com/triton-inference-server/
common, protobuf/model_config.proto); it is written without protobuf's classes for it, which come
with Triton's client only.
"""

import re
from pathlib import Path

from stargan_deploy.backends.exporter import Exporter, GraphRequest, WrittenGraph
from stargan_deploy.backends.onnx import file as onnx_file
from stargan_deploy.backends.triton.spec import SPEC
from stargan_deploy.card.card import CARD_KEY, EntryPoint, ModelCard, Precision
from stargan_deploy.card.tensors import ROWS_PER_CALL, Dim, TensorSpec
from stargan_deploy.errors import ModelError, UsageError
from stargan_deploy.files.atomic import write_text

CONFIG_NAME = "config.pbtxt"
GRAPH_NAME = "1/model.onnx"
"""The first version of a model, under the name that Triton's backend looks for."""

MAX_QUEUE_DELAY_US = 1000
"""How long a request may wait for others to be run with, in microseconds: less than it takes to
translate one image."""

_TYPES = {"float32": "TYPE_FP32", "uint8": "TYPE_UINT8", "int64": "TYPE_INT64"}

_HEAD = """\
# A model for Triton Inference Server, written by stargan-deploy export --format triton.
# It is called as its folder is, which may be renamed.
"""

_INSTANCES = """\
# One instance on each GPU, or one on the CPU where there is none.
instance_group [ { count: 1 kind: KIND_AUTO } ]
"""

_BATCHING = f"""\
# Requests for images of one size are run together. Preferred batch sizes are left out: every size
# is as good for onnxruntime.
dynamic_batching {{ max_queue_delay_microseconds: {MAX_QUEUE_DELAY_US} }}
"""

_TRUE_FP32 = """\
# The graph was proven equal to PyTorch without TF32, which is faster on a GPU, but less exact.
optimization {
  execution_accelerators {
    gpu_execution_accelerator [
      { name: "cuda" parameters { key: "use_tf32" value: "0" } }
    ]
  }
}
"""

_STRING = r'"(?:[^"\\]|\\.)*"'
_CARD = re.compile(
    rf'parameters\s*:?\s*{{\s*key\s*:\s*"{re.escape(CARD_KEY)}"\s*,?\s*'
    rf"value\s*:?\s*{{\s*string_value\s*:\s*(?:{_STRING}\s*)+}}\s*}}\s*"
)
"""The parameter that holds the card, also where a tool has broken the lines anew."""


class TritonExporter(Exporter):
    """Writes folders of models, from ONNX graphs that stay as they are."""

    runs_source = True

    def source_precision(self, precision: Precision) -> Precision | None:
        """Triton runs the ONNX graph of the same precision."""
        return precision

    def graph_file(self, path: Path) -> Path:
        """The graph in a model's folder."""
        return path / GRAPH_NAME

    def check_replaceable(self, folder: Path) -> None:
        """Refuses to replace a folder that holds more than one version of a Triton model."""
        if not folder.is_dir() or not any(folder.iterdir()):
            return
        if not (folder / CONFIG_NAME).is_file():
            raise UsageError(
                f"{folder} holds other things than a model", hint="choose another `out`"
            )
        own = (CONFIG_NAME, GRAPH_NAME.partition("/")[0])
        others = sorted(path.name for path in folder.iterdir() if path.name not in own)
        if others:
            raise UsageError(
                f"{folder} also holds {', '.join(others[:5])}, which an export would remove",
                hint="choose another `out`",
            )

    def write_graph(self, request: GraphRequest, path: Path) -> WrittenGraph:
        """Writes one entry point as the folder of a model, without a card; see `Exporter`."""
        assert request.graph is not None, "source_precision asks for it"
        source = onnx_file.read_card(request.graph)
        hashes = [point.payload_sha256 for point in source.entry_points.values()]
        graph = onnx_file.read_graph(request.graph, hashes)
        target = path / GRAPH_NAME
        target.parent.mkdir(parents=True)
        target.write_bytes(graph)
        write_text(path / CONFIG_NAME, config_text(request.point))
        return WrittenGraph(
            payload_sha256=onnx_file.payload_sha256(graph),
            precision=source.precision,
            notes=source.notes,
            packages=SPEC.tools,
        )

    def attach_card(self, path: Path, card: ModelCard) -> None:
        """Puts a card into a model's configuration and graph, replacing an earlier one.

        Args:
            path: the model's folder. Manual changes in the configuration stay.
            card: the card.

        Raises:
            ModelError: the folder holds no configuration that can be read, or no graph.
            OutputError: the configuration cannot be written.
        """
        config = path / CONFIG_NAME
        try:
            text = config.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{path} is not a folder of a Triton model: {error}") from error
        kept = _CARD.sub("", text).rstrip()
        value = f"value {{ string_value: {quoted(card.to_json())} }}"
        onnx_file.attach_card(path / GRAPH_NAME, card)
        write_text(config, f"{kept}\n\nparameters {{ key: {quoted(CARD_KEY)} {value} }}\n")


def config_text(point: EntryPoint) -> str:
    """The configuration of a model that serves one entry point, in protobuf's text format.

    Args:
        point: with a free batch as the first dimension of all its tensors, Triton batches requests,
            and the dimensions it is told are those of one row.
    """
    max_batch = _max_batch(point)
    parts = [
        f'{_HEAD}backend: "onnxruntime"\nmax_batch_size: {max_batch}\n',
        _tensors("input", point.inputs, is_batched=max_batch > 0),
        _tensors("output", point.outputs, is_batched=max_batch > 0),
        _INSTANCES,
        *([_BATCHING] if max_batch > 1 else []),
        _TRUE_FP32,
    ]
    return "\n".join(parts)


def quoted(text: str) -> str:
    """A string of protobuf's text format, in ASCII: the other bytes of its UTF-8 as octal."""
    return '"' + "".join(map(_escaped, text.encode("utf-8"))) + '"'


def _escaped(byte: int) -> str:
    letter = chr(byte)
    if letter in '"\\':
        return f"\\{letter}"
    return letter if " " <= letter <= "~" else f"\\{byte:03o}"


def _max_batch(point: EntryPoint) -> int:
    """The greatest batch; 0, which is how Triton says it, where the batch is not free.

    Where the graph sets no limit, it is the greatest that was proven.
    """
    firsts = [spec.shape[0] for spec in (*point.inputs, *point.outputs)]
    free = [dim for dim in firsts if isinstance(dim, Dim)]
    if len(free) < len(firsts):
        return 0
    return min(ROWS_PER_CALL if dim.max is None else dim.max for dim in free)


def _tensors(field: str, specs: tuple[TensorSpec, ...], *, is_batched: bool) -> str:
    blocks = ",\n".join(_tensor(spec, is_batched=is_batched) for spec in specs)
    return f"{field} [\n{blocks}\n]\n"


def _tensor(spec: TensorSpec, *, is_batched: bool) -> str:
    """One input or output; to Triton, a row without dimensions is one that it has to reshape."""
    dims = [-1 if isinstance(dim, Dim) else dim for dim in spec.shape[int(is_batched) :]]
    reshape = [] if dims else ["    reshape { shape: [ ] }"]
    lines = [
        "  {",
        f"    name: {quoted(spec.name)}",
        f"    data_type: {_TYPES[spec.dtype]}",
        f"    dims: [ {', '.join(map(str, dims or [1]))} ]",
        *reshape,
        "  }",
    ]
    return "\n".join(lines)
