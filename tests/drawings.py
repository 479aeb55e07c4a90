"""Reads charts back."""

import re
import xml.etree.ElementTree as ET


def drawn(chart):
    """The SVG of a chart, which must be well-formed XML that needs nothing outside of it."""
    text = str(chart.svg()).encode("utf-8", "replace").decode()  # as pages are written
    root = ET.fromstring(text)
    assert not re.search(r"http|//|url\(|@import| id=|class=\"(?!mark|path|band)", text)
    assert "nan" not in text.lower().replace("name", "")
    assert all("#" not in node.get("style", "") for node in root.iter())
    return root
