import numpy as np
import pytest

from stargan_deploy.backends.registry import open_runtime
from stargan_deploy.card.inputs import draw_latents
from stargan_deploy.errors import CardError, LabelError, ModelError, UsageError
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions
from stargan_deploy.inference.sampler import Sampler, SampleRequest, interpolated
from tests.tiny_families import lively_model


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    made = {}

    def checkpoint(family):
        if family not in made:
            made[family] = lively_model(family, tmp_path_factory.mktemp(family))
        return made[family]

    return checkpoint


def sample(path, batch_size=16, **wishes):
    with open_runtime(path, batch_size=batch_size) as runtime:
        return Sampler(runtime).sample(SampleRequest(**wishes))


@pytest.mark.parametrize("family", ["gan", "dcgan", "cgan", "progan"])
def test_a_picture_depends_on_seed_and_number_alone(family, trained):
    path = trained(family)
    many, few = sample(path, count=7, seed=3), sample(path, count=2, seed=3)
    assert many.shape[0] == 7
    assert many.shape[-1] == 3
    assert np.array_equal(many[:2], few)
    assert not np.array_equal(many, sample(path, count=7, seed=4))


@pytest.mark.parametrize(("format_", "suffix"), [("onnx", ".onnx"), ("openvino", ".xml")])
@pytest.mark.parametrize("family", ["cgan", "progan"])
def test_a_seed_gives_the_same_pictures_on_every_runtime(
    family, format_, suffix, trained, tmp_path
):
    pytest.importorskip(format_)
    artefact = tmp_path / f"model{suffix}"
    options = ExportOptions(format=format_, precision="fp32", max_batch=8)
    limit = export(trained(family), out=artefact, options=options).verdicts[0].tolerance
    difference = np.abs(
        sample(trained(family), count=9).astype(int) - sample(artefact, batch_size=4, count=9)
    )
    assert difference.max() <= limit["max_difference"]


def test_classes_come_in_turn_or_as_asked_for(trained):
    path = trained("cgan")
    turns, twos = sample(path, count=4), sample(path, count=4, label="2")
    assert np.array_equal(turns[2], twos[2])
    assert not np.array_equal(turns[0], twos[0])


def test_interpolation_starts_at_the_first_picture_and_ends_at_the_second(trained):
    path = trained("dcgan")
    ends, way = sample(path, count=2, seed=5), sample(path, count=6, seed=5, interpolate=True)
    assert np.abs(way[[0, -1]].astype(int) - ends).max() <= 1
    assert not np.array_equal(way[0], way[3])


def test_the_way_between_latents_keeps_their_length():
    first, last = draw_latents(range(2), 100, seed=0)
    lengths = np.linalg.norm(interpolated(first, last, 9), axis=1)
    assert lengths.min() > 0.95 * min(np.linalg.norm(first), np.linalg.norm(last))
    assert np.allclose(interpolated(first, first, 3), first, atol=1e-5)


def test_wishes_that_make_no_sense_are_refused(trained):
    with pytest.raises(LabelError, match="unknown class '7'; this model knows: 0, 1, 2"):
        sample(trained("cgan"), count=1, label="7")
    with pytest.raises(UsageError, match="no classes"):
        sample(trained("gan"), count=1, label="1")
    with pytest.raises(UsageError, match="count of 1 or more"):
        SampleRequest(count=0)
    with pytest.raises(UsageError, match="count of 2 or more"):
        SampleRequest(count=1, interpolate=True)
    with pytest.raises(UsageError, match="negative"):
        SampleRequest(count=1, seed=-1)


def test_a_model_that_translates_makes_no_pictures_from_noise(checkpoint):
    with pytest.raises(CardError, match="no images from noise, it has classify, translate"):
        sample(checkpoint, count=1)


def test_noise_that_gives_no_finite_images_is_refused(trained):
    with open_runtime(trained("gan")) as runtime:
        run = runtime.run
        runtime.run = lambda *a, **k: {n: o * np.nan for n, o in run(*a, **k).items()}
        with pytest.raises(ModelError, match="result is not finite"):
            Sampler(runtime).sample(SampleRequest(count=1, seed=0))
