import os
from pathlib import PurePosixPath

from stargan_deploy.presentation.text import evenly, one_line, printable, visible


def test_names_that_are_no_utf8_can_be_printed():
    name = os.fsdecode(b"b\xffd.jpg")
    assert printable(PurePosixPath(name)).encode() == b"b\\udcffd.jpg"
    assert printable("Größe.jpg") == "Größe.jpg"


def test_text_that_could_steer_a_terminal_is_made_harmless():
    assert visible("a\x1b[2Jb\nc") == "a\N{REPLACEMENT CHARACTER}[2Jb\nc"
    assert one_line("a\x1bb\nc\udcff") == "a\\x1bb\\nc\\udcff"


def test_an_excerpt_has_both_ends():
    assert evenly(range(10), 4) == [0, 3, 6, 9]
    assert evenly("ab", 4) == ["a", "b"]
