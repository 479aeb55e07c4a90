"""A backend that the package does not know goes through every door of it."""

import dataclasses
import os
from pathlib import Path

import pytest

from stargan_deploy.backends import registry
from stargan_deploy.backends.doctor import examine
from stargan_deploy.backends.registry import artefact_bytes, is_proven, open_runtime, read_card_of
from stargan_deploy.benchmarking.report.palette import colour, colours
from stargan_deploy.benchmarking.suite.candidates import Entry, list_entries
from stargan_deploy.devices import CPU, Device
from stargan_deploy.errors import ParityError, UsageError
from stargan_deploy.export.cache import cached_path
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions
from stargan_deploy.export.proof.verify import verify
from stargan_deploy.inference.fastest import proven_here
from stargan_deploy.inference.find import read_model
from stargan_deploy.inference.model import load
from tests.toy_backend import SPEC, ToyExporter

ROOT = Path(__file__).parents[2]
TOY = ExportOptions(format="toy", device="cpu")


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(registry, "SPECS", dict(registry.SPECS))
    registry.register(SPEC)


@pytest.fixture
def toy(checkpoint, tmp_path):
    return export(checkpoint, out=tmp_path / "tiny.toy", options=TOY).files[0]


def test_it_is_exported_proven_opened_and_verified(toy, checkpoint):
    card = read_card_of(toy)
    assert is_proven(card, "toy")
    assert card.versions["torch"]
    assert artefact_bytes(toy) > toy.with_suffix(".bytes").stat().st_size
    with open_runtime(toy, batch_size=2) as runtime:
        assert runtime.backend == "toy"
    with load(toy) as model, load(checkpoint, device="cpu") as reference:
        pixels = reference.translate(photo(card), "Male").astype(int)
        assert abs(pixels - model.translate(photo(card), "Male")).max() <= 1
    assert verify(toy, checkpoint=checkpoint, device="cpu").card.unverified is None


def photo(card):
    import numpy as np

    side = card.preprocessing.image_size
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)


def test_a_wrong_toy_is_not_proven(checkpoint, tmp_path, monkeypatch):
    genuine = ToyExporter.write_graph

    def write_graph(self, request, path):
        next(request.module.parameters()).data.mul_(2)
        return genuine(self, request, path)

    monkeypatch.setattr(ToyExporter, "write_graph", write_graph)
    with pytest.raises(ParityError):
        export(checkpoint, out=tmp_path / "tiny.toy", options=TOY)


def test_auto_may_choose_it(toy):
    good, refusals = proven_here([read_model(toy)], device=CPU)
    assert not refusals
    assert [model.backends[0] for model in good] == ["toy"]


def test_the_benchmark_measures_it():
    entries, missing = list_entries(CPU)
    assert Entry(backend="toy", precision="fp32") in entries
    assert not missing
    assert colours()[int(colour("toy")[1:])] == SPEC.colours
    assert list_entries(Device("cuda"), ["toy"])[1][0].reason == "does not compute on cuda"


def test_the_cache_knows_its_files(checkpoint):
    assert cached_path(checkpoint, "toy").name == "model.toy"


def test_the_doctor_tests_it(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    finding = examine("toy")
    assert finding.usable, finding.text
    assert finding.text.startswith("toys run on torch")
    assert finding.version.startswith("torch ")


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="a backend 'toy' already"):
        registry.register(dataclasses.replace(SPEC, suffix=".other"))


def test_it_exists_at_its_precisions_only(checkpoint, tmp_path):
    options = dataclasses.replace(TOY, precision="int8")
    with pytest.raises(UsageError, match="no toy at precision 'int8'"):
        export(checkpoint, out=tmp_path / "tiny.toy", options=options)
