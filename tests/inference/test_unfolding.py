"""Unfolding: against TUnfold's formulas, the analytic least-squares solution, and itself."""

import itertools

import numpy as np
import pytest

from inference.documents import from_json, to_json
from inference.errors import FitFailed
from inference.extensions.errors import InvalidExtension
from inference.extensions.lcurve import l_curve
from inference.extensions.unfold import conditions
from inference.extensions.unfolding import Unfolding, unfold
from inference.likelihood.model import Likelihood

EDGES = np.asarray([0.0, 1.0, 2.0, 3.0, 4.5, 6.0, 8.0])
GENERATED, BINS = 6, 12


def response():
    """Probability that an event of a generated bin is seen in a bin: smeared by 0.8, 90 % of all."""
    rng = np.random.default_rng(1)
    columns = []
    for low, high in itertools.pairwise(EDGES):
        seen = rng.uniform(low, high, 20_000) + rng.normal(0, 0.8, 20_000)
        columns.append(0.9 * np.histogram(seen, np.linspace(-1, 9, BINS + 1))[0] / 20_000)
    return np.stack(columns, axis=1)


MATRIX = response()
BACKGROUND = np.full(BINS, 0.02)


def truth(scale):
    """A falling spectrum."""
    centre = 0.5 * (EDGES[1:] + EDGES[:-1])
    return scale * np.diff(EDGES) * np.exp(-centre / 3)


def workspace(scale, observed=None, **unfolding):
    yields = truth(scale)
    document = {
        "operator": "unfold",
        "name": "spectrum",
        "parameter": "x",
        "sets": ["seen"],
        "response": MATRIX.tolist(),
        "truth": yields.tolist(),
        "edges": EDGES.tolist(),
        "bounds": [-10, 10],
        **unfolding,
    }
    factor = {"name": "seen", "type": "shapefactor", "data": None}
    norm = {"name": "bkg", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}
    if observed is None:
        observed = np.random.default_rng(3).poisson(MATRIX @ yields + scale * BACKGROUND)
    samples = [
        {"name": "signal", "data": [1.0] * BINS, "modifiers": [factor]},
        {"name": "background", "data": (scale * BACKGROUND).tolist(), "modifiers": [norm]},
    ]
    return {
        "channels": [{"name": "c", "samples": samples}],
        "observations": [{"name": "c", "data": np.asarray(observed, dtype=float).tolist()}],
        "measurements": [{"name": "m", "config": {"poi": "", "parameters": []}}],
        "version": "1.0.0",
        "extensions": [document],
    }


def tunfold(scale, observed, tau, mode, bias):
    """Solution and covariance of arXiv:1205.6201, equations 2 to 14, with the errors of the data as V."""
    weight = np.diag(1 / observed)
    penalty = conditions(mode, np.diff(EDGES))
    square = tau**2 * penalty.T @ penalty
    information = MATRIX.T @ weight @ MATRIX
    inverse = np.linalg.inv(information + square)
    solution = inverse @ (MATRIX.T @ weight @ (observed - scale * BACKGROUND) + square @ bias)
    return solution, inverse @ information @ inverse


@pytest.mark.parametrize("mode", ["size", "derivative", "curvature"])
def test_large_counts_give_tunfolds_solution(mode):
    """1e10 events: −log L is quadratic to a small part of a standard deviation, the bias some of them off."""
    scale, tau = 1e10, 1e-4
    given = workspace(scale)
    observed = np.asarray(given["observations"][0]["data"])
    bias = truth(scale) + 3e4 * np.random.default_rng(4).normal(size=GENERATED)
    given = workspace(scale, observed, regularisation=mode, tau=tau, bias=bias.tolist())
    for strength in (tau, 0.0):
        found = unfold(Likelihood(given), tau=strength, fixed={"bkg": 0.0})
        solution, covariance = tunfold(scale, observed, strength, mode, bias)
        sigma = np.sqrt(np.diag(covariance))
        assert np.asarray(found.yields) == pytest.approx(solution, abs=1e-3 * sigma.min())
        assert np.asarray(found.covariance) == pytest.approx(covariance, rel=1e-3, abs=1e-4 * covariance.max())


@pytest.fixture(scope="module")
def smooth():
    """20 000 events, the curvature held small, biased towards the truth by nothing."""
    return Likelihood(workspace(1e4, regularisation="curvature", bias=[0.0] * GENERATED))


@pytest.mark.parametrize("mode", ["size", "derivative", "curvature"])
def test_conditions_of_equal_bins_are_tunfolds(mode):
    rows = {"size": [1], "derivative": [-1, 1], "curvature": [1, -2, 1]}[mode]
    expected = [[0] * place + rows + [0] * (5 - place - len(rows)) for place in range(6 - len(rows))]
    assert conditions(mode, np.full(5, 2.5)) == pytest.approx(np.asarray(expected))


def test_a_density_of_constant_slope_has_no_curvature_whatever_the_widths():
    """Contents of bins whose density is 3 + 2 x: slopes are 2, times the average width squared; no curvature."""
    widths, centres = np.diff(EDGES), 0.5 * (EDGES[1:] + EDGES[:-1])
    contents = (3 + 2 * centres) * widths
    assert conditions("curvature", widths) @ contents == pytest.approx(0, abs=1e-12)
    assert conditions("derivative", widths) @ contents == pytest.approx(2 * widths.mean() ** 2)
    assert conditions("size", widths) @ contents == pytest.approx((3 + 2 * centres) * widths.mean())


def test_without_regularisation_there_is_no_bias_and_the_truth_comes_back(smooth):
    found = unfold(smooth, tau=0.0)
    assert found.bias == pytest.approx([0] * GENERATED, abs=1e-6)
    assert found.closure == pytest.approx([0] * GENERATED, abs=1e-6)
    pulls = (np.asarray(found.yields) - found.truth) / found.uncertainties
    assert np.abs(pulls).max() < 3.5


def test_more_regularisation_means_less_variance_and_more_bias(smooth):
    weak, strong = (unfold(smooth, tau=tau) for tau in (1e-4, 3e-3))
    assert np.all(np.asarray(strong.uncertainties) < weak.uncertainties)
    assert np.abs(strong.bias).sum() > 3 * np.abs(weak.bias).sum()
    assert strong.chi2 > weak.chi2
    assert strong.correlation[0, 1] > weak.correlation[0, 1]


def test_a_bias_towards_the_truth_closes():
    """With the truth as bias vector, the truth costs nothing, whatever τ."""
    found = unfold(Likelihood(workspace(1e4, regularisation="curvature", tau=1.0, bias=truth(1e4).tolist())))
    assert found.closure == pytest.approx([0] * GENERATED, abs=1e-6)
    assert found.tau == 1.0


@pytest.mark.parametrize(("tau", "chi2", "at_bound"), [(0.002, 10, ()), (0.02, 197, ()), (0.2, 498, ("bkg",))])
def test_the_covariance_is_that_of_unfolded_toys(smooth, tau, chi2, at_bound):
    """Spread of 400 unfolded toys of data and auxiliary measurement; relative error of a width 1/sqrt(800).

    Toys fluctuate as the data do, around the data: where the spectrum is held so smooth that the fit is bad, the data
    are far from what it predicts, and their fluctuations are not those of the prediction.
    """
    found = unfold(smooth, tau=tau)
    assert found.chi2 == pytest.approx(chi2, abs=0.6)
    assert found.certificate.at_bound == at_bound
    begin = smooth.init.copy()
    begin[smooth.index("spectrum_tau")] = tau
    rng = np.random.default_rng(5)
    auxiliary = np.full(len(smooth.labels), np.nan)
    rows = []
    for _ in range(400):
        auxiliary[smooth.index("bkg")] = rng.normal()
        seen = smooth.observation(rng.poisson(smooth.observed.main), auxiliary)
        rows.append(smooth.minimum(seen, begin, ~smooth.constant).parameters)
    spread = np.std([[row[smooth.index(label)] for label in found.labels] for row in rows], axis=0) * found.truth
    assert spread == pytest.approx(np.asarray(found.uncertainties), rel=0.1)


def test_the_l_curve_turns_where_tunfolds_definition_says(smooth):
    curve = l_curve(smooth)
    assert curve.failures == ()
    assert list(curve.x) == sorted(curve.x)
    assert list(curve.y) == sorted(curve.y, reverse=True)
    # Menger's curvature of three neighbouring points, which needs no derivative
    x, y = np.asarray(curve.x), np.asarray(curve.y)
    sides = [np.hypot(np.diff(x)[:-1], np.diff(y)[:-1]), np.hypot(np.diff(x)[1:], np.diff(y)[1:])]
    sides.append(np.hypot(x[2:] - x[:-2], y[2:] - y[:-2]))
    area = np.diff(x)[:-1] * np.diff(y)[1:] - np.diff(y)[:-1] * np.diff(x)[1:]
    corner = np.argmax(2 * area / np.prod(sides, axis=0)) + 1
    assert abs(np.log10(curve.tau / curve.taus[corner])) < 1.5 * np.log10(curve.taus[1] / curve.taus[0])
    found = unfold(smooth, tau="l-curve")
    assert found.tau == curve.tau
    assert from_json(Unfolding, to_json(found)) == found


def test_singular_values_are_those_of_the_whitened_response(smooth):
    found = unfold(smooth, tau=0.0).resolution
    rates = MATRIX @ truth(1e4) + 1e4 * BACKGROUND
    values = np.linalg.svd(MATRIX * truth(1e4) / np.sqrt(rates)[:, None], compute_uv=False)
    assert found.singular_values == pytest.approx(values, rel=1e-9)
    assert found.condition == pytest.approx(values[0] / values[-1], rel=1e-9)
    assert np.abs(found.components)[0] > 50


def test_strengths_of_samples_that_are_folded_already(smooth):
    """One sample for each generated bin, and no response: the same model, said otherwise."""
    yields = truth(1e4)
    given = workspace(1e4)
    names = [f"generated{place}" for place in range(GENERATED)]
    signals = [
        {
            "name": name,
            "data": (MATRIX[:, place] * yields[place]).tolist(),
            "modifiers": [{"name": f"r{place}", "type": "normfactor", "data": None}],
        }
        for place, name in enumerate(names)
    ]
    given["channels"][0]["samples"] = [*signals, given["channels"][0]["samples"][1]]
    document = {key: value for key, value in given["extensions"][0].items() if key != "response"}
    document["sets"] = [f"r{place}" for place in range(GENERATED)]
    found = unfold(Likelihood({**given, "extensions": [document]}))
    same = unfold(smooth, tau=0.0)
    assert (found.regularisation, found.tau) == ("none", 0.0)
    assert found.yields == pytest.approx(same.yields, rel=1e-8)
    assert np.asarray(found.covariance) == pytest.approx(np.asarray(same.covariance), rel=1e-7)


def test_what_cannot_be_unfolded_is_said(smooth):
    with pytest.raises(InvalidExtension, match="regularises nothing"):
        unfold(Likelihood(workspace(1e4)), tau=0.1)
    with pytest.raises(InvalidExtension, match="no unfolding 'spectrun'; nearest: spectrum"):
        unfold(smooth, extension="spectrun")
    with pytest.raises(InvalidExtension, match="5 values of τ"):
        l_curve(smooth, taus=[1, 2, 3])
    exact = workspace(1e4, observed=MATRIX @ truth(1e4) + 1e4 * BACKGROUND, regularisation="size", tau=1.0)
    exact["extensions"][0]["bias"] = truth(1e4).tolist()
    with pytest.raises(FitFailed, match="0 are left where both data and spectrum say something"):
        l_curve(Likelihood(exact))
    with pytest.raises(InvalidExtension, match="edges must rise"):
        Likelihood(workspace(1e4, edges=[0, 1, 2, 2, 3, 4, 5]))
    undetermined = workspace(1e4, response=np.ones((BINS, GENERATED)).tolist(), regularisation="size")
    with pytest.raises(FitFailed, match="the data do not determine"):
        unfold(Likelihood(undetermined))
