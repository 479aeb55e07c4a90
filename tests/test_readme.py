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
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / f / "README.md" for f in ("train", "export", "benchmarks")),
]

SUB_COMMANDS = (
    ["bench", "compare"],
    ["evaluate", "compare"],
    ["data", "check"],
    ["data", "download"],
)


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
    named = words[:2] if words[:2] in SUB_COMMANDS else words[:1]
    shown = command(*named, "--help")
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


@pytest.mark.parametrize("path", GUIDES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_to_headings_lead_somewhere(path):
    for place, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", path.read_text(encoding="utf-8")):
        text = (path.parent / place if place else path).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


def test_the_tests_and_findings_that_guides_name_exist():
    files = (ROOT / "tests").rglob("test_*.py")
    known = {name for file in files for name in re.findall(r"def (test_\w+)", file.read_text())}
    for path in GUIDES:
        text = path.read_text(encoding="utf-8")
        assert not set(re.findall(r"`(test_\w+)`", text)) - known, path
        for script in re.findall(r"`(findings/[\w.-]+)`", text):
            assert (ROOT / script).is_file(), script


@pytest.mark.parametrize(("guide", "least"), [("README.md", 2), ("CONTRIBUTING.md", 6)])
def test_targets_of_the_makefile_exist(guide, least):
    text = (ROOT / guide).read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lines = re.findall(r"^make ([a-z -]+)|`make ([a-z -]+)`", text, re.MULTILINE)
    named = {word for pair in lines for words in pair for word in words.split()}
    assert len(named) >= least
    for target in named:
        assert f"\n{target}:" in makefile


@pytest.mark.parametrize("path", GUIDES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_paths_named_exist(path):
    """Paths in the repository or the package; those in capitals or angle brackets are patterns."""
    text = path.read_text(encoding="utf-8")
    named = re.findall(
        r"`((?:tests|benchmarks|train|stargan_deploy|cli|files|docs)/[\w./]+)`", text
    )
    for place in (place for place in named if place.islower()):
        assert (ROOT / place).exists() or (ROOT / "stargan_deploy" / place).exists(), place


def test_the_python_example_runs(command, tmp_path):
    (example,) = code_blocks(ROOT / "README.md", "python")
    assert command("export", DEMO_MODEL, "--out", "model.onnx").code == 0
    draw_face({"Black_Hair": True, "Young": True}, seed=5).save(tmp_path / "photo.jpg")
    exec(compile(example, "README.md", "exec"), {})
    assert (tmp_path / "blond.png").is_file()


def test_the_table_of_speeds_is_that_of_the_results():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text == readme_as_it_should_be(), "run: python -m tests.readme_table"
