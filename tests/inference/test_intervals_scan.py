"""Scans and contours: against closed forms, cabinetry's scan and iminuit's contour."""

import logging
import math

import iminuit
import numpy as np
import pytest

from inference.documents import from_json, to_json
from inference.errors import InferenceError
from inference.fit import fit_likelihood
from inference.intervals.contours import Contours, contours
from inference.intervals.minos import intervals
from inference.intervals.scan import PlaneScan, Scan, scan, scan_plane
from inference.likelihood.model import Likelihood

# jsonschema deprecates the RefResolver that pyhf 0.7.6 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")

SEEN = (90.0, 55.0)
RATES = np.asarray([[30.0, 60.0], [25.0, 20.0]])  # (bins, parameters)


def two_bins(bounds=((0.0, 5.0), (0.0, 5.0)), seen=SEEN):
    """Two processes of free rates a and b in two bins: as many parameters as bins, all known in closed form."""
    samples = [
        {"name": name, "data": RATES[:, at].tolist(), "modifiers": [{"name": name, "type": "normfactor", "data": None}]}
        for at, name in enumerate("ab")
    ]
    parameters = [
        {"name": name, "bounds": [list(each)], "inits": [1.0]} for name, each in zip("ab", bounds, strict=True)
    ]
    return {
        "version": "1.0.0",
        "channels": [{"name": "c", "samples": samples}],
        "observations": [{"name": "c", "data": list(seen)}],
        "measurements": [{"name": "m", "config": {"poi": "a", "parameters": parameters}}],
    }


def rise(a, b, seen=SEEN):
    """2 Δ log L above the best fit, which predicts both bins as observed."""
    rates = RATES @ (a, b)
    return 2 * float(np.sum(rates - seen - seen * np.log(rates / seen)))


@pytest.fixture(scope="module")
def counted():
    return Likelihood(two_bins(bounds=((-2.0, 8.0), (-2.0, 8.0))))


@pytest.fixture(scope="module")
def agc(fitted):
    workspace, result = fitted("10")
    return workspace, Likelihood(workspace), result


@pytest.fixture(scope="module")
def sbottom(published):
    likelihood = Likelihood(published)
    return likelihood, fit_likelihood(likelihood)


def test_a_plane_has_its_closed_form(counted):
    found = scan_plane(counted, parameters=("a", "b"), points=(7, 5), limits=((1.0, 2.4), None))
    assert found.bestfit == pytest.approx(np.linalg.solve(RATES, SEEN), abs=1e-9)
    assert found.first == pytest.approx(np.linspace(1.0, 2.4, 7), abs=1e-15)
    assert len(found.second) == 5
    assert not found.failures
    for a, row in zip(found.first, found.twice_rises, strict=True):
        for b, height in zip(found.second, row, strict=True):
            assert height == pytest.approx(rise(a, b, np.asarray(SEEN)), abs=1e-9)


def test_a_scan_is_the_lowest_of_the_plane(counted):
    from scipy.optimize import minimize_scalar

    found = scan(counted, parameter="a", points=9)
    for a, height in zip(found.values, found.twice_rises, strict=True):
        best = minimize_scalar(
            lambda b, a=a: rise(a, b, np.asarray(SEEN)),
            bounds=(-0.5 * a + 1e-6, 8.0),
            method="bounded",
            options={"xatol": 1e-9},
        )
        assert height == pytest.approx(best.fun, abs=1e-9)


def test_cabinetrys_scan_agrees(agc):
    """To what its minimiser leaves: half a per mille of the height."""
    import cabinetry

    logging.getLogger("cabinetry").setLevel(logging.ERROR)
    workspace, likelihood, result = agc
    theirs = cabinetry.fit.scan(*cabinetry.model_utils.model_and_data(workspace), "ttbar_norm", n_steps=3)
    ours = scan(likelihood, parameter="ttbar_norm", values=theirs.parameter_values, fit=result)
    assert ours.bestfit == pytest.approx(theirs.bestfit, abs=2e-3 * theirs.uncertainty)
    assert ours.twice_rises == pytest.approx(2 * theirs.delta_nlls / 2, abs=2e-3)


def test_every_point_is_the_lowest_of_two_valleys(fitted):
    """Where cabinetry and Minuit stay in the valley that they came through, the AGC's ME variation has a lower one."""
    workspace, result = fitted("5")
    likelihood = Likelihood(workspace)
    found = scan(likelihood, parameter="ME variation", points=13, limits=(-1.0, 1.6), fit=result)
    assert found.minimum is None
    for value, height in zip(found.values, found.twice_rises, strict=True):
        searched = likelihood.fit(fixed={"ME variation": value}, search=True)
        assert height <= 2 * searched.nll - result.twice_nll + 1e-7
    heights = dict(zip(found.values, found.twice_rises, strict=True))
    stayed = [2 * likelihood.fit(fixed={"ME variation": value}).nll - result.twice_nll for value in heights]
    assert max(np.asarray(stayed) - np.asarray(found.twice_rises)) > 1


@pytest.mark.parametrize("size", ["1", "2", "5", "10", "20", "50", "100", "200", "all"])
def test_every_reference_set_of_the_agc_can_be_scanned(size, fitted):
    """cabinetry's scan fails on some; here every point has a certificate, and the interval ends on the curve."""
    workspace, result = fitted(size)
    likelihood = Likelihood(workspace)
    found = scan(likelihood, fit=result, points=15)
    assert not found.failures
    assert found.minimum is None
    sides = intervals(likelihood, fit=result, sigma=2).intervals[0]
    assert sides.lower.status == sides.upper.status == "crossing"
    ends = scan(likelihood, fit=result, values=[sides.lower.value, sides.upper.value])
    assert ends.twice_rises == pytest.approx((4.0, 4.0), abs=1e-7)
    curve = np.interp([sides.lower.value, sides.upper.value], found.values, found.twice_rises)
    assert curve == pytest.approx([4.0, 4.0], abs=0.3)


def test_points_that_cannot_be_fitted_are_told_and_empty(counted):
    """Without a and b there is no rate where events were seen."""
    found = scan_plane(counted, parameters=("a", "b"), values=([0.0, 1.0], [0.0, 1.0]))
    assert found.twice_rises[0][0] is None
    assert all(height is not None for height in (found.twice_rises[0][1], *found.twice_rises[1]))
    assert len(found.failures) == 1
    assert found.failures[0].startswith("a = 0, b = 0: the model has no density")
    assert from_json(PlaneScan, to_json(found)) == found


def test_a_scan_finds_the_lower_minimum_and_counts_from_it(fitted):
    from dataclasses import replace

    workspace, result = fitted("10")
    likelihood = Likelihood(workspace)
    wrong = replace(result, twice_nll=result.twice_nll + 3.0)
    found = scan(likelihood, points=11, fit=wrong)
    assert found.minimum is not None
    assert found.minimum.fall == pytest.approx(3.0, abs=1e-7)
    assert found.twice_nll == pytest.approx(result.twice_nll, abs=1e-9)
    assert found.bestfit == pytest.approx(result.value("ttbar_norm")[0], abs=1e-7)
    right = scan(likelihood, values=found.values, fit=result)
    assert found.twice_rises == pytest.approx(right.twice_rises, abs=1e-8)
    assert from_json(Scan, to_json(found)) == found


def test_contours_are_exact_and_closed(counted):
    found = contours(counted, parameters=("a", "b"), points=40)
    assert [each.confidence for each in found.contours] == pytest.approx([0.6827, 0.95], abs=1e-4)
    assert [each.twice_rise for each in found.contours] == pytest.approx([2.2957, 5.9915], abs=1e-4)  # PDG: 2.30, 5.99
    for each in found.contours:
        assert not each.failures
        assert each.points[0] == each.points[-1]
        assert len(each.points) == 41
        for point in each.points:
            assert point.status == "crossing"
            height = math.sqrt(rise(point.first, point.second, np.asarray(SEEN)))
            assert height == pytest.approx(math.sqrt(each.twice_rise), abs=1e-8)


def test_contours_are_minuits(counted):
    """MNCONTOUR's points lie on ours, to its tolerance."""
    minuit = iminuit.Minuit(lambda a, b: rise(a, b, np.asarray(SEEN)), 1.0, 1.0)
    minuit.strategy, minuit.tol = 2, 1e-6
    minuit.limits = [(0, 5), (0, 5)]
    minuit.migrad()
    theirs = minuit.mncontour("a", "b", cl=0.95, size=20)
    ours = contours(counted, parameters=("a", "b"), confidence=(0.95,), points=400).contours[0]
    curve = np.asarray([(point.first, point.second) for point in ours.points])
    for point in theirs:
        assert np.linalg.norm(curve - point, axis=1).min() < 0.02


@pytest.mark.parametrize("seen", [(66.0, 23.0), (58.0, 17.0)])
def test_contours_follow_a_bound(seen):
    """With a ≥ 0 the region is cut off; both ends on the bound are exact, whether the best fit is inside or on it."""
    likelihood = Likelihood(two_bins(seen=seen))
    found = contours(likelihood, parameters=("a", "b"), confidence=(0.95,), points=48)
    each = found.contours[0]
    assert not each.failures
    lowest = rise(*found.bestfit, np.asarray(seen))
    on_bound = [point for point in each.points if point.first == 0.0]
    ends = sorted(point.second for point in on_bound)
    for end in (ends[0], ends[-1]):
        assert rise(0.0, end, np.asarray(seen)) - lowest == pytest.approx(each.twice_rise, abs=1e-7)
    for point in each.points:
        height = rise(point.first, point.second, np.asarray(seen)) - lowest
        if point.status == "crossing":
            assert height == pytest.approx(each.twice_rise, abs=1e-7)
        else:
            assert point.first == 0.0
            assert height < each.twice_rise


def test_contours_of_published_models_are_exact(agc, sbottom):
    """The profile at the points, by fits of their own."""
    for likelihood, result, pair in (
        (agc[1], agc[2], ("ttbar_norm", "Jet energy scale")),
        (*sbottom, ("mu_SIG", "mu_ttbar")),
    ):
        found = contours(likelihood, parameters=pair, points=16, fit=result)
        assert found.minimum is None
        for each in found.contours:
            assert not each.failures
            for point in each.points:
                held = dict(zip(pair, (point.first, point.second), strict=True))
                cold = likelihood.fit(fixed=held, search=True)
                warm = likelihood.fit(fixed=held, start=np.asarray(result.bestfit))
                height = max(2 * min(cold.nll, warm.nll) - result.twice_nll, 0.0)
                if point.status == "crossing":
                    assert math.sqrt(height) == pytest.approx(math.sqrt(each.twice_rise), abs=1e-8)
                else:
                    assert point.first == 0.0
        assert from_json(Contours, to_json(found)) == found


def test_what_makes_no_sense_is_refused(counted):
    with pytest.raises(InferenceError, match="between -2 and 8, its bounds"):
        scan(counted, parameter="a", values=[-3.0, 2.0])
    with pytest.raises(InferenceError, match="different values"):
        scan(counted, parameter="a", values=[1.0, 1.0])
    with pytest.raises(InferenceError, match="at least 2 points"):
        scan(counted, parameter="a", points=1)
    with pytest.raises(InferenceError, match="two parameters, not a twice"):
        contours(counted, parameters=("a", "a"))
    with pytest.raises(InferenceError, match="two parameters, not a twice"):
        scan_plane(counted, parameters=("a", "a"))
    with pytest.raises(InferenceError, match="between 0 and 1"):
        contours(counted, parameters=("a", "b"), confidence=(95.0,))
    with pytest.raises(InferenceError, match="held in the fit"):
        scan(counted, parameter="a", fixed={"a": 1.0})


def test_progress_ends_where_all_is_done(counted):
    calls = []
    scan(counted, parameter="a", points=5, progress=lambda done, all_: calls.append((done, all_)))
    assert calls[-1][0] == calls[-1][1]
