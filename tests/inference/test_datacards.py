"""Datacards of CMS Combine: values, minima and intervals against its formulas written out; a published limit."""

import copy
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).parent))
from combine_reference import Example

from inference.combination.combine import combine
from inference.combination.correlation import CorrelationMap
from inference.formats.datacards.build import read_datacard
from inference.likelihood.model import Likelihood
from inference.workspace import load_workspace

# jsonschema deprecates the RefResolver that pyhf 0.7.6 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")

R = {"r": {"A": "r", "B": "r"}}
SEEDS = st.integers(0, 2**32 - 1)
SLOW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def kappa(rng):
    one, other = rng.uniform(0.8, 1.4, 2)
    return f"{one:.4f}" if rng.random() < 0.4 else f"{one:.4f}/{other:.4f}"


def counting_example(seed):
    rng = np.random.default_rng(seed)
    identifiers = {"sig": 0, "qq": 1, "gg": 2}
    templates = {}
    for bin_ in ("a", "b"):
        for process in identifiers:
            templates[bin_, process] = (rng.uniform(1, 20, 1), np.zeros(1))
        templates[bin_, "data_obs"] = (rng.poisson(30, 1).astype(float), np.zeros(1))
    cells = [cell for cell in templates if cell[1] != "data_obs"]
    count = int(rng.integers(0, 20))
    alpha = {("a", "gg"): templates["a", "gg"][0][0] / max(count, 1)}
    lines = [
        ("lumi", "lnN", None, {cell: f"{rng.uniform(1.01, 1.2):.4f}" for cell in cells}),
        ("xs", "lnN", None, {cell: kappa(rng) for cell in cells if cell[1] != "sig"}),
        ("sideband", "gmN", count, {cell: f"{value:.17g}" for cell, value in alpha.items()}),
    ]
    return Example(identifiers, templates, lines, counting=True)


# Relative statistical errors of a process in each bin: well populated, badly (Poisson; the signal Gaussian), without.
ERRORS = {"sig": (0.05, 0.1, 0.1, 0.2), "bkg": (0.02, 0.06, 0.55, 0.05), "fake": (0.1, 0.15, 0.5, 0.0)}


def shape_example(seed, threshold=10.0):
    """Two bins of the card, 4 bins each."""
    rng = np.random.default_rng(seed)
    identifiers = {"sig": -1, "bkg": 1, "fake": 2}
    templates, varied = {}, {}
    for bin_ in ("b1", "b2"):
        total = np.zeros(4)
        for process, size in (("sig", 5), ("bkg", 40), ("fake", 8)):
            values = rng.uniform(0.5, 1.5, 4) * size
            errors = values * np.asarray(ERRORS[process]) * rng.uniform(0.8, 1.2, 4)
            templates[bin_, process] = (values, errors)
            total += values
        templates[bin_, "data_obs"] = (rng.poisson(total).astype(float), np.zeros(4))
    cells = [cell for cell in templates if cell[1] != "data_obs"]
    for name in ("jes", "scale"):
        for cell in cells:
            values = templates[cell][0]
            varied[(*cell, name)] = tuple(values * rng.uniform(0.8, 1.25, 4) * rng.uniform(0.9, 1.1) for _ in "ud")
    lines = [
        ("lumi", "lnN", None, dict.fromkeys(cells, "1.025")),
        ("xs", "lnN", None, {cell: kappa(rng) for cell in cells if cell[1] == "bkg"}),
        ("jes", "shape", None, dict.fromkeys(cells, "1")),
        ("scale", "shape", None, {cell: "1" for cell in cells if cell[1] != "fake"}),
    ]
    fakes, starts = [("fakes", "*", "fake", "1.2 [0,5]")], {"fakes": 1.2}
    return Example(identifiers, templates, lines, varied, fakes, starts=starts, threshold=threshold)


def somewhere(made, rng):
    spread = np.where(made.init == 0, 1.0, 0.2)
    # not so far that contents become negative, which Combine crops
    point = made.init + spread * np.clip(rng.normal(size=len(made.init)), -1.2, 1.2)
    return np.where(
        made.constant, made.init, np.clip(point, np.maximum(made.lower, 0.05 - 9 * (made.init == 0)), made.upper)
    )


def as_names(made, point):
    return dict(zip(made.labels, map(float, point), strict=True))


def differences(example, folder, seed, points=4):
    """−log L of both at random points, the first one subtracted."""
    made = Likelihood(read_datacard(example.write(folder)).workspace)
    rng = np.random.default_rng(seed)
    where = [somewhere(made, rng) for _ in range(points)]
    ours = np.asarray([made.nll(point) for point in where])
    theirs = np.asarray([example.nll(as_names(made, point)) for point in where])
    return ours - ours[0], theirs - theirs[0]


@SLOW
@given(SEEDS)
def test_values_of_counting_cards(tmp_path, seed):
    ours, theirs = differences(counting_example(seed), tmp_path, seed)
    assert ours == pytest.approx(theirs, rel=1e-10, abs=1e-9)


@SLOW
@given(SEEDS)
def test_values_of_cards_with_shapes(tmp_path, seed):
    ours, theirs = differences(shape_example(seed), tmp_path, seed)
    assert ours == pytest.approx(theirs, rel=1e-10, abs=1e-9)


def full_example():
    """What needs formulas: flat priors, a shape at another scale, rates of other parameters, external constraints."""
    example = shape_example(5, threshold=0.0)
    cells = example.cells
    [lumi, xs, jes, (_, _, _, scale)] = example.lines
    linear = ("linear", "trG", None, {("b1", "bkg"): "0.1", ("b2", "fake"): "-0.05"})
    range_ = ("range", "unif 0 2", None, {("b2", "sig"): "0.2"})
    flat = ("free", "lnU", None, {cell: "1.3" if cell[0] == "b1" else "0.9/1.5" for cell in cells if cell[1] == "bkg"})
    example.lines = [lumi, xs, jes, ("scale", "shape", None, dict.fromkeys(scale, "0.4")), flat]
    example.lines += [linear, range_]
    example.rates += [
        ("eff", "b1", "bkg", "0.9 [0.1,3]"),
        ("rest", "b2", "bkg", "(2-@0)*pow(@1,2)+TMath::Exp(-@2)^2 eff,tilt,external"),
        ("tilt", "b2", "sig", "1"),
    ]
    example.computed["rest"] = lambda at: (2 - at["eff"]) * at["tilt"] ** 2 + np.exp(-at["external"]) ** 2
    example.starts |= {"eff": 0.9, "tilt": 1.0, "external": 2.0}
    example.more = ("tilt param 1.0 0.2", "external extArg 2.0 [0,5]", "theory group = xs free")
    return example


def test_values_with_formulas_flat_priors_and_other_scales(tmp_path):
    example = full_example()
    ours, theirs = differences(example, tmp_path, 1, points=20)
    assert ours == pytest.approx(theirs, rel=1e-10, abs=1e-9)
    read = read_datacard(tmp_path / "card.txt")
    assert read.groups["theory"] == ("xs", "free")
    assert read.groups["autoMCStats"] == ("prop_binb1", "prop_binb2")
    made = Likelihood(load_workspace(read.workspace))
    assert {"eff", "tilt", "external", "free", "scale", "linear", "range"} <= set(made.labels)
    assert not {"rest", "free*1", "scale*0.4", "tilt*1"} & set(made.labels)
    widths = as_names(made, made.widths)
    assert (widths["tilt"], widths["scale"]) == (0.2, 1.0)
    assert np.isnan([widths["free"], widths["eff"], widths["external"], widths["range"]]).all()
    bounds = {name: (made.lower[made.index(name)], made.upper[made.index(name)]) for name in made.labels}
    assert (bounds["jes"], bounds["lumi"], bounds["free"], bounds["range"]) == ((-4, 4), (-7, 7), (-1, 1), (0, 2))
    assert bounds["tilt"] == pytest.approx((0.2, 1.8))
    assert made.init[made.index("prop_binb1[0]")] == 0


def logarithmic_example(seed, threshold=10.0):
    """Shapes of all processes interpolated in their logarithms, one of them at another scale; a gmN."""
    example = shape_example(seed, threshold)
    example.lines = [(name, kind.replace("shape", "shapeN"), *rest) for name, kind, *rest in example.lines]
    [lumi, xs, jes, (_, _, _, scale)] = example.lines
    example.lines = [lumi, xs, jes, ("scale", "shapeN", None, dict.fromkeys(scale, "0.5"))]
    whole = example.templates["b2", "fake"][0].sum()
    example.lines.append(("sideband", "gmN", 20, {("b2", "fake"): f"{whole / 20:.17g}"}))
    example.starts = {"sideband": 21 / 20, **example.starts}
    return example


@pytest.mark.parametrize("threshold", [0.0, 10.0, 1e6])
def test_values_with_interpolated_logarithms(tmp_path, threshold):
    ours, theirs = differences(logarithmic_example(7, threshold), tmp_path, 2, points=10)
    assert ours == pytest.approx(theirs, rel=1e-10, abs=1e-9)


def least(example, made, **held):
    """The reference's own minimum, by SciPy, with some parameters held, from beside ours."""
    labels = [name for name, constant in zip(made.labels, made.constant, strict=True) if not constant]
    names = [name for name in labels if name not in held]
    bounds = {name: (made.lower[made.index(name)], made.upper[made.index(name)]) for name in names}
    start = as_names(made, made.fit(fixed=held).parameters)

    def value(moved):
        return example.nll(start | held | dict(zip(names, moved, strict=True)))

    found = minimize(
        value,
        [start[name] + 0.05 for name in names],
        method="L-BFGS-B",
        bounds=list(bounds.values()),
        options={"ftol": 1e-13, "gtol": 1e-8, "maxfun": 10**6, "maxiter": 10**4},
    )
    return found.fun, dict(zip(names, found.x, strict=True))


@pytest.mark.parametrize("make", [counting_example, shape_example])
def test_minimum_and_interval(tmp_path, make):
    example = make(11)
    made = Likelihood(read_datacard(example.write(tmp_path)).workspace)
    best = made.fit()
    assert best.certificate.converged
    lowest, at = least(example, made)
    assert best.parameters[made.index("r")] == pytest.approx(at["r"], abs=2e-4)
    assert example.nll(as_names(made, best.parameters)) == pytest.approx(lowest, abs=1e-7)

    def rise(r):
        return made.fit(fixed={"r": r}).nll - best.nll - 0.5

    upper = brentq(rise, at["r"], at["r"] + 10, xtol=1e-10)
    assert least(example, made, r=upper)[0] - lowest == pytest.approx(0.5, abs=1e-6)


def test_errors_of_bins_follow_the_norms(tmp_path):
    """A process with large errors that the fit scales up: the profile is Combine's, with one parameter for each bin."""
    example = shape_example(3, threshold=1.0)
    made = Likelihood(read_datacard(example.write(tmp_path)).workspace)
    assert sum(name.startswith("prop_binb1[") for name in made.labels) == 4
    (lowest, at), (higher, _) = least(example, made), least(example, made, r=3.0)
    best = made.fit()
    assert best.certificate.converged
    assert best.parameters[made.index("r")] == pytest.approx(at["r"], abs=1e-3)
    assert made.fit(fixed={"r": 3.0}).nll - best.nll == pytest.approx(higher - lowest, abs=1e-6)


def test_two_cards_are_combined(tmp_path):
    """r shared, all else apart: −log L is the sum, of errors that follow the norms too."""
    one = read_datacard(shape_example(5).write(tmp_path)).workspace
    other = read_datacard(logarithmic_example(6).write(tmp_path)).workspace
    channels = {"B": {"b1": "c1", "b2": "c2"}}
    together = combine({"A": one, "B": other}, CorrelationMap(default="private", correlate=R, channels=channels))
    made = {"A": Likelihood(one), "B": Likelihood(other), "both": Likelihood(together.workspace)}
    rng = np.random.default_rng(4)
    points = {name: as_names(made[name], somewhere(made[name], rng)) for name in "AB"}
    points["B"]["r"] = points["A"]["r"]
    values = points["A"] | points["B"]
    for name, point in points.items():
        for label, value in point.items():
            place = "_".join([label.partition("[")[0], name]) + "".join(label.partition("[")[1:])
            values |= {label: value} if label in made["both"].labels else {place: value}
    parts = [made[name].nll(np.asarray(list(points[name].values()))) for name in "AB"]
    whole = made["both"].nll(np.asarray([values[label] for label in made["both"].labels]))
    assert whole == pytest.approx(sum(parts), rel=1e-12)


def word(name):
    return re.sub(r"\W+", "_", name)


def as_card(workspace):
    """The AGC's workspace as a card: its variations are a shape with a norm, or a norm alone."""
    identifiers, templates, varied, lines = {}, {}, {}, {}
    for channel, data in zip(workspace["channels"], workspace["observations"], strict=True):
        for sample in channel["samples"]:
            cell = (word(channel["name"]), word(sample["name"]))
            found = {(each["type"], each["name"]): each["data"] for each in sample["modifiers"]}
            kinds = {kind: [name for each, name in found if each == kind] for kind, _ in found}
            identifiers.setdefault(cell[1], 0 if "normfactor" in kinds else len(identifiers) + 1)
            templates[cell] = (np.asarray(sample["data"]), np.asarray(found["staterror", kinds["staterror"][0]]))
            for name in kinds["normsys"]:
                norm, shape = found["normsys", name], found.get(("histosys", name))
                kind = "lnN" if shape is None else "shape"
                entries = lines.setdefault(word(name), (kind, {}))[1]
                entries[cell] = f"{norm['lo']!r}/{norm['hi']!r}" if shape is None else "1"
                if shape is not None:
                    sides = (np.asarray(shape[f"{side}_data"]) * norm[side] for side in ("hi", "lo"))
                    varied[(*cell, word(name))] = tuple(sides)
        assert data["name"] == channel["name"]
        templates[word(channel["name"]), "data_obs"] = (np.asarray(data["data"]), np.zeros(len(data["data"])))
    made = [(name, kind, None, entries) for name, (kind, entries) in lines.items()]
    return Example(identifiers, templates, made, varied)


def test_the_agc_as_a_card_fits_as_its_workspace_does(fitted, tmp_path):
    """Without statistical errors, which HistFactory and Combine scale otherwise."""
    workspace = copy.deepcopy(fitted("all")[0])
    path = as_card(workspace).write(tmp_path)
    for sample in (sample for channel in workspace["channels"] for sample in channel["samples"]):
        sample["modifiers"] = [each for each in sample["modifiers"] if each["type"] != "staterror"]
    direct = Likelihood(workspace, normsys="combine")
    read = Likelihood(read_datacard(path).workspace)
    theirs, ours = direct.fit(), read.fit()
    assert ours.nll == pytest.approx(theirs.nll, rel=1e-12)
    assert ours.parameters[read.index("r")] == pytest.approx(theirs.parameters[direct.index("ttbar_norm")], rel=1e-10)


PAGE = (Path(__file__).resolve().parents[2] / "docs" / "datacards.md").read_text(encoding="utf-8")


def test_the_page_and_the_manuals_limit(tmp_path, monkeypatch):
    """The page's card is the manual's counting experiment, for which it prints r < 1.6281 and bands
    (AsymptoticLimits); its search stops at 0.5 % of r. Its bands are quantiles of 2.5 %, 16 %, …, not ±2σ, ±1σ, …
    """
    monkeypatch.chdir(tmp_path)
    [card] = re.findall(r"```text\n(.*?)```", PAGE, flags=re.DOTALL)
    [example] = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    Path("card.txt").write_text(card)
    spaces = {}
    exec(compile(example, "datacards.md", "exec"), spaces)
    limit = spaces["limit"]
    assert limit.observed == pytest.approx(1.6281, rel=2e-3)
    assert limit.expected[2] == pytest.approx(2.3281, rel=5e-3)
    made = spaces["Likelihood"](spaces["card"].workspace)
    background = made.fit(fixed={"r": 0.0}).parameters
    asimov = made.observation(made.expected(background), background)
    least = made.fit(asimov, fixed={"r": 0.0}).nll

    def limit_at(quantile):
        """CLs of 5 % where the background's test statistic is at its quantile."""
        root = norm.ppf(1 - 0.05 * quantile) + norm.ppf(quantile)
        return brentq(lambda r: 2 * (made.fit(asimov, fixed={"r": r}).nll - least) - root**2, 0.1, 19)

    found = [limit_at(quantile) for quantile in (0.025, 0.16, 0.5, 0.84, 0.975)]
    assert found == pytest.approx((0.9640, 1.4329, 2.3281, 3.9800, 6.6194), rel=5.5e-3)
    assert found[2] == pytest.approx(limit.expected[2], rel=1e-6)
    assert load_workspace(Path("workspace.json")) == spaces["card"].workspace


def test_the_tutorials_interval(tmp_path):
    """Combine's tutorial on statistical routines: 6 events seen, 5.4 of background expected; it prints r with
    MultiDimFit's interval, whose search is exact to about a thousandth.
    """
    text = """\
shapes * * FAKE
bin a
observation 6
bin a a
process ggH WW
process 0 1
rate 2.3 5.4
lumi lnN 1.01 1.01
xs_ggH lnN 1.10 -
xs_WW lnN - 1.16
"""
    (tmp_path / "card.txt").write_text(text)
    workspace = read_datacard(tmp_path / "card.txt").workspace
    [signal] = [each for each in workspace["measurements"][0]["config"]["parameters"] if each["name"] == "r"]
    signal["bounds"] = [[-10.0, 10.0]]  # --rMin -10 --rMax 10
    made = Likelihood(workspace)
    best = made.fit()
    at = best.parameters[made.index("r")]
    ends = [brentq(lambda r: made.fit(fixed={"r": r}).nll - best.nll - 0.5, at, at + side) for side in (-2, 2)]
    assert at == pytest.approx(0.6 / 2.3, abs=1e-8)
    assert np.asarray(ends) - at == pytest.approx((-1.004, 1.265), abs=1.5e-3)
