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

from artifacts.keys import Request
from artifacts.store import Store
from delivery.requests import OutputFormat
from delivery.service.pages import figures, formats
from delivery.service.pages.column_types import Column, of_awkward
from delivery.service.pages.columns import Subject, columns_of
from delivery.service.pages.getting_started import download_list
from delivery.service.pages.query_text import coloured, laid_out, lines, shown
from delivery.service.settings import Settings
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


@given(st.text("ab \n(){}'\"#.", max_size=200))
def test_lines_are_the_whole_text_with_its_indents(text: str) -> None:
    rows = list(lines(text))
    shown_rows = ["".join(piece.text for piece in row.pieces) for row in rows]
    assert shown_rows == text.splitlines(keepends=True)
    assert [row.indent for row in rows] == [len(row) - len(row.lstrip(" ")) for row in shown_rows]


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


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.25"), (7, "7"), (999, "999"), (1000, "1 k"), (2_500, "2.5 k"), (1e6, "1 M"), (5e9, "5 G")],
)
def test_compact_numbers(value: float, text: str) -> None:
    assert formats.compact(value) == text


def test_errors_are_a_sentence_and_its_details() -> None:
    text = "/d/a.root: no branch MET_ptt\n  query 1:93\n    (attr e 'MET_ptt')\n            ^^^"
    assert formats.headline(formats.beyond(text, "/d/a.root")) == "no branch MET_ptt"
    assert formats.details(text) == "query 1:93\n  (attr e 'MET_ptt')\n          ^^^"
    assert formats.details("one line") == ""


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
    digits, unit = re.fullmatch(r"([\d.]+)([kMG]?)", curve.y_ticks[-1].text).groups()  # type: ignore[union-attr]
    highest = float(digits) * {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}[unit]
    seconds = (max(end for _, end, _ in times) - min(start for start, _, _ in times)).total_seconds()
    wide = figures.WIDTH - figures.LEFT - figures.RIGHT
    found = area / (wide * (floor - top)) * highest * seconds
    one_pixel_up = 0.06 / (floor - top) * highest * seconds  # points are rounded to a tenth of a unit
    assert found == pytest.approx(sum(events for _, _, events in times), abs=one_pixel_up, rel=0.05)


@given(SPANS)
def test_axes_have_few_round_marks_in_plain_numbers(spans: list[tuple[float, float, int]]) -> None:
    curve = figures.throughput(
        [(BEGIN + timedelta(seconds=a), BEGIN + timedelta(seconds=a + b), events) for a, b, events in spans]
    )
    assert curve is not None
    assert 2 <= len(curve.x_ticks) <= 6
    places = [tick.at for tick in curve.x_ticks]
    assert places[0] == figures.LEFT
    assert places[-1] <= figures.WIDTH - figures.RIGHT + 0.1
    assert max(places[i + 1] - places[i] for i in range(len(places) - 1)) - (places[1] - places[0]) < 0.2
    assert len({tick.text for tick in curve.x_ticks}) == len(places)
    assert not any("e" in tick.text for tick in curve.y_ticks)


def test_a_thousand_events_a_second_is_1k() -> None:
    curve = figures.throughput([(BEGIN, BEGIN + timedelta(seconds=100), 90_000)])
    assert curve is not None
    assert [tick.text for tick in curve.y_ticks] == ["0", "500", "1k"]
    assert [tick.text for tick in curve.x_ticks] == ["0", "20 s", "40 s", "1 min", "1 min 20 s", "1 min 40 s"]


@pytest.mark.parametrize(
    ("type_", "words"),
    [
        ("float32", "float32"), ("var * float32", "list of float32"), ("var * var * int8", "list of lists of int8"),
        ("string", "text"), ("var * string", "list of texts"), ("3 * float64", "3 × float64"),
        ("?int32", "optional int32"), ("var * ?bool", "list of optional bool"),
        ("option[var * int64]", "optional list of int64"), ("union[int8, var * bool]", "int8 or list of bool"),
    ],
)  # fmt: skip
def test_types_of_columns_in_words(type_: str, words: str) -> None:
    from awkward.types import from_datashape

    assert [*of_awkward("c", from_datashape(type_, highlevel=False))] == [Column("c", words)]


def test_records_have_their_fields_below_them() -> None:
    from awkward.types import from_datashape

    found = of_awkward("Jet", from_datashape("var * {pt: float32, hits: {n: int8}}", highlevel=False))
    assert [(one.depth, one.name, one.type) for one in found] == [
        (0, "Jet", "list of records"), (1, "pt", "float32"), (1, "hits", "record"), (2, "n", "int8")
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["parquet", "root-file", "root-rntuple"])
@pytest.mark.parametrize("place", ["folder", "objects"])
def test_delivered_columns_read_alike_in_every_format_and_store(
    form: OutputFormat, place: str, tmp_path: Path, shared_data: Path
) -> None:
    from delivery.engine.skim import transform
    from delivery.requests import TransformRequest

    source = shared_data / "root" / "nanoAOD_2015_CMS_Open_Data_ttbar.root"
    text = (
        "(Select (call EventDataset 'f' 'Events') (lambda (list e) "
        "(dict (list 'met' 'pt' 'n') (list (attr e 'MET_pt') (attr e 'Muon_pt') (attr e 'nMuon')))))"
    )
    output = tmp_path / "out"
    transform(TransformRequest(text, str(source), output, format=form))
    store = Store.open(str(tmp_path / "store") if place == "folder" else "memory://")
    size = output.stat().st_size
    entry = store.put(Request("skim", 1, {"of": form}), {"output": output.read_bytes()}, {})
    subject = Subject(text, "uproot", "servicex", None, "root://host//f.root", entry.blobs["output"].digest, size)
    found = [(one.name, one.type) for one in columns_of(subject, store, Settings(data=tmp_path)).rows]
    counted = [("npt", "int32")] if form == "root-file" else []  # a TTree counts the items of its lists
    assert sorted(found) == sorted([*counted, ("met", "float32"), ("pt", "list of float32"), ("n", "uint32")])


def test_columns_that_cannot_be_known_say_why(tmp_path: Path) -> None:
    def why(codegen: str, path: str | None, digest: str | None) -> str:
        subject = Subject("(Select", codegen, "servicex", None, path, digest, 1)
        found = columns_of(subject, Store.open("memory://"), Settings(data=tmp_path))
        assert found.rows == ()
        return found.source

    assert why("uproot", "root://host//f.root", None) == "the columns are known when the first file is done"
    assert why("python", "/f.root", None) == "the columns are known when the first file is done"
    assert why("uproot", None, "0" * 64).startswith("the results were removed to make room")


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
