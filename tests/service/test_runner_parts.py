"""A file's result made in ranges of entries is, byte for byte, the one made at once."""

import itertools
import sys
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delivery.engine import TransformRequest, transform
from delivery.engine.parts import cuts, merge, write_part

sys.path.insert(0, str(Path(__file__).parents[1] / "delivery"))
from engine_inputs import qastle_text, write_tree

QUERY = qastle_text(
    "DS.Where(lambda e: e.x > -1).Where(lambda e: e.Jet_pt.Where(lambda p: p > 10).Count() >= 1)"
    ".Select(lambda e: {'x': e.x, 'pt': e.Jet_pt, 'n': e.n, 'far': e.Jet_pt.Where(lambda p: p > 20).Count()})"
)
ITEMS = qastle_text("DS.SelectMany(lambda e: e.Jet_pt).Where(lambda p: p > 5).Select(lambda p: {'p': p})")
SORTED = qastle_text("DS.Select(lambda e: {'x': e.x}).OrderBy(lambda e: e.x)")
EVENTS = 3000
RAW = {
    "events": '[{"treename": "Events", "expressions": ["x", "Jet_pt", "n"], "cut": "(x > 0) & (nJet > 1)"}]',
    "items": '[{"treename": {"Events": "jets"}, "filter_name": ["Jet_pt"], "cut": "Jet_pt > 10"}]',
    "missing": '[{"treename": "Events", "expressions": ["x", "Jet_pt"], "cut": "max(Jet_pt, axis=1) > 10"}]',
    "whole": '[{"treename": ["Events", "absent"]}]',
}
FORMATS = ["parquet", "root-file", "root-rntuple"]


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    rng = np.random.default_rng(7)
    counts = rng.poisson(3, EVENTS)
    columns = {
        "x": rng.normal(size=EVENTS).astype(np.float32),
        "n": np.arange(EVENTS, dtype=np.uint64),
        "genWeight": rng.normal(size=EVENTS) * 10.0 ** rng.integers(-9, 9, EVENTS),
        "Jet": ak.zip({"pt": ak.unflatten(rng.exponential(20, counts.sum()).astype(np.float32), counts)}),
    }
    return write_tree(tmp_path_factory.mktemp("parts") / "in.root", columns, [700, 100, 900], uproot.ZLIB(1))


@pytest.fixture(scope="module")
def whole(events, tmp_path_factory):
    """The outputs made at once, by query and format."""
    folder = tmp_path_factory.mktemp("whole")
    found = {}
    for number, (text, kind) in enumerate(itertools.product([QUERY, ITEMS], FORMATS)):
        request = TransformRequest(text, str(events), folder / str(number), format=kind)
        found[text, kind] = transform(request), request.output.read_bytes()
    return found


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    borders=st.sets(st.integers(1, EVENTS - 1), max_size=6),
    text=st.sampled_from([QUERY, ITEMS]),
    kind=st.sampled_from(FORMATS),
    chunk_bytes=st.sampled_from([20_000, 1 << 25]),
)
def test_any_cut_gives_the_same_bytes_and_counts(events, whole, tmp_path, borders, text, kind, chunk_bytes):
    request = TransformRequest(text, str(events), tmp_path / "out", format=kind, chunk_bytes=chunk_bytes)
    ranges = list(itertools.pairwise([0, *sorted(borders), EVENTS]))
    paths = [tmp_path / f"part-{start}" for start, _ in ranges]
    for entries, path in zip(ranges, paths, strict=True):
        write_part(request, entries, path)
    result = merge(request, paths)
    expected, content = whole[text, kind]
    assert request.output.read_bytes() == content
    for name in ("events_in", "events_out", "cutflow", "columns", "warnings", "sum_of_weights", "bytes_written"):
        assert getattr(result, name) == getattr(expected, name)


@pytest.mark.parametrize(
    ("name", "kind"),
    [each for each in itertools.product(RAW, FORMATS) if each != ("missing", "root-file")],  # a TTree cannot hold it
)
def test_a_selection_in_json_on_one_tree_is_cut_to_the_same_bytes(events, tmp_path, name, kind):
    request = TransformRequest(RAW[name], str(events), tmp_path / "out", codegen="uproot-raw", format=kind)
    expected = transform(request)
    content = request.output.read_bytes()
    request.output.unlink()
    ranges = cuts(request, 20_000)
    assert len(ranges) > 2
    for entries in ranges:
        write_part(request, entries, tmp_path / f"part-{entries[0]}")
    result = merge(request, [tmp_path / f"part-{start}" for start, _ in ranges])
    assert request.output.read_bytes() == content
    for field in ("events_in", "events_out", "cutflow", "columns", "warnings", "sum_of_weights", "bytes_written"):
        assert getattr(result, field) == getattr(expected, field)


def test_selections_that_take_more_than_the_rows_of_one_tree_are_not_cut(tmp_path):
    with uproot.recreate(tmp_path / "two.root") as file:
        for name in ("Events", "Runs"):
            file.mktree(name, {"x": "f8"}).extend({"x": np.arange(5000.0)})
        file["h"] = np.histogram([1.0])
    for text in (
        '[{"treename": ["Events", "Runs"]}]',
        '[{"treename": "Events"}, {"treename": "Runs"}]',
        '[{"treename": "Events"}, {"treename": {"Events": "again"}}]',
        '[{"treename": "Events"}, {"copy_histograms": "h"}]',
    ):
        request = TransformRequest(text, str(tmp_path / "two.root"), tmp_path / "out", codegen="uproot-raw")
        transform(request)
        assert cuts(request, 1000) == []
        with pytest.raises(ValueError, match="all rows at once, or more than the rows of one tree"):
            write_part(request, (0, 10), tmp_path / "part")
    request = TransformRequest('[{"treename": "Events"}]', request.input, tmp_path / "out", codegen="uproot-raw")
    assert len(cuts(request, 1000)) > 1


def test_a_real_file_of_many_columns(shared_data, tmp_path):
    file = shared_data / "root" / "nanoAOD_2015_CMS_Open_Data_ttbar.root"
    text = qastle_text(
        "DS.Where(lambda e: e.nMuon > 0).Select(lambda e: {'pt': e.Muon_pt, 'jet': e.Jet_pt, 'run': e.run,"
        " 'trigger': e.HLT_IsoMu20, 'gen': e.GenPart_pdgId})"
    )
    whole = TransformRequest(text, str(file), tmp_path / "whole", format="root-file")
    transform(whole)
    cut = TransformRequest(text, str(file), tmp_path / "cut", format="root-file")
    for start in range(0, 200, 60):
        write_part(cut, (start, min(start + 60, 200)), tmp_path / f"part{start}")
    merge(cut, [tmp_path / f"part{start}" for start in range(0, 200, 60)])
    assert cut.output.read_bytes() == whole.output.read_bytes()


def test_parts_that_are_not_the_whole_file_are_refused(events, tmp_path):
    request = TransformRequest(QUERY, str(events), tmp_path / "out", format="parquet")
    write_part(request, (0, 1000), tmp_path / "a")
    write_part(request, (1000, EVENTS), tmp_path / "b")
    for wrong in [["a"], ["b"], ["b", "a"], ["a", "a", "b"], []]:
        with pytest.raises(ValueError, match="all entries in their order were expected"):
            merge(request, [tmp_path / name for name in wrong])
    assert not request.output.exists()


def test_files_are_cut_where_baskets_begin_and_not_where_all_rows_are_needed(events, tmp_path):
    request = TransformRequest(QUERY, str(events), tmp_path / "out", format="parquet")
    assert cuts(request, 1 << 40) == [(0, EVENTS)]
    found = cuts(request, 40_000)
    assert len(found) > 1
    assert [start for start, _ in found[1:]] == [stop for _, stop in found[:-1]]
    assert {start for start, _ in found} <= {0, 700, 800, 1700}
    assert cuts(TransformRequest(SORTED, str(events), tmp_path / "out"), 1) == []


@pytest.mark.parametrize("codegen", ["uproot", "uproot-raw"])
def test_progress_is_told_in_order_and_can_end_the_work(events, tmp_path, codegen):
    text = QUERY if codegen == "uproot" else '[{"treename": "Events", "filter_name": ["x", "n"]}]'
    request = TransformRequest(text, str(events), tmp_path / "out", codegen=codegen, format="parquet", chunk_bytes=5000)
    told = []
    transform(request, progress=lambda *each: told.append(each))
    assert told[0] == (0, EVENTS)
    assert told[-1] == (EVENTS, EVENTS)
    assert told == sorted(told)
    assert len(told) > 2
    request.output.unlink()

    class Stop(Exception):
        pass

    def stop(done, _):
        if done:
            raise Stop

    with pytest.raises(Stop):
        transform(request, progress=stop)
    assert list(tmp_path.iterdir()) == []
