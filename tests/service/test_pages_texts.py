"""What pages compute before they draw: laid-out queries, numbers in words, cutflows, curves of throughput."""

import ast
import base64
import json
import re
import shlex
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.service.pages import figures, formats
from delivery.service.pages.getting_started import download_list
from delivery.service.pages.query_text import coloured, laid_out, shown
from queries.named import load
from queries.parser import parse
from queries.python_form import to_python

QUERIES = Path(__file__).parents[1] / "oracle" / "queries"


def python_queries() -> list[str]:
    """The oracle's queries that are written in Python, each in one line."""
    lines = [line for file in sorted(QUERIES.glob("*.txt")) for line in file.read_text().splitlines()]
    return [line for line in lines if line.startswith("DS.") and not re.search("<[A-Z]+>", line)]


def test_a_laid_out_query_is_the_same_expression_in_short_lines() -> None:
    long = to_python(parse(load("queries.ttbar:selected").text))
    texts = [long, *python_queries()]
    assert len(texts) > 100
    for text in texts:
        drawn = laid_out(text, 50)
        assert ast.dump(ast.parse(f"({drawn})", mode="eval")) == ast.dump(ast.parse(text, mode="eval")), text
    assert max(map(len, laid_out(long, 100).splitlines())) <= 110


@given(st.text(max_size=300))
def test_colouring_keeps_every_character(text: str) -> None:
    assert "".join(piece.text for piece in coloured(text)) == text


@given(st.text(max_size=200), st.sampled_from(["uproot", "uproot-raw", "python", "topcp", "other"]))
def test_any_text_is_shown_whatever_it_is(selection: str, codegen: str) -> None:
    assert shown(selection, codegen).sent == selection


def test_every_language_is_shown_as_its_people_write_it() -> None:
    source = "def run_query(input_filenames):\n    return 1  # one\n"
    assert shown(base64.b64encode(source.encode()).decode(), "python").text == source
    raw = shown('[{"treename": "Events", "cut": null, "filter_name": ["MET_pt"]}]', "uproot-raw")
    assert json.loads(raw.text) == [{"treename": "Events", "filter_name": ["MET_pt"]}]
    assert shown("(Select", "uproot").language == "as sent"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.0421, "42 ms"), (3.14, "3.1 s"), (59.6, "60 s"), (125, "2 min 5 s"), (12000, "3 h 20 min"),
     (187_200, "2 d 4 h"), (3600, "1 h")],
)  # fmt: skip
def test_durations(seconds: float | None, text: str) -> None:
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1_234_000, "1.23 MB"), (999_600_000, "1 GB")]
)
def test_sizes(count: int, text: str) -> None:
    assert formats.size(count) == text


def test_shares_and_shortened_paths() -> None:
    assert [formats.share(*one) for one in ((1, 8), (1, 1), (0, 5), (1, 3000), (1, 0))] == [
        "12.5 %", "100 %", "0 %", "0.033 %", "–"
    ]  # fmt: skip
    short = formats.shortened("root://host//store/" + "x" * 100 + "/file_17.root", 40)
    assert len(short) == 40
    assert short.startswith("root://")
    assert short.endswith("file_17.root")


BEGIN = datetime(2026, 11, 22, 20, 0, 0)  # noqa: DTZ001 - the database's times have no zone
SPANS = st.lists(st.tuples(st.floats(0, 500), st.floats(0.01, 300), st.integers(1, 10**7)), min_size=1, max_size=30)


@given(SPANS)
def test_the_area_below_the_throughput_is_the_events(spans: list[tuple[float, float, int]]) -> None:
    times = [
        (BEGIN + timedelta(seconds=start), BEGIN + timedelta(seconds=start + length), events)
        for start, length, events in spans
    ]
    curve = figures.throughput(times)
    assert curve is not None
    points = [tuple(map(float, point.split(","))) for point in curve.points.split()]
    floor, top = figures.HEIGHT - figures.BOTTOM, figures.TOP
    area = sum((points[i + 1][0] - points[i][0]) * (floor - points[i][1]) for i in range(0, len(points), 2))
    scale = {"events/s": 1.0, "thousand events/s": 1e3, "million events/s": 1e6}[curve.y_title]
    highest = float(curve.y_ticks[-1].text) * scale
    seconds = (max(end for _, end, _ in times) - min(start for start, _, _ in times)).total_seconds()
    wide = figures.WIDTH - figures.LEFT - figures.RIGHT
    found = area / (wide * (floor - top)) * highest * seconds
    one_pixel_up = 0.06 / (floor - top) * highest * seconds  # points are rounded to a tenth of a unit
    assert found == pytest.approx(sum(events for _, _, events in times), abs=one_pixel_up, rel=0.05)


def test_no_throughput_of_nothing() -> None:
    assert figures.throughput([]) is None
    assert figures.throughput([(BEGIN, BEGIN, 5)]) is None


def test_cutflows_add_up_row_by_row() -> None:
    rows = figures.summed([[["a", 5], ["b", 2]], [["a", 7], ["b", 1]]])
    assert rows == [("a", 12), ("b", 3)]
    steps = figures.cutflow(24, rows)
    assert [(step.passed, step.of_all, step.of_before, step.width) for step in steps] == [
        (24, "100 %", "100 %", 100), (12, "50 %", "50 %", 50), (3, "12.5 %", "25 %", 12.5)
    ]  # fmt: skip


def test_a_download_script_quotes_what_names_hold() -> None:
    name = "root:::host:$(touch x);'a b'.parquet"
    script = download_list("http://h", [(name, "/o/1", 3)], "sh", signs_in=True)
    line = script.splitlines()[-1]
    assert shlex.split(line)[-2:] == [name.replace(":", "_").replace(";", "_"), "http://h/o/1"]
