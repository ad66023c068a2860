"""The ADL benchmark queries, run in plain Python on the sample of 1000 events, against the peers' known answers."""

import pytest
import uproot

from queries import adl

# Number of entries and sum of the one column: func_adl_uproot's, the same on its stacks of 2024 and 2026.
KNOWN = {"q1": (1000, 28467.6107), "q2": (1699, 60461.6270), "q3": (680, 28881.9880), "q4": (116, 3363.7623)}


@pytest.fixture(scope="module")
def events(shared_data):
    with uproot.open(shared_data / "adl" / "Run2012B_SingleMu_1000.root") as file:
        return file["Events"].arrays(["MET_pt", "Jet_pt", "Jet_eta"])


@pytest.mark.parametrize("name", KNOWN)
def test_answers(name, events, run_in_python):
    rows = run_in_python(getattr(adl, name)(), events)
    n, total = KNOWN[name]
    assert len(rows) == n
    assert sum(value for row in rows for value in row.values()) == pytest.approx(total, rel=1e-8)
