"""Distances of feature sets, against their definitions."""

import numpy as np
import pytest

from stargan_deploy.errors import UsageError
from stargan_deploy.evaluation.distance import (
    cosine,
    diversity,
    frechet,
    frechet_distance,
    kernel_distance,
    precision_recall,
)
from stargan_deploy.evaluation.feature_set import FeatureSet


def set_of(rows, batch=64, **options):
    made = FeatureSet(**options)
    for start in range(0, len(rows), batch):
        made.add(rows[start : start + batch])
    return made


def drawn(seed, num, width=16, offset=0.0, scale=1.0):
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).standard_normal((width, width)) / width**0.5
    return (random.standard_normal((num, width)) @ mixing * scale + offset).astype(np.float32)


def test_a_set_knows_the_moments_of_all_rows():
    rows = drawn(0, 300) + 1000  # far from zero, where plain sums lose digits
    made = set_of(rows, max_rows=50)
    doubles = rows.astype(np.float64)
    assert (made.count, made.width, made.rows.shape) == (300, 16, (50, 16))
    np.testing.assert_allclose(made.mean, doubles.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(made.covariance, np.cov(doubles, rowvar=False), rtol=1e-9)


def test_the_rows_kept_are_a_fair_choice_whatever_the_batches():
    rows = np.arange(1000, dtype=np.float32)[:, None]
    kept = [set_of(rows, max_rows=100, seed=seed).rows.mean() for seed in range(30)]
    assert abs(np.mean(kept) - 499.5) < 20  # 3.8 standard errors
    one, many = set_of(rows, 1000, max_rows=100), set_of(rows, 7, max_rows=100)
    assert np.array_equal(one.rows, many.rows)


def test_a_set_takes_one_width_only():
    made = set_of(drawn(0, 8))
    with pytest.raises(UsageError, match="16 features takes no batch of 3"):
        made.add(np.zeros((2, 3), np.float32))
    made.add(np.zeros((0, 3), np.float32))
    assert made.count == 8


@pytest.mark.parametrize("width", [4, 64])
def test_the_frechet_distance_is_the_formula(width):
    linalg = pytest.importorskip("scipy.linalg")
    a, b = (drawn(s, 4 * width, width, offset=s / 9, scale=1 + s / 5).astype(float) for s in (1, 2))
    means = a.mean(axis=0), b.mean(axis=0)
    covs = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = linalg.sqrtm(covs[0] @ covs[1])
    wanted = ((means[0] - means[1]) ** 2).sum() + np.trace(covs[0] + covs[1] - 2 * root.real)
    assert frechet(means[0], covs[0], means[1], covs[1]) == pytest.approx(wanted, rel=1e-9)
    found = frechet_distance(set_of(a), set_of(b))
    assert found.value == pytest.approx(wanted, rel=1e-6)
    assert found.low < found.value < found.high


def test_a_shift_of_the_mean_adds_its_square():
    rows = drawn(0, 200, 8)
    shift = np.zeros(8, np.float32)
    shift[3] = 2
    found = frechet_distance(set_of(rows), set_of(rows + shift))
    assert found.value == pytest.approx(4, rel=1e-4)
    assert frechet_distance(set_of(rows), set_of(rows)).value == pytest.approx(0, abs=1e-6)


def test_too_few_images_for_a_covariance_are_refused():
    many, few = set_of(drawn(0, 100)), set_of(drawn(1, 16))
    for pair in ((many, few), (few, many)):
        with pytest.raises(UsageError, match="needs at least 17 images in each set, not 16"):
            frechet_distance(*pair)
    with pytest.raises(UsageError, match="needs two images at least, not 0"):
        _ = FeatureSet().covariance
    with pytest.raises(UsageError, match="at least 20 images in each set, not 16"):
        kernel_distance(many, few)
    with pytest.raises(UsageError, match="at least 4 images in each set, not 3"):
        precision_recall(many, set_of(drawn(0, 3)))
    with pytest.raises(UsageError, match="16 features cannot be compared with 4 others"):
        frechet_distance(many, set_of(drawn(0, 100, 4)))


def test_intervals_cover_the_distance_of_as_many_images():
    """Three quarters at least of nominal 95 % intervals hold the mean of 40 other estimates."""
    pairs = [(drawn(s, 150, 4), drawn(1000 + s, 150, 4, offset=0.3)) for s in range(40)]
    sets = [(set_of(a), set_of(b)) for a, b in pairs]
    for distance in (frechet_distance, lambda a, b: kernel_distance(a, b, subsets=30)):
        found = [distance(a, b) for a, b in sets]
        centre = np.mean([each.value for each in found])
        assert sum(each.low <= centre <= each.high for each in found) >= 30


def test_the_kernel_distance_is_the_mean_of_unbiased_discrepancies():
    rows = drawn(1, 40, 3), drawn(2, 40, 3, offset=0.5)
    found = kernel_distance(*map(set_of, rows), subsets=400, subset_size=20)

    def kernel(x, y):
        return (float(x @ y) / 3 + 1) ** 3

    a, b = (each.astype(np.float64) for each in rows)
    pairs = [(i, j) for i in range(40) for j in range(40) if i != j]
    within = [np.mean([kernel(each[i], each[j]) for i, j in pairs]) for each in (a, b)]
    across = np.mean([kernel(x, y) for x in a for y in b])
    assert found.value == pytest.approx(sum(within) - 2 * across, rel=0.05)
    assert found.low < found.value < found.high
    assert kernel_distance(set_of(a), set_of(b)) == kernel_distance(set_of(a), set_of(b))


def test_the_kernel_distance_of_like_sets_is_about_zero():
    found = kernel_distance(set_of(drawn(1, 400)), set_of(drawn(2, 400)))
    assert found.low < 0 < found.high


def test_precision_and_recall_count_images_within_the_other_manifold():
    real = drawn(0, 300, 2)
    collapsed = real[real[:, 0] > 0]  # right, but without half of the variety
    precision, recall = precision_recall(set_of(real), set_of(collapsed))
    assert precision.value > 0.95
    assert recall.value < 0.8
    far, none = precision_recall(set_of(real), set_of(real + 100))
    assert (far.value, none.value) == (0, 0)
    assert 0 == far.low < far.high < 0.02
    same = precision_recall(set_of(real), set_of(real))
    assert [each.value for each in same] == [1, 1]


def test_precision_is_the_definition():
    real, made = drawn(0, 25, 2).astype(float), drawn(1, 30, 2, offset=0.4).astype(float)
    far = [sorted(np.linalg.norm(real - row, axis=1))[3] for row in real]
    wanted = np.mean([(np.linalg.norm(real - row, axis=1) <= np.array(far)).any() for row in made])
    precision, _ = precision_recall(set_of(real), set_of(made))
    assert precision.value == pytest.approx(wanted)


def test_diversity_is_the_mean_distance_of_unit_vectors():
    rows = np.array([[[1, 0], [0, 5], [-2, 0]], [[1, 1], [2, 2], [3, 3]]], np.float32)
    assert diversity(rows) == pytest.approx([(2**0.5 + 2**0.5 + 2) / 3, 0], abs=1e-7)
    with pytest.raises(UsageError, match="two images of each photo"):
        diversity(rows[:, :1])


def test_cosine_is_one_for_the_same_direction():
    rows = drawn(0, 5)
    assert cosine(rows, 3 * rows) == pytest.approx(1)
    assert cosine(rows, -rows) == pytest.approx(-1)
    assert cosine(np.zeros((1, 4)), np.ones((1, 4))) == 0
    centre = rows.mean(axis=0)
    assert cosine(rows, rows, centre) == pytest.approx(1)
    assert abs(cosine(rows + 100, rows[::-1] + 100, centre + 100).mean()) < 0.5
