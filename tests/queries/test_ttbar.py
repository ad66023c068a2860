"""What the ttbar queries select, run in plain Python event by event, against the selection evaluated on columns."""

import awkward as ak
import pytest
import uproot

from queries import ttbar
from queries.objects import (
    B_JETS,
    DELIVERED_B_JETS,
    DELIVERED_JETS,
    ELECTRONS,
    JETS,
    MUONS,
    ObjectDefinition,
)

PUBLISHED_MUONS = ObjectDefinition("Muon", tuple(cut for cut in MUONS.cuts if cut.field != "sip3d"))


@pytest.fixture(scope="module")
def events(shared_data):
    """Events of the file that the AGC's own processor was run on."""
    columns = [f"{name}_{field}" for name, fields in ttbar.OBJECT_COLUMNS.items() for field in fields]
    with uproot.open(shared_data / "agc" / "processor-reference" / "events.root") as file:
        return file["Events"].arrays([*ttbar.EVENT_COLUMNS, *columns], entry_stop=8000)


def passing(events, muons, jets, b_jets) -> ak.Array:
    def number(definition):
        return ak.sum(
            definition.mask(ak.zip({f: events[f"{definition.collection}_{f}"] for f in definition.fields})), axis=1
        )

    return (number(ELECTRONS) + number(muons) == 1) & (number(jets) >= 4) & (number(b_jets) >= 1)


def published_passing(events) -> ak.Array:
    return passing(events, PUBLISHED_MUONS, JETS.with_value("pt", 25), B_JETS.with_value("pt", 25))


def test_our_query_selects_by_the_object_definitions(events, run_in_python):
    rows = run_in_python(ttbar.selected(), events)
    expected = passing(events, MUONS, DELIVERED_JETS, DELIVERED_B_JETS)
    assert [row["event"] for row in rows] == events["event"][expected].to_list()
    assert list(rows[0]) == ["run", "luminosityBlock", "event", "Electron", "Muon", "Jet"]
    assert [jet.pt for jet in rows[0]["Jet"]] == events["Jet_pt"][expected][0].to_list()
    assert {name: tuple(vars(rows[0][name][0])) for name in ("Jet",)} == {"Jet": ttbar.OBJECT_COLUMNS["Jet"]}


def test_the_published_query_has_its_published_meaning(events, run_in_python):
    rows = run_in_python(ttbar.agc_published_ml(), events)
    expected = published_passing(events)
    assert [row["event"] for row in rows] == events["event"][expected].to_list()
    assert len(rows[0]) == 21


@pytest.mark.parametrize("raw", [ttbar.agc_published_raw, ttbar.agc_published_raw_ml])
def test_the_raw_form_selects_the_same_events(events, raw):
    (query,) = raw()
    columns = {field: events[field] for field in events.fields}
    mask = eval(query["cut"], {"abs": abs, "count_nonzero": ak.count_nonzero}, columns)
    assert mask.to_list() == published_passing(events).to_list()
    assert set(query["filter_name"]) <= {*events.fields}


def test_the_published_query_loses_events_that_the_processor_selects_and_ours_does_not(events):
    processed = passing(events, MUONS, JETS, B_JETS)
    assert ak.sum(processed & ~published_passing(events)) > 0
    assert ak.sum(processed & ~passing(events, MUONS, DELIVERED_JETS, DELIVERED_B_JETS)) == 0


def test_our_columns_are_what_coffeas_schema_asks_for():
    from coffea.nanoevents import NanoAODSchema

    assert set(NanoAODSchema.event_ids) == set(ttbar.EVENT_COLUMNS)
    for name in ("Electron", "Muon", "Jet"):
        needed = {"pt", "eta", "phi", "mass"} | ({"charge"} if name != "Jet" else set())
        assert needed <= set(ttbar.OBJECT_COLUMNS[name])
