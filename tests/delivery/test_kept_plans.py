"""A plan that was made for one file serves another only where compiling would give the same."""

import sys
from pathlib import Path
from typing import Any

import awkward as ak
import pytest
import uproot

from delivery.engine import TransformRequest, transform
from delivery.engine.plans import plan_of
from delivery.engine.skim import planned, understood
from delivery.engine.source import open_source
from delivery.errors import UnknownBranch

sys.path.insert(0, str(Path(__file__).parent))
from engine_inputs import qastle_text

QUERY = qastle_text("DS.Where(lambda e: e.x.Count() > 0).Select(lambda e: {'x': e.x, 'twice': e.y * 2})")
LISTS = ak.Array([[1.0], [], [2.0, 3.0]])


def make(path: Path, **columns: Any) -> str:
    with uproot.recreate(path) as file:
        file["Events"] = columns
    return str(path)


def skimmed(file: str, out: Path, query: str = QUERY) -> Any:
    transform(TransformRequest(query, file, out, format="parquet"))
    return ak.from_parquet(out)


def test_files_of_equal_columns_share_a_plan(tmp_path: Path) -> None:
    one = make(tmp_path / "one.root", x=LISTS, y=[1, 2, 3], other=[1, 2, 3])
    two = make(tmp_path / "two.root", x=LISTS[::-1], y=[4, 5, 6], other=[1, 2, 3])
    node, _ = understood(QUERY)
    plans = [plan_of(node, QUERY, open_source(file, None), strict=False) for file in (one, two)]
    assert plans[0] is plans[1]
    assert skimmed(one, tmp_path / "out").to_list() == [{"x": [1.0], "twice": 2}, {"x": [2.0, 3.0], "twice": 6}]
    assert skimmed(two, tmp_path / "out").to_list() == [{"x": [2.0, 3.0], "twice": 8}, {"x": [1.0], "twice": 12}]


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ({"x": LISTS, "y": [1.5, 2.5, 3.5]}, "float64"),
        ({"x": LISTS, "y": LISTS}, "var * float64"),
        ({"x": ak.values_astype(LISTS, "float32"), "y": [1, 2, 3]}, "int64"),
    ],
)
def test_other_types_get_a_plan_of_their_own(columns: dict[str, Any], kind: str, tmp_path: Path) -> None:
    skimmed(make(tmp_path / "one.root", x=LISTS, y=[1, 2, 3]), tmp_path / "out")
    found = skimmed(make(tmp_path / "two.root", **columns), tmp_path / "out")
    assert str(found.twice.type.content) == kind
    assert found.x.type == columns["x"][[0, 2]].type
    assert ak.all(found.twice == 2 * ak.Array(columns["y"])[[0, 2]], axis=None)


def test_a_missing_column_is_found_missing(tmp_path: Path) -> None:
    skimmed(make(tmp_path / "one.root", x=LISTS, y=[1, 2, 3]), tmp_path / "out")
    with pytest.raises(UnknownBranch, match="y"):
        skimmed(make(tmp_path / "two.root", x=LISTS, z=[1, 2, 3]), tmp_path / "out")


def test_whole_events_are_of_each_files_columns(tmp_path: Path) -> None:
    everything = qastle_text("DS.Select(lambda e: e)")
    for columns in ({"x": [1]}, {"x": [1], "y": [2]}, {"y": [2.5]}):
        file = make(tmp_path / "in.root", **columns)
        assert skimmed(file, tmp_path / "out", everything).to_list() == [{k: v[0] for k, v in columns.items()}]


def test_semantics_have_plans_of_their_own(tmp_path: Path) -> None:
    file = make(tmp_path / "in.root", x=LISTS, y=[1, 2, 3])
    query = qastle_text("DS.Select(lambda e: {'x': e.x})")  # strict: a one-key column stays a column
    loose, strict, again = (
        _plan(TransformRequest(query, file, tmp_path / "out", semantics=semantics))
        for semantics in ("servicex", "strict", "servicex")
    )
    assert loose is not strict
    assert again.output is loose.output


def _plan(request: TransformRequest) -> Any:
    with planned(request) as (_, plan, _source):
        return plan
