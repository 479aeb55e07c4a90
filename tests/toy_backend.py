"""A backend from outside the package: traced programs next to a card in JSON, run by torch."""

import hashlib
import io
from pathlib import Path

import torch

from stargan_deploy.backends.artefact import ArtefactRuntime, Payload
from stargan_deploy.backends.base import SelfTest
from stargan_deploy.backends.exporter import Exporter, WrittenGraph
from stargan_deploy.backends.spec import BackendSpec
from stargan_deploy.backends.tracing import dynamic_shapes, example_inputs
from stargan_deploy.card.card import parse_card
from stargan_deploy.devices import CPU

SPEC = BackendSpec(
    name="toy",
    title="Toy",
    suffix=".toy",
    weights_suffix=".bytes",
    runtime="tests.toy_backend:ToyRuntime",
    exporter="tests.toy_backend:ToyExporter",
    packages={"torch": "2.11"},
    devices=("cpu",),
    precisions=("fp32",),
)


class ToyExporter(Exporter):
    def write_graph(self, request, path):
        point = request.point
        program = torch.export.export(
            request.module, example_inputs(point), dynamic_shapes=dynamic_shapes(point)
        )
        payload = path.with_suffix(SPEC.weights_suffix)
        torch.export.save(program, payload)
        sha256 = hashlib.sha256(payload.read_bytes()).hexdigest()
        return WrittenGraph(
            payload_sha256=sha256, precision={"conv": "float32"}, packages=tuple(SPEC.packages)
        )

    def attach_card(self, path, card):
        path.write_text(card.to_json())


class ToyRuntime(ArtefactRuntime):
    backend = SPEC.name

    @classmethod
    def read_card(cls, path: Path):
        return parse_card(path.read_text(), where=str(path))

    @classmethod
    def self_test(cls):
        return SelfTest(text=f"toys run on torch {torch.__version__}")

    def _pick_device(self, wanted):
        return CPU

    def _read_payload(self, path):
        content = path.with_suffix(SPEC.weights_suffix).read_bytes()
        return Payload(sha256=hashlib.sha256(content).hexdigest(), content=content)

    def _load_engine(self, point, path, payload):
        return torch.export.load(io.BytesIO(payload.content)).module()

    def _execute(self, entry_point, inputs):
        point = self.card.entry_point(entry_point)
        tensors = [torch.from_numpy(inputs[spec.name].copy()) for spec in point.inputs]
        outputs = self._engine(entry_point)(*tensors)
        return {
            spec.name: output.detach().numpy()
            for spec, output in zip(point.outputs, outputs, strict=True)
        }
