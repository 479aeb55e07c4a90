from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stargan_deploy.card.labels import onehot_space
from stargan_deploy.errors import DataError, UsageError
from stargan_deploy.inference.styles.source import (
    StyleRequest,
    StyleSource,
    check_reference,
    load_reference,
    reference_files,
    styled_targets,
)
from stargan_deploy.inference.targets import name_targets
from tests.tiny_families import save_noise

SPACE = onehot_space(("cat", "dog"))


@pytest.fixture
def references(tmp_path):
    for name in ("a", "b"):
        save_noise(tmp_path / "references" / f"{name}.png", 40, 40)
    save_noise(tmp_path / "a.png", 40, 40, seed=1)
    return tmp_path / "references"


def targets(request, words=("cat", "dog")):
    return styled_targets(name_targets(SPACE, words), request)


def folders(request, words=("cat", "dog")):
    return [named.folder for named in targets(request, words)]


def test_without_a_wish_there_is_one_random_style():
    (source,) = StyleRequest().sources()
    assert source == StyleSource(seed=0, number=0)
    assert folders(StyleRequest()) == ["cat", "dog"]


def test_several_styles_have_folders_of_their_own(references):
    assert folders(StyleRequest(seed=7, styles=2), ["cat"]) == [
        "cat-style-1-of-seed-7", "cat-style-2-of-seed-7"
    ]  # fmt: skip
    assert folders(StyleRequest(references=(references,))) == ["cat-a", "cat-b", "dog-a", "dog-b"]
    both = StyleRequest(references=(references / "a.png",), styles=1)
    assert folders(both, ["dog"]) == ["dog-a", "dog-style-1-of-seed-0"]
    twins = StyleRequest(references=(references / "a.png", references.parent / "a.png"))
    named = targets(twins, ["cat"])
    assert [each.folder for each in named] == ["cat-a", "cat-a-2"]
    assert len({each.target.text for each in named}) == 2


def test_an_interpolation_leads_from_one_style_to_another(references):
    (named,) = targets(StyleRequest(references=(references,), interpolate=3), ["cat"])
    assert named.folder == "cat"
    assert named.target.text == "cat in a to b"
    assert len(named.target.styles) == 2
    assert StyleRequest(interpolate=3).positions == (0.0, 0.5, 1.0)
    assert [s.number for s in StyleRequest(interpolate=3).sources()] == [0, 1]
    with pytest.raises(UsageError, match="leads from one style to another, and there are 3"):
        StyleRequest(styles=3, interpolate=4).sources()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"seed": -1}, "`seed` cannot be negative: -1"),
        ({"styles": 0}, "`styles` must be from 1 to 1000, not 0"),
        ({"styles": 1001}, "`styles` must be from 1 to 1000, not 1001"),
        ({"interpolate": 1}, "`interpolate` must be from 2 to 1000, not 1"),
        ({"interpolate": -2}, "`interpolate` must be from 2 to 1000, not -2"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(settings, complaint):
    with pytest.raises(UsageError, match=complaint):
        StyleRequest(**settings)


def test_references_are_files_and_folders(references, tmp_path):
    found = reference_files([references / "b.png", references])
    assert [path.name for path in found] == ["b.png", "a.png"]
    with pytest.raises(DataError, match="no such reference"):
        reference_files([tmp_path / "none.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no images to take as references"):
        reference_files([tmp_path / "empty"])


@pytest.mark.parametrize("size", [(20, 20), (400, 100), (31, 90)])
def test_no_face_fills_a_strip_or_an_icon(size, tmp_path):
    path = tmp_path / "odd.png"
    Image.new("RGB", size).save(path)
    with pytest.raises(DataError, match=f"odd.png is {size[0]}x{size[1]}, which no face fills"):
        load_reference(path)
    check_reference(Image.new("RGB", (90, 32)), "fine")


def test_what_decides_a_style_is_recorded(references):
    file, other = (StyleSource(reference=references / f"{n}.png") for n in "ab")
    assert file.origin == other.origin  # equal content
    assert len(file.origin) == 64
    assert StyleSource(seed=3, number=1).origin == "style-2-of-seed-3"
    assert StyleSource(vector=np.zeros(4)).name == "given"
    assert StyleSource(reference=Path("x/me.jpg")).name == "me"
