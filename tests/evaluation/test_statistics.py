import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stargan_deploy.evaluation.statistics import Bootstrap, difference


def test_intervals_are_as_wide_as_theory_says():
    values = np.random.default_rng(0).normal(10, 2, (1, 900))
    found = Bootstrap(900).means(values).interval()
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * 2 / 30, rel=0.15)
    assert found.num == 900


def test_intervals_hold_the_truth_as_often_as_they_say():
    random = np.random.default_rng(1)
    hits = 0
    for number in range(200):
        values = random.random((1, 120)) < 0.7
        found = Bootstrap(120, num_draws=300, seed=number).means(values * 1.0).interval()
        hits += found.low <= 0.7 <= found.high
    assert 180 <= hits <= 199


def test_the_same_values_give_the_same_intervals():
    values = np.random.default_rng(2).random((3, 50))
    assert Bootstrap(50).means(values).interval() == Bootstrap(50).means(values).interval()


def test_photos_that_do_not_count_are_left_out():
    values = np.array([[1.0, np.nan, 3.0, np.nan], [np.nan] * 4, [5.0, 5.0, 5.0, 5.0]])
    means = Bootstrap(4).means(values)
    assert means.interval(0).value == 2
    assert means.interval(0).num == 2
    assert means.interval(1) is None
    whole = means.interval()
    assert (whole.value, whole.num) == (3.5, 4)


@pytest.mark.parametrize(("value", "low", "high"), [(1.0, 0.8316, 1.0), (0.0, 0.0, 0.1684)])
def test_agreement_of_few_photos_is_not_certainty(value, low, high):
    """Clopper and Pearson's bounds for 20 of 20."""
    found = Bootstrap(20).means(np.full((1, 20), value), is_share=True).interval()
    assert found.value == value
    assert found.low == pytest.approx(low, abs=1e-3)
    assert found.high == pytest.approx(high, abs=1e-3)
    same = Bootstrap(20).means(np.full((1, 20), value), is_share=True)
    both = difference(same, same)
    assert both.value == 0
    assert both.low == pytest.approx(-0.1684, abs=1e-3)


def test_pairs_see_what_means_alone_do_not():
    """Photos vary far more than two models differ on each of them."""
    random = np.random.default_rng(3)
    a = random.normal(50, 20, (1, 200))
    b = a + random.normal(1, 0.5, a.shape)
    bootstrap = Bootstrap(200)
    first, second = bootstrap.means(a), bootstrap.means(b)
    assert first.interval().high > second.interval().low
    found = difference(first, second)
    assert 0.9 < found.low < found.value < found.high < 1.1


def test_two_equal_models_are_noise():
    random = np.random.default_rng(4)
    bootstrap = Bootstrap(300)
    inside = 0
    for _ in range(60):
        a, b = (bootstrap.means((random.random((2, 300)) < 0.8) * 1.0) for _ in range(2))
        found = difference(a, b)
        inside += found.low <= 0 <= found.high
    assert inside >= 52


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(
        np.float64,
        st.tuples(st.integers(1, 4), st.integers(1, 12)),
        elements=st.one_of(st.just(np.nan), st.floats(-1e6, 1e6)),
    )
)
def test_any_values_have_an_interval_around_their_mean_or_none(values):
    means = Bootstrap(values.shape[1], num_draws=50).means(values)
    found = means.interval()
    if not np.isfinite(values).any():
        assert found is None
    else:
        assert np.isfinite([found.value, found.low, found.high]).all()
        low, high = np.nanmin(values), np.nanmax(values)
        assert low - 1e-6 <= found.low <= found.high <= high + 1e-6
