"""The first four queries of the ADL benchmark of the IRIS-HEP and HSF communities, on CMS NanoAOD (tree Events)."""

from typing import Any

from queries.dataset import ObjectStream, dataset


def q1() -> ObjectStream[Any]:
    """Missing transverse energy of all events."""
    return dataset("Events").Select("lambda e: {'MET_pt': e.MET_pt}")


def q2() -> ObjectStream[Any]:
    """Transverse momentum of all jets."""
    return dataset("Events").SelectMany("lambda e: e.Jet_pt").Select("lambda pt: {'Jet_pt': pt}")


def q3() -> ObjectStream[Any]:
    """Transverse momentum of the jets with |eta| < 1."""
    jets = "{'pt': e.Jet_pt, 'eta': e.Jet_eta}.Zip().Where(lambda jet: abs(jet.eta) < 1)"
    return (
        dataset("Events").SelectMany(f"lambda e: {jets}.Select(lambda jet: jet.pt)").Select("lambda pt: {'Jet_pt': pt}")
    )


def q4() -> ObjectStream[Any]:
    """Missing transverse energy of the events with at least two jets above 40 GeV."""
    return (
        dataset("Events")
        .Where("lambda e: e.Jet_pt.Where(lambda pt: pt > 40).Count() >= 2")
        .Select("lambda e: {'MET_pt': e.MET_pt}")
    )
