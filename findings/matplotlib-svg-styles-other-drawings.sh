#!/bin/sh
# matplotlib 3.10.7 on Python 3, 2026-11-28.
#
# An SVG that matplotlib saves holds a style rule for every element: "*{stroke-linejoin: round;
# stroke-linecap: butt}". In a file of its own that is harmless. Inlined in an HTML page, where a style
# element holds for the whole document, it also changes the line ends and joins of every other
# drawing on the page, those with their own attributes included: a rule is stronger than an attribute.
#
# Seen: the rule below, whatever is drawn, and no setting that leaves it out.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check matplotlib==3.10.7
"$work/venv/bin/python" - <<'PYTHON'
import io
import re

from matplotlib import __version__
from matplotlib.figure import Figure

figure = Figure(figsize=(2, 1))
figure.add_subplot().plot([0, 1], [0, 1], solid_capstyle="round")
buffer = io.StringIO()
figure.savefig(buffer, format="svg", metadata={"Date": None})
(rule,) = re.findall(r"<style[^>]*>(.*?)</style>", buffer.getvalue(), re.DOTALL)
print(f"matplotlib {__version__}: <style>{rule.strip()}</style>")
assert rule.strip() == "*{stroke-linejoin: round; stroke-linecap: butt}", rule
PYTHON
