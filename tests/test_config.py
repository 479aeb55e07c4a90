from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stargan_deploy.config import (
    from_mapping,
    merge,
    parse_overrides,
    read_toml,
    to_mapping,
    to_toml,
)
from stargan_deploy.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 0.5
    names: tuple[str, ...] = ()
    mode: Literal["fast", "slow"] = "fast"

    def __post_init__(self):
        if self.rate < 0:
            raise ValueError(f"rate cannot be negative: {self.rate}")


@dataclass(frozen=True, kw_only=True)
class Outer:
    steps: int = 3
    limit: float | None = None
    loud: bool = False
    inner: Inner = field(default_factory=Inner)


def test_nested_tables_become_dataclasses():
    built = from_mapping(Outer, {"steps": 7, "limit": 2, "inner": {"rate": 1, "names": ["a"]}})
    assert built == Outer(steps=7, limit=2.0, inner=Inner(rate=1.0, names=("a",)))


def test_mapping_round_trip():
    config = Outer(limit=0.25, loud=True, inner=Inner(names=("x", "ü")))
    assert from_mapping(Outer, to_mapping(config)) == config


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        ({"stepz": 1}, "unknown setting 'stepz'; did you mean 'steps'"),
        ({"inner": {"rat": 1}}, "unknown setting 'inner.rat'; did you mean 'inner.rate'"),
        ({"steps": "many"}, "steps must be a whole number, not 'many'"),
        ({"steps": 1.5}, "steps must be a whole number"),
        ({"steps": True}, "steps must be a whole number"),
        ({"loud": 1}, "loud must be true or false"),
        ({"inner": 3}, "inner must be a table"),
        ({"inner": {"names": "ab"}}, "inner.names must be a list"),
        ({"inner": {"names": [1]}}, r"inner.names\[0\] must be a string"),
        ({"inner": {"mode": "fats"}}, "did you mean 'fast'"),
        ({"inner": {"rate": -1}}, "inner.rate cannot be negative"),
        ({"limit": "x"}, "limit must be a number"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tables, complaint):
    with pytest.raises(ConfigError, match=complaint):
        from_mapping(Outer, tables)


def test_overrides_read_toml_values_and_bare_words():
    tables = parse_overrides(["a.b=3", "a.c=1e-4", "a.d=word", 'a.e=["x", "y"]', "f=true"])
    assert tables == {"a": {"b": 3, "c": 1e-4, "d": "word", "e": ["x", "y"]}, "f": True}


@pytest.mark.parametrize("word", ["steps", "=3", "a..b=1", ".=1"])
def test_malformed_overrides_are_refused(word):
    with pytest.raises(ConfigError, match="`set` takes section"):
        parse_overrides([word])


def test_a_key_given_twice_is_refused():
    with pytest.raises(ConfigError, match=r"`set` gives train.steps twice"):
        parse_overrides(["train.steps=3", "seed=1", "train.steps=4"])


@pytest.mark.parametrize("text", ["[[Male,Young]]", "{a=b}", "[1, 2"])
def test_lists_whose_quotes_the_shell_removed_are_explained(text):
    with pytest.raises(ConfigError, match="is not TOML") as error:
        parse_overrides([f"data.exclusive={text}"])
    assert (
        error.value.hint
        == "put single quotes around all of it, or the shell removes the double ones"
    )


def test_merge_changes_single_values():
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}, "d": 4}) == {
        "a": {"b": 1, "c": 3},
        "d": 4,
    }


def test_unreadable_recipes_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot read recipe"):
        read_toml(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("steps = = 3")
    with pytest.raises(ConfigError, match="not a TOML recipe"):
        read_toml(tmp_path / "bad.toml")


plain = st.one_of(
    st.integers(-(2**60), 2**60),
    st.booleans(),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.lists(st.text(max_size=5), max_size=3),
)
keys = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)


@given(
    st.dictionaries(keys, st.one_of(plain, st.dictionaries(keys, plain, max_size=3)), max_size=4)
)
def test_written_toml_reads_back(tmp_path_factory, tables):
    path = tmp_path_factory.mktemp("toml") / "x.toml"
    path.write_text(to_toml(tables), encoding="utf-8")
    kept = {k: v for k, v in tables.items() if v != {}}
    assert read_toml(path) == kept
