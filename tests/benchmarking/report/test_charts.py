import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stargan_deploy.backends.registry import BACKENDS
from stargan_deploy.benchmarking.report import charts, plots
from stargan_deploy.benchmarking.report.format import groups
from stargan_deploy.benchmarking.report.labelling import (
    CLEARANCE,
    LINE,
    Box,
    place_labels,
    shortened,
    spread,
    text_width,
)
from stargan_deploy.benchmarking.report.palette import colour

ALL = [
    charts.latency_figure,
    charts.paths_figure,
    charts.speed_figure,
    charts.start_up_figure,
    charts.roofline_figure,
    plots.throughput_figure,
    plots.quality_figure,
]


def drawing(figure):
    """The SVG of a figure, which must be well-formed XML."""
    (svg,) = re.findall(r"<svg.*</svg>", figure, re.DOTALL)
    return ET.fromstring(svg.encode("utf-8", "replace"))  # as pages are written


def lanes(figure):
    """Names of a figure's backends from the top, with their group."""
    found = [node for node in drawing(figure).iter("g") if "mark" in node.get("class", "").split()]
    return {node.find("text[@class='name']").text: node for node in found}


def bars(figure):
    """Width of each bar by the backend's name, in the drawing's units."""
    return {
        name: sum(float(bar.get("width")) for bar in node.findall("rect[@class]")[1:])
        for name, node in lanes(figure).items()
    }


def numbers(path):
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", path)]


def centre(node):
    """Where a circle or an outlined mark lies."""
    mark = node.find("circle")
    if mark is not None:
        return float(mark.get("cx")), float(mark.get("cy"))
    shapes = ("square", "triangle", "diamond")
    (path,) = [p for p in node.findall("path") if p.get("class") in shapes]
    return tuple(numbers(path.get("d"))[:2])


@pytest.fixture
def group(results):
    return groups(results.rows)[0]


@pytest.fixture
def sized(results):
    """All batch sizes together."""
    return groups(results.rows, by_batch=False)[0]


def test_groups_hold_what_may_be_compared(cuda_results):
    found = groups(cuda_results.rows)
    assert [group.title for group in found][:2] == [
        "cuda, 128x128, batch 1",
        "cuda, 128x128, batch 8",
    ]
    assert sum(len(group.rows) for group in found) == len(cuda_results.rows)
    assert len(groups(cuda_results.rows, by_batch=False)) == 2
    both = groups([*cuda_results.rows, replace(cuda_results.rows[0], device="cpu")])
    assert both[-1].title == "cpu, 128x128, batch 1"


def test_groups_keep_entry_points_apart(two_way_results):
    found = groups(two_way_results.rows)
    assert [group.title for group in found] == [
        f"{point}, cpu, 128x128, batch {batch}" for point in ("a2b", "b2a") for batch in (1, 8)
    ]
    assert all(len({row.entry_point for row in group.rows}) == 1 for group in found)


def test_latency_bars_are_as_long_as_their_medians_and_sorted(group):
    widths = bars(charts.latency_figure(group))
    medians = {
        f"{row.backend} {row.asked_precision}": row.timing("host to host").statistics.p50_ms
        for row in group.rows
    }
    assert next(iter(widths)) == "openvino INT8+FP32†"
    assert list(widths.values()) == sorted(widths.values())
    ratio = widths["compile FP32"] / widths["openvino BF16"]
    assert ratio == pytest.approx(medians["compile fp32"] / medians["openvino bf16"], rel=0.01)


def test_whiskers_reach_to_p90_and_p99(group):
    figure = charts.latency_figure(group)
    node = lanes(figure)["compile FP32"]
    row = next(row for row in group.rows if row.backend == "compile")
    found = row.timing("host to host").statistics
    bar = node.find("rect[@class='bar part0']")
    left, end = float(bar.get("x")), float(bar.get("x")) + float(bar.get("width"))
    start, _, *_ = numbers(node.find("path[@class='whisker']").get("d"))
    strokes = re.findall(r"M([\d.]+) [\d.]+v8", node.find("path[@class='whisker']").get("d"))
    unit = (end - left) / found.p50_ms
    assert start == pytest.approx(end, abs=0.2)
    assert [float(x) for x in strokes] == pytest.approx(
        [left + unit * found.p90_ms, left + unit * found.p99_ms], abs=0.3
    )
    assert "p90" in node.find("title").text


def test_rare_late_calls_do_not_flatten_the_chart(group):
    row = group.rows[0]
    timing = row.timing("host to host")
    late = replace(timing, statistics=replace(timing.statistics, p99_ms=50_000.0))
    rows = (replace(row, timings=(late,)), *group.rows[1:])
    widths = bars(charts.latency_figure(replace(group, rows=rows)))
    assert widths["compile FP32"] > 80


def test_the_three_paths_are_three_marks_in_order(group):
    for node in lanes(charts.paths_figure(group)).values():
        ring, dot, square = node.findall("circle") + node.findall("path")[1:]
        assert [ring.get("class"), dot.get("class"), square.get("class")] == [
            "ring",
            "circle",
            "square",
        ]
        assert numbers(square.get("d"))[0] > float(ring.get("cx"))


def test_start_up_is_split_into_its_parts(group):
    figure = charts.start_up_figure(group)
    node = lanes(figure)["pt2 FP32"]
    build, load, first = (float(bar.get("width")) for bar in node.findall("rect")[1:])
    assert build / (build + load + first) == pytest.approx(26 / (26 + 0.31 + 0.4), rel=0.01)
    assert "build: 26.0 s\nload: 0.31 s\nfirst call: 0.40 s" in node.find("title").text
    assert "build: \N{EN DASH}" in lanes(figure)["eager FP32"].find("title").text


def test_the_roof_is_a_line_at_100_percent(results):
    figure = charts.roofline_figure(groups(results.rows)[1])
    roof = numbers(drawing(figure).find("path[@class='reference']").get("d"))[0]
    (tick,) = [n for n in drawing(figure).iter("text") if n.text == "100%"]
    assert float(tick.get("x")) == roof
    bar = lanes(figure)["openvino FP32"].find("rect[@class='bar part0']")
    assert float(bar.get("x")) + float(bar.get("width")) > roof
    assert "Winograd" in lanes(figure)["openvino FP32"].find("title").text


def test_throughput_has_a_line_for_each_backend_and_precision(sized):
    figure = plots.throughput_figure(sized)
    found = lanes(figure)
    assert len(found) == len(sized.rows) / 2
    for node in found.values():
        line = numbers(node.find("path[@class='line']").get("d"))
        assert len(line) == 4
        assert len(node.findall("g")) == 2
    ends = {name: numbers(n.find("path[@class='line']").get("d"))[3] for name, n in found.items()}
    assert min(ends, key=ends.get) == "openvino INT8+FP32†"
    assert max(ends, key=ends.get) == "compile FP32"


def test_labels_of_crowded_lines_keep_their_distance(sized):
    labels = [n.find("text[@class='name']") for n in lanes(plots.throughput_figure(sized)).values()]
    places = sorted(float(label.get("y")) for label in labels)
    assert min(b - a for a, b in pairwise(places)) >= LINE - 0.1


def test_up_is_nearer_and_right_is_faster(group):
    found = {name: centre(node) for name, node in lanes(plots.quality_figure(group)).items()}
    x, y = found["eager FP32"]
    reference = drawing(plots.quality_figure(group)).find("path[@class='reference']")
    assert x == numbers(reference.get("d"))[0]
    assert found["openvino BF16"][0] > found["onnx FP32"][0] > x > found["compile FP32"][0]
    assert y < found["onnx FP32"][1] < found["onnx FP16"][1] < found["openvino BF16"][1]


def test_eager_is_the_reference_even_where_it_was_not_compared(group):
    rows = tuple(replace(r, picture_error=None, speedup=None) for r in group.rows)
    assert list(lanes(plots.quality_figure(replace(group, rows=rows)))) == ["eager FP32"]


def test_a_precision_that_was_not_asked_for_is_named(group):
    row = replace(group.rows[3], precision="float32")
    figure = charts.latency_figure(replace(group, rows=(row,)))
    assert list(lanes(figure)) == ["onnx FP32 (asked FP16)"]


def test_rows_of_one_name_are_told_apart_by_device(group):
    rows = (group.rows[0], replace(group.rows[0], device="cpu:1"))
    assert list(lanes(charts.latency_figure(replace(group, rows=rows)))) == [
        "eager FP32 cpu",
        "eager FP32 cpu:1",
    ]


def test_a_backend_has_its_own_colour_everywhere(results, cuda_results):
    assert len({colour(name) for name in BACKENDS}) == len(BACKENDS)
    for rows in (results.rows, cuda_results.rows):
        for draw in ALL:
            for name, node in lanes(draw(groups(rows)[0])).items():
                assert colour(name.split()[0]) in node.get("class").split()
    assert {colour(f"other {i}") for i in range(20)} == {"b6", "b7"}


@pytest.mark.parametrize("draw", ALL)
def test_odd_results_give_whole_drawings_or_none(draw, odd_results):
    for group in groups(odd_results.rows):
        figure = draw(group)
        assert not figure or drawing(figure).get("viewBox")
        assert "nan" not in figure.lower().replace("name", "")
        assert "inf" not in re.sub(r"<title>.*?</title>", "", figure, flags=re.DOTALL)


@pytest.mark.parametrize("draw", ALL)
def test_rows_without_figures_give_no_chart(draw, group):
    bare = replace(group.rows[1], timings=(), picture_error=None, start_up=None, roofline=None)
    assert draw(replace(group, rows=(bare,))) == ""


def test_training_is_drawn_with_the_most_first(results):
    found = bars(charts.training_figure(results.training))
    assert list(found) == ["bf16 compile", "bf16", "fp32", "plain loop"]
    assert found["bf16 compile"] / found["plain loop"] == pytest.approx(2.0, rel=0.02)
    assert charts.training_figure(()) == ""


places = st.floats(0, 300)
FRAME = Box(left=0, top=0, right=316, bottom=340)


@given(st.lists(st.tuples(places, places), max_size=14), st.integers(3, 20))
def test_labels_overlap_neither_each_other_nor_a_mark(points, length):
    boxes = place_labels(points, ["x" * length] * len(points), FRAME)
    found = [box for box in boxes if box is not None]
    for box in found:
        assert box.inside(FRAME)
        assert box.right - box.left == pytest.approx(text_width("x" * length))
        for x, y in points:
            assert not box.overlaps(
                Box(
                    left=x - CLEARANCE,
                    top=y - CLEARANCE,
                    right=x + CLEARANCE,
                    bottom=y + CLEARANCE,
                )
            )
    for index, box in enumerate(found):
        assert not any(box.overlaps(other) for other in found[index + 1 :])


def test_the_labels_of_a_cluster_all_find_a_place():
    points = [(150 + 5 * math.cos(i), 150 + 5 * math.sin(i)) for i in range(10)]
    assert None not in place_labels(points, ["openvino INT8+FP32"] * 10, FRAME)


@given(st.lists(st.floats(0, 200), max_size=12))
def test_spread_keeps_order_distance_and_range(wanted):
    moved = spread(wanted, 0.0, 200.0)
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    gaps = [moved[b] - moved[a] for a, b in pairwise(order)]
    assert all(gap >= LINE - 1e-9 for gap in gaps)
    assert all(-1e-9 <= place <= 200 + 1e-9 for place in moved)
    if all(b - a >= LINE for a, b in pairwise(sorted(wanted))):
        assert moved == pytest.approx(wanted)


@given(st.text(max_size=60), st.floats(7, 200))
def test_shortened_text_fits(text, width):
    assert text_width(shortened(text, width)) <= max(width, text_width("x"))
    if text_width(text) <= width:
        assert shortened(text, width) == text
