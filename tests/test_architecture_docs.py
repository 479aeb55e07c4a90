"""The modules, classes and functions that `docs/architecture.md` names exist."""

import ast
import re
from pathlib import Path

import pytest

from tests.test_layers import PACKAGE, ROOMS

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def exists(path):
    return any((root / path).exists() for root in (PACKAGE, ROOT))


def test_no_page_holds_marks_of_a_merge():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *ROOT.glob("*/*.toml")]
    marked = re.compile(r"^(<{7}|>{7}) |^={7}$", flags=re.MULTILINE)
    assert not [page for page in pages if marked.search(page.read_text(encoding="utf-8"))]


def section(title):
    return re.split(r"^## ", GUIDE.split(f"## {title}\n")[1], flags=re.MULTILINE)[0]


def test_places_exist():
    places = set(re.findall(r"`([a-z_0-9/]+(?:\.py|/))(?::\w+)?`", GUIDE))
    assert len(places) > 60
    assert not sorted(place for place in places if not exists(place))


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w/]+\.py:\w+)`", GUIDE))))
def test_functions_and_classes_exist(name):
    path, _, wanted = name.partition(":")
    body = ast.parse((PACKAGE / path).read_text(encoding="utf-8")).body
    assert wanted in {getattr(node, "name", "") for node in body}


def test_owners_are_where_the_page_says():
    for names, path in re.findall(
        r"((?:`[A-Z][a-z]\w+`(?:, | and )?)+) (?:in |\()`([\w/]+\.py)`", GUIDE
    ):
        text = (PACKAGE / path).read_text(encoding="utf-8")
        for name in re.findall(r"`(\w+)`", names):
            assert f"\nclass {name}" in text, (name, path)


def test_the_picture_shows_every_room():
    picture = section("Rooms").split("**")[0]
    shown = re.findall(r"^    ([a-z_]+(?:, [a-z_]+)*)(?:  |$)", picture, re.MULTILINE)
    rooms = [room for line in shown for room in line.split(", ")]
    assert set(rooms) == set(ROOMS)
    packages = [room for room in ROOMS if (PACKAGE / room).is_dir()]
    assert [room for room in rooms if room in packages] == packages[::-1]


def test_what_moved_is_there():
    for line in section("What moved").splitlines():
        folder = re.match(r"\|.*\| `([a-z_0-9/]+/)`:", line)
        if not folder:
            continue
        names = line[folder.end() :].split(";")[0]
        moved = re.findall(r"`(\w+)` → `(\w+)`", names)
        kept = re.findall(r"`(\w+)`", re.sub(r"`\w+` → `\w+`", "", names))
        for name in (*(new for _, new in moved), *kept):
            assert exists(f"{folder[1]}{name}.py"), (folder[1], name)
