"""Whole events of a real PHYSLITE file, some of whose columns no output format can hold."""

import json

import pyarrow.parquet as pq
import pytest
import uproot

from delivery.engine import TransformRequest, transform
from delivery.errors import UnwritableType

EVENTS = "(call EventDataset 'f' 'CollectionTree')"
PHYSLITE = "root/PHYSLITE_example.root"
NEVER = "EventInfoAux."  # a record without fields
DEEP = "METAssoc_AnalysisMETAux.calpx"  # lists of lists


def column(name):
    return f"(Select {EVENTS} (lambda (list e) (dict (list 'c') (list (subscript e '{name}')))))"


@pytest.mark.parametrize("form", ["parquet", "root-file", "root-rntuple"])
def test_columns_that_nobody_named_and_that_cannot_be_written_are_left_out(shared_data, tmp_path, form):
    output = tmp_path / "out"
    done = transform(TransformRequest(EVENTS, str(shared_data / PHYSLITE), output, format=form))
    (warning,) = done.warnings
    assert warning.startswith(f"left out, since {form} cannot hold them: ")
    assert "more;" in warning
    assert len(warning) < 400
    if form == "parquet":
        written = set(pq.read_schema(output).names)
    else:
        with uproot.open(output) as file:
            written = set(file["servicex"].keys(recursive=False))
    assert {"EventInfoAuxDyn.eventNumber", "AnalysisJetsAuxDyn.pt"} <= written
    assert NEVER not in written
    assert (DEEP in written) == (form != "root-file")


def test_the_columns_that_are_left_are_whole(shared_data, tmp_path):
    done = transform(TransformRequest(EVENTS, str(shared_data / PHYSLITE), tmp_path / "out", format="parquet"))
    found = pq.read_table(tmp_path / "out")["AnalysisJetsAuxDyn.pt"].to_pylist()
    with uproot.open(shared_data / PHYSLITE) as file:
        expected = file["CollectionTree/AnalysisJetsAuxDyn.pt"].array()
    assert found == expected.tolist()
    assert NEVER not in done.columns


@pytest.mark.parametrize(("name", "form"), [(NEVER, "parquet"), (NEVER, "root-rntuple"), (DEEP, "root-file")])
def test_a_column_that_was_named_is_refused(shared_data, tmp_path, name, form):
    request = TransformRequest(column(name), str(shared_data / PHYSLITE), tmp_path / "out", format=form)
    with pytest.raises(UnwritableType):
        transform(request)


def test_a_tree_that_uproot_raw_takes_whole_is_written_too(shared_data, tmp_path):
    def run(**keys):
        text = json.dumps([{"treename": "CollectionTree", **keys}])
        request = TransformRequest(text, str(shared_data / PHYSLITE), tmp_path / "out", None, "uproot-raw", "parquet")
        return transform(request)

    assert any("left out, since parquet cannot hold" in warning for warning in run().warnings)
    with pytest.raises(UnwritableType):
        run(filter_name=[NEVER])
