"""Queries of the AGC ttbar analysis (version 2) on CMS NanoAOD: ours, and the AGC's own for comparison."""

from typing import Any, Final

from queries.dataset import ObjectStream, dataset
from queries.objects import (
    DELIVERED_B_JETS,
    DELIVERED_JETS,
    ELECTRONS,
    MIN_JETS,
    MUONS,
    N_LEPTONS,
    zipped,
)

EVENT_COLUMNS: Final = ("run", "luminosityBlock", "event")
OBJECT_COLUMNS: Final = {
    "Electron": ("pt", "eta", "phi", "mass", "charge", "cutBased", "sip3d"),
    "Muon": ("pt", "eta", "phi", "mass", "charge", "tightId", "sip3d", "pfRelIso04_all"),
    "Jet": ("pt", "eta", "phi", "mass", "btagCSVV2", "jetId", "qgl"),
}


def selected() -> ObjectStream[Any]:
    """Every event that the ttbar processor can select under any variation, with the columns that it reads.

    Exactly one lepton, at least four jets and one b-tagged jet, by the definitions of `queries.objects`,
    the jets with the softer threshold that no variation of their momentum can cross. Each collection is
    delivered as one list of records (`Jet_pt`, … with the one counter `nJet` in a ROOT tree), which is the
    layout that coffea's NanoAODSchema reads and the smaller one; charge, run, luminosityBlock and event are
    there because that schema asks for them.
    """
    columns = [f"'{name}': e.{name}" for name in EVENT_COLUMNS]
    columns += [f"'{name}': {zipped(name, fields, 'e')}" for name, fields in OBJECT_COLUMNS.items()]
    return (
        dataset("Events")
        .Where(f"lambda e: {ELECTRONS.func_adl('e')}.Count() + {MUONS.func_adl('e')}.Count() == {N_LEPTONS}")
        .Where(f"lambda e: {DELIVERED_JETS.func_adl('e')}.Count() >= {MIN_JETS}")
        .Where(f"lambda e: {DELIVERED_B_JETS.func_adl('e')}.Count() >= 1")
        .Select(f"lambda e: {{{', '.join(columns)}}}")
    )


# The AGC's published queries, kept as they are and not made from `queries.objects`. They differ from its
# own processor: muons need no sip3d < 4 (an event with a second muon that fails only this is lost), jets
# have 25 GeV (a resolution upward by more than four sigma is lost), and charge, run and luminosityBlock are
# not delivered.
_PUBLISHED_ELECTRONS: Final = (
    "{'pt': e.Electron_pt, 'eta': e.Electron_eta, 'cutBased': e.Electron_cutBased, 'sip3d': e.Electron_sip3d}"
    ".Zip().Where(lambda electron: electron.pt > 30 and abs(electron.eta) < 2.1"
    " and electron.cutBased == 4 and electron.sip3d < 4)"
)
_PUBLISHED_MUONS: Final = (
    "{'pt': e.Muon_pt, 'eta': e.Muon_eta, 'tightId': e.Muon_tightId, 'sip3d': e.Muon_sip3d,"
    " 'pfRelIso04_all': e.Muon_pfRelIso04_all}"
    ".Zip().Where(lambda muon: muon.pt > 30 and abs(muon.eta) < 2.1 and muon.tightId"
    " and muon.pfRelIso04_all < 0.15)"
)
_PUBLISHED_JETS: Final = (
    "{'pt': e.Jet_pt, 'eta': e.Jet_eta, 'jetId': e.Jet_jetId}.Zip()"
    ".Where(lambda jet: jet.pt > 25 and abs(jet.eta) < 2.4 and jet.jetId == 6)"
)
_PUBLISHED_B_JETS: Final = (
    "{'pt': e.Jet_pt, 'eta': e.Jet_eta, 'btagCSVV2': e.Jet_btagCSVV2, 'jetId': e.Jet_jetId}.Zip()"
    ".Where(lambda jet: jet.btagCSVV2 > 0.5 and jet.pt > 25 and abs(jet.eta) < 2.4 and jet.jetId == 6)"
)
PUBLISHED_COLUMNS: Final = (
    "Electron_pt", "Electron_eta", "Electron_cutBased", "Electron_sip3d",
    "Muon_pt", "Muon_eta", "Muon_tightId", "Muon_sip3d", "Muon_pfRelIso04_all",
    "Jet_mass", "Jet_pt", "Jet_eta", "Jet_phi", "Jet_btagCSVV2", "Jet_jetId",
)  # fmt: skip
PUBLISHED_ML_COLUMNS: Final = (
    "Electron_pt", "Electron_eta", "Electron_phi", "Electron_mass", "Electron_cutBased", "Electron_sip3d",
    "Muon_pt", "Muon_eta", "Muon_phi", "Muon_mass", "Muon_tightId", "Muon_sip3d", "Muon_pfRelIso04_all",
    "Jet_mass", "Jet_pt", "Jet_eta", "Jet_phi", "Jet_qgl", "Jet_btagCSVV2", "Jet_jetId", "event",
)  # fmt: skip


def agc_published() -> ObjectStream[Any]:
    """The AGC's func_adl query with the columns of its analysis without machine learning."""
    return _with_columns(agc_published_ml(), PUBLISHED_COLUMNS)  # a second Select, as in the AGC


def agc_published_ml() -> ObjectStream[Any]:
    """The AGC's func_adl query with the columns that its machine learning reads as well."""
    events = (
        dataset("Events")
        .Where(f"lambda e: {_PUBLISHED_ELECTRONS}.Count() + {_PUBLISHED_MUONS}.Count() == 1")
        .Where(f"lambda e: {_PUBLISHED_JETS}.Count() >= 4")
        .Where(f"lambda e: {_PUBLISHED_B_JETS}.Count() >= 1")
    )
    return _with_columns(events, PUBLISHED_ML_COLUMNS)


def _with_columns(events: ObjectStream[Any], columns: tuple[str, ...]) -> ObjectStream[Any]:
    pairs = ", ".join(f"'{column}': e.{column}" for column in columns)
    return events.Select(f"lambda e: {{{pairs}}}")


def agc_published_raw() -> list[dict[str, Any]]:
    """The AGC's uproot-raw query, without machine learning: the form that it uses by default."""
    return [_raw(())]


def agc_published_raw_ml() -> list[dict[str, Any]]:
    """The AGC's uproot-raw query with the columns that its machine learning reads as well."""
    return [_raw(("Electron_phi", "Electron_mass", "Muon_phi", "Muon_mass", "event"))]


def _raw(extra_columns: tuple[str, ...]) -> dict[str, Any]:
    jets = "(Jet_pt > 25) & (abs(Jet_eta) < 2.4) & (Jet_jetId == 6)"
    electrons = "(Electron_pt > 30) & (abs(Electron_eta) < 2.1) & (Electron_cutBased == 4) & (Electron_sip3d < 4)"
    muons = "(Muon_pt > 30) & (abs(Muon_eta) < 2.1) & (Muon_tightId) & (Muon_pfRelIso04_all < 0.15)"
    requirements = [
        f"(count_nonzero({electrons}, axis=1) + count_nonzero({muons}, axis=1)) == 1",
        f"count_nonzero({jets}, axis=1) >= 4",
        f"count_nonzero({jets} & (Jet_btagCSVV2 > 0.5), axis=1) >= 1",
    ]
    return {
        "treename": {"Events": "servicex"},
        "cut": " & ".join(f"({requirement})" for requirement in requirements),
        "filter_name": [*PUBLISHED_COLUMNS, "Jet_qgl", *extra_columns],
    }
