"""How a file is cut, packed or read never shows in the result; the output is what ServiceX's transformers write."""

import hashlib
import math
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delivery.engine import TransformRequest, evaluate, transform
from delivery.engine.source import open_source
from delivery.engine.stream import ranges
from delivery.engine.writers import Grouped
from delivery.errors import UnwritableType

sys.path.insert(0, str(Path(__file__).parent))
from engine_inputs import qastle_text, write_tree

QUERY = qastle_text(
    "DS.Where(lambda e: e.x > 0 and e.Jet_pt.Where(lambda p: p > 20).Count() >= 1)"
    ".Where(lambda e: {'pt': e.Jet_pt, 'id': e.Jet_id}.Zip().Where(lambda j: j.id < 3).Count() < 4)"
    ".Select(lambda e: {'x': e.x, 'pt': e.Jet_pt, 'jets': {'pt': e.Jet_pt, 'id': e.Jet_id}.Zip(), 'n': e.n})"
)
COMPRESSIONS = [None, uproot.ZLIB(1), uproot.LZMA(1), uproot.LZ4(1), uproot.ZSTD(1)]


def by_hand(events):
    """The query's rows, event by event in plain Python."""
    rows = []
    for event in events:
        jets = list(zip(event["pt"], event["id"], strict=True))
        if not event["x"] > 0 or not any(pt > 20 for pt, _ in jets) or not sum(i < 3 for _, i in jets) < 4:
            continue
        rows.append(
            {
                "x": event["x"],
                "pt": event["pt"],
                "jets": [{"pt": pt, "id": i} for pt, i in jets],
                "n": event["n"],
            }
        )
    return rows


NUMBERS = st.one_of(st.floats(-100, 100, width=32), st.just(math.nan), st.just(math.inf))
JETS = st.lists(st.tuples(NUMBERS, st.integers(0, 6)), max_size=6)
EVENTS = st.lists(st.tuples(NUMBERS, JETS), max_size=40)


def columns_of(events):
    jets = {
        "pt": ak.values_astype(ak.Array([[pt for pt, _ in jets] for _, jets in events] or [[]]), "float32"),
        "id": ak.values_astype(ak.Array([[i for _, i in jets] for _, jets in events] or [[]]), "int32"),
    }
    return {
        "x": np.array([x for x, _ in events], np.float32),
        "n": np.arange(len(events), dtype=np.uint64),
        "Jet": ak.zip({name: array[: len(events)] for name, array in jets.items()}),
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=EVENTS,
    baskets=st.lists(st.integers(1, 15), max_size=5),
    compression=st.sampled_from(COMPRESSIONS),
    chunk_bytes=st.sampled_from([1, 200, 1 << 25]),
    threads=st.sampled_from([1, 3]),
)
def test_any_file_any_cut_gives_the_rows_found_by_hand(
    tmp_path, monkeypatch, events, baskets, compression, chunk_bytes, threads
):
    monkeypatch.setattr("delivery.engine.stream.MIN_RANGE", 3)
    file = write_tree(tmp_path / "in.root", columns_of(events), baskets, compression)
    plain = [
        {"x": float(np.float32(x)), "pt": [pt for pt, _ in j], "id": [i for _, i in j], "n": n}
        for n, (x, j) in enumerate(events)
    ]
    request = TransformRequest(
        QUERY, str(file), tmp_path / "o", format="parquet", chunk_bytes=chunk_bytes, threads=threads
    )
    done = transform(request)
    assert (done.events_in, done.events_out) == (len(events), len(by_hand(plain)))
    assert repr(ak.from_parquet(tmp_path / "o").tolist()) == repr(by_hand(plain))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """20 000 events in unequal baskets."""
    rng = np.random.default_rng(3)
    counts = rng.poisson(3, 20_000)
    jets = {
        "pt": ak.unflatten(rng.exponential(20, counts.sum()).astype(np.float32), counts),
        "id": ak.unflatten(rng.integers(0, 7, counts.sum(), dtype=np.int32), counts),
    }
    columns = {
        "x": rng.normal(size=20_000).astype(np.float32),
        "n": np.arange(20_000, dtype=np.uint64),
        "Jet": ak.zip(jets),
    }
    return write_tree(tmp_path_factory.mktemp("laws") / "in.root", columns, [3000, 1000, 4500, 700], uproot.ZLIB(1))


@pytest.mark.parametrize("kind", ["parquet", "root-file"])
def test_ranges_threads_and_time_do_not_show_in_the_bytes(many, tmp_path, monkeypatch, kind):
    monkeypatch.setattr("delivery.engine.skim.Grouped", partial(Grouped, rows=900))
    digests = set()
    for chunk_bytes, threads in [(1 << 25, 1), (60_000, 1), (60_000, 3), (1, 2)]:
        out = tmp_path / f"out-{chunk_bytes}-{threads}"
        transform(TransformRequest(QUERY, str(many), out, None, "uproot", kind, threads, chunk_bytes))
        digests.add(hashlib.sha256(out.read_bytes()).hexdigest())
        if len(digests) == 1 and threads == 1 and chunk_bytes > 60_000:
            time.sleep(1.1)  # ROOT's dates have a resolution of a second
    assert len(digests) == 1


def test_a_basket_without_survivors_is_not_read(many, tmp_path):
    text = "DS.Where(lambda e: e.n < {}).Select(lambda e: {{'n': e.n, 'pt': e.Jet_pt, 'id': e.Jet_id}})"
    sizes = []
    for limit in (20_000, 10):
        request = TransformRequest(qastle_text(text.format(limit)), str(many), tmp_path / "o", chunk_bytes=100_000)
        sizes.append(transform(request).bytes_read)
    with uproot.open(many) as file:
        tree = file["Events"]
        payload = sum(tree[name].compressed_bytes for name in ("Jet_pt", "Jet_id"))
        skipped = sum(tree[n].basket_compressed_bytes(k) for n in ("Jet_pt", "Jet_id") for k in range(1, 5))
    assert sizes[0] - sizes[1] == skipped
    assert skipped > payload / 2


def test_parquet_has_the_schema_that_awkward_writes(many, tmp_path):
    transform(TransformRequest(QUERY, str(many), tmp_path / "out", format="parquet"))
    table = ak.to_arrow_table(evaluate(QUERY, many))
    with pq.ParquetWriter(tmp_path / "expected", table.schema) as writer:
        writer.write_table(table)
    ours, expected = (pq.read_schema(tmp_path / name) for name in ("out", "expected"))
    for mine, theirs in zip(ours, expected, strict=True):  # types with awkward's own metadata
        assert mine.equals(theirs, check_metadata=True)
    assert not ours.field("pt").nullable


@pytest.mark.parametrize("kept", ["e.x > 1e9", "e.x < 1e9"])
def test_root_output_has_counters_and_flattened_records_also_without_rows(many, tmp_path, kept):
    text = qastle_text(
        f"DS.Where(lambda e: {kept}).Select(lambda e: {{'x': e.x, 'pt': e.Jet_pt,"
        " 'Jet': {'pt': e.Jet_pt, 'id': e.Jet_id}.Zip()})"
    )
    done = transform(TransformRequest(text, str(many), tmp_path / "out.root"))
    with uproot.open(tmp_path / "out.root") as file:
        tree = file["servicex"]
        assert tree.num_entries == done.events_out
        assert {name: branch.typename for name, branch in tree.items()} == {
            "x": "float",
            "npt": "int32_t",
            "pt": "float[]",
            "nJet": "int32_t",
            "Jet_pt": "float[]",
            "Jet_id": "int32_t[]",
        }
        assert tree["Jet_pt"].array().tolist() == tree["pt"].array().tolist()


def test_a_tree_without_events_gives_a_file_without_rows(tmp_path):
    file = write_tree(tmp_path / "in.root", columns_of([]))
    for kind in ("parquet", "root-file"):
        done = transform(TransformRequest(QUERY, str(file), tmp_path / kind, format=kind))
        assert (done.events_in, done.events_out, [row.passed for row in done.cutflow]) == (0, 0, [0, 0])
    assert pq.read_table(tmp_path / "parquet").num_rows == 0
    with uproot.open(tmp_path / "root-file") as opened:
        assert opened["servicex"].num_entries == 0
    assert str(evaluate(QUERY, file).type.content) == str(evaluate(QUERY, [file, file]).type.content)


def test_a_bare_column_goes_to_parquet_without_a_name_and_not_to_root(many, tmp_path):
    text = qastle_text("DS.Select(lambda e: e.x)")
    transform(TransformRequest(text, str(many), tmp_path / "out", format="parquet"))
    assert pq.read_schema(tmp_path / "out").names == [""]
    with pytest.raises(UnwritableType, match="give the column a name"):
        transform(TransformRequest(text, str(many), tmp_path / "out.root"))
    assert not (tmp_path / "out.root").exists()


@pytest.mark.parametrize(
    ("columns", "words"),
    [("{'pt': e.Jet_pt, 'npt': e.x}", "npt"), ("{'x': e.x, 'm': e.Jet_pt.Max()}", "m")],
)
def test_what_a_tree_cannot_hold_is_told(many, tmp_path, columns, words):
    text = qastle_text(f"DS.Select(lambda e: {columns})")
    with pytest.raises(UnwritableType, match=f"TTree.*{words}"):
        transform(TransformRequest(text, str(many), tmp_path / "out.root"))
    assert not (tmp_path / "out.root").exists()


def test_spelling_and_variable_names_do_not_change_the_bytes(many, tmp_path):
    texts = [QUERY, QUERY.replace(" e ", " event ").replace("list e)", "list event)").replace(" (", "\n  (")]
    for number, text in enumerate(texts):
        transform(TransformRequest(text, str(many), tmp_path / str(number)))
    assert texts[0] != texts[1]
    assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes()


@pytest.mark.parametrize("chunk_bytes", [1, 40_000, 200_000, 1 << 25])
def test_ranges_follow_one_another_and_hold_the_bytes_asked_for(many, monkeypatch, chunk_bytes):
    monkeypatch.setattr("delivery.engine.stream.MIN_RANGE", 50)
    names = ("Jet_id", "Jet_pt", "n", "x")
    with closing(open_source(str(many), None)) as source:
        found = ranges(source, names, chunk_bytes, threads=1)
        width = sum(source.size(name)[1] for name in names) / source.entries
        borders = source.boundaries(names)
    assert [start for start, _ in found] == [0, *(stop for _, stop in found[:-1])]
    assert found[-1][1] == 20_000
    assert max(stop - start for start, stop in found) <= 2 * max(50, chunk_bytes / width)
    assert borders == [0, 3000, 4000, 8500, 9200, 20_000]
    if chunk_bytes == 200_000:
        assert {stop for _, stop in found} & set(borders[1:-1])
