"""The detector model: what a tagger, a lepton identification and jets must look like; selection against awkward."""

import awkward as ak
import numpy as np
import pytest
import vector

from skimflow.simulate.detector import Detector, Event, observe
from skimflow.simulate.generate import generator, passes
from skimflow.simulate.jets import Jets, merge
from skimflow.simulate.processes import PROCESSES
from skimflow.simulate.samples import SAMPLES, PartonFilter, Radiation
from skimflow.simulate.selection import good_leptons, select

N = 20_000


@pytest.fixture(scope="module")
def event() -> Event:
    rng = generator((5,))
    partons = PROCESSES["ttbar"](rng, N, Radiation())
    return observe(rng, partons, Radiation(), Detector())


def test_tagger_works(event: Event) -> None:
    in_acceptance = (event.jets.pt > 60) & (np.abs(event.jets.eta) < 2.4)
    tagged = event.taggers.csv > 0.5
    efficiency = {f: tagged[in_acceptance & (event.jets.flavour == f)].mean() for f in (5, 4, 1, 21)}
    assert 0.75 < efficiency[5] < 0.90
    assert 0.2 < efficiency[4] < 0.5
    assert 0.05 < efficiency[1] < 0.15
    assert 0.05 < efficiency[21] < 0.15
    defined = event.taggers.csv[event.taggers.csv >= 0]
    assert defined.max() <= 1
    assert set(np.unique(event.taggers.csv[event.taggers.csv < 0])) == {-10.0, -1.0}
    assert np.all(event.taggers.csv[np.abs(event.jets.eta) > 2.5] < 0)


def test_quark_gluon_likelihood_separates(event: Event) -> None:
    used = (event.jets.pt > 30) & (event.taggers.qgl >= 0)
    quarks = event.taggers.qgl[used & (event.jets.flavour == 1)].mean()
    gluons = event.taggers.qgl[used & (event.jets.flavour == 21)].mean()
    assert quarks > gluons + 0.2
    assert (event.taggers.qgl == -1).any()


def test_jet_identification_fails_for_some_jets_and_for_leptons(event: Event) -> None:
    leptons = 2  # the first slots are the jets of prompt leptons
    hadronic = event.jets.pt[leptons:] > 30
    assert 0.02 < (event.taggers.jet_id[leptons:][hadronic] != 6).mean() < 0.03
    assert (event.taggers.jet_id[:leptons][event.jets.pt[:leptons] > 30] != 6).mean() > 0.9


def test_prompt_leptons_pass_and_those_in_jets_mostly_fail(event: Event) -> None:
    hard = (event.leptons.pt > 30) & (np.abs(event.leptons.eta) < 2.1)
    good = good_leptons(event.leptons)
    prompt, in_jets = slice(0, 2), slice(2, None)
    assert 0.5 < good[prompt][hard[prompt]].mean() < 0.9
    assert good[in_jets][hard[in_jets]].mean() < 0.1
    assert np.median(event.leptons.sip3d[in_jets][hard[in_jets]]) > 2 * np.median(
        event.leptons.sip3d[prompt][hard[prompt]]
    )
    # Muons that fail the impact parameter only: the case in which the AGC's query and processor disagree.
    muon = (event.leptons.pdg == 13) & hard & (event.leptons.quality > 0) & (event.leptons.isolation < 0.15)
    assert (muon & (event.leptons.sip3d >= 4)).any()


def test_merging_keeps_momentum_and_the_b_quark() -> None:
    pt = np.array([[50.0, 50.0], [30.0, 30.0]], np.float32)
    eta = np.array([[0.0, 0.0], [0.1, 1.0]], np.float32)
    phi = np.array([[3.1, 0.0], [-3.1, 0.0]], np.float32)
    flavour = np.array([[21, 21], [5, 5]], np.int32)
    merged = merge(Jets(pt, eta, phi, np.zeros_like(pt), flavour))
    assert merged.pt[1, 0] == 0
    assert merged.flavour[0, 0] == 5
    exact = vector.obj(pt=50, eta=0, phi=3.1, mass=0) + vector.obj(pt=30, eta=0.1, phi=-3.1, mass=0)
    assert merged.pt[0, 0] == pytest.approx(exact.pt, rel=1e-5)
    assert merged.mass[0, 0] == pytest.approx(exact.mass, rel=1e-3)
    np.testing.assert_allclose(merged.pt[:, 1], pt[:, 1], rtol=1e-5)


def test_parton_filter_finds_the_lepton_and_the_partons() -> None:
    rng = generator((6,))
    partons = PROCESSES["wjets"](rng, N, Radiation())
    loose, tight = PartonFilter(0.0, 0, 0.0), PartonFilter(25.0, 4, 18.0)
    assert passes(partons, loose).mean() < 1  # leptons outside the acceptance, taus that decay to hadrons
    passed = passes(partons, tight)
    pt = np.hypot(partons.momentum.px[6:12], partons.momentum.py[6:12])
    assert ((pt[:, passed] > 18).sum(axis=0) >= 4).all()
    assert passed.sum() < passes(partons, loose).sum()


@pytest.mark.parametrize("scale", [1.0, 1.03])
def test_selection_agrees_with_awkward_and_vector(event: Event, scale: float) -> None:
    selected = select(event, scale)
    jet = ak.zip(
        {
            "pt": event.jets.pt.T.astype(np.float64) * np.float32(scale),
            "eta": event.jets.eta.T.astype(np.float64),
            "phi": event.jets.phi.T.astype(np.float64),
            "mass": event.jets.mass.T.astype(np.float64),
            "csv": event.taggers.csv.T,
            "id": event.taggers.jet_id.T,
        },
        with_name="Momentum4D",
        behavior=vector.backends.awkward.behavior,
    )
    jet = ak.from_regular(jet)
    jet = jet[(jet.pt > 30) & (abs(jet.eta) < 2.4) & (jet.id == 6)]
    one_lepton = good_leptons(event.leptons).sum(axis=0) == 1
    candidate = ak.to_numpy((ak.num(jet) >= 4) & one_lepton)
    tags = ak.to_numpy(ak.sum(jet.csv > 0.5, axis=1))
    np.testing.assert_array_equal(selected.region, candidate * np.minimum(tags, 2))
    in_4j1b, in_4j2b = selected.region == 1, selected.region == 2
    np.testing.assert_allclose(selected.observable[in_4j1b], ak.sum(jet.pt[in_4j1b], axis=1), rtol=1e-5)
    first, second, third = ak.unzip(ak.combinations(jet[in_4j2b], 3))
    trijet = first + second + third
    with_b = (first.csv > 0.5) | (second.csv > 0.5) | (third.csv > 0.5)
    trijet = trijet[with_b]
    best = trijet[ak.argmax(trijet.pt, axis=1, keepdims=True)]
    np.testing.assert_allclose(selected.observable[in_4j2b], ak.flatten(best.mass), rtol=1e-5)
    assert in_4j1b.sum() > 100
    assert in_4j2b.sum() > 100
    assert np.all(selected.observable[selected.region == 0] == 0)


def test_every_sample_has_its_own_random_numbers() -> None:
    seeds = {sample.seed(1, file_index) for sample in SAMPLES for file_index in range(3)}
    assert len(seeds) == 3 * len(SAMPLES)
