"""Our answers are the peer's: 1900 queries, on small files of every type and on real ones.

Goldens are what func_adl_uproot gave in two pinned environments (tests/oracle; ``record.py`` re-records them,
``compare.py`` shows differences at length). An answer is right if it equals one of the two bit for bit, type included;
transcendental functions to 1 ulp.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from delivery.engine import evaluate
from queries.named import load

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "oracle"))
import oracle_answers
import oracle_outputs
from oracle_generate import generated
from oracle_goldens import ENVIRONMENTS, goldens
from oracle_inputs import SHARED, tree_of, write_inputs
from oracle_queries import Query, hand_written
from oracle_superset import DIFFERENT, EVENT, REFUSED, SUPERSET
from oracle_verdict import Verdict, verdict

GROUPS: dict[str, list[Query]] = defaultdict(list)
for _query in [*hand_written(), *generated()]:
    GROUPS[_query.group].append(_query)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, shared_data):
    files = write_inputs(tmp_path_factory.mktemp("oracle"))
    return files | {name: shared_data / path for name, path in SHARED.items()}


@pytest.mark.parametrize("group", GROUPS)
def test_answers_are_the_peers(group, inputs):
    verdicts = [verdict(query, inputs) for query in GROUPS[group]]
    wrong = [each.explain() for each in verdicts if not right(each, inputs)]
    assert not wrong, f"{len(wrong)} of {len(verdicts)} queries\n\n" + "\n\n".join(wrong[:5])


def right(each: Verdict, inputs) -> bool:
    spelling = each.query.spelling
    if each.query.key in DIFFERENT:
        return each.kind not in ("equal", "both fail")
    if spelling in REFUSED:
        return each.kind == "we fail"
    if spelling in SUPERSET:
        return each.kind == "superset" and as_expected(each, inputs)
    return each.kind in ("equal", "both fail")


def as_expected(each: Verdict, inputs) -> bool:
    with uproot.open(inputs[each.query.file]) as file:
        events = file[tree_of(each.query.file)].arrays()
    _, kind, expected = SUPERSET[each.query.spelling]
    if each.ours["type"] != (str(events.type.content) if kind is EVENT else kind):
        return False
    return plain(oracle_answers.array_of(each.ours).to_list()) == plain(ak.to_list(expected(events)))


def plain(values) -> str:
    return json.dumps(
        values, default=lambda number: ak.to_list(number) if isinstance(number, ak.Array) else number.item()
    )


def test_every_exception_is_about_a_query_of_the_set():
    queries = [query for queries in GROUPS.values() for query in queries]
    assert {*SUPERSET, *REFUSED} <= {query.spelling for query in queries}
    assert {*DIFFERENT} <= {query.key for query in queries}


def test_goldens_are_of_these_queries():
    keys = {query.key for queries in GROUPS.values() for query in queries}
    assert len(keys) > 1900
    for name in ENVIRONMENTS:
        assert set(goldens(name)) == keys, (
            f"run tests/oracle/record.py --new: {name} has not the answers of these queries"
        )


# Files are compared for every query of some groups, and for every fifth of the others.
WHOLE = ("shape", "select", "missing", "zip", "everywhere", "dtype-columns", "dtype-ternary", "vector-shape")


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("difference", [oracle_outputs.parquet_difference, oracle_outputs.root_difference])
def test_files_are_the_peers(group, difference, inputs, tmp_path):
    queries = [
        query
        for query in GROUPS[group]
        if has_rows(query) and query.spelling not in REFUSED and query.key not in DIFFERENT
    ]
    chosen = queries if group in WHOLE else queries[::5]
    wrong = {query.spelling: found for query in chosen if (found := difference(query, inputs, tmp_path))}
    assert wrong == {}


def has_rows(query: Query) -> bool:
    """Both environments gave an array, which is what a file can be written of."""
    return all(goldens(name)[query.key].get("kind") == "array" for name in ENVIRONMENTS)


# Rows and the sum of each column, as func_adl_uproot's two stacks give them (to 4e-9) with queries of other authors.
ADL = {
    1: (1000, {"MET_pt": 28467.6107}),
    2: (1699, {"Jet_pt": 60461.6270}),
    3: (680, {"Jet_pt": 28881.9880}),
    4: (116, {"MET_pt": 3363.7623}),
    5: (57, {"MET_pt": 998.5801}),
    6: (274, {"pt": 11878.1038, "btag": 37.651767}),
    7: (1000, {"sum_pt": 25973.2135}),
    8: (73, {"mt": 2036.1986}),
}


@pytest.mark.parametrize("number", ADL)
def test_adl_benchmarks(number, inputs):
    rows = evaluate(load(f"queries.adl:q{number}").text, inputs["adl"])
    length, sums = ADL[number]
    assert len(rows) == length
    found = {name: float(np.asarray(rows[name], np.float64).sum()) for name in rows.fields}
    assert found == pytest.approx(sums, rel=2e-7)
