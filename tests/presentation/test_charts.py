"""Charts as SVG: what is drawn where, and that it can stand in any page."""

import re
import subprocess
import sys
from itertools import combinations, pairwise

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stargan_deploy.presentation.bars import Bar, BarChart
from stargan_deploy.presentation.curves import Line, LineChart
from stargan_deploy.presentation.drawing import round_steps, shortened, text_width
from stargan_deploy.presentation.points import LINE, Path, Point, PointChart, spread
from stargan_deploy.presentation.text import visible
from tests.drawings import drawn

HOSTILE = '"><script>alert(1)</script>&$name$ `\x1b[31m\x00\ud800 中\nsecond'


def paths(root, style):
    """The outlines of all paths with a style, as arrays of places."""
    found = [node.get("d") for node in root.iter("path") if style in node.get("style")]
    return [np.array(numbers(outline)).reshape(-1, 2) for outline in found]


def numbers(text):
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", text)]


def texts(root):
    return {node.text: node for node in root.iter("text")}


def tips(root, style):
    return [node.find("title").text for node in root.iter() if node.get("class") == style]


def bar(name="onnx FP32", colour="b2", **look):
    return Bar(name=name, colour=colour, **look)


def bars(*found, **look):
    return BarChart(title="cpu", axis="ms a call", bars=found, **look)


def width(outline):
    return outline[:, 0].max() - outline[:, 0].min()


def test_bars_are_as_long_as_their_values_and_follow_one_another():
    root = drawn(bars(bar(parts=(30.0, 15.0)), bar(colour="b3", parts=(90.0,))))
    (first, second), (other,) = paths(root, "var(--b2)"), paths(root, "var(--b3)")
    assert width(first) == pytest.approx(2 * width(second), abs=0.3)
    assert width(other) == pytest.approx(3 * width(first), abs=0.3)
    assert second[:, 0].min() == pytest.approx(first[:, 0].max(), abs=0.2)
    assert other[:, 1].min() > first[:, 1].max()
    styles = [node.get("style") for node in root.iter("path") if "--b2" in node.get("style")]
    assert "fill-opacity:0.25" in styles[1] and "fill-opacity" not in styles[0]


def test_whiskers_reach_from_the_bar_to_their_places():
    root = drawn(bars(bar(parts=(50.0,), whisker=(70.0, 100.0))))
    block, span, first, last = paths(root, "var(--b2)")
    unit = width(block) / 50
    start = block[:, 0].min()
    assert span[:, 0] == pytest.approx([start + 50 * unit, start + 100 * unit], abs=0.3)
    assert first[:, 0] == pytest.approx(start + 70 * unit, abs=0.3)
    assert last[:, 0] == pytest.approx(start + 100 * unit, abs=0.3)


def test_what_lies_beyond_the_limit_is_cut():
    chart = bars(bar(parts=(50.0,), whisker=(5000.0,)), line=20.0, limit=80.0)
    root = drawn(chart)
    assert chart.high == 80
    block, span, *strokes = paths(root, "var(--b2)")
    assert span[:, 0].max() == pytest.approx(block[:, 0].min() + width(block) * 80 / 50, abs=1.1)
    assert not strokes


def test_the_line_crosses_all_lanes_at_its_value():
    root = drawn(bars(bar(parts=(1.0,)), bar(parts=(0.5,)), line=1.0, is_share=True))
    (line,) = paths(root, "stroke-dasharray")
    assert line[0, 0] == pytest.approx(float(texts(root)["100%"].get("x")), abs=0.1)
    assert abs(line[0, 1] - line[1, 1]) == pytest.approx(44, abs=0.1)


def test_marks_lie_at_their_values_in_their_shapes():
    marks = (("ring", 10.0), ("circle", 20.0), ("square", 30.0))
    root = drawn(bars(bar(marks=marks)))
    groups = [node for node in root.iter("path") if "var(--b2)" in node.get("style")]
    _, ring, dot, square = groups
    assert "fill:none" in ring.get("style")
    assert "C" in dot.get("d") and "C" not in square.get("d")
    centres = [np.mean(numbers(node.get("d"))[::2]) for node in (ring, dot, square)]
    assert centres[1] - centres[0] == pytest.approx(centres[2] - centres[1], abs=2)


def test_a_lane_has_its_name_value_and_tooltip():
    root = drawn(bars(bar(name="n" * 60, parts=(1.0,), value="1.00 s", tooltip="one\ntwo")))
    assert re.search(r"^n{15,30}\N{HORIZONTAL ELLIPSIS}$", list(texts(root))[-2])
    assert texts(root)["1.00 s"].get("text-anchor") == "end"
    assert "font-weight:600" in texts(root)["1.00 s"].get("style")
    assert tips(root, "band") == ["one\ntwo"]


@pytest.mark.parametrize("value", [0.0, 1e-300, 1e11])
def test_bars_of_any_length_can_be_drawn(value):
    assert drawn(bars(bar(parts=(value,)), bar(parts=(0.0,), whisker=(value,)))).get("viewBox")


def points(*places, **look):
    found = tuple(
        Path(name=f"backend {i}", colour=f"b{i % 8}", points=(Point(x=x, y=y, shape="diamond"),))
        for i, (x, y) in enumerate(places)
    )
    look = {"x_range": (0.0, 5.0), "y_range": (30.0, 105.0)} | look
    return PointChart(title="cpu", x_axis="speed-up", y_axis="PSNR", paths=found, **look)


def centres(root):
    groups = [node for node in root.iter("g") if node.get("class") == "mark"]
    outlines = [np.array(numbers(node.find("path").get("d"))).reshape(-1, 2) for node in groups]
    return [(o.min(axis=0) + o.max(axis=0)) / 2 for o in outlines]


def test_up_is_more_and_right_is_more():
    found = points((1.0, 40.0), (4.0, 90.0), x_unit="x", y_names={100.0: "equal"}, line=1.0)
    root = drawn(
        PointChart(
            **{
                **vars(found),
                "paths": tuple(
                    Path(
                        name=p.name,
                        colour=p.colour,
                        points=(Point(**{**vars(p.points[0]), "tooltip": "t"}),),
                    )
                    for p in found.paths
                ),
            }
        )
    )
    low, high = centres(root)
    assert low[0] < high[0] and low[1] > high[1]
    (line,) = paths(root, "stroke-dasharray")
    assert line[0, 0] == pytest.approx(low[0], abs=0.2)
    assert {"equal", "0x", "PSNR", "speed-up"} <= set(texts(root))


def boxes(root, names):
    """About where the names' texts lie."""
    for name in names:
        node = texts(root)[name]
        x, y = float(node.get("x")), float(node.get("y"))
        share = {"start": 0.0, "middle": 0.5, "end": 1.0}[node.get("text-anchor")]
        left = x - share * 6 * len(name)
        yield left, y - 8, left + 6 * len(name), y + 2


@pytest.mark.parametrize("seed", range(4))
def test_names_of_marks_lie_neither_on_one_another_nor_outside(seed):
    random = np.random.default_rng(seed)
    places = np.concatenate(
        [
            random.normal([3, 60], [0.2, 2], (5, 2)),
            random.uniform([0.3, 35], [4.7, 100], (4, 2)),
        ]
    )
    chart = points(*map(tuple, places.tolist()))
    found = list(boxes(drawn(chart), [path.name for path in chart.paths]))
    for a, b in combinations(found, 2):
        assert min(a[2], b[2]) - max(a[0], b[0]) <= 1 or min(a[3], b[3]) - max(a[1], b[1]) <= 1
    assert all(left > 30 and right < 362 for left, _, right, _ in found)


def test_lines_have_their_names_at_their_ends():
    found = tuple(
        Path(
            name=f"backend {i}",
            colour="b1",
            points=tuple(
                Point(x=x, y=y + i, shape="circle", tooltip=f"{i}") for x, y in ((1, 5), (8, 9))
            ),
        )
        for i in range(9)
    )
    look = {
        "x_range": (0.9, 9.0),
        "y_range": (0.0, 20.0),
        "x_names": {1: "1", 8: "8"},
        "is_log": True,
    }
    root = drawn(PointChart(title="cpu", x_axis="batch", y_axis="images/s", paths=found, **look))
    assert len(tips(root, "path")) == 9 and len(tips(root, "mark")) == 18
    heights = [float(texts(root)[path.name].get("y")) for path in found]
    assert heights == sorted(heights, reverse=True)
    assert min(a - b for a, b in pairwise(heights)) >= LINE - 0.1
    assert {"1", "8"} <= set(texts(root))


def curve(values, **look):
    steps = np.arange(float(len(values)))
    return Line(
        **{"name": "a", "steps": steps, "values": np.array(values, float), "latest": 1.0} | look
    )


def curves(*lines, **look):
    return LineChart(title="loss", lines=lines, last_step=float(len(lines[0].steps) - 1), **look)


def test_a_gap_in_a_curve_is_a_gap_in_its_line():
    root = drawn(curves(curve([1, 2, np.nan, 3, 4.0])))
    line, *dots = [node.get("d") for node in root.iter("path") if "var(--c0)" in node.get("style")]
    assert line.count("M") == 2
    assert len(dots) == 4


def test_an_outlier_does_not_flatten_a_smoothed_chart():
    values = np.ones(1000) + np.arange(1000) / 1000
    raw = values.copy()
    raw[500] = 1e6
    chart = curves(curve(values, raw=(np.arange(1000.0), raw)))
    assert chart.value_range[1] < 3
    faint, line = paths(drawn(chart), "var(--c0)")
    assert line[:, 1].max() - line[:, 1].min() > 50
    assert faint[:, 1].min() >= -0.1, "what leaves the plot is cut"


def test_the_first_line_lies_on_top_and_styles_are_seen():
    root = drawn(
        curves(curve([1, 2], style="strong"), curve([3, 4], style="dashed"), curve([5, 6]))
    )
    styles = [node.get("style") for node in root.iter("path") if "fill:none" in node.get("style")]
    lines = [style for style in styles if "--c" in style]
    assert ["--c2" in lines[0], "--c1" in lines[1], "--c0" in lines[2]] == [True] * 3
    assert "stroke-width:3.25" in lines[2] and "stroke-dasharray" in lines[1]


def test_a_tooltip_tells_the_values_of_a_place():
    root = drawn(
        curves(curve([0.5, 0.75], name="mean"), curve([1, 0.9], name="real"), is_share=True)
    )
    assert tips(root, "band")[-1] == "step 1\nmean 75%\nreal 90%"


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.floats(-1e30, 1e30) | st.sampled_from([np.nan, np.inf, -np.inf]), min_size=1, max_size=9
    )
)
def test_any_values_can_be_drawn(values):
    chart = curves(curve(values))
    low, high = chart.value_range
    assert low < high
    drawn(chart)


def test_the_same_chart_is_the_same_text_and_settings_stay_as_they_were():
    before = dict(matplotlib.rcParams)
    chart = bars(bar(parts=(1.0,), value="x"))
    assert chart.svg() == chart.svg()
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("name", [HOSTILE, "word " * 60, "", "$", r"\$x$", "_^{"])
def test_no_name_breaks_a_drawing(name):
    path = Path(name=name, colour="b1", points=(Point(x=1, y=50, shape="circle", tooltip=name),))
    look = {"title": name, "x_axis": name, "y_axis": name, "paths": (path, path)}
    look |= {"x_range": (0.5, 5.0), "y_range": (30.0, 105.0)}
    for chart in (
        bars(bar(name=name, parts=(1.0,), value=name, tooltip=name)),
        PointChart(**look),
        PointChart(**look, is_log=True),
        curves(curve([1, 2], name=name)),
    ):
        text = str(chart.svg())
        assert drawn(chart).get("viewBox")
        assert "<script" not in text
        assert not re.search("[\x00-\x08\x0b-\x1f]", text)


@given(
    low=st.floats(-1e30, 1e30, allow_subnormal=False),
    width=st.floats(1e-9, 1e9),
    most=st.integers(2, 8),
)
def test_ticks_are_a_few_round_numbers_in_the_range(low, width, most):
    high = low + width * max(1.0, abs(low))
    marks = round_steps(low, high, most)
    room = 1e-6 * (high - low)
    assert 1 <= len(marks) <= 2 * most + 2
    assert all(low - room <= mark <= high + room for mark in marks)


@given(st.lists(st.floats(0, 200), max_size=12))
def test_spread_keeps_order_distance_and_range(wanted):
    moved = spread(wanted, LINE, (0.0, 200.0))
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    gaps = [moved[b] - moved[a] for a, b in pairwise(order)]
    assert all(gap >= LINE - 1e-9 for gap in gaps)
    assert all(-1e-9 <= place <= 200 + 1e-9 for place in moved)
    if all(b - a >= LINE for a, b in pairwise(sorted(wanted))):
        assert moved == pytest.approx(wanted)


@given(st.text(max_size=60), st.floats(15, 200))
def test_shortened_text_fits(text, width):
    assert text_width(shortened(text, width)) <= width
    text = " ".join(visible(text).split())
    if text_width(text) <= width:
        assert shortened(text, width) == text


def test_matplotlib_is_imported_only_to_draw():
    code = (
        "import sys, stargan_deploy.benchmarking.report.page, stargan_deploy.training.runs.report;"
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
