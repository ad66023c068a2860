"""Profiled intervals: against closed forms, pyhf's likelihood at the crossings, iminuit and cabinetry."""

import logging
import math
import sys
from dataclasses import replace
from pathlib import Path

import iminuit
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import chi2

sys.path.insert(0, str(Path(__file__).parent))
from random_workspaces import random_workspace

from inference.documents import from_json, to_json
from inference.errors import InferenceError, UnknownParameter
from inference.fit import fit_likelihood
from inference.intervals.minos import Intervals, intervals
from inference.likelihood.model import Likelihood
from inference.reference import reference_model

# jsonschema deprecates the RefResolver that pyhf 0.7.6 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")


def counting(seen, signal=10.0, background=50.0, bounds=(0.0, 10.0)):
    """One bin without nuisances: n events of a Poisson with mean μ s + b."""
    mu = {"name": "mu", "type": "normfactor", "data": None}
    samples = [
        {"name": "s", "data": [signal], "modifiers": [mu]},
        {"name": "b", "data": [background], "modifiers": []},
    ]
    config = {"poi": "mu", "parameters": [{"name": "mu", "bounds": [list(bounds)], "inits": [1.0]}]}
    return {
        "version": "1.0.0",
        "channels": [{"name": "c", "samples": samples}],
        "observations": [{"name": "c", "data": [seen]}],
        "measurements": [{"name": "m", "config": config}],
    }


def counting_rise(mu, seen, best, signal=10.0, background=50.0):
    """2 Δ log L in closed form."""
    there, here = mu * signal + background, best * signal + background
    return 2 * (there - here - seen * math.log(there / here))


@pytest.fixture(scope="module")
def sbottom(published):
    likelihood = Likelihood(published)
    return published, likelihood, fit_likelihood(likelihood)


@pytest.fixture(scope="module")
def agc(fitted):
    workspace, result = fitted("10")
    return workspace, Likelihood(workspace), result


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0, 5.0])
def test_a_counting_experiment_has_its_closed_form(sigma):
    likelihood = Likelihood(counting(83.0, bounds=(-4.0, 30.0)))
    found = intervals(likelihood, sigma=sigma).intervals[0]
    best = (83.0 - 50.0) / 10.0
    assert found.bestfit == pytest.approx(best, abs=1e-10)

    def above(mu):
        return counting_rise(mu, 83.0, best) - sigma**2

    assert found.upper.value == pytest.approx(brentq(above, best, 30.0, xtol=1e-14), abs=5e-9)
    assert found.lower.value == pytest.approx(brentq(above, -4.9, best, xtol=1e-14), abs=5e-9)
    assert found.upper.status == found.lower.status == "crossing"
    assert max(found.upper.fits, found.lower.fits) <= 5


def test_without_a_parameter_of_interest_those_that_could_be_are_named():
    workspace = counting(60.0)
    workspace["measurements"][0]["config"]["poi"] = ""
    with pytest.raises(UnknownParameter, match=r"no parameter of interest: give one \(such as mu\)"):
        intervals(Likelihood(workspace))


def test_a_side_that_ends_on_a_bound_says_so():
    """Fewer events than background: the best fit is at the bound 0, and the upper end counts from there."""
    likelihood = Likelihood(counting(44.0))
    found = intervals(likelihood).interval("mu")
    assert found.bestfit == 0.0
    assert found.lower.status == "bound"
    assert (found.lower.value, found.lower.twice_rise) == (0.0, 0.0)
    expected = brentq(lambda mu: counting_rise(mu, 44.0, 0.0) - 1, 0.0, 10.0, xtol=1e-14)
    assert found.upper.value == pytest.approx(expected, abs=1e-9)
    # a bound that is met on the way
    near = intervals(Likelihood(counting(57.0))).interval("mu")
    assert near.lower.status == "bound"
    assert near.lower.value == 0.0
    assert near.lower.twice_rise == pytest.approx(counting_rise(0.0, 57.0, 0.7), abs=1e-9)
    assert near.upper.status == "crossing"


def test_a_side_beyond_which_there_is_no_density_is_found_nonetheless():
    """Bounds that reach to negative rates, where −log L is infinite."""
    found = intervals(Likelihood(counting(3.0, background=4.0, bounds=(-5.0, 10.0))), sigma=4).interval("mu")

    def above(mu):
        return counting_rise(mu, 3.0, -0.1, background=4.0) - 16

    assert found.lower.value == pytest.approx(brentq(above, -0.4 + 1e-12, -0.1, xtol=1e-15), abs=1e-10)
    assert found.upper.value == pytest.approx(brentq(above, -0.1, 10.0, xtol=1e-14), abs=1e-9)


@pytest.mark.parametrize(("model", "sigma"), [("agc", 2.0), ("sbottom", 1.0)])
def test_crossings_of_all_parameters_are_exact(model, sigma, request):
    """The profile at each end, by a fit of its own from the initial values, and by pyhf's likelihood at that point."""
    workspace, likelihood, result = request.getfixturevalue(model)
    free = [label for label, fixed in zip(result.labels, result.fixed, strict=True) if not fixed]
    found = intervals(likelihood, parameters=free, sigma=sigma, fit=result)
    assert found.minimum is None
    assert [each.parameter for each in found.intervals] == free
    pdf, data = reference_model(workspace)
    best = -float(pdf.logpdf(np.asarray(result.bestfit), data)[0])
    for each in found.intervals:
        for side in (each.lower, each.upper):
            assert side.status == ("bound" if (each.parameter, side) == ("mu_SIG", each.lower) else "crossing")
            if side.status == "crossing":
                refit = likelihood.fit(fixed={each.parameter: side.value})
                assert refit.certificate.converged
                rise = 2 * (-float(pdf.logpdf(refit.parameters, data)[0]) - best)
                assert math.sqrt(rise) == pytest.approx(sigma, abs=1e-8)
                assert side.twice_rise == pytest.approx(sigma**2, abs=1e-8)
    assert max(side.fits for each in found.intervals for side in (each.lower, each.upper)) <= 6


def test_pyhfs_own_conditional_fit_is_not_lower(agc):
    import pyhf

    workspace, likelihood, result = agc
    pdf, data = reference_model(workspace)
    end = intervals(likelihood, fit=result).intervals[0].upper
    theirs = pyhf.infer.mle.fixed_poi_fit(end.value, data, pdf, return_fitted_val=True)[1]
    assert float(theirs) - result.twice_nll > 1 - 1e-8
    assert float(theirs) - result.twice_nll == pytest.approx(1, abs=1e-3)


def test_cabinetrys_minos_agrees(agc):
    """To what Minos promises: a few per mille of the uncertainty."""
    import cabinetry

    logging.getLogger("cabinetry").setLevel(logging.ERROR)
    workspace, likelihood, result = agc
    labels = ["ttbar_norm", "Jet energy scale"]
    theirs = cabinetry.fit.fit(*cabinetry.model_utils.model_and_data(workspace), minos=labels).minos_uncertainty
    for each in intervals(likelihood, parameters=labels, fit=result).intervals:
        assert each.errors == pytest.approx(theirs[each.parameter], abs=4e-3 * each.uncertainty)


def uncertain(background, high, low, seen, start=0.0):
    """Signal and background in two bins, the background of uncertain shape and rate."""
    workspace = counting(70.0)
    shape = {"name": "shape", "type": "histosys", "data": {"hi_data": high, "lo_data": low}}
    rate = {"name": "rate", "type": "normsys", "data": {"hi": 1.2, "lo": 0.85}}
    signal, other = workspace["channels"][0]["samples"]
    signal["data"], other["data"], other["modifiers"] = [10.0, 25.0], background, [shape, rate]
    workspace["observations"][0]["data"] = seen
    workspace["measurements"][0]["config"]["parameters"].append({"name": "shape", "inits": [start]})
    return workspace


def test_iminuits_minos_agrees_closely_where_its_tolerance_is_tight():
    """Minos on pyhf's likelihood."""
    workspace = uncertain([50.0, 45.0], [60.0, 48.0], [43.0, 49.0], [63.0, 74.0])
    pdf, data = reference_model(workspace)
    minuit = iminuit.Minuit(
        lambda values: -2 * float(pdf.logpdf(values, data)[0]), pdf.config.suggested_init(), name=pdf.config.par_names
    )
    minuit.strategy, minuit.tol = 2, 1e-6
    minuit.migrad()
    for cl in (None, 2):
        minuit.minos(cl=cl)
        found = intervals(Likelihood(workspace), parameters=pdf.config.par_names, sigma=cl or 1)
        for each in found.intervals:
            theirs = minuit.merrors[each.parameter]
            assert each.errors == pytest.approx((theirs.lower, theirs.upper), rel=1e-3)


def test_the_level_may_be_a_probability():
    likelihood = Likelihood(counting(83.0))
    found = intervals(likelihood, confidence=0.95)
    assert found.sigma**2 == pytest.approx(chi2.ppf(0.95, 1), rel=1e-12)
    assert found.confidence == pytest.approx(0.95, abs=1e-14)
    assert found.intervals == intervals(likelihood, sigma=found.sigma).intervals


def test_a_lower_minimum_on_the_way_is_told_and_counted_from():
    """A shape whose both sides raise the rate of a bin: 100 becomes 120 for +1 and 124 for −1."""
    held = {"mu": 0.0, "rate": 0.0}
    likelihood = Likelihood(uncertain([100.0, 50.0], [120.0, 50.0], [124.0, 50.0], [122.0, 50.0], start=0.8))
    place = likelihood.index("shape")
    upper, lowest = likelihood.fit(fixed=held), fit_likelihood(likelihood, held)
    assert lowest.bestfit[place] < 0 < upper.parameters[place]
    # a fit that stopped in the upper valley
    uncertainty = [0.4 if at == place else 0.0 for at in range(3)]
    nominal = replace(
        lowest,
        bestfit=tuple(upper.parameters.tolist()),
        covariance=tuple(map(tuple, np.diag(np.square(uncertainty)).tolist())),
        uncertainties=tuple(uncertainty),
        twice_nll=2 * upper.nll,
    )
    found = intervals(likelihood, parameters=["shape"], sigma=4, fit=nominal)
    assert found.minimum is not None
    assert found.minimum.while_holding == ("shape",)
    assert found.minimum.fall == pytest.approx(2 * upper.nll - lowest.twice_nll, abs=1e-9)
    assert found.minimum.bestfit == pytest.approx(lowest.bestfit, abs=1e-6)
    assert found.twice_nll == pytest.approx(lowest.twice_nll, abs=1e-9)
    for side in (found.intervals[0].lower, found.intervals[0].upper):
        there = likelihood.fit(fixed={**held, "shape": side.value}).nll
        assert 2 * there - lowest.twice_nll == pytest.approx(16, abs=1e-8)


def test_a_profile_follows_the_lowest_valley(fitted):
    """The AGC's ME variation, held away from its best fit, leaves two minima of the others: the lower one counts."""
    workspace, result = fitted("5")
    likelihood = Likelihood(workspace)
    found = intervals(likelihood, parameters=["ME variation"], sigma=3, fit=result).intervals[0]
    for side in (found.lower, found.upper):
        lowest = likelihood.fit(fixed={"ME variation": side.value}, search=True)
        assert 2 * lowest.nll - result.twice_nll == pytest.approx(9, abs=1e-7)


def on_off(seen, control):
    """Signal of strength μ over a background b that a control region measures with twice the events."""
    workspace = counting(seen, signal=10.0, background=50.0, bounds=(-3.0, 10.0))
    rate = {"name": "b", "type": "normfactor", "data": None}
    workspace["channels"][0]["samples"][1]["modifiers"] = [rate]
    workspace["channels"].append({"name": "d", "samples": [{"name": "b", "data": [100.0], "modifiers": [rate]}]})
    workspace["observations"].append({"name": "d", "data": [control]})
    return workspace


def test_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(11)
    covered = {0.6827: 0, 0.95: 0}
    toys = 250
    for seen, control in zip(rng.poisson(65.0, toys), rng.poisson(100.0, toys), strict=True):
        likelihood = Likelihood(on_off(float(seen), float(control)))
        result = fit_likelihood(likelihood)
        for level in covered:
            found = intervals(likelihood, confidence=level, fit=result).intervals[0]
            covered[level] += found.lower.value <= 1.5 <= found.upper.value
    for level, count in covered.items():
        assert count / toys == pytest.approx(level, abs=3 * math.sqrt(level * (1 - level) / toys))


@pytest.mark.parametrize("seed", [8])
def test_generated_models_have_exact_ends_or_say_why_not(seed):
    """All modifiers mixed, in few bins: bounds, points without density, and valleys that are lower elsewhere."""
    likelihood = Likelihood(random_workspace(seed))
    result = fit_likelihood(likelihood)
    free = [label for label, fixed in zip(result.labels, result.fixed, strict=True) if not fixed]
    for sigma in (1, 2):
        found = intervals(likelihood, parameters=free, sigma=sigma, fit=result)
        for each in found.intervals:
            place = likelihood.index(each.parameter)
            for side, bound in ((each.lower, likelihood.lower[place]), (each.upper, likelihood.upper[place])):
                assert side.status != "failed"
                if side.status == "bound":
                    assert side.value == bound
                    assert side.twice_rise < sigma**2
                    continue
                held = {each.parameter: side.value}
                refits = [
                    likelihood.fit(fixed=held, start=start) for start in (None, np.asarray(found_at(found, result)))
                ]
                rises = [2 * refit.nll - found.twice_nll for refit in refits if refit.certificate.converged]
                assert min(rises) > sigma**2 - 1e-7


def found_at(found, result):
    return found.minimum.bestfit if found.minimum else result.bestfit


def test_what_makes_no_sense_is_refused(agc):
    _, likelihood, result = agc
    with pytest.raises(UnknownParameter, match="nearest: ttbar_norm"):
        intervals(likelihood, parameters=["ttbar_nrm"], fit=result)
    with pytest.raises(InferenceError, match="between 0 and 1"):
        intervals(likelihood, confidence=95, fit=result)
    with pytest.raises(InferenceError, match="greater than 0"):
        intervals(likelihood, sigma=-1, fit=result)
    with pytest.raises(InferenceError, match="held in the fit"):
        intervals(likelihood, fixed={"ttbar_norm": 1.0})


def test_parameters_that_are_held_stay_held(agc):
    _, likelihood, result = agc
    alone = {label: value for label, value in zip(result.labels, result.bestfit, strict=True) if label != "ttbar_norm"}
    found = intervals(likelihood, fixed=alone).intervals[0]
    profiled = intervals(likelihood, fit=result).intervals[0]
    assert found.bestfit == pytest.approx(profiled.bestfit, abs=1e-8)
    assert found.upper.value - found.bestfit < 0.2 * (profiled.upper.value - profiled.bestfit)


def test_intervals_survive_json():
    found = intervals(Likelihood(counting(44.0)))
    assert from_json(Intervals, to_json(found)) == found
