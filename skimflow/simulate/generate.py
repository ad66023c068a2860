"""Blocks of events of one sample, from parton level to measured and selected events."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from skimflow.simulate.detector import Detector, Event, observe
from skimflow.simulate.kinematics import Mask, Momentum, to_cylinder
from skimflow.simulate.leptons import generated as generated_leptons
from skimflow.simulate.partons import OUTGOING, Partons
from skimflow.simulate.processes import PROCESSES
from skimflow.simulate.samples import PartonFilter, Sample
from skimflow.simulate.selection import Selected, classify


@dataclass(frozen=True, slots=True)
class Block:
    """Measured events that passed the parton-level filter."""

    partons: Partons
    event: Event
    selected: Selected


def passes(partons: Partons, parton_filter: PartonFilter) -> Mask:
    """Events with a lepton and enough partons for the analysis to have a chance."""
    lepton_pt, lepton_eta, _, _, _ = generated_leptons(partons)
    lepton = ((lepton_pt > parton_filter.lepton_pt) & (np.abs(lepton_eta) < 2.4)).any(axis=0)
    lines = [i for i, status in enumerate(partons.status) if status == OUTGOING]
    pdg = np.abs(partons.pdg[lines])
    coloured = ((pdg > 0) & (pdg < 6)) | (pdg == 21)
    pt, eta, _ = to_cylinder(Momentum(*(part[lines] for part in partons.momentum)))
    hard = coloured & (pt > parton_filter.parton_pt) & (np.abs(eta) < 2.7)
    passed: Mask = lepton & (hard.sum(axis=0) >= parton_filter.partons)
    return passed


def blocks(sample: Sample, rng: np.random.Generator, generated: int) -> Iterator[Block]:
    """Endless blocks of measured events of one sample; each starts from ``generated`` events at parton level."""
    process, detector = PROCESSES[sample.process], Detector()
    while True:
        partons = process(rng, generated, sample.radiation)
        partons = partons.at(passes(partons, sample.parton_filter))
        event = observe(rng, partons, sample.radiation, detector)
        yield Block(partons, event, classify(event))


def generator(entropy: tuple[int, ...]) -> np.random.Generator:
    """The random numbers that belong to ``entropy``."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(entropy)))
