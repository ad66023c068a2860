"""Expressions, cuts and filters of codegen uproot-raw: what uproot's own language answers, bit for bit."""

import sys
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

sys.path.insert(0, str(Path(__file__).parent))
from raw_oracle import one_by_one, ours, same, theirs

CMS = "nanoAOD_2015_CMS_Open_Data_ttbar.root"

ARITHMETIC = """
Jet_pt
Jet_pt * 2
Jet_pt * 1.5
2 - Jet_pt
1 / Jet_pt
Jet_pt / nJet
nJet / 2
nJet // 2
nJet % 3
nJet - 5
nJet * nJet
-Jet_eta
+Jet_eta
-Jet_jetId
Jet_pt ** 2
Jet_jetId ** 2
Jet_jetId << 1
Jet_jetId >> 1
Jet_jetId & 4
Jet_jetId | 1
Jet_jetId ^ 3
~Jet_jetId
~(Jet_pt > 30)
Jet_pt + Jet_jetId
Jet_nConstituents + 1
Jet_nConstituents * 2
Jet_nConstituents * 1.5
Jet_nConstituents / Jet_nConstituents
Jet_nConstituents - Jet_jetId
nJet + Jet_jetId
Jet_pt + MET_pt
MET_pt + Jet_pt
Jet_pt > 30
Jet_pt >= 30.5
Jet_pt < MET_pt
Jet_pt <= 30
Jet_jetId == 6
Jet_jetId != 6
Jet_pt == Jet_pt
(Jet_pt > 30) & (abs(Jet_eta) < 2.4)
(Jet_pt > 30) | (Jet_jetId == 6)
(Jet_pt > 30) ^ (Jet_jetId == 6)
(Jet_pt > 30) & (nJet > 2)
(nJet > 2) + (nJet > 3)
(Jet_pt > 30) * Jet_pt
(nJet > 2) * 2
Jet_pt * (1 + 2) ** 2 / 3
Jet_pt * sqrt(2)
MET_pt * sqrt(2)
Jet_pt > -1
get("Jet_pt") * 2
get('Jet_pt')
MET_pt*cos(MET_phi)
((((Jet_pt))))
Jet_pt*0 + 1
3.3 < Jet_pt
True & (nJet > 2)
(nJet > 2) == True
"""

NUMPY = """
abs(Jet_eta)
absolute(Jet_eta)
acos(Jet_eta)
arccos(Jet_eta)
acosh(Jet_pt)
arccosh(Jet_pt)
asin(Jet_eta)
arcsin(Jet_eta)
asinh(Jet_eta)
arcsinh(Jet_eta)
atan(Jet_eta)
atan2(Jet_eta, Jet_phi)
arctan(Jet_eta)
arctan2(Jet_eta, Jet_phi)
atanh(Jet_eta)
arctanh(Jet_eta)
cbrt(Jet_pt)
ceil(Jet_pt)
conj(Jet_pt)
conjugate(Jet_pt)
copysign(Jet_pt, Jet_eta)
cos(Jet_phi)
cosh(Jet_eta)
erf(Jet_eta)
erfc(Jet_eta)
erf(MET_phi)
exp(Jet_eta)
exp2(Jet_eta)
expm1(Jet_eta)
fabs(Jet_eta)
factorial(nJet)
floor(Jet_pt)
fmax(Jet_pt, 30)
fmin(Jet_pt, MET_pt)
gamma(nJet)
hypot(Jet_pt, Jet_mass)
imag(Jet_pt)
isfinite(Jet_pt)
isinf(Jet_pt)
isnan(Jet_pt)
lgamma(Jet_pt)
log(Jet_pt)
log10(Jet_pt)
log1p(Jet_pt)
log2(Jet_pt)
logical_and(Jet_pt > 30, Jet_eta > 0)
logical_or(nJet > 3, nMuon > 1)
neg(Jet_pt)
nextafter(Jet_pt, Jet_eta)
real(Jet_pt)
rint(Jet_pt)
round(Jet_pt)
signbit(Jet_eta)
sin(Jet_phi)
sinh(Jet_eta)
sqrt(Jet_pt)
sqrt(nJet)
sqrt(Jet_nConstituents)
tan(Jet_phi)
tanh(Jet_eta)
tgamma(nJet)
trunc(Jet_pt)
sqrt(MET_covXX)
log(nJet)
"""

AWKWARD = """
where(Jet_pt > 30, Jet_pt, 0)
where(Jet_pt > 30, 1, 0)
where(nJet > 2, MET_pt, -1.0)
where(nJet > 2, MET_pt, MET_sumEt)
where(Jet_eta > 0, Jet_pt, Jet_mass)
where(nJet > 2, Jet_pt, Jet_mass)
where(nJet > 2, Jet_pt, 0) > 30
num(Jet_pt)
num(Jet_pt, axis=1)
num(Jet_pt[Jet_pt > 30])
count(Jet_pt)
count(Jet_pt, axis=1)
count(Jet_pt, axis=-1)
count_nonzero(Jet_pt > 30)
count_nonzero(Jet_jetId)
count_nonzero(Jet_pt > 30, axis=1)
count_nonzero(Jet_pt > 30, keepdims=True)
sum(Jet_pt)
sum(Jet_jetId)
sum(Jet_nConstituents)
sum(Jet_pt > 30)
sum(Jet_pt, keepdims=True)
sum(Jet_pt, mask_identity=True)
nansum(Jet_pt)
prod(Jet_eta)
nanprod(Jet_eta)
any(Jet_pt > 30)
all(Jet_pt > 30)
any(Jet_pt)
any(Jet_pt > 30, mask_identity=True)
min(Jet_pt)
max(Jet_pt)
max(Jet_jetId)
max(Jet_pt, mask_identity=False)
max(Jet_pt, initial=0)
nanmin(Jet_pt)
nanmax(Jet_pt)
argmin(Jet_pt)
argmax(Jet_pt)
argmax(Jet_pt, keepdims=True)
nanargmin(Jet_pt)
nanargmax(Jet_pt)
moment(Jet_pt, 2)
moment(Jet_pt, 1, weight=Jet_mass)
mean(Jet_pt)
mean(Jet_jetId)
mean(Jet_pt, weight=Jet_mass)
nanmean(Jet_pt)
var(Jet_pt)
nanvar(Jet_pt)
std(Jet_pt)
std(Jet_pt, ddof=1)
nanstd(Jet_pt)
softmax(Jet_eta)
ptp(Jet_pt)
covar(Jet_pt, Jet_eta)
corr(Jet_pt, Jet_eta)
linear_fit(Jet_pt, Jet_eta)["slope"]
sort(Jet_pt)
sort(Jet_eta, ascending=False)
argsort(Jet_eta)
argsort(Jet_eta, ascending=False, axis=1)
mask(Jet_pt, Jet_pt > 30)
mask(MET_pt, nJet > 2)
mask(Jet_pt, Jet_pt > 30, valid_when=False)
is_none(max(Jet_pt))
is_none(pad_none(Jet_pt, 3), axis=1)
drop_none(pad_none(Jet_pt, 3))
drop_none(mask(Jet_pt, Jet_pt > 30))
pad_none(Jet_pt, 3)
pad_none(Jet_pt, 3, clip=True)
fill_none(max(Jet_pt), 0)
fill_none(max(Jet_pt), -1.0)
fill_none(pad_none(Jet_pt, 2, clip=True), -999)
fill_none(pad_none(Jet_jetId, 2), 0)
fill_none(max(Jet_pt), 0, axis=0)
firsts(Jet_pt)
singletons(max(Jet_pt))
broadcast_arrays(nJet, Jet_pt)[0]
broadcast_arrays(nJet, Jet_pt)[1]
broadcast_arrays(MET_pt, Jet_pt)[0] * Jet_pt
cartesian([Jet_pt, Muon_pt])
cartesian([Jet_pt, Muon_pt])["0"]
cartesian({"a": Jet_pt, "b": Muon_pt})["a"]
cartesian({"a": Jet_pt, "b": Muon_pt}, nested=True).b
argcartesian([Jet_pt, Muon_pt])["1"]
combinations(Jet_pt, 2)
combinations(Jet_pt, 2)["0"] + combinations(Jet_pt, 2)["1"]
combinations(Jet_pt, 2, fields=["a", "b"]).a
combinations(Jet_pt, 2, replacement=True)["0"]
argcombinations(Jet_pt, 3)["2"]
isclose(Jet_pt, 30.0, rtol=0.1)
isclose(MET_pt, MET_sumEt)
concatenate([Jet_pt, Muon_pt])
concatenate([Jet_pt, Muon_pt], axis=1)
concatenate((Jet_pt, Jet_eta, Jet_phi))
concatenate([Jet_jetId, Jet_pt])
flatten(cartesian([Jet_pt, Muon_pt], nested=True)["0"])
flatten(combinations(Jet_pt, 2)["0"][:, :, None])
local_index(Jet_pt)
local_index(Jet_pt, axis=1)
run_lengths(Jet_jetId)
zip({"pt": Jet_pt, "eta": Jet_eta})
zip({"pt": Jet_pt, "eta": Jet_eta}).pt
zip({"pt": Jet_pt, "n": nJet})["n"]
zip([Jet_pt, Jet_eta])["1"]
values_astype(Jet_pt, "float64")
values_astype(Jet_pt, "int32")
nan_to_num(log(Jet_eta))
nan_to_num(log(Jet_eta), nan=-1.0)
zeros_like(Jet_pt)
ones_like(nJet)
full_like(Jet_pt, 7)
max(where(Jet_pt > 30, Jet_pt, 0))
sum(where(abs(Jet_eta) < 2.4, Jet_pt, 0))
"""

SUBSCRIPTS = """
Jet_pt[Jet_eta > 0]
Jet_pt[Jet_pt > 30][Jet_eta[Jet_pt > 30] > 0]
Jet_pt[(Jet_pt > 30) & (Jet_jetId == 6)]
Jet_pt[:, :2]
Jet_pt[:, 1:]
Jet_pt[:, ::2]
Jet_pt[:, ::-1]
Jet_pt[:, -2:]
Jet_pt[..., :1]
Jet_pt[:]
Jet_pt[:, :]
Jet_pt[:, None]
Jet_pt[:, :, None]
pad_none(Jet_pt, 1)[:, 0]
pad_none(Jet_pt, 2)[:, -1]
fill_none(pad_none(Jet_pt, 2)[:, 1], -1)
Jet_pt[argmax(Jet_eta, keepdims=True)]
Jet_pt[argsort(Jet_eta)]
Jet_pt[Muon_pt > 3]
Jet_pt[argsort(Jet_eta, axis=-1)]
Jet_pt[argsort(Jet_eta) == 0]
Jet_pt[argsort(Jet_eta, ascending=False)][:, :2]
Jet_pt[local_index(Jet_pt) < 2]
firsts(Jet_pt[argmax(Jet_eta, keepdims=True)])
firsts(Jet_pt[Jet_pt > 30])
sum(Jet_pt[Jet_pt > 30])
num(Jet_pt[:, 1:])
Jet_pt[Jet_pt > max(Jet_pt) / 2]
zip({"pt": Jet_pt, "eta": Jet_eta})[Jet_pt > 30]
zip({"pt": Jet_pt, "eta": Jet_eta})[["eta", "pt"]]
zip({"pt": Jet_pt, "eta": Jet_eta})[:, :1]
Jet_pt[Jet_pt[:, :] > 30]
Jet_pt[mask(Jet_pt > 30, Jet_eta > 0)]
"""

CUTS = """
nJet > 2
nJet
nJet & 1
(nJet > 2) & (MET_pt > 20)
(nJet > 2) & (MET_pt > 20) & any(Jet_pt > 40)
(nJet > 2) | (nMuon > 0)
any(Jet_pt > 40)
sum(Jet_pt) > 100
count_nonzero((Jet_pt > 25) & (abs(Jet_eta) < 2.4)) >= 2
num(Jet_pt) == 1
MET_pt
max(Jet_pt) > 40
max(Jet_pt)
(max(Jet_pt) > 40) & (nJet > 1)
fill_none(max(Jet_pt), 0) > 40
Jet_pt > 30
Jet_pt
(Jet_pt > 30) & (nJet > 1)
Jet_eta - 1 > 0
mask(Jet_pt > 30, Jet_eta > 0)
nJet > 1000
nJet >= 0
firsts(Jet_pt) > 30
std(Jet_pt) < 10
~(nJet > 2)
argmax(Jet_pt)
isnan(MET_pt)
"""


SELECTING = """
Jet_pt[nJet > 2]
Jet_pt[nJet > 2] * 2
MET_pt[nJet > 2]
Jet_pt[(nJet > 2) & (MET_pt > 20)]
sum(Jet_pt[nJet > 2])
Jet_pt[nJet > 2] + Jet_eta[nJet > 2]
"""


def lines(table: str) -> tuple[str, ...]:
    return tuple(table.strip().split("\n"))


EXPRESSIONS = tuple(line for table in (ARITHMETIC, NUMPY, AWKWARD, SUBSCRIPTS) for line in lines(table))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression_has_uproots_type_and_values(shared_data: Path, expression: str) -> None:
    file = shared_data / "root" / CMS
    assert same(ours(file, "Events", expressions=[expression]), one_by_one(file, "Events", EXPRESSIONS)[expression])


@pytest.mark.parametrize("expression", lines(SELECTING))
def test_expression_that_selects_events(shared_data: Path, expression: str) -> None:
    query: dict[str, Any] = {"expressions": [expression]}
    file = shared_data / "root" / CMS
    assert same(ours(file, "Events", **query), theirs(file, "Events", **query))


@pytest.mark.parametrize("cut", lines(CUTS))
def test_cut_keeps_what_uproot_keeps(shared_data: Path, cut: str) -> None:
    query: dict[str, Any] = {"expressions": ["Jet_pt", "Jet_eta", "2 * Jet_mass"], "cut": cut}
    file = shared_data / "root" / CMS
    assert same(ours(file, "Events", **query), theirs(file, "Events", **query))


STANDARD = """
sum(Jet_pt, axis=1)
max(Jet_pt, axis=-1)
count_nonzero(Jet_pt > 30, axis=1) + num(Jet_pt)
any(Jet_pt > 30, axis=1)
softmax(Jet_eta)
flatten(combinations(Jet_pt, 2)["0"][:, :, None], axis=2)
concatenate([Jet_pt, Muon_pt], axis=1)
"""


@pytest.mark.parametrize("expression", lines(STANDARD))
def test_standard_axes_are_awkwards_own(shared_data: Path, expression: str) -> None:
    file = shared_data / "root" / CMS
    found = ours(file, "Events", expressions=[expression], use_standard_awkward_axis=True)
    assert same(found, theirs(file, "Events", expressions=[expression], standard_axis=True))


FILTERS: list[dict[str, Any]] = [
    {"filter_name": "Jet_pt"},
    {"filter_name": ["nJet", "run", "nJet"]},
    {"filter_name": "Jet_*"},
    {"filter_name": ["Muon_[pe]*", "MET_pt?"]},
    {"filter_name": "/Jet_(pt|eta)/"},
    {"filter_name": "/jet_(pt|eta)$/i"},
    {"filter_name": ["/n(Jet|Muon)/", "run"]},
    {"filter_name": "/MET_pt"},
    {"filter_name": "nJet", "filter_typename": "uint32_t"},
    {"filter_name": "Jet_*", "filter_typename": "int32_t*"},
    {"filter_name": "Jet_*", "filter_typename": ["uint8_t[[]]", "int32_t[[]]"]},
    {"filter_name": "M*", "filter_typename": "/float$/"},
    {"filter_name": "/Jet_p.*/", "cut": "nJet > 3"},
    {"filter_name": "/Jet_p.*/", "cut": "Jet_pt > 30"},
    {"filter_name": ["Jet_pt", "MET_pt"], "cut": "max(Jet_pt) > 40"},
    {"expressions": "Jet_pt"},
    {"expressions": ["Jet_pt", "Jet_eta"], "filter_name": "Muon_pt"},
    {"expressions": ["Jet_pt", "Jet_pt"]},
    {"expressions": ["fast"], "aliases": {"fast": "Jet_pt > 30"}},
    {"expressions": ["fast + 1"], "aliases": {"fast": "sqrt(b)", "b": "nJet"}},
    {"expressions": ["nJet + 0"], "aliases": {"nJet": "run"}},
    {"expressions": ["get('fast')"], "aliases": {"fast": "nJet * 2"}},
    {"expressions": ["Jet_pt[fast]"], "cut": "any(fast)", "aliases": {"fast": "Jet_pt > 30"}},
    {"expressions": ["sqrt"], "aliases": {"sqrt": "nJet"}},
    {"expressions": ["sqrt(sqrt)"], "aliases": {"sqrt": "nJet"}},
    {"filter_name": ["nJet"], "cut": "fast", "aliases": {"fast": "nJet > 2", "unused": "no_such_branch"}},
    {"expressions": ["Jet_pt", "run"], "cut": "(nJet > 2) & (run > 0)"},
    {"expressions": ["nJet", "sum(Jet_pt)"], "cut": "nJet > 1000"},
]


@pytest.mark.parametrize("query", FILTERS, ids=str)
def test_filters_and_aliases(shared_data: Path, query: dict[str, Any]) -> None:
    file = shared_data / "root" / CMS
    assert same(ours(file, "Events", **query), theirs(file, "Events", **query))


OTHER_FILES: list[tuple[str, str, dict[str, Any]]] = [
    ("root/nano_dy.root", "Events", {"filter_name": ["Jet_*", "n*"], "cut": "(nJet > 2) & (max(Jet_pt) > 40)"}),
    ("root/nano_dy.root", "Events", {"expressions": ["HTXS_Higgs_pt", "LHEPdfWeight[:, :3]", "sum(GenPart_pt > 20)"]}),
    ("root/nano_dy.root", "Runs", {}),
    ("root/nanoAOD_2015_CMS_Open_Data_ttbar.root", "Events", {"cut": "nJet > 3"}),
    ("adl/Run2012B_SingleMu_1000.root", "Events", {"cut": "nMuon == 2"}),
    ("root/PHYSLITE_example.root", "CollectionTree", {"filter_name": "*Links*"}),
    ("root/nano_dy.root", "Runs", {"expressions": ["genEventSumw_ / genEventCount_"]}),
    ("root/nano_dimuon.root", "Events", {"filter_name": "Muon_*", "cut": "sum(Muon_charge) == 0"}),
    ("adl/Run2012B_SingleMu_1000.root", "Events", {"expressions": ["MET_pt"]}),
    ("adl/Run2012B_SingleMu_1000.root", "Events", {"expressions": ["Jet_pt[abs(Jet_eta) < 1]"]}),
    ("adl/Run2012B_SingleMu_1000.root", "Events", {"expressions": ["MET_pt"], "cut": "sum(Jet_pt > 40) >= 2"}),
    (
        "adl/Run2012B_SingleMu_1000.root",
        "Events",
        {
            "expressions": ["MET_pt", "best"],
            "cut": "(nMuon >= 2) & any((mass > 60) & (mass < 120) & (q == 0))",
            "aliases": {
                "q": "combinations(Muon_charge, 2)['0'] + combinations(Muon_charge, 2)['1']",
                "p": "combinations(Muon_pt, 2)['0'] * combinations(Muon_pt, 2)['1']",
                "eta": "combinations(Muon_eta, 2)['0'] - combinations(Muon_eta, 2)['1']",
                "phi": "combinations(Muon_phi, 2)['0'] - combinations(Muon_phi, 2)['1']",
                "mass": "sqrt(2 * p * (cosh(eta) - cos(phi)))",
                "best": "mass[argmin(abs(mass - 91.2), keepdims=True)]",
            },
        },
    ),
    ("root/PHYSLITE_example.root", "CollectionTree", {"expressions": ["AnalysisElectronsAuxDyn.pt / 1000"]}),
    ("root/PHYSLITE_example.root", "CollectionTree", {"filter_name": "AnalysisJetsAuxDyn.[pe]*"}),
    (
        "root/PHYSLITE_example.root",
        "CollectionTree",
        {
            "expressions": ["get('AnalysisJetsAuxDyn.pt')[:, :2]", "num(jets)"],
            "cut": "sum(AnalysisElectronsAuxDyn.pt > 10e3) >= 1",
            "aliases": {"jets": "AnalysisJetsAuxDyn.pt"},
        },
    ),
]


@pytest.mark.parametrize(("name", "tree", "query"), OTHER_FILES, ids=str)
def test_other_files(shared_data: Path, name: str, tree: str, query: dict[str, Any]) -> None:
    file = shared_data / name
    assert same(ours(file, tree, **query), theirs(file, tree, **query))


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every number type, flat and in lists, many of them empty; and the same without any event."""
    path = tmp_path_factory.mktemp("synthetic") / "synthetic.root"
    random = np.random.default_rng(7)
    counts = np.array([0, 3, 0, 0, 1, 2, 0, 5] * 25)
    columns: dict[str, Any] = {}
    for kind in KINDS:
        values = (random.normal(size=counts.sum()) * 20).astype(kind)
        columns[kind] = (random.normal(size=len(counts)) * 20).astype(kind)
        columns[f"v_{kind}"] = ak.unflatten(values, counts)
    with uproot.recreate(path) as file:
        types = {name: ak.Array(column).type.content for name, column in columns.items()}
        file.mktree("Events", types).extend(columns)
        file.mktree("Empty", types)
    return path


KINDS = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")
OF_EACH_KIND = """
{0} + {0}
v_{0} + {0}
v_{0} * 2
v_{0} * 1.5
v_{0} / 2
v_{0} == 1
v_{0} != {0}
abs(v_{0})
sqrt(v_{0})
exp({0})
sum(v_{0})
prod(v_{0})
max(v_{0})
min(v_{0}) < 3
mean(v_{0})
std(v_{0})
any(v_{0})
all(v_{0})
argmax(v_{0})
count_nonzero(v_{0})
sort(v_{0})
firsts(v_{0})
v_{0}[v_{0} > 0]
where(v_{0} > 0, v_{0}, 0)
where({0} > 0, {0}, 1.5)
fill_none(max(v_{0}), 0)
v_{0}[argmax(v_{0}, keepdims=True)]
combinations(v_{0}, 2)["0"] * combinations(v_{0}, 2)["1"]
concatenate([v_{0}, v_float32])
"""


@pytest.mark.parametrize("tree", ["Events", "Empty"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_number_type(synthetic: Path, kind: str, tree: str) -> None:
    expressions = lines(OF_EACH_KIND.format(kind))
    answers = one_by_one(synthetic, tree, expressions)
    found = {text: ours(synthetic, tree, expressions=[text]) for text in expressions}
    assert [text for text in expressions if not same(found[text], answers[text])] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "cut", ["{0}", "{0} > 3", "sum(v_{0}) > 3", "max(v_{0}) > 3", "v_{0} > 3", "v_{0}", "num(v_{0})"]
)
def test_cut_on_every_number_type(synthetic: Path, kind: str, cut: str) -> None:
    query: dict[str, Any] = {"expressions": [f"v_{kind}", "v_float32 * 2"], "cut": cut.format(kind)}
    assert same(ours(synthetic, "Events", **query), theirs(synthetic, "Events", **query))
