"""What README and guides tell people to type exists, and the Python example runs."""

import re
import shlex
from pathlib import Path

import pytest

from stargan_deploy.data.synthetic.portrait import draw_face
from stargan_deploy.inference.find import DEMO_MODEL
from tests.readme_table import readme_as_it_should_be

ROOT = Path(__file__).parent.parent
GUIDES = [
    ROOT / "README.md",
    ROOT / "docs/batch.md",
    ROOT / "docs/python.md",
    *(ROOT / f / "README.md" for f in ("train", "export")),
]


def code_blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def commands():
    for path in GUIDES:
        for block in code_blocks(path, "sh"):
            for line in block.splitlines():
                words = shlex.split(line, comments=True)
                if words and words[0] == "stargan-deploy":
                    yield pytest.param(words[1:], id=" ".join(words))


@pytest.mark.parametrize("words", list(commands()))
def test_commands_and_their_options_exist(command, words):
    shown = command(words[0], "--help")
    assert shown.code == 0
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown.out)
    for option in (word for word in words if word.startswith("--")):
        assert option in plain
    for recipe in (word for word in words if word.startswith("train/")):
        assert (ROOT / recipe).is_file()


@pytest.mark.parametrize("path", GUIDES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (path.parent / link).exists(), link


def test_the_two_commands_are_targets_of_the_makefile():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test"):
        assert f"make {target} " in text
        assert f"\n{target}:" in makefile


def test_the_python_example_runs(command, tmp_path):
    (example,) = code_blocks(ROOT / "README.md", "python")
    assert command("export", DEMO_MODEL, "--out", "model.onnx").code == 0
    draw_face({"Black_Hair": True, "Young": True}, seed=5).save(tmp_path / "photo.jpg")
    exec(compile(example, "README.md", "exec"), {})
    assert (tmp_path / "blond.png").is_file()


def test_the_table_of_speeds_is_that_of_the_results():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text == readme_as_it_should_be(), "run: python -m tests.readme_table"
