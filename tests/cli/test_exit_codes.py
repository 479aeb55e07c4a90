"""Exit codes and flags, which only the command line knows."""

import pickle
import signal

import pytest

from stargan_deploy import errors
from stargan_deploy.cli.exit_codes import EXIT_CODES, exit_code_of
from stargan_deploy.cli.flags import with_flags


def every_error() -> list[type[errors.StarganDeployError]]:
    return [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.StarganDeployError)
    ]


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_has_the_code_of_its_nearest_class(kind):
    if kind is errors.StoppedError:
        assert exit_code_of(kind("stopped", signal=signal.SIGTERM)) == 128 + signal.SIGTERM
        return
    listed = [base for base in kind.__mro__ if base in EXIT_CODES]
    assert exit_code_of(kind("wrong")) == EXIT_CODES[listed[0]]


def test_a_hint_follows_the_message():
    error = errors.UsageError("there is a file", hint="`overwrite` replaces it")
    assert (error.message, error.hint) == ("there is a file", "`overwrite` replaces it")
    assert str(error) == "there is a file; `overwrite` replaces it"
    assert with_flags(str(error)) == "there is a file; --overwrite replaces it"


def test_flags_that_are_spelt_otherwise_are_known():
    assert with_flags("set `train.steps` to 5") == "set train.steps to 5"
    assert with_flags("`strengths` and `max_batch`, not `A B`") == (
        "--strength and --max-batch, not `A B`"
    )


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_survives_the_way_from_another_process(kind):
    error = kind("wrong", hint="fix it")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.message, copy.hint, str(copy)) == (kind, "wrong", "fix it", str(error))
