"""The selection as data: text and masks agree, and delivery loses nothing."""

import json
import math
from types import SimpleNamespace

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import given
from hypothesis import strategies as st

from queries.objects import (
    B_JETS,
    B_TAG,
    DELIVERED_B_JETS,
    DELIVERED_JET_PT,
    DELIVERED_JETS,
    ELECTRONS,
    JET_ENERGY_SCALE,
    JET_RESOLUTION,
    JETS,
    MIN_JETS,
    MUONS,
    N_LEPTONS,
    REGIONS,
    Z_MAX,
    Cut,
)

DEFINITIONS = (ELECTRONS, MUONS, JETS, B_JETS, DELIVERED_JETS, DELIVERED_B_JETS)


def test_the_definitions_are_those_of_the_agc():
    # shared/reference/agc-task.md, 1.3, version 2
    assert ELECTRONS.func_adl("e").endswith(
        ".Where(lambda electron: electron.pt > 30 and abs(electron.eta) < 2.1 and electron.cutBased == 4"
        " and electron.sip3d < 4)"
    )
    assert MUONS.func_adl("e").endswith(
        ".Where(lambda muon: muon.pt > 30 and abs(muon.eta) < 2.1 and muon.tightId and muon.sip3d < 4"
        " and muon.pfRelIso04_all < 0.15)"
    )
    assert B_JETS.func_adl("e") == (
        "{'pt': e.Jet_pt, 'eta': e.Jet_eta, 'jetId': e.Jet_jetId, 'btagCSVV2': e.Jet_btagCSVV2}.Zip()"
        ".Where(lambda jet: jet.pt > 30 and abs(jet.eta) < 2.4 and jet.jetId == 6 and jet.btagCSVV2 > 0.5)"
    )


@given(data=st.data())
def test_text_and_mask_select_the_same_objects(data):
    definition = data.draw(st.sampled_from(DEFINITIONS))
    values = {}
    for cut in definition.cuts:
        near = [cut.value, -cut.value, cut.value + 1, cut.value - 1] if cut.value is not True else [True, False]
        values[cut.field] = data.draw(st.sampled_from(near))
    objects = SimpleNamespace(**values)
    predicate = " and ".join(cut.func_adl("x") for cut in definition.cuts)
    expected = eval(predicate, {"x": objects, "abs": abs})  # the text is Python
    assert bool(definition.mask(objects)) == expected


def real_objects(path, collection: str, definition) -> ak.Array:
    with uproot.open(path) as file:
        tree = file["Events"]
        return ak.zip({field: tree[f"{collection}_{field}"].array() for field in definition.fields})


@pytest.fixture(scope="module")
def agc_events(shared_data):
    """Objects of 30 000 events that the AGC's own processor has been run on, with the histograms that it made."""
    folder = shared_data / "agc" / "processor-reference"
    objects = {d.collection: real_objects(folder / "events.root", d.collection, d) for d in (ELECTRONS, MUONS, B_JETS)}
    return objects, json.loads((folder / "histograms.json").read_text())


def event_masks(objects, jets, selected_jets, selected_b_jets) -> tuple[ak.Array, ak.Array]:
    leptons = ak.sum(ELECTRONS.mask(objects["Electron"]), axis=1) + ak.sum(MUONS.mask(objects["Muon"]), axis=1)
    base = (leptons == N_LEPTONS) & (ak.sum(selected_jets.mask(jets), axis=1) >= MIN_JETS)
    return base, ak.sum(selected_b_jets.mask(jets), axis=1)


@pytest.mark.parametrize(("variation", "factor"), [("nominal", 1.0), ("pt_scale_up", JET_ENERGY_SCALE)])
def test_regions_hold_the_events_of_the_agcs_own_processor(agc_events, variation, factor):
    objects, histograms = agc_events
    jets = ak.with_field(objects["Jet"], objects["Jet"].pt * factor, "pt")
    base, n_b_jets = event_masks(objects, jets, JETS, B_JETS)
    weight = (396.87 + 332.97) * 3378 / 30_000
    for region in REGIONS:
        values = histograms[f"ttbar__nominal/hist_dict/{region.name}/{variation}"]["values"]
        assert ak.sum(base & region.mask(n_b_jets)) == pytest.approx(sum(values) / weight, rel=1e-9)


def test_no_variation_selects_an_event_that_is_not_delivered(agc_events):
    objects, _ = agc_events
    jets = objects["Jet"]
    delivered, n_delivered_b_jets = event_masks(objects, jets, DELIVERED_JETS, DELIVERED_B_JETS)
    delivered = delivered & (n_delivered_b_jets >= 1)
    random = np.random.default_rng(1)
    z = np.clip(random.normal(scale=4, size=ak.count(jets.pt)), -Z_MAX, Z_MAX)  # far wilder than real ones
    smeared = ak.unflatten(1 + JET_RESOLUTION * z, ak.num(jets.pt))
    lost_with_a_tight_margin = 0
    for factor in (1.0, JET_ENERGY_SCALE, 1 - JET_RESOLUTION * Z_MAX, 1 + JET_RESOLUTION * Z_MAX, smeared):
        varied = ak.with_field(jets, jets.pt * factor, "pt")
        base, n_b_jets = event_masks(objects, varied, JETS, B_JETS)
        selected = base & (n_b_jets >= 1)
        assert ak.all(~selected | delivered)
        published, _ = event_masks(objects, jets, JETS.with_value("pt", 25), B_JETS)
        lost_with_a_tight_margin += ak.sum(selected & ~published)
    assert lost_with_a_tight_margin > 0  # so that the test above can fail


@given(pt=st.floats(0, 100, width=32), z=st.floats(-Z_MAX, Z_MAX))
def test_the_delivered_threshold_is_below_what_any_variation_can_lift(pt, z):
    factors = (
        JET_ENERGY_SCALE,
        np.float32(JET_ENERGY_SCALE),
        1 + JET_RESOLUTION * z,
        np.float32(1 + JET_RESOLUTION * z),
    )
    if any(np.float32(pt) * factor > 30 for factor in factors):
        assert pt > DELIVERED_JET_PT


def test_the_bound_on_normal_numbers_holds_for_every_53_bit_uniform():
    from scipy import stats

    smallest = 2.0**-53
    assert math.sqrt(-2 * math.log(smallest)) < Z_MAX  # Box-Muller
    assert abs(stats.norm.ppf(smallest / 2)) < Z_MAX  # inverse of the distribution, half a step from 0
    assert DELIVERED_JET_PT == 20


def test_regions():
    n = np.arange(5)
    assert {region.name: n[region.mask(n)].tolist() for region in REGIONS} == {"4j1b": [1], "4j2b": [2, 3, 4]}


def test_definitions_can_be_extended_and_changed():
    assert JETS.also(B_TAG) == B_JETS
    assert DELIVERED_JETS.cuts == (Cut("pt", ">", 20), *JETS.cuts[1:])
    with pytest.raises(KeyError, match=r"no cut on 'mass' for Jet; there are cuts on pt, eta, jetId"):
        JETS.with_value("mass", 1)
