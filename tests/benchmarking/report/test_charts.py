from dataclasses import replace

import pytest

from stargan_deploy.backends.registry import runtime_names
from stargan_deploy.benchmarking.report import charts
from stargan_deploy.benchmarking.report.format import groups
from stargan_deploy.benchmarking.report.palette import colour
from tests.drawings import drawn

BARS = [
    charts.latency_chart,
    charts.paths_chart,
    charts.speed_chart,
    charts.start_up_chart,
    charts.roofline_chart,
]
ALL = [*BARS, charts.throughput_chart, charts.quality_chart]


def lanes(chart):
    """A chart's bars or paths by their names, from the top."""
    return {lane.name: lane for lane in getattr(chart, "bars", None) or chart.paths}


def ends(chart):
    return {name: sum(lane.parts) for name, lane in lanes(chart).items()}


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
    found = ends(charts.latency_chart(group))
    medians = {
        f"{row.backend} {row.asked_precision}": row.timing("host to host").statistics.p50_ms
        for row in group.rows
    }
    assert next(iter(found)) == "openvino INT8+FP32†"
    assert list(found.values()) == sorted(found.values())
    ratio = found["compile FP32"] / found["openvino BF16"]
    assert ratio == pytest.approx(medians["compile fp32"] / medians["openvino bf16"])


def test_whiskers_reach_to_p90_and_p99(group):
    lane = lanes(charts.latency_chart(group))["compile FP32"]
    row = next(row for row in group.rows if row.backend == "compile")
    found = row.timing("host to host").statistics
    assert lane.whisker == (found.p90_ms, found.p99_ms)
    assert "p90" in lane.tooltip


def test_rare_late_calls_do_not_flatten_the_chart(group):
    row = group.rows[0]
    timing = row.timing("host to host")
    late = replace(timing, statistics=replace(timing.statistics, p99_ms=50_000.0))
    rows = (replace(row, timings=(late,)), *group.rows[1:])
    chart = charts.latency_chart(replace(group, rows=rows))
    assert ends(chart)["compile FP32"] > 0.6 * chart.high


def test_the_three_paths_are_three_marks_in_order(group):
    for lane in lanes(charts.paths_chart(group)).values():
        assert [shape for shape, _ in lane.marks] == ["ring", "circle", "square"]
        assert lane.marks[2][1] > lane.marks[0][1]


def test_start_up_is_split_into_its_parts(group):
    found = lanes(charts.start_up_chart(group))
    assert found["pt2 FP32"].parts == (26, 0.31, 0.4)
    assert "build: 26.0 s\nload: 0.31 s\nfirst call: 0.40 s" in found["pt2 FP32"].tooltip
    assert "build: \N{EN DASH}" in found["eager FP32"].tooltip


def test_the_roof_is_a_line_at_100_percent(results):
    chart = charts.roofline_chart(groups(results.rows)[1])
    assert chart.line == 1.0 and chart.is_share
    assert ends(chart)["openvino FP32"] > 1
    assert "Winograd" in lanes(chart)["openvino FP32"].tooltip


def test_throughput_has_a_line_for_each_backend_and_precision(sized):
    found = lanes(charts.throughput_chart(sized))
    assert len(found) == len(sized.rows) / 2
    assert all([point.x for point in path.points] == [1, 8] for path in found.values())
    last = {name: path.points[-1].y for name, path in found.items()}
    assert max(last, key=last.get) == "openvino INT8+FP32†"
    assert min(last, key=last.get) == "compile FP32"


def test_up_is_nearer_and_right_is_faster(group):
    chart = charts.quality_chart(group)
    found = {name: path.points[0] for name, path in lanes(chart).items()}
    eager = found["eager FP32"]
    assert eager.x == chart.line
    assert found["openvino BF16"].x > found["onnx FP32"].x > eager.x > found["compile FP32"].x
    psnr_db = [eager.y, *(found[name].y for name in ("onnx FP32", "onnx FP16", "openvino BF16"))]
    assert psnr_db == sorted(psnr_db, reverse=True)
    assert [found[f"onnx {name}"].shape for name in ("FP32", "FP16")] == ["circle", "triangle"]


def test_eager_is_the_reference_even_where_it_was_not_compared(group):
    rows = tuple(replace(r, picture_error=None, speedup=None) for r in group.rows)
    assert list(lanes(charts.quality_chart(replace(group, rows=rows)))) == ["eager FP32"]


def test_a_precision_that_was_not_asked_for_is_named(group):
    row = replace(group.rows[3], precision="float32")
    chart = charts.latency_chart(replace(group, rows=(row,)))
    assert list(lanes(chart)) == ["onnx FP32 (asked FP16)"]


def test_rows_of_one_name_are_told_apart_by_device(group):
    rows = (group.rows[0], replace(group.rows[0], device="cpu:1"))
    assert list(lanes(charts.latency_chart(replace(group, rows=rows)))) == [
        "eager FP32 cpu",
        "eager FP32 cpu:1",
    ]


def test_a_backend_has_its_own_colour_everywhere(results, cuda_results):
    assert len({colour(name) for name in runtime_names()}) == len(runtime_names())
    for rows in (results.rows, cuda_results.rows):
        for draw in ALL:
            for name, lane in lanes(draw(groups(rows)[0])).items():
                assert lane.colour == colour(name.split()[0])
    assert {colour(f"other {i}") for i in range(20)} == {"b6", "b7"}


@pytest.mark.parametrize("draw", ALL)
def test_odd_results_give_whole_drawings_or_none(draw, odd_results):
    for group in groups(odd_results.rows):
        chart = draw(group)
        assert chart.is_empty or drawn(chart).get("viewBox")


@pytest.mark.parametrize("draw", ALL)
def test_rows_without_figures_give_no_chart(draw, group):
    bare = replace(group.rows[1], timings=(), picture_error=None, start_up=None, roofline=None)
    assert draw(replace(group, rows=(bare,))).is_empty


def test_training_is_drawn_with_the_most_first(results):
    found = ends(charts.training_chart(results.training))
    assert list(found) == ["bf16 compile", "bf16", "fp32", "baseline"]
    assert found["bf16 compile"] / found["baseline"] == pytest.approx(2.0, rel=0.02)
    assert charts.training_chart(()).is_empty
