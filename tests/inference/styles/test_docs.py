"""The Python example of the page about StarGAN v2 runs."""

import re
import shutil
from pathlib import Path

from PIL import Image

from stargan_deploy.export.proof.images import synthetic_face

PAGE = Path(__file__).parents[3] / "docs" / "starganv2.md"


def test_the_example_runs(styled, tmp_path, monkeypatch):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    shutil.copy(styled["plain"], "faces.safetensors")
    Image.fromarray(synthetic_face(1, 90, 90)).save("ref.jpg")
    names = {"photo": Image.fromarray(synthetic_face(0, 90, 90))}
    exec(compile(example.replace("female", "cat"), "starganv2.md", "exec"), names)
    assert names["between"].size == (64, 64)
