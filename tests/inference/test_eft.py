"""Dimension-6 morphing: closure at the basis points, a generated quadratic truth, and intervals in pieces."""

import itertools
import json

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.optimize import brentq, minimize

from inference.documents import from_json, to_json
from inference.errors import UnknownParameter
from inference.extensions.errors import InvalidExtension
from inference.extensions.morphing import coefficients, condition, monomials
from inference.extensions.wilson import EftFit, eft
from inference.fit import fit_likelihood
from inference.likelihood.model import Likelihood
from skimflow.commands.eft import eft as command

BINS = 5
STANDARD_MODEL = np.asarray([120.0, 90.0, 60.0, 30.0, 12.0])
# Interference of two operators and their squares and product, in units of the Standard Model, growing with energy.
LINEAR = np.asarray([[0.02, 0.04, 0.08, 0.15, 0.3], [-0.05, -0.03, 0.0, 0.05, 0.1]])
SQUARES = np.asarray([[0.01, 0.02, 0.06, 0.2, 0.6], [0.03, 0.03, 0.05, 0.1, 0.2]])
PRODUCT = np.asarray([0.0, 0.01, 0.02, 0.05, 0.1])
BASIS = [[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1], [1, 1]]
BACKGROUND = 20.0


def quadratic(point):
    """The truth: yields of the signal at coefficients."""
    one, other = point
    bend = SQUARES[0] * one**2 + SQUARES[1] * other**2 + PRODUCT * one * other
    return STANDARD_MODEL * (1 + LINEAR[0] * one + LINEAR[1] * other + bend)


def workspace(at=(0.0, 0.0), basis=BASIS, **changes):
    document = {
        "operator": "eft",
        "name": "signal",
        "parameters": [{"name": "c1", "bounds": [-4, 4]}, {"name": "c2", "bounds": [-6, 6]}],
        "sets": ["scale"],
        "basis": basis,
        "yields": [quadratic(point).tolist() for point in basis],
        **changes,
    }
    factor = {"name": "scale", "type": "shapefactor", "data": None}
    norm = {"name": "bkg", "type": "histosys", "data": {"hi_data": [24.0] * BINS, "lo_data": [16.0] * BINS}}
    samples = [
        {"name": "signal", "data": STANDARD_MODEL.tolist(), "modifiers": [factor]},
        {"name": "background", "data": [BACKGROUND] * BINS, "modifiers": [norm]},
    ]
    return {
        "channels": [{"name": "c", "samples": samples}],
        "observations": [{"name": "c", "data": (quadratic(at) + BACKGROUND).tolist()}],
        "measurements": [{"name": "m", "config": {"poi": "c1", "parameters": []}}],
        "version": "1.0.0",
        "extensions": [document],
    }


@pytest.fixture(scope="module")
def model():
    return Likelihood(workspace(at=(0.7, -1.1)))


def at(likelihood, point):
    parameters = likelihood.init.copy()
    parameters[[likelihood.index("c1"), likelihood.index("c2")]] = point
    return parameters


def test_yields_close_at_the_basis_points_and_follow_the_truth_between(model):
    for point in (*BASIS, [0.3, -2.2], [-3.7, 5.1]):
        assert model.expected(at(model, point)) == pytest.approx(quadratic(point) + BACKGROUND, rel=1e-12)


def test_the_coefficients_are_those_of_the_truth():
    found = coefficients(np.asarray(BASIS, float), np.stack([quadratic(point) for point in BASIS]), "quadratic")
    terms = np.stack([np.ones(BINS), *LINEAR, SQUARES[0], PRODUCT, SQUARES[1]]) * STANDARD_MODEL
    assert found == pytest.approx(terms, abs=1e-11)


@pytest.mark.parametrize("operators", [1, 3, 6])
def test_any_number_of_operators_closes_at_random_basis_points(operators):
    rng = np.random.default_rng(operators)
    terms = (operators + 1) * (operators + 2) // 2
    basis = rng.uniform(-2, 2, (terms, operators)) * 10.0 ** rng.integers(-6, 3, operators)
    yields = rng.uniform(1, 10, (terms, 4))
    assert monomials(basis, "quadratic") @ coefficients(basis, yields, "quadratic") == pytest.approx(yields, rel=1e-9)


def test_more_points_than_terms_are_fitted():
    points = np.asarray([[x, y] for x in (-1.0, 0.0, 1.0) for y in (-1.0, 0.0, 1.0)])
    found = coefficients(points, np.stack([quadratic(point) for point in points]), "quadratic")
    assert monomials(points, "quadratic") @ found == pytest.approx(np.stack([quadratic(each) for each in points]))


def test_the_condition_does_not_depend_on_the_unit_of_a_coefficient():
    basis = np.asarray(BASIS, float)
    assert condition(basis * [1e4, 1e-3], "quadratic") == pytest.approx(condition(basis, "quadratic"))
    nearly = np.asarray([[0.0], [1.0], [1.0001]])
    assert condition(nearly, "quadratic") > 1e4
    with pytest.raises(ValueError, match=r"do not determine the term of c\[0\]·c\[1\]"):
        coefficients(np.asarray([*BASIS[:5], [2, 0]], float), np.ones((6, 1)), "quadratic")
    with pytest.raises(ValueError, match="5 basis points for 6 terms: give 1 more"):
        coefficients(basis[:5], np.ones((5, 1)), "quadratic")


def test_interference_alone_is_linear():
    likelihood = Likelihood(workspace(basis=[[0, 0], [1, 0], [0, 1]], order="linear"))
    rates = [likelihood.expected(at(likelihood, point)) for point in ([0, 0], [0.4, 0], [0, 0.6], [0.4, 0.6])]
    assert rates[0] == pytest.approx(STANDARD_MODEL + BACKGROUND, rel=1e-12)
    assert rates[3] == pytest.approx(rates[1] + rates[2] - rates[0], rel=1e-12)


def independent(seen, fixed=None):
    """−log L of the same model in NumPy, profiled over what ``fixed`` (one and other, None if free) leaves."""

    def value(free):
        left = iter(free)
        point = [next(left) if each is None else each for each in fixed or (None, None)]
        alpha = next(left)
        rates = quadratic(point) + BACKGROUND * (1 + 0.2 * alpha)
        return np.sum(rates - seen * np.log(rates)) + 0.5 * alpha**2

    size = 1 + sum(each is None for each in fixed or (None, None))
    begins = itertools.product(*[(-2.0, 0.0, 2.0)] * (size - 1))
    options = {"xatol": 1e-11, "fatol": 1e-13, "maxiter": 20_000, "maxfev": 20_000}
    return min(minimize(value, [*b, 0.0], method="Nelder-Mead", options=options).fun for b in begins)


def test_the_truth_is_found_with_its_other_minima(model):
    found = eft(model, points=31)
    assert [each.bestfit for each in found.coefficients] == pytest.approx([0.7, -1.1], abs=1e-6)
    assert found.certificate.converged
    assert len(found.minima) > 1
    assert found.minima[0].twice_rise == 0
    for valley in found.minima:
        assert 2 * (model.nll(model.fit(start=at(model, valley.values)).parameters)) - found.twice_nll == pytest.approx(
            valley.twice_rise, abs=1e-8
        )
    assert found.failures == ()
    assert [each.extension for each in found.bases] == ["signal"]
    assert from_json(EftFit, to_json(found)) == found


def test_intervals_are_where_an_independent_profile_crosses(model):
    found = eft(model, coefficients=["c1"], points=31)
    seen = model.observed.main
    least = independent(seen)
    [one] = found.coefficients
    for pieces, level in ((one.at_68, 0.5), (one.at_95, 1.920729410347062)):
        ends = [end for piece in pieces for end in (piece.lower, piece.upper)]
        assert None not in ends
        for end in ends:
            crossing = brentq(
                lambda c1, level=level: independent(seen, (c1, None)) - least - level, end - 0.02, end + 0.02, xtol=1e-7
            )
            assert end == pytest.approx(crossing, abs=1e-5)


def test_two_valleys_give_an_interval_in_two_pieces():
    """With c2 held at 0 and data at a coefficient far from 0, its mirror image explains the data too."""
    strong = workspace(at=(2.0, 0.0))
    strong["extensions"][0]["yields"] = [
        (STANDARD_MODEL * (1 + 0.5 * c1**2 + 0.01 * c1 + 0.1 * c2)).tolist() for c1, c2 in BASIS
    ]
    strong["observations"][0]["data"] = (STANDARD_MODEL * 3.02 + BACKGROUND).tolist()
    found = eft(Likelihood(strong), fixed={"c2": 0.0}, points=21)
    [one] = found.coefficients
    assert one.bestfit == pytest.approx(2.0, abs=1e-6)
    assert len(found.minima) == 2
    assert found.minima[1].values[0] == pytest.approx(-2.02, abs=1e-6)
    assert len(one.at_68) == 2
    for piece, centre in zip(one.at_68, (-2.02, 2.0), strict=True):
        assert piece.lower < centre < piece.upper
    # symmetric but for 0.01 c1: c1 and −c1 − 0.02 predict the same
    assert one.at_68[0].lower == pytest.approx(-one.at_68[1].upper - 0.02, abs=1e-6)


def test_the_standard_model_costs_nothing_when_the_data_are_its_own():
    found = eft(Likelihood(workspace()), points=11)
    assert found.standard_model == pytest.approx(0, abs=1e-9)


def test_the_command_scans_a_plane(model, tmp_path):
    """Two coefficients on a grid, the lowest point beside the truth."""
    file, figure = tmp_path / "workspace.json", tmp_path / "plane.png"
    file.write_text(json.dumps(workspace(at=(0.7, -1.1))))
    arguments = [str(file), "--plane", "--par", "c1", "--par", "c2", "--points", "7", "--range", "c1", "-2", "2"]
    done = CliRunner().invoke(command, [*arguments, "--figure", str(figure), "--json"], catch_exceptions=False)
    told = json.loads(done.output)
    assert told["first"] == pytest.approx(np.linspace(-2, 2, 7))
    assert told["second"] == pytest.approx(np.linspace(-6, 6, 7))
    low, lower = told["first"][4], told["second"][2]
    held = model.fit(fixed={"c1": low, "c2": lower}).nll - model.fit(start=at(model, (0.7, -1.1))).nll
    assert told["twice_rises"][4][2] == pytest.approx(2 * held, abs=1e-8)
    assert figure.read_bytes()[:4] == b"\x89PNG"


def test_what_is_no_coefficient_is_said(model):
    with pytest.raises(UnknownParameter, match="'bkg' is no coefficient"):
        eft(model, coefficients=["bkg"])
    plain = workspace()
    del plain["extensions"]
    plain["measurements"][0]["config"]["poi"] = ""
    with pytest.raises(InvalidExtension, match="no extension with the operator 'eft'"):
        eft(Likelihood(plain))


def test_the_plain_fit_looks_on_the_other_side_of_a_square():
    """From a start in the valley of −0.87 the fit that all tools begin with finds the lower one."""
    given = workspace(at=(0.7, -1.1))
    given["measurements"][0]["config"]["parameters"] = [
        {"name": "c1", "inits": [-0.9]},
        {"name": "c2", "inits": [-1.4]},
    ]
    likelihood = Likelihood(given)
    assert likelihood.fit().parameters[likelihood.index("c1")] < 0
    found = fit_likelihood(likelihood)
    assert found.value("c1")[0] == pytest.approx(0.7, abs=1e-6)
    assert found.certificate.starts > 1
