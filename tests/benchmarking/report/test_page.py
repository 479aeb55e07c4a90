import html
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations

import numpy as np
import pytest

from stargan_deploy.benchmarking.report.headlines import headlines
from stargan_deploy.benchmarking.report.page import write_report
from stargan_deploy.benchmarking.results import load_results, save_results
from stargan_deploy.errors import OutputError

VOID = {"meta", "br", "hr", "input"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), "")

CHARTS = (
    "Latency",
    "Speed against picture error",
    "Throughput over batch size",
    "Start-up",
    "Share of the roofline",
    "Where the time goes",
)


class Page(HTMLParser):
    """What a browser would find; complains about tags that do not close."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words, self.headings = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []
        self.drawings = [
            ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)
        ]

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data.strip())
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)
        if self.open and self.open[-1] == "style":
            assert not re.search(r"http|//|@import|url\(", data)


@pytest.fixture
def read(tmp_path):
    def written(results):
        write_report(results, tmp_path / "report.html")
        return Page((tmp_path / "report.html").read_text(encoding="utf-8"))

    return written


def check_it_is_one_file(page):
    assert not {"script", "link", "iframe", "object", "embed", "base", "img"} & {
        tag for tag, _ in page.tags
    }
    names = {name for _, attrs in page.tags for name in attrs}
    assert not names & {"src", "href", "xlink:href", "srcset", "action", "data", "id"}
    styles = [attrs["style"] for _, attrs in page.tags if "style" in attrs]
    assert not [style for style in styles if re.search(r"[(@/](?!--[a-z]\w*\))", style)]
    assert not [name for name in names if name.startswith("on")]


def test_the_page_has_every_chart_and_table(results, read):
    page = read(results)
    check_it_is_one_file(page)
    assert [heading for heading in page.headings if heading in CHARTS] == list(CHARTS)
    assert len(page.drawings) == 2 + 2 + 1 + 1 + 2 + 2 + 1
    tables = sum(tag == "table" for tag, _ in page.tags)
    assert tables == 11
    assert "Benchmark of faces128.safetensors" in page.words
    assert {"Example Xeon 8481C @ 2.70GHz, 2 cores", "torch 2.15.0", "2026-11-22 08:15 UTC"} <= set(
        page.words
    )


def test_every_row_and_path_is_in_its_table(results, read):
    words = read(results).words
    assert words.count("host to host") >= len(results.rows)
    assert words.count("end to end") >= len(results.rows)


def test_surroundings_are_told_before_and_after(cuda_results, read):
    page = read(cuda_results)
    assert {"before", "after", "118", "698", "83.0", "power cap, heat"} <= set(page.words)
    assert any("GPU was throttled" in word for word in page.words)
    assert "Mind this" in page.headings


def test_a_run_without_trouble_has_no_cautions(results, read):
    rows = [
        replace(
            row,
            verified=True,
            roofline=None,
            timings=tuple(replace(timing, stopped_by="stable") for timing in row.timings),
        )
        for row in results.rows
    ]
    assert "Mind this" not in read(replace(results, rows=tuple(rows))).headings


def test_what_is_missing_is_listed(results, read):
    page = read(results)
    assert "Not measured" in page.headings
    assert "OpenVINO does not run on NVIDIA GPUs" in page.words


def test_one_batch_size_gives_bars_instead_of_lines(build_results, read):
    page = read(build_results(batch_sizes=(1,)))
    assert "Throughput" in page.headings
    assert "Throughput over batch size" not in page.headings
    assert len(page.drawings) == 7


def test_odd_results_give_a_whole_page(odd_results, read):
    page = read(odd_results)
    check_it_is_one_file(page)
    assert len(page.words) > 20
    assert any("How to read this" in heading for heading in page.headings)


def test_names_are_escaped(odd_results, read, tmp_path):
    page = read(odd_results)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text
    if "<script>" in odd_results.model:
        name = odd_results.model.translate({0: 0xFFFD, 0x1B: 0xFFFD, 0xD800: "?"})
        assert page.words.count(name.strip()) > 5


def test_results_read_back_give_the_same_page(results, read, tmp_path):
    read(results)
    first = (tmp_path / "report.html").read_bytes()
    save_results(results, tmp_path / "results.json")
    read(load_results(tmp_path))
    assert (tmp_path / "report.html").read_bytes() == first


def test_a_folder_that_cannot_be_written_is_one_error(results, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"report\.html"):
        write_report(results, tmp_path / "file" / "report.html")


def test_headlines_are_the_best_of_the_proven_rows(results):
    found = {line.title: line for line in headlines(results.rows)}
    assert found["Lowest latency"].note.startswith("openvino BF16, batch 1")
    assert found["Without loss"].note.startswith("openvino FP32, at most one level off")
    assert found["Speed-up"].value == "3.17x"
    assert found["Images per s"].note == "openvino BF16, batch 8, 128x128"
    assert "99% within 200 ms" in found["Served in time"].note
    assert float(found["Roofline"].value.rstrip("%")) <= 100
    assert headlines([]) == []
    assert headlines([replace(row, verified=False) for row in results.rows]) == []


def test_headlines_name_the_entry_point_where_there_are_several(two_way_results):
    found = {line.title: line for line in headlines(two_way_results.rows)}
    assert found["Lowest latency"].note.startswith("openvino BF16 a2b, batch 1")


def with_calls(row, num):
    timings = [replace(t, statistics=replace(t.statistics, num=num)) for t in row.timings]
    return replace(row, timings=tuple(timings))


def test_no_headline_rests_on_a_few_calls(results):
    rows = [with_calls(r, 1) if r.backend == "openvino" else r for r in results.rows]
    found = {line.title: line for line in headlines(rows)}
    assert found["Lowest latency"].note.startswith("onnx INT8+FP32, batch 1")
    rows = [with_calls(r, 1) if r.backend == "eager" else r for r in results.rows]
    assert "Speed-up" not in {line.title for line in headlines(rows)}
    assert {"Lowest latency", "Roofline"} <= {line.title for line in headlines(rows)}


PROTANOPIA = [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
]
DEUTERANOPIA = [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
]
TRITANOPIA = [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.303900],
]
"""Machado, Oliveira and Fernandes 2009, severity 1, for linear RGB."""


def linear(colour):
    rgb = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def oklab(rgb):
    """Ottosson 2020; distances in it are about as the eye sees them."""
    to_lms = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(to_lab) @ np.cbrt(np.array(to_lms) @ np.clip(rgb, 0, 1))


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    "eye", [np.eye(3), PROTANOPIA, DEUTERANOPIA, TRITANOPIA], ids=["all", "red", "green", "blue"]
)
def test_backends_have_colours_that_every_eye_tells_apart(results, read, tmp_path, mode, eye):
    read(results)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    colours = [re.findall(rf"--b{index}: (#\w{{6}})", text)[mode] for index in range(6)]
    card = re.findall(r"--card: (#\w{6})", text)[mode]
    seen = [oklab(np.array(eye) @ linear(colour)) for colour in (*colours, card)]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 0.08


LOOK = """<script>
const found = {width: innerWidth, charts: 0, marks: 0, overlaps: [], outside: [], wide: []};
for (const svg of document.querySelectorAll("svg")) {
  found.charts += svg.getBoundingClientRect().width > 100;
  found.marks += svg.querySelectorAll(".mark, .band").length;
  const section = svg.closest("section").getBoundingClientRect();
  const texts = [...svg.querySelectorAll("text")].filter((t) => t.textContent);
  const boxes = texts.map((t) => t.getBoundingClientRect());
  boxes.forEach((a, i) => {
    if (a.left < section.left || a.right > section.right) found.outside.push(texts[i].textContent);
    boxes.slice(i + 1).forEach((b, j) => {
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 1 && down > 3) {
        found.overlaps.push([texts[i].textContent, texts[i + 1 + j].textContent]);
      }
    });
  });
}
if (document.documentElement.scrollWidth > innerWidth) {
  found.wide.push([document.documentElement.scrollWidth, innerWidth]);
}
parent.document.title = JSON.stringify(found);
</script></body>"""
"""Looks for text on text, text outside its card, and a page that scrolls sideways."""


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no chromium to open the page with")
@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("kind", ["cpu", "cuda", "hostile"])
def test_a_browser_shows_the_charts_and_nothing_overlaps(
    kind, width, results, cuda_results, hostile_results, tmp_path
):
    pages = {"cpu": results, "cuda": cuda_results, "hostile": hostile_results}
    path = tmp_path / "report.html"
    write_report(pages[kind], path)
    page = path.read_text(encoding="utf-8").replace("</body>", LOOK)
    outer = f'<iframe width="{width}" height="900" srcdoc="{html.escape(page)}"></iframe>'
    path.write_text(f"<!DOCTYPE html><meta charset=utf-8>{outer}", encoding="utf-8")
    flags = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'user'}")
    done = subprocess.run(
        [CHROMIUM, *flags, "--window-size=1400,1000", "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    (answer,) = re.findall("<title>(.*?)</title>", done.stdout)[:1]
    found = json.loads(html.unescape(answer))
    assert found["width"] == width
    assert found["charts"] == page.count("<svg ") >= 7
    assert found["marks"] > 10
    assert (found["overlaps"], found["outside"], found["wide"]) == ([], [], [])
