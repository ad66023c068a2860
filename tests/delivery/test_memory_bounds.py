"""Memory stays bounded where events are large, and where a query makes much out of little."""

import sys
import tracemalloc
from contextlib import closing
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from delivery.engine import TransformRequest, evaluate, transform
from delivery.engine.source import open_source
from delivery.engine.stream import ranges
from delivery.errors import ResultTooLarge

sys.path.insert(0, str(Path(__file__).parent))
from engine_inputs import qastle_text, write_tree

MB = 1 << 20
SUMS = "e.jet_pt.Choose(2).Select(lambda p: p.ElementAt(0) + p.ElementAt(1)).Max()"


def jets(path, lengths):
    """Events with jets of pt 0, 1, 2, …, as many as each of the lengths says."""
    lists = ak.unflatten(np.concatenate([np.arange(length, dtype=np.float32) for length in lengths]), lengths)
    return write_tree(path, {"jet": ak.zip({"pt": lists})})


@pytest.mark.parametrize("threads", [1, 4])
def test_a_range_of_large_events_holds_no_more_than_the_bytes_asked_for(tmp_path, threads):
    file = write_tree(
        tmp_path / "in.root",
        {"image": ak.zip({"pixel": ak.unflatten(np.zeros(40 * MB // 4, np.float32), [MB // 4] * 40)})},
        [1] * 40,
    )
    with closing(open_source(str(file), None)) as source:
        found = ranges(source, ("image_pixel",), 4 * MB, threads)
    assert found[-1][1] == 40
    assert max(stop - start for start, stop in found) <= max(1, 4 // threads) * 1.5


@pytest.mark.parametrize("threads", [1, 3])
def test_combinations_of_a_range_are_made_in_as_many_parts_as_memory_needs(tmp_path, threads):
    lengths = [1000] * 60 + [3] * 60  # 2.4 GB of pairs, were all there at once
    file = jets(tmp_path / "in.root", lengths)
    request = TransformRequest(
        qastle_text(f"DS.Select(lambda e: {{'n': e.jet_pt.Count(), 'top': {SUMS}}})"),
        *(str(file), tmp_path / "out", None, "uproot", "parquet"),
        threads=threads,
    )
    tracemalloc.start()
    try:
        done = transform(request)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert done.events_out == len(lengths)
    assert ak.from_parquet(tmp_path / "out").tolist() == [{"n": n, "top": 2 * n - 3} for n in lengths]
    assert peak < 512 * MB


@pytest.mark.parametrize("codegen", ["uproot", "uproot-raw"])
def test_one_event_that_makes_too_much_is_named(tmp_path, codegen):
    file = jets(tmp_path / "in.root", [5, 6000, 5])
    raw = '[{"treename": "Events", "expressions": ["num(combinations(jet_pt, 2))"]}]'
    text = raw if codegen == "uproot-raw" else qastle_text(f"DS.Select(lambda e: {SUMS})")
    with pytest.raises(ResultTooLarge, match="268 MB are allowed") as caught:
        evaluate(text, file, codegen=codegen)
    assert caught.value.entry == 1
    assert caught.value.span is not None


def test_combinations_deep_in_lists_are_bounded_too(tmp_path):
    file = jets(tmp_path / "in.root", [300])
    body = "e.jet_pt.Select(lambda a: e.jet_pt.Where(lambda b: b != a).Choose(3).Count())"
    with pytest.raises(ResultTooLarge):
        evaluate(qastle_text(f"DS.Select(lambda e: {body})"), file, semantics="strict")
