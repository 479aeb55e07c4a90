from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stargan_deploy.data.batches.order import JointOrder, Steps, StreamOrder, spread_order


def joint(sizes, *, round_steps, batch_size=2, seed=0):
    orders = [
        StreamOrder(size, batch_size=batch_size, seed=seed, flip=True, stream=stream)
        for stream, size in enumerate(sizes)
    ]
    return orders, JointOrder(orders, round_steps=round_steps)


def set_of(places, sizes):
    starts = np.cumsum([0, *sizes])
    (number,) = {int(np.searchsorted(starts, index, "right")) - 1 for index, _ in places}
    return number


def test_the_order_is_what_it_has_always_been():
    random = np.random.default_rng([5, 0])
    indices, flips = random.permutation(9), random.random(9) < 0.5
    places = StreamOrder(9, batch_size=9, seed=5, flip=True).at_step(0)
    assert places == list(zip(indices.tolist(), flips.tolist(), strict=True))


@given(num_images=st.integers(2, 20), left_out=st.sets(st.integers(0, 19)), seed=st.integers(0, 9))
def test_what_is_left_out_does_not_change_the_order_of_the_others(num_images, left_out, seed):
    left_out = {index for index in left_out if index < num_images - 1}
    num_kept = num_images - len(left_out)
    whole = StreamOrder(num_images, batch_size=num_images, seed=seed, flip=True)
    rest = StreamOrder(num_images, batch_size=num_kept, seed=seed, flip=True, left_out=left_out)
    for epoch in range(2):
        expected = [place for place in whole.at_step(epoch) if place[0] not in left_out]
        assert rest.at_step(epoch) == expected


sets = st.lists(st.integers(2, 9), min_size=1, max_size=4)


@given(sizes=sets, round_steps=st.integers(1, 6))
def test_sets_take_turns_for_both_players(sizes, round_steps):
    _, order = joint(sizes, round_steps=round_steps)
    turns = [set_of(order.at_step(step), sizes) for step in range(round_steps * len(sizes))]
    assert all(turns.count(number) == round_steps for number in range(len(sizes)))
    assert sorted(turns[round_steps - 1 :: round_steps]) == list(range(len(sizes)))
    if len(sizes) > 1:
        rounds = [turns[start : start + round_steps] for start in range(0, len(turns), round_steps)]
        assert all(a != b for turn in rounds for a, b in pairwise(turn))


@given(sizes=sets, round_steps=st.integers(1, 4), seed=st.integers(0, 5))
def test_each_set_is_streamed_as_if_alone(sizes, round_steps, seed):
    orders, order = joint(sizes, round_steps=round_steps, seed=seed)
    starts = np.cumsum([0, *sizes]).tolist()
    seen = [[] for _ in sizes]
    for step in range(3 * round_steps * len(sizes)):
        places = order.at_step(step)
        seen[set_of(places, sizes)].append(places)
    for start, alone, batches in zip(starts, orders, seen, strict=False):
        own = [[(index - start, flip) for index, flip in places] for places in batches]
        assert own == [alone.at_step(step) for step in range(len(own))]


@pytest.mark.parametrize("first_step", [0, 3, 1000])
def test_steps_go_on_from_anywhere(first_step):
    _, order = joint([5, 3], round_steps=2)
    taken = list(islice(Steps(order, first_step), 4))
    assert taken == [order.at_step(step) for step in range(first_step, first_step + 4)]


def test_sets_of_equal_size_are_shuffled_differently():
    first, second = joint([30, 30], round_steps=1)[0]
    assert first.at_step(0) != second.at_step(0)


@given(sizes=sets, count=st.integers(1, 12))
def test_spread_images_show_all_sets_and_their_ends(sizes, count):
    order = list(spread_order(sizes, count))
    assert sorted(order) == list(range(sum(sizes)))
    starts = np.cumsum([0, *sizes])
    first = [int(np.searchsorted(starts, index, "right")) - 1 for index in order[: len(sizes)]]
    assert first == list(range(len(sizes)))


def test_spread_over_one_set():
    assert list(spread_order([8], 4)) == [0, 2, 4, 6, 1, 3, 5, 7]
    assert list(spread_order([4, 6], 4)) == [0, 4, 2, 7, 1, 5, 3, 6, 8, 9]
