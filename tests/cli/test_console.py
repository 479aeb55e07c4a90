"""What the library logs reaches the user in the command line's words."""

import logging

import pytest

from stargan_deploy.cli.console import log_to_stderr, set_quiet

log = logging.getLogger("stargan_deploy.somewhere")


def test_logged_messages_are_one_line_each_with_flags(capsys):
    with log_to_stderr():
        log.info("auto: not proven;\n  prove it or set `backend`")
        log.warning("%s is slow", "this")
        log.debug("unseen")
    log.info("after")
    assert capsys.readouterr().err.splitlines() == [
        "auto: not proven; prove it or set --backend",
        "warning: this is slow",
    ]


@pytest.mark.parametrize("level", ["info", "warning"])
def test_quiet_silences_them(capsys, level):
    set_quiet(True)
    try:
        with log_to_stderr():
            getattr(log, level)("words")
    finally:
        set_quiet(False)
    assert not capsys.readouterr().err
