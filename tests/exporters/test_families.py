"""Every family goes through the exporters' doors: proven, with its entry points in the card."""

import numpy as np
import pytest

from stargan_deploy.errors import UsageError
from stargan_deploy.exporters.export import export
from stargan_deploy.exporters.plan import ExportOptions
from stargan_deploy.runtimes.choose import open_runtime
from tests.families import TINY, train_family

FAMILIES = sorted(TINY)
FORMATS = {"onnx": ".onnx", "openvino": ".xml", "trt": ".engine"}


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The last checkpoint of a tiny training of each family, made when it is asked for."""
    made = {}

    def checkpoint(family):
        if family not in made:
            made[family] = train_family(family, tmp_path_factory.mktemp(family))
        return made[family]

    return checkpoint


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_exported_and_proven(family, format_, trained, tmp_path):
    library = {"onnx": "onnx", "openvino": "openvino", "trt": "tensorrt_rtx"}[format_]
    pytest.importorskip(library)
    options = ExportOptions(format=format_, precision="fp32", max_batch=4)
    result = export(trained(family), out=tmp_path / f"m{FORMATS[format_]}", options=options)
    assert {verdict.entry_point for verdict in result.verdicts} == set(result.card.entry_points)
    assert all(verdict.passed for verdict in result.verdicts)
    assert all(path.exists() for path in result.files)


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_is_proven_too(family, trained, tmp_path):
    options = ExportOptions(precision="fp16", max_batch=4)
    result = export(trained(family), out=tmp_path / "m.onnx", options=options)
    assert all(verdict.passed for verdict in result.verdicts)
    assert "float16" in "+".join(result.card.precision.values())


@pytest.mark.parametrize("family", [name for name in FAMILIES if name in ("gan", "dcgan", "cgan")])
def test_inputs_that_are_no_pictures_are_checked(family, trained):
    with open_runtime(trained(family)) as runtime:
        point = runtime.card.entry_point("sample")
        inputs = {spec.name: np.zeros((2, *spec.shape[1:]), spec.dtype) for spec in point.inputs}
        assert runtime.run(inputs, entry_point="sample")["image"].shape == (2, 3, 28, 28)
        wrong = inputs | {"latent": np.zeros((2, 7), np.float32)}
        with pytest.raises(UsageError, match="input 'latent' must be float32 batchx6"):
            runtime.run(wrong, entry_point="sample")


def test_a_class_out_of_range_is_refused(trained):
    with open_runtime(trained("cgan")) as runtime:
        inputs = {"latent": np.zeros((2, 6), np.float32), "class_index": np.array([0, 3])}
        with pytest.raises(UsageError, match="'class_index' holds 3, and the classes are 0 to 2"):
            runtime.run(inputs, entry_point="sample")


def test_running_statistics_are_used_at_inference(trained):
    with open_runtime(trained("dcgan")) as runtime:
        latent = np.random.default_rng(0).standard_normal((4, 6), np.float32)
        whole = runtime.run({"latent": latent}, entry_point="sample")["image"]
        alone = runtime.run({"latent": latent[:1]}, entry_point="sample")["image"]
    np.testing.assert_allclose(whole[:1], alone, atol=1e-5)
