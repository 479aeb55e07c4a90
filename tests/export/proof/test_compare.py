import json
from dataclasses import replace

import numpy as np
import pytest

from stargan_deploy.backends.base import OpenOptions
from stargan_deploy.backends.difference import BEST_PSNR_DB, Tolerance
from stargan_deploy.backends.eager.runtime import EagerRuntime
from stargan_deploy.card.card import ModelCard
from stargan_deploy.card.labels import multilabel_space, onehot_space
from stargan_deploy.card.tensors import Dim
from stargan_deploy.errors import BackendError, ModelError, ParityError
from stargan_deploy.export.proof.cases import make_cases
from stargan_deploy.export.proof.compare import check_passed, compare, describe
from stargan_deploy.families.checkpoint import load_checkpoint, read_card, save_checkpoint


class Spoilt(EagerRuntime):
    """A runtime whose pictures or logits come out changed."""

    backend = "spoilt"

    def spoil(self, entry_point, array):
        return array

    def _execute(self, entry_point, inputs):
        outputs = super()._execute(entry_point, inputs)
        return {name: self.spoil(entry_point, array) for name, array in outputs.items()}


def prove(good, bad, *tolerance):
    comparisons = compare(good, bad, *tolerance)
    check_passed(comparisons)
    return [comparison.verdict for comparison in comparisons]


def prove_spoilt(checkpoint, spoil):
    kind = type("ThisSpoilt", (Spoilt,), {"spoil": staticmethod(spoil)})
    with (
        EagerRuntime(checkpoint, OpenOptions(device="cpu")) as good,
        kind(checkpoint, OpenOptions(device="cpu")) as bad,
    ):
        return prove(good, bad)


def test_equal_runtimes_pass_with_numbers_that_json_can_hold(checkpoint):
    verdicts = prove_spoilt(checkpoint, lambda _, array: array)
    translate = next(v for v in verdicts if v.entry_point == "translate")
    assert translate.passed
    assert translate.measured == {
        "max_difference": 0.0,
        "mean_difference": 0.0,
        "psnr_db": BEST_PSNR_DB,
    }
    assert translate.cases == (
        "batch 1 at 32x32",
        "batch 3 at 32x32",
        "batch 2 at 24x40",
        "batch 16 at 32x32",
    )
    card = replace(read_card(checkpoint), verdicts=verdicts)
    json.loads(card.to_json(), parse_constant=pytest.fail)


def test_the_verdict_says_how_far_and_where(checkpoint):
    def spoil(entry_point, array):
        if entry_point == "translate" and array.shape == (3, 3, 32, 32):
            array = array.copy()
            array[1, 0, 0, 0] = -array[1, 0, 0, 0]  # one value, so the mean stays small
        return array

    with pytest.raises(ParityError, match=r"max_difference is .* \(limit 1\)") as caught:
        prove_spoilt(checkpoint, spoil)
    assert "batch 3 at 32x32, image 2" in str(caught.value)
    assert "classify" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry_point", "spoil", "figure"),
    [
        ("translate", lambda a: a + 1.2 / 127.5, "mean_difference"),
        ("translate", lambda a: a[..., ::-1], "psnr_db"),
        ("classify", lambda a: a * 1.01, "relative_difference"),
        ("classify", lambda a: -a, "label_agreement"),
    ],
)
def test_wrong_results_are_caught(checkpoint, entry_point, spoil, figure):
    with pytest.raises(ParityError, match=rf"'{entry_point}' on spoilt .*{figure}"):
        prove_spoilt(checkpoint, lambda name, a: spoil(a) if name == entry_point else a)


def test_a_runtime_that_fails_at_a_size_is_caught(checkpoint):
    def spoil(entry_point, array):
        if array.shape[-2:] == (24, 40):
            raise BackendError("invalid shape")
        return array

    with pytest.raises(ParityError, match="batch 2 at 24x40: invalid shape"):
        prove_spoilt(checkpoint, spoil)


def test_pictures_of_another_size_are_caught(checkpoint):
    with pytest.raises(ParityError, match="instead of"):
        prove_spoilt(checkpoint, lambda name, a: a[..., 1:] if name == "translate" else a)


def test_values_that_are_not_finite_are_caught(checkpoint):
    with pytest.raises(ParityError, match="not finite"):
        prove_spoilt(checkpoint, lambda _, array: array * np.nan)


def test_a_checkpoint_that_diverged_is_named_as_such(checkpoint, tmp_path):
    content = load_checkpoint(checkpoint)
    path = tmp_path / "diverged.safetensors"
    save_checkpoint(path, content.card, {k: t * np.nan for k, t in content.tensors.items()})
    with pytest.raises(ModelError, match="training diverged"):
        prove_spoilt(path, lambda _, array: array)


def test_the_tolerance_can_be_chosen(checkpoint):
    with (
        EagerRuntime(checkpoint, OpenOptions(device="cpu")) as good,
        Spoilt(checkpoint, OpenOptions(device="cpu")) as bad,
    ):
        bad.spoil = lambda _, array: np.clip(array + 2 / 127.5, -1, 1)
        wide = Tolerance(
            max_difference=3,
            mean_difference=3,
            psnr_db=30,
            relative_difference=10,
            label_agreement=0,
        )
        verdicts = prove(good, bad, wide)
    translate = next(v for v in verdicts if v.entry_point == "translate")
    assert 1 <= translate.measured["max_difference"] <= 3
    assert translate.tolerance == {"max_difference": 3, "mean_difference": 3, "psnr_db": 30}
    assert describe(translate).startswith("max difference 2 of 255, mean 2")


def test_cases_hold_different_faces_and_valid_targets(checkpoint):
    card = read_card(checkpoint)
    cases = make_cases(card.entry_points["translate"], card)
    faces = {face.tobytes() for case in cases for face in case.pixels}
    assert len(faces) == 22
    labels = np.concatenate([case.labels for case in cases])
    assert set(labels.ravel()) <= {0.0, 1.0}
    assert (labels[:, :3].sum(axis=1) <= 1).all()  # hair colours exclude one another
    assert {word for case in cases for word in case.targets} == {
        target.text for target in card.labels.single_targets()
    }


def test_the_classifier_is_tried_at_its_only_size(checkpoint):
    card = read_card(checkpoint)
    cases = make_cases(card.entry_points["classify"], card)
    assert [case.pixels.shape for case in cases] == [
        (1, 32, 32, 3),
        (3, 32, 32, 3),
        (16, 32, 32, 3),
    ]


@pytest.mark.parametrize(
    ("side", "sizes"),
    [
        (Dim(symbol="side", min=4, multiple=4), [32, 24, 40]),
        (Dim(symbol="side", min=48, multiple=16), [48, 48, 64]),
        (Dim(symbol="side", max=20, multiple=4), [20, 16, 20]),
        (Dim(symbol="side", min=32, multiple=32), [32, 32, 64]),
        (Dim(symbol="side", min=16, max=32, multiple=16), [32, 32, 16]),
        (Dim(symbol="side", min=32, max=48, multiple=32), [32, 32, 32]),
    ],
)
def test_sizes_keep_to_the_cards_limits(checkpoint, side, sizes):
    card = read_card(checkpoint)
    point = card.entry_points["translate"]
    image = replace(point.inputs[0], shape=(*point.inputs[0].shape[:2], side, side))
    one, _, other, *_ = make_cases(replace(point, inputs=(image, *point.inputs[1:])), card)
    assert [one.pixels.shape[1], *other.pixels.shape[1:3]] == sizes


@pytest.mark.parametrize("kind", ["onehot", "joint"])
def test_other_label_spaces_get_valid_targets(checkpoint, kind):
    domains = onehot_space(("happy", "sad", "calm"))
    attributes = multilabel_space(("Male", "Young"))
    space = domains if kind == "onehot" else type(domains)(sets=(*attributes.sets, *domains.sets))
    card: ModelCard = replace(read_card(checkpoint), labels=space)
    for case in make_cases(card.entry_points["translate"], card):
        assert case.labels.shape == (len(case.pixels), space.label_width)
        if kind == "onehot":
            assert (case.labels.sum(axis=1) == 1).all()
        else:
            assert (case.labels[:, -2:].sum(axis=1) == 1).all()


def test_styles_of_a_proof_are_those_that_the_model_makes(styled):
    seen = []

    class Watched(EagerRuntime):
        def _execute(self, entry_point, inputs):
            seen.append((entry_point, inputs))
            return super()._execute(entry_point, inputs)

    with Watched(styled["plain"], OpenOptions(device="cpu")) as runtime:
        assert all(found.verdict.passed for found in compare(runtime, runtime))
        first = [name for name, _ in seen].index("translate")
        maker, latents = seen[first - 1]
        assert maker == "map"
        styles = runtime.run(latents, entry_point="map")["style"]
    for name, inputs in seen[first : first + 2]:
        assert name == "translate"
        assert np.array_equal(inputs["style"], styles)
