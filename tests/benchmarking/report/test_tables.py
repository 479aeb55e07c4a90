import csv
import io
import math
import re
from dataclasses import replace

import pytest
from rich.console import Console

from stargan_deploy.benchmarking.report.columns import main_table, paths_table, statistics_table
from stargan_deploy.benchmarking.report.explanations import cautions
from stargan_deploy.benchmarking.report.format import row_name
from stargan_deploy.benchmarking.report.tables import headline_table, show_results, write_markdown
from stargan_deploy.benchmarking.results import Quality
from stargan_deploy.benchmarking.spreadsheet import COLUMNS, write_csv
from stargan_deploy.errors import OutputError
from stargan_deploy.presentation.numbers import digits, percent
from stargan_deploy.presentation.text import NOTHING
from tests.readme_table import replace_between_markers


def shown(results, width=100):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    show_results(results, console)
    return console.file.getvalue()


def read_csv(results, tmp_path):
    write_csv(results, tmp_path / "results.csv")
    with open(tmp_path / "results.csv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def markdown_tables(text):
    """Every table as rows of cells; each must be a rectangle with a rule below its heading."""
    found = []
    for block in re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE):
        rows = [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in block.splitlines()
        ]
        assert len({len(row) for row in rows}) == 1, block
        assert set("".join(rows[1])) <= {"-", ":"}
        found.append(rows)
    return found


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_terminal_shows_every_row_within_its_width(results, cuda_results, width):
    for found in (results, cuda_results):
        text = shown(found, width)
        assert all(len(line) <= width for line in text.splitlines())
        main = text.split("Paths and scenarios")[0]
        lines = [line for line in main.splitlines() if line.split()[:1] == ["onnx"]]
        assert len(lines) == sum(row.backend == "onnx" for row in found.rows)


def test_a_wide_terminal_shows_all_columns(results):
    (heading,) = re.findall(r"^backend +device.*roof *$", shown(results, 100), re.MULTILINE)
    assert heading.split() == ["backend", "device", "precision", "batch", "size"] + ["ms"] * 3 + [
        "images/s",
        "speed-up",
        "dB",
        "roof",
    ]
    line = next(line for line in shown(results, 100).splitlines() if line.startswith("openvino"))
    row = next(row for row in results.rows if row.backend == "openvino")
    at = row.timing("host to host").statistics
    assert line.split() == [
        *("openvino", "cpu", "FP32", "1", "128x128"),
        *(digits(at.p50_ms), digits(at.p90_ms), digits(at.p99_ms)),
        digits(row.timing("host to host").images_per_s),
        f"{row.speedup:.2f}x",
        "87.9",
        percent(row.roofline.share),
    ]


def test_a_narrow_terminal_says_in_the_title_what_is_the_same_everywhere(results):
    text = shown(results, 80)
    assert "host to host; device cpu, size 128x128" in text
    assert re.search(r"^backend +precision +batch +ms", text, re.MULTILINE)


@pytest.mark.parametrize("width", [80, 100, 140])
def test_several_entry_points_have_a_column(two_way_results, width):
    text = shown(two_way_results, width)
    assert all(len(line) <= width for line in text.splitlines())
    main = text.split("Paths and scenarios")[0]
    lines = [line.split() for line in main.splitlines() if line.startswith("pt2")]
    assert [[word for word in line if word in ("a2b", "b2a")] for line in lines] == [
        *(["a2b"], ["a2b"], ["b2a"], ["b2a"]),
    ]


def test_one_entry_point_needs_no_column(results, two_way_results, build_results):
    for table in (main_table, paths_table, statistics_table):
        more, usual = table(two_way_results.rows), table(results.rows)
        assert "entry point" in more.columns[: more.num_names]
        assert more.without("entry point").columns == usual.columns
        assert more.num_names == usual.num_names + 1
    one = build_results(entry_points=("b2a",))
    assert "entry point" not in main_table(one.rows).columns
    assert f"{one.model}, b2a on" in shown(one)
    assert f"{results.model} on" in shown(results)


def test_rows_are_ranked_within_their_entry_point(two_way_results):
    (table,) = markdown_tables(headline_table(two_way_results))
    assert table[0][:3] == ["backend", "precision", "entry point"]
    assert table[1][:4] == ["---", "---", "---", "---:"]
    assert [row[2] for row in table[2:]] == 18 * ["a2b"] + 18 * ["b2a"]


def test_cautions_say_which_entry_point_they_are_about(two_way_results):
    sentence = next(s for s in cautions(two_way_results) if s.startswith("Not proven"))
    assert "openvino INT8+FP32† b2a" in sentence


def test_the_paths_and_scenarios_are_told_apart(results):
    table = paths_table(results.rows)
    row = results.rows[7]
    cells = dict(zip(table.columns, table.lines[7], strict=True))
    for path in ("device only", "host to host", "end to end"):
        assert cells[f"{path} p50 ms"] == digits(row.timing(path).statistics.p50_ms)
    assert cells["offline images/s"] == digits(row.offline.images_per_s)
    assert cells["server images/s"] == digits(row.server.arrivals_per_s)
    assert cells["bound ms"] == "200"
    assert "bound ms 200" in shown(results)


def test_training_has_a_table_of_its_own(results):
    lines = [line.split() for line in shown(results).splitlines()]
    assert ["bf16", "compile", "cpu", "BF16", "16", "64x64", "3.85", "61.5", "2.00x"] in lines


def test_the_batch_job_has_a_table_of_its_own(results):
    lines = [line.split() for line in shown(results).splitlines()]
    assert ["baseline", "eager", "FP32", "14.0", "1.00x", *[NOTHING] * 5] in lines
    figures = ["37.3", "2.66x", "97%", "88%", "50.3", "51.3", "0.25"]
    assert ["default", "openvino", "BF16", *figures] in lines


def test_what_was_not_measured_is_listed_with_its_reason(results):
    text = " ".join(shown(results).split())
    assert "not measured: trt fp16: tensorrt is not installed: pip install" in text


def test_unproven_rows_are_marked_and_the_mark_explained(results):
    text = shown(results)
    assert "INT8+FP32†" in text
    assert "† not proven equal to PyTorch" in text
    proven = replace(results, rows=tuple(replace(row, verified=True) for row in results.rows))
    assert "†" not in shown(proven)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_odd_results_do_not_break_the_terminal(odd_results, width):
    text = shown(odd_results, width)
    assert odd_results.model[:4] in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", text)


def test_markup_in_names_means_nothing_to_the_terminal(results):
    row = replace(results.rows[0], backend="[bold red]x[/]")
    text = shown(replace(results, rows=(row,), training=(), model="[/nonsense]"), 140)
    assert "[bold red]x[/]" in text
    assert "[/nonsense]" in text


def test_the_csv_has_a_line_for_each_row_and_path(results, tmp_path):
    lines = read_csv(results, tmp_path)
    assert len(lines) == 3 * len(results.rows) + len(results.batch)
    row, line = results.rows[7], lines[3 * 7 + 1]
    timing = row.timing("host to host")
    assert line["path"] == "host to host"
    assert (line["backend"], line["precision"], line["verified"]) == (
        "openvino",
        "float32+int8",
        "no",
    )
    for name in ("mean_ms", "std_ms", "min_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms"):
        assert float(line[name]) == pytest.approx(getattr(timing.statistics, name), rel=1e-5)
    assert float(line["images_per_s"]) == pytest.approx(timing.images_per_s, rel=1e-5)
    assert float(line["speedup_host_to_host"]) == pytest.approx(row.speedup, rel=1e-5)
    assert float(line["roofline_share"]) == pytest.approx(row.roofline.share, rel=1e-5)
    assert float(line["server_images_per_s"]) == pytest.approx(row.server.arrivals_per_s, rel=1e-5)
    assert int(line["peak_host_bytes"]) == row.peak_host_bytes
    assert line["peak_device_bytes"] == ""


def test_the_csv_has_a_line_for_each_side_of_the_batch_job(results, tmp_path):
    plain, default = read_csv(results, tmp_path)[-2:]
    assert (plain["side"], plain["path"], plain["psnr_db"]) == ("baseline", "batch job", "")
    assert (default["side"], default["backend"], default["num_photos"]) == (
        "default",
        "openvino",
        "500",
    )
    shares = ("speedup_over_plain_loop", "share_of_prepared", "share_of_generator", "build_s")
    assert [float(default[name]) for name in shares] == [2.66, 0.967, 0.884, 51.3]


def test_every_column_of_the_csv_is_filled_somewhere(results, cuda_results, tmp_path):
    judged = Quality(accuracy=0.9, low=0.8, high=0.95, seen_by="judge")
    rows = (replace(results.rows[0], quality=judged), *results.rows[1:])
    lines = read_csv(replace(results, rows=rows), tmp_path) + read_csv(cuda_results, tmp_path)
    assert list(lines[0]) == list(COLUMNS)
    assert [name for name in COLUMNS if not any(line[name] for line in lines)] == []


def test_the_csv_of_odd_results_is_whole(odd_results, tmp_path):
    lines = read_csv(odd_results, tmp_path)
    num_timings = sum(max(1, len(row.timings)) for row in odd_results.rows)
    assert len(lines) == num_timings + len(odd_results.batch)
    assert all(None not in line and None not in line.values() for line in lines)


def test_a_cell_never_becomes_a_formula(results, tmp_path):
    row = replace(results.rows[0], backend="=HYPERLINK(1)")
    assert read_csv(replace(results, rows=(row,)), tmp_path)[0]["backend"] == "'=HYPERLINK(1)"


def test_the_markdown_report_holds_everything(results, tmp_path):
    write_markdown(results, tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert titles[:2] == ["Environment", "Sensors"]
    assert titles[-2:] == ["How to read this", "Method"]
    tables = markdown_tables(text)
    assert len(tables) == len(titles) - 1
    statistics = tables[titles.index("Single stream, all paths, in ms a call") + 1]
    assert len(statistics) == 2 + 3 * len(results.rows)
    for word in ("Example Xeon 8481C", "torch 2.15.0", "tensorrt is not installed", "Winograd"):
        assert word in text
    assert headline_table(results) in text


def test_the_markdown_of_odd_results_is_whole(odd_results, tmp_path):
    write_markdown(odd_results, tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert markdown_tables(text)
    assert not re.search(r"(?<!\\)<(script|a|img)", text)
    assert not re.search(r"(?<!\\)\[x", text)


def test_the_headline_ranks_by_speed_within_a_batch(results):
    (table,) = markdown_tables(headline_table(results))
    columns = "backend|precision|batch|ms/image|images/s|speed-up|PSNR dB"
    assert table[0] == columns.split("|")
    assert [row[:3] for row in (table[2], table[10], table[11])] == [
        ["openvino", "INT8+FP32†", "1"],
        ["compile", "FP32", "1"],
        ["openvino", "INT8+FP32†", "8"],
    ]
    fastest = next(r for r in results.rows if r.backend == "openvino" and r.batch_size == 8)
    p50_ms = fastest.timing("host to host").statistics.p50_ms
    (line,) = [r for r in table if r[:3] == ["openvino", "FP32", "8"]]
    assert line[3] == digits(p50_ms / 8)
    facts = headline_table(results).splitlines()[-1]
    assert "Example Xeon 8481C @ 2.70GHz, 2 cores, 128x128" in facts
    assert "2026-11-22" in facts


def test_the_headline_names_sizes_where_there_are_several(cuda_results):
    (table,) = markdown_tables(headline_table(cuda_results))
    assert "size" in table[0]
    assert "device" not in table[0]
    assert "Example H200" in headline_table(cuda_results)


def test_without_rows_the_headline_says_so(results):
    nothing = replace(results, rows=(), training=(), batch=())
    assert headline_table(nothing).startswith("No backend was measured.")
    assert headline_table(replace(results, rows=())).startswith("Measured on ")


def test_what_stands_between_the_markers_is_replaced(results):
    text = "# Title\n\n<!-- speeds -->\nold\n<!-- /speeds -->\n\nrest <!-- other --> \\1\n"
    table = headline_table(results)
    once = replace_between_markers(text, "speeds", table)
    assert once.startswith("# Title\n\n<!-- speeds -->\n\n| backend")
    assert once.endswith("<!-- /speeds -->\n\nrest <!-- other --> \\1\n")
    assert "old" not in once
    assert replace_between_markers(once, "speeds", table) == once
    assert table in once


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<!-- speeds -->",
        "<!-- /speeds --><!-- speeds -->",
        2 * "<!-- speeds --><!-- /speeds -->",
    ],
)
def test_markers_that_do_not_fit_are_refused(text):
    with pytest.raises(ValueError, match="<!-- speeds -->"):
        replace_between_markers(text, "speeds", "table")


def test_throttling_is_said_in_plain_words(results, cuda_results):
    assert not any("throttl" in sentence for sentence in cautions(results))
    (gpu, cpu, *_) = cautions(cuda_results)
    assert "GPU was throttled" in gpu
    assert "after the run (power cap, heat)" in gpu
    assert "fell from 3,096 to 2,406 MHz" in cpu


def test_a_busy_machine_is_mentioned(results):
    before = replace(results.machine.before, load_average=1.9)
    busy = replace(results, machine=replace(results.machine, before=before))
    assert any("load 1.90 on 2 cores" in sentence for sentence in cautions(busy))
    assert not any("load" in sentence for sentence in cautions(results))


def test_unstable_measurements_are_counted(results):
    timings = [timing for row in results.rows for timing in row.timings]
    count = sum(timing.stopped_by != "stable" for timing in timings)
    assert count
    assert any(
        sentence.startswith(f"{count} of {len(timings)} measurements ended")
        for sentence in cautions(results)
    )


def test_a_share_above_the_roof_is_explained_or_not_to_be_trusted(results):
    row = next(row for row in results.rows if row.roofline.share > 1)
    assert any("Winograd" in sentence for sentence in cautions(replace(results, rows=(row,))))
    bare = replace(row, roofline=replace(row.roofline, note=""))
    (sentence,) = [s for s in cautions(replace(results, rows=(bare,))) if "roofline" in s]
    assert row_name(row) in sentence
    assert "do not trust" in sentence


def test_statistics_say_why_a_measurement_ended(results):
    timing = replace(results.rows[0].timings[0], stopped_by="time limit", warm_up_stable=False)
    (line,) = statistics_table([replace(results.rows[0], timings=(timing,))]).lines
    assert line[-2:] == ("time limit", "7 (limit)")


def test_equal_pictures_are_called_equal(results):
    cells = dict(
        zip(main_table(results.rows).columns, main_table(results.rows).lines[0], strict=True)
    )
    assert cells["PSNR dB"] == "equal"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0123, "0.012"),
        (0.5, "0.50"),
        (9.876, "9.88"),
        (99.94, "99.9"),
        (1234.5, "1,234"),
        (math.nan, "\N{EN DASH}"),
        (None, "\N{EN DASH}"),
    ],
)
def test_numbers_have_the_digits_that_matter(value, text):
    assert digits(value) == text


@pytest.mark.parametrize("write", [write_csv, write_markdown])
def test_a_folder_that_cannot_be_written_is_one_error(results, tmp_path, write):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        write(results, tmp_path / "file" / "out")


def test_a_terminal_has_no_columns_for_what_was_not_measured(results):
    rows = tuple(replace(row, server=None) for row in results.rows)
    text = shown(replace(results, rows=rows))
    assert "bound" not in text
    assert "server" not in text
    assert "offline" in text


def test_rows_of_a_few_calls_are_named(results):
    assert not any("Under" in sentence for sentence in cautions(results))
    timing = results.rows[0].timing("host to host")
    short = replace(timing, statistics=replace(timing.statistics, num=1))
    row = replace(results.rows[0], timings=(short,))
    (sentence,) = [s for s in cautions(replace(results, rows=(row,))) if s.startswith("Under")]
    assert "eager FP32 at batch 1" in sentence
