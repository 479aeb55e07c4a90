"""Models with styles as artefacts: files by entry point, an open batch, and folders translated."""

import numpy as np
import onnxruntime
import pytest

import stargan_deploy
from stargan_deploy.export.cache import cached_artefacts, make_cached
from stargan_deploy.export.export import export
from stargan_deploy.export.options import ExportOptions
from stargan_deploy.export.proof.images import synthetic_face
from tests.styled_models import DOMAINS

pytestmark = pytest.mark.slow

POINTS = ("encode", "map", "translate", "translate_latent", "translate_reference")


@pytest.fixture(scope="module")
def artefact(styled, tmp_path_factory):
    """The main file of an export in the cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield make_cached(styled["plain"], "onnx")


def test_files_are_named_after_entry_points(artefact, styled):
    names = sorted(path.name for path in artefact.parent.glob("*.onnx"))
    assert names == [f"model.{point}.onnx" for point in POINTS]
    assert artefact.name == "model.translate.onnx"
    assert cached_artefacts(styled["plain"]) == [artefact]
    assert make_cached(styled["plain"], "onnx") == artefact


def test_the_batch_is_open_and_rows_have_domains_of_their_own(artefact):
    """The official indexing by the batch's range becomes a constant when it is traced."""
    path = artefact.with_name("model.map.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert {value.name: value.type for value in session.get_inputs()} == {
        "latent": "tensor(float)",
        "domain": "tensor(int64)",
    }
    latents = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)
    domains = np.array([2, 0, 1, 1, 2])
    (whole,) = session.run(None, {"latent": latents, "domain": domains})
    for row in range(5):
        feeds = {"latent": latents[row : row + 1], "domain": domains[row : row + 1]}
        np.testing.assert_allclose(session.run(None, feeds)[0][0], whole[row], atol=1e-5)


def test_an_artefact_translates_like_its_checkpoint(artefact, styled):
    photo = synthetic_face(0, 80, 80)
    reference = synthetic_face(1, 90, 90)
    found = []
    for path, backend in ((styled["plain"], "eager"), (artefact, "onnx")):
        with stargan_deploy.load(path, backend=backend) as model:
            by_seed = model.translate(photo, list(DOMAINS), seed=3)
            found.append([*by_seed, model.translate(photo, "dog", reference=reference)])
    for one, other in zip(*found, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_heat_maps_go_into_half_precision_graphs_too(styled, tmp_path):
    options = ExportOptions(precision="fp16", device="cpu", max_batch=2)
    card = export(styled["with_skip"], out=tmp_path / "faces.onnx", options=options).card
    assert card.precision == {"conv": "float16", "linear": "float16", "norm": "float32"}
    names = [spec.name for spec in card.entry_point("translate").inputs]
    assert names == ["image", "style", "mask_0", "mask_1"]
