"""Every family goes through the exporters' doors: proven, with its entry points in the card."""

import re

import numpy as np
import pytest

from stargan_deploy.backends.registry import open_runtime
from stargan_deploy.errors import ParityError, UsageError
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions
from stargan_deploy.export.proof.cases import make_cases
from stargan_deploy.export.proof.images import synthetic_face
from stargan_deploy.export.proof.rounding import Rounding, measure_rounding
from stargan_deploy.families.checkpoint import load_checkpoint
from tests.tiny_families import TINY, large_ones_slowly, lively_model

FAMILIES = sorted(TINY)
FORMATS = {"onnx": ".onnx", "openvino": ".xml", "trt": ".engine"}


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The last checkpoint of a tiny training of each family, made when it is asked for."""
    made = {}

    def checkpoint(family):
        if family not in made:
            made[family] = lively_model(family, tmp_path_factory.mktemp(family))
        return made[family]

    return checkpoint


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("family", large_ones_slowly(FAMILIES))
def test_every_family_is_exported_and_proven(family, format_, trained, tmp_path):
    library = {"onnx": "onnx", "openvino": "openvino", "trt": "tensorrt_rtx"}[format_]
    pytest.importorskip(library)
    options = ExportOptions(format=format_, precision="fp32", max_batch=4)
    result = export(trained(family), out=tmp_path / f"m{FORMATS[format_]}", options=options)
    assert {verdict.entry_point for verdict in result.verdicts} == set(result.card.entry_points)
    assert all(verdict.passed for verdict in result.verdicts)
    assert all(path.exists() for path in result.files)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_models_that_are_compared_make_different_outputs(family, trained):
    with open_runtime(trained(family)) as runtime:
        for name, point in runtime.card.entry_points.items():
            inputs = make_cases(point, runtime.card)[0].inputs(point)
            for output in runtime.run(inputs, entry_point=name).values():
                assert output.std() > 0.03


@pytest.mark.parametrize("family", large_ones_slowly(FAMILIES))
def test_half_precision_is_proven_too(family, trained, tmp_path):
    options = ExportOptions(precision="fp16", max_batch=4)
    result = export(trained(family), out=tmp_path / "m.onnx", options=options)
    assert all(verdict.passed for verdict in result.verdicts)
    assert "float16" in "+".join(result.card.precision.values())


@pytest.mark.parametrize(
    ("family", "conv", "note"),
    [
        ("dcgan", "float32", "4 of 4 transposed convolutions in FP32, and there are no others"),
        ("cgan", "float32", "4 of 4 transposed convolutions in FP32, and there are no others"),
        ("pix2pix", "bfloat16+float32", "6 of 6 transposed convolutions in FP32, the other layers"),
    ],
)
def test_openvino_says_what_it_leaves_in_fp32_at_bf16(family, conv, note, trained, tmp_path):
    openvino = pytest.importorskip("openvino")
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("needs a CPU with bf16")
    options = ExportOptions(format="openvino", precision="bf16", max_batch=4)
    result = export(trained(family), out=tmp_path / "m.xml", options=options)
    assert all(verdict.passed for verdict in result.verdicts)
    assert result.card.precision["conv"] == conv
    assert any(note in text for text in result.card.notes)


@pytest.mark.parametrize("family", ["cyclegan", "progan"])
def test_a_refusal_at_half_precision_names_the_layers(family, trained, tmp_path):
    """These tiny networks of glaring contrast lose as much in PyTorch itself."""
    openvino = pytest.importorskip("openvino")
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("needs a CPU with bf16")
    options = ExportOptions(format="openvino", precision="bf16", max_batch=4)
    with pytest.raises(ParityError, match="mean_difference") as caught:
        export(trained(family), out=tmp_path / "m.xml", options=options)
    found = re.search(r"(makes \d+%|most of the error, \d+%).* ([\d.]+) levels", str(caught.value))
    assert found, caught.value
    assert float(found[2]) > 0.3
    assert "`precision` fp32" in caught.value.hint


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"a.3": 0.7, "b": 0.3}, "layer 'a.3' makes 70% of the error; rounded in PyTorch to bf16"),
        ({"a": 0.4, "b": 0.3, "c": 0.3}, "no layer stands out (of 3, 'a' makes most of the error"),
    ],
)
def test_the_layers_are_told(shares, words):
    rounding = Rounding(shares=shares, figures={"mean_difference": 0.71})
    assert rounding.describe("bf16").startswith(words)
    assert "0.71 levels on average" in rounding.describe("bf16")


def test_fp32_has_nothing_to_round(trained):
    content = load_checkpoint(trained("progan"))
    assert measure_rounding(content, content.card, "sample", "fp32", synthetic_face) is None


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


@pytest.mark.parametrize("format_", ["onnx", "openvino"])
def test_masks_of_dropout_become_inputs_of_a_proven_graph(format_, trained, tmp_path):
    pytest.importorskip(format_)
    options = ExportOptions(format=format_, precision="fp32", max_batch=4, stochastic=True)
    path = tmp_path / f"m{FORMATS[format_]}"
    result = export(trained("pix2pix"), out=path, options=options)
    (point,) = result.card.entry_points.values()
    assert [(spec.name, spec.kind) for spec in point.inputs] == [
        ("image", "image"),
        ("mask_4", "mask"),
    ]
    assert all(verdict.passed for verdict in result.verdicts)
    with open_runtime(path) as runtime:
        inputs = {spec.name: np.ones((1, *spec.shape[1:]), spec.dtype) for spec in point.inputs}
        other = inputs | {"mask_4": np.zeros_like(inputs["mask_4"])}
        pictures = [
            runtime.run(wish, entry_point="translate_stochastic")["translated"]
            for wish in (inputs, other)
        ]
    assert not np.array_equal(*pictures)


def test_a_model_without_dropout_cannot_be_exported_with_masks(trained, tmp_path):
    with pytest.raises(UsageError, match="has no dropout"):
        export(trained("cyclegan"), out=tmp_path / "m.onnx", options=ExportOptions(stochastic=True))


@pytest.mark.parametrize(
    ("family", "stochastic", "size"), [("gan", False, "28x28"), ("pix2pix", True, "64x64")]
)
def test_a_fixed_size_cannot_be_limited(family, stochastic, size, trained, tmp_path):
    options = ExportOptions(max_size=128, stochastic=stochastic)
    with pytest.raises(UsageError, match=f"`max_size` limits .* is fixed at {size}; leave it out"):
        export(trained(family), out=tmp_path / "new" / "m.onnx", options=options)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    ("max_size", "greatest", "tried"),
    [(64, 64, {"64x64"}), (100, 64, {"64x64"}), (128, 128, {"64x64", "64x128"})],
)
def test_few_sizes_of_large_steps_are_exported(
    max_size, greatest, tried, format_, trained, tmp_path
):
    pytest.importorskip({"onnx": "onnx", "openvino": "openvino", "trt": "tensorrt_rtx"}[format_])
    options = ExportOptions(format=format_, precision="fp32", max_batch=2, max_size=max_size)
    path = tmp_path / f"m{FORMATS[format_]}"
    result = export(trained("pix2pix"), out=path, options=options)
    (size,) = result.card.entry_points["translate"].sizes
    assert [side.greatest for side in size] == [greatest, greatest]
    assert {case.split()[-1] for v in result.verdicts for case in v.cases} == tried
    assert all(verdict.passed for verdict in result.verdicts)


def test_the_card_says_how_pix2pix_differs_from_its_paper(trained, tmp_path):
    result = export(trained("pix2pix"), out=tmp_path / "m.onnx", options=ExportOptions(max_batch=4))
    assert set(result.card.entry_points) == {"translate"}
    assert "dropout is off at inference" in result.card.notes[0]


def test_both_directions_of_cyclegan_are_one_card(trained, tmp_path):
    result = export(
        trained("cyclegan"), out=tmp_path / "m.onnx", options=ExportOptions(max_batch=4)
    )
    assert [path.name for path in result.files] == ["m.onnx", "m.b2a.onnx"]
    assert [p.file for _, p in sorted(result.card.entry_points.items())] == [
        "m.onnx",
        "m.b2a.onnx",
    ]
