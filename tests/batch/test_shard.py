import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stargan_deploy.batch.shard import WHOLE, Shard, parse_shard, shard_of
from stargan_deploy.errors import UsageError

shards = st.integers(1, 40).flatmap(
    lambda count: st.builds(Shard, index=st.integers(1, count), count=st.just(count))
)
names = st.one_of(st.text(min_size=1), st.binary(min_size=1).map(os.fsdecode))


@given(names, st.integers(1, 1000))
def test_every_photo_is_in_exactly_one_shard(name, count):
    assert [i for i in range(1, count + 1) if Shard(index=i, count=count).holds(name)] == [
        shard_of(name, count)
    ]


def test_shards_are_the_same_on_every_machine_and_for_ever():
    assert [shard_of(f"sub/photo-{i}.jpg", 4) for i in range(12)] == EXPECTED
    assert shard_of("sub/Größe.jpg", 997) == shard_of("sub/Gro\u0308ße.jpg", 997)


EXPECTED = [3, 4, 3, 2, 3, 2, 3, 2, 1, 3, 3, 2]


def test_shards_are_about_equal():
    counts = [0] * 8
    for i in range(8000):
        counts[shard_of(f"{i:06d}.jpg", 8) - 1] += 1
    assert min(counts) > 900
    assert max(counts) < 1100


@given(shards, shards)
def test_shards_overlap_where_a_photo_could_be_of_both(one, other):
    hashes = range(one.count * other.count)
    share_one = any(
        h % one.count + 1 == one.index and h % other.count + 1 == other.index for h in hashes
    )
    assert one.overlaps(other) == other.overlaps(one) == share_one
    assert one.overlaps(WHOLE)


def test_reading_a_shard():
    assert parse_shard(" 3/8 ") == Shard(index=3, count=8)
    assert str(parse_shard("3/8")) == "3/8"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0/4", "count from 1, so the last one is 4/4"),
        ("5/4", "no shard 5/4"),
        ("1/0", "1 to 1000000 shards"),
        ("1/9999999", "1 to 1000000 shards"),
        *(
            (text, "takes I/N")
            for text in ("", "3", "a/b", "1/2/3", "-1/4", "1.0/4", "\u0661/\u0664", "1e3/4")
        ),
    ],
)
def test_wrong_shards_are_refused_in_one_line(text, message):
    with pytest.raises(UsageError, match=message) as refusal:
        parse_shard(text)
    assert "\n" not in str(refusal.value)
