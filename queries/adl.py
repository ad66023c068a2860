"""The eight queries of the ADL benchmark of the IRIS-HEP and HSF communities, on CMS NanoAOD (tree Events)."""

from typing import Any

from queries.dataset import ObjectStream, dataset


def p4(objects: str, more: str = "") -> str:
    """The four-vectors of a collection of the event ``e``; ``more`` names further fields, each with its text."""
    fields = ", ".join(f"'{name}': e.{objects}_{name}" for name in ("pt", "eta", "phi", "mass"))
    return f"{{{fields}{more}}}.Zip().ToFourMomenta()"


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


def q5() -> ObjectStream[Any]:
    """Missing transverse energy of the events with two muons of opposite charge whose mass is 60 to 120 GeV."""
    muons = p4("Muon", ", 'charge': e.Muon_charge")
    pair = "p.ElementAt(0).charge != p.ElementAt(1).charge and 60 < (p.ElementAt(0) + p.ElementAt(1)).mass < 120"
    return (
        dataset("Events")
        .Where(f"lambda e: {muons}.Choose(2).Any(lambda p: {pair}) == True")
        .Select("lambda e: {'MET_pt': e.MET_pt}")
    )


def q6() -> ObjectStream[Any]:
    """Of the three jets whose mass is nearest 172.5 GeV: their transverse momentum, and their largest b-tag."""
    jets = p4("Jet", ", 'btag': e.Jet_btag")
    return (
        dataset("Events")
        .Where("lambda e: e.Jet_pt.Count() >= 3")
        .Select(f"lambda e: {jets}.Choose(3).OrderBy(lambda t: abs(t.Sum().mass - 172.5)).First()")
        .Select("lambda t: {'pt': t.Sum().pt, 'btag': t.Select(lambda jet: jet.btag).Max()}")
    )


def q7() -> ObjectStream[Any]:
    """Scalar sum of the pT of jets above 30 GeV that have no lepton above 10 GeV within 0.4 in R."""
    leptons = f"{p4('Muon')}.Concat({p4('Electron')}).Where(lambda l: l.pt > 10)"
    alone = "r.leptons.Any(lambda l: jet.deltaR(l) < 0.4) == False"
    return (
        dataset("Events")
        .Select(f"lambda e: {{'jets': {p4('Jet')}.Where(lambda jet: jet.pt > 30), 'leptons': {leptons}}}")
        .Select(f"lambda r: {{'sum_pt': r.jets.Where(lambda jet: {alone}).Select(lambda jet: jet.pt).Sum()}}")
    )


def q8() -> ObjectStream[Any]:
    """Transverse mass of the missing energy and the leading lepton outside the Z, in events with three leptons.

    The Z is the pair of the same flavour and opposite charge whose mass is nearest 91.2 GeV. A lepton is outside the
    pair if its pT is neither of the pair's: the language has no indices.
    """
    muons = p4("Muon", ", 'charge': e.Muon_charge, 'flavour': e.Muon_charge * 0 + 13")
    electrons = p4("Electron", ", 'charge': e.Electron_charge, 'flavour': e.Electron_charge * 0 + 11")
    same = "p.ElementAt(0).flavour == p.ElementAt(1).flavour and p.ElementAt(0).charge != p.ElementAt(1).charge"
    mass = "(p.ElementAt(0) + p.ElementAt(1)).mass"
    outside = "l.pt != r.z.ElementAt(0).pt and l.pt != r.z.ElementAt(1).pt"
    return (
        dataset("Events")
        .Where("lambda e: e.Muon_pt.Count() + e.Electron_pt.Count() >= 3")
        .Select(f"lambda e: {{'leptons': {muons}.Concat({electrons}), 'met': e.MET_pt, 'phi': e.MET_phi}}")
        .Select(
            f"lambda r: {{'pairs': r.leptons.Choose(2).Where(lambda p: {same}), "
            "'leptons': r.leptons, 'met': r.met, 'phi': r.phi}"
        )
        .Where("lambda r: r.pairs.Count() > 0")
        .Select(
            f"lambda r: {{'z': r.pairs.OrderBy(lambda p: abs({mass} - 91.2)).First(), "
            "'leptons': r.leptons, 'met': r.met, 'phi': r.phi}"
        )
        .Select(
            f"lambda r: {{'lepton': r.leptons.Where(lambda l: {outside}).OrderByDescending(lambda l: l.pt).First(), "
            "'met': r.met, 'phi': r.phi}"
        )
        .Select("lambda r: {'mt': np.sqrt(2 * r.met * r.lepton.pt * (1 - np.cos(r.phi - r.lepton.phi)))}")
    )
