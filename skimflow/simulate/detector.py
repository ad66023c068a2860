"""Partons in, measured events out."""

from dataclasses import dataclass, field

import numpy as np

from skimflow.simulate import jets as jet_model
from skimflow.simulate import leptons as lepton_model
from skimflow.simulate.jets import Jets, JetSettings, Taggers
from skimflow.simulate.leptons import Leptons, LeptonSettings
from skimflow.simulate.partons import Partons
from skimflow.simulate.samples import Radiation


@dataclass(frozen=True, slots=True)
class Detector:
    """Tuned numbers of the detector model."""

    jets: JetSettings = field(default_factory=JetSettings)
    leptons: LeptonSettings = field(default_factory=LeptonSettings)


@dataclass(frozen=True, slots=True)
class Event:
    """Measured events, unsorted; shapes (jets, n) and (leptons, n)."""

    jets: Jets
    taggers: Taggers
    leptons: Leptons


def observe(rng: np.random.Generator, partons: Partons, radiation: Radiation, detector: Detector) -> Event:
    """What the detector measures of the generated events."""
    emitted = jet_model.radiate(rng, jet_model.seeds(partons), radiation.fsr, detector.jets)
    clustered = jet_model.merge(emitted)
    prompt = lepton_model.prompt(rng, partons, clustered, detector.leptons)
    leptons = lepton_model.join(prompt, lepton_model.in_jets(rng, clustered))
    hadronic = jet_model.add_pile_up(rng, jet_model.measure(rng, clustered, detector.jets))
    measured = jet_model.join(lepton_model.as_jets(prompt), hadronic)
    is_lepton = np.zeros(measured.pt.shape, np.bool_)
    is_lepton[: prompt.pt.shape[0]] = True
    return Event(measured, jet_model.tag(rng, measured, is_lepton, detector.jets), leptons)
