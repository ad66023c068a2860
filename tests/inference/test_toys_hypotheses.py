"""CLs, limits and significances by toys against Poisson sums, pyhf's toys, and asymptotic formulae of many events."""

import sys
from pathlib import Path

import numpy as np
import pyhf
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import ks_2samp, norm, poisson

sys.path.insert(0, str(Path(__file__).parent))
from small_models import counting

from artifacts.store import Store
from inference.documents import from_json, to_json
from inference.errors import UnknownParameter
from inference.hypotheses.asymptotic import Asymptotic
from inference.hypotheses.discovery import significance
from inference.hypotheses.limits import upper_limit
from inference.intervals.minos import intervals
from inference.likelihood.model import Likelihood
from inference.toys.campaign import Campaign, carry_out
from inference.toys.curves import crossing
from inference.toys.discovery import ToySignificance, significance_by_toys
from inference.toys.errors import InvalidToys
from inference.toys.exclusion import ToyTests, hypothesis_tests_by_toys
from inference.toys.fits import fit_variants
from inference.toys.fractions import Fraction
from inference.toys.generate import throw
from inference.toys.limits import ToyLimit, upper_limit_by_toys

pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")

SIGNAL, BACKGROUND, OBSERVED = 5.0, 12.0, 10.0


@pytest.fixture(scope="module")
def small():
    """No nuisance: the test statistic falls with the count, so that p-values are sums of Poisson probabilities."""
    return Likelihood(counting(SIGNAL, BACKGROUND, observed=OBSERVED))


@pytest.fixture(scope="module")
def many_events():
    return Likelihood(counting(100.0, 10_000.0, observed=10_050.0, error=0.005))


def agrees(fraction, exact, sigmas=4):
    return abs(fraction.value - exact) < sigmas * max(fraction.error, np.sqrt(exact * (1 - exact) / fraction.toys))


def test_p_values_are_sums_of_poisson_probabilities(small):
    found = hypothesis_tests_by_toys(small, mu=(0.5, 1.0, 2.0), toys=3000, seed=1)
    assert [test.mu for test in found.tests] == [0.5, 1.0, 2.0]
    for test in found.tests:
        clsb, clb = poisson.cdf(OBSERVED, test.mu * SIGNAL + BACKGROUND), poisson.cdf(OBSERVED, BACKGROUND)
        assert agrees(test.clsb, clsb)
        assert agrees(test.clb, clb)
        assert abs(test.cls.value - clsb / clb) < 4 * test.cls.error
        assert 0 < test.cls.error < 0.05
        assert sum(test.signal.counts) == sum(test.background.counts) == 3000
        for point, each in zip((-2, -1, 0, 1, 2), test.expected, strict=True):
            count = poisson.ppf(norm.cdf(point), BACKGROUND)
            # the quantile of toys may be the next count
            exact = [cls_of_count(n, test.mu) for n in (count - 1, count, count + 1)]
            assert min(abs(each.value - one) for one in exact) < 4 * each.error + 0.01
    assert from_json(ToyTests, to_json(found)) == found


def cls_of_count(count, mu):
    """1 where the best fit is not below μ, since the test statistic is 0 there."""
    rate = mu * SIGNAL + BACKGROUND
    return poisson.cdf(count, rate) / poisson.cdf(count, BACKGROUND) if count < rate else 1.0


def test_hybrid_p_values_are_poisson_sums_averaged_over_the_prior():
    """One bin: the statistic falls with the count, so that CLsb is the chance of as few events, for any background."""
    seen, error = 53.0, 0.2
    likelihood = Likelihood(counting(10.0, 50.0, observed=seen, error=error))
    tests = hypothesis_tests_by_toys(likelihood, toys=4000, seed=2, ensemble="prior")
    assert tests.notes[-1].startswith("hybrid toys")
    [test] = tests.tests
    for mu, found in ((1.0, test.clsb), (0.0, test.clb)):

        def as_few(alpha, mu=mu):
            return norm.pdf(alpha) * poisson.cdf(seen, 10.0 * mu + 50.0 * (1 + error * alpha))

        assert found.value == pytest.approx(quad(as_few, -4.9, 8)[0], abs=3 * found.error)
    # frequentist toys have the background where the data want it, and fluctuating auxiliary measurements
    [other] = hypothesis_tests_by_toys(likelihood, toys=4000, seed=2).tests
    assert abs(other.clsb.value - test.clsb.value) > 3 * test.clsb.error


@pytest.mark.parametrize("method", ["CLs", "CLsb"])
def test_the_limit_of_a_count_is_the_exact_one(small, method):
    found = upper_limit_by_toys(small, toys=2000, seed=2, method=method)

    def excess(mu):
        clsb = poisson.cdf(OBSERVED, mu * SIGNAL + BACKGROUND)
        return clsb / (poisson.cdf(OBSERVED, BACKGROUND) if method == "CLs" else 1.0) - 0.05

    assert abs(found.observed.value - brentq(excess, 0.01, 10)) < 3.5 * found.observed.error
    assert 0.005 < found.observed.error < 0.1
    if method == "CLs":
        assert found.failures == ()
    else:  # so few events that they exclude even 0
        assert found.expected[0] is None
        assert found.failures == ("expected limit at -2 σ: p = 0.05 is not between the values that were tried",)
    assert from_json(ToyLimit, to_json(found)) == found


def test_limits_are_the_asymptotic_ones_where_there_are_many_events(many_events):
    found = upper_limit_by_toys(many_events, toys=500, seed=3)
    guide = upper_limit(many_events)
    assert (found.asymptotic, found.asymptotic_expected) == (guide.observed, guide.expected)
    ours, theirs = (found.observed, *found.expected), (guide.observed, *guide.expected)
    for point, one, other in zip((None, -2, -1, 0, 1, 2), ours, theirs, strict=True):
        if point == -2:
            assert any("expected limit at -2 σ: only" in note for note in found.notes)
            continue
        assert abs(one.value - other) < 3 * one.error + 0.01 * other
        assert 0 < one.error < 0.3 * one.value


def test_a_limit_beyond_the_first_values_is_found(small, monkeypatch):
    """Far from where the asymptotic formulae see it: the search goes on outwards."""
    monkeypatch.setattr("inference.toys.limits._first", lambda *_: [0.3, 0.5])
    found = upper_limit_by_toys(small, toys=500, seed=2)
    assert found.failures == ()
    assert abs(found.observed.value - upper_limit_by_toys(small, toys=500, seed=3).observed.value) < 0.3


def test_a_crossing_has_the_error_of_its_toys():
    """p = Φ(2 − μ) reaches 0.05 at 2 + 1.6449: found without bias, and spread as the errors say, few toys or many."""
    values, rng = np.linspace(2.5, 4.5, 5), np.random.default_rng(1)
    goals, truth = np.full(5, 0.05), 2 - norm.ppf(0.05)
    for toys in (200, 5000):
        number = np.full(5, toys)
        found = [crossing(values, rng.binomial(number, norm.cdf(2 - values)), number, goals) for _ in range(300)]
        pulls = np.asarray([(place - truth) / error for place, error in found])
        assert abs(pulls.mean()) < 0.25
        assert 0.85 < pulls.std() < 1.15
    assert crossing(values, number, number, goals) is None


def test_the_significance_of_a_count_is_the_exact_one():
    likelihood = Likelihood(counting(10.0, BACKGROUND, observed=20.0))
    found = significance_by_toys(likelihood, toys=4000, seed=4)
    exact = poisson.sf(19, BACKGROUND)
    assert agrees(found.observed.p_value, exact)
    assert found.observed.z == pytest.approx(norm.isf(found.observed.p_value.value))
    assert found.observed.z_low < found.observed.z < found.observed.z_high
    assert [strength.p_value.value for strength in found.expected] == sorted(
        (strength.p_value.value for strength in found.expected), reverse=True
    )
    median = poisson.ppf(0.5, 22)
    assert (
        min(abs(found.expected[2].p_value.value - poisson.sf(n - 1, BACKGROUND)) for n in (median, median + 1)) < 0.01
    )
    assert from_json(ToySignificance, to_json(found)) == found


def test_the_significance_is_the_asymptotic_one_where_there_are_many_events():
    likelihood = Likelihood(counting(100.0, 10_000.0, observed=10_200.0, error=0.005))
    found, guide = significance_by_toys(likelihood, toys=2000, seed=5, signal=2.0), significance(likelihood, signal=2.0)
    assert found.q0 == pytest.approx(guide.q0, rel=1e-9)
    assert agrees(found.observed.p_value, guide.p_value)
    # the quantile of the toys is uncertain too: half a standard deviation is 0.04 of 2000 toys' median
    assert found.expected[2].z == pytest.approx(guide.expected_z, abs=0.2)


def test_without_a_toy_beyond_the_data_there_is_a_lower_bound():
    found = significance_by_toys(Likelihood(counting(10.0, BACKGROUND, observed=60.0)), toys=100, signal_toys=0)
    assert found.observed.p_value.count == 0
    assert found.observed.z is None
    assert found.observed.z_high is None
    assert found.observed.z_low == pytest.approx(norm.isf(1 - 0.1586552539314571 ** (1 / 100)), rel=1e-9)
    assert found.expected is None


def test_test_statistics_are_pyhfs():
    """Those of the same toys; and of pyhf's own toys they are distributed alike."""
    pyhf.set_backend("numpy")
    workspace = counting(SIGNAL, 50.0, observed=52.0, error=0.1)
    likelihood, model = Likelihood(workspace), pyhf.Workspace(workspace).model()
    data = pyhf.Workspace(workspace).data(model)
    shared = Asymptotic(likelihood)
    truth = shared.data.at(1.0).minimum.parameters
    toys = throw(likelihood, truth, count=400, seed=6)
    fits = fit_variants(likelihood, toys, {"free": {}, "held": {"mu": 1.0}})
    ours = np.where(fits["free"].of("mu") > 1, 0.0, 2 * (fits["held"].nll - fits["free"].nll))
    config = model.config
    settings = (config.suggested_init(), config.suggested_bounds(), config.suggested_fixed())
    for row in range(10):
        seen = np.append(toys.main[row], toys.auxiliary[row, likelihood.index("alpha")])
        theirs = float(pyhf.infer.test_statistics.qmu_tilde(1.0, seen, model, *settings))
        assert ours[row] == pytest.approx(theirs, abs=1e-5)
    np.random.seed(7)  # noqa: NPY002 - pyhf draws from the global generator
    calculator = pyhf.infer.calculators.ToyCalculator(data, model, ntoys=150, track_progress=False)
    signal, _ = calculator.distributions(1.0)
    assert ks_2samp(ours, np.asarray(signal.samples)).pvalue > 1e-3


def test_likelihood_ratio_intervals_cover(many_events):
    """68.3 % and 95 % intervals hold the truth as often as they say; a toy's interval does where its ratio says so."""
    truth = many_events.init.copy()
    truth[many_events.index("mu")] = 5.0
    campaign = Campaign(truth, 3000, 8, variants={"free": {}, "held": {"mu": 5.0}}, keep=["mu"])
    fits = carry_out(many_events, campaign)
    rise = 2 * (fits["held"].nll - fits["free"].nll)
    assert fits["free"].converged.all()
    for level in (0.6827, 0.95):
        inside = Fraction.of(int((rise < norm.isf((1 - level) / 2) ** 2).sum()), 3000)
        assert agrees(inside, level, 3)
    toys = throw(many_events, truth, count=6, seed=8)
    for row in range(6):
        workspace = counting(100.0, 10_000.0, observed=float(toys.main[row, 0]), error=0.005)
        measured = float(toys.auxiliary[row, many_events.index("alpha")])
        workspace["measurements"][0]["config"]["parameters"].append({"name": "alpha", "auxdata": [measured]})
        [interval] = intervals(Likelihood(workspace)).intervals
        assert (interval.lower.value < 5.0 < interval.upper.value) == bool(rise[row] < 1)


def test_the_same_seed_gives_the_same_numbers_and_a_store_keeps_the_toys(small, tmp_path):
    store = Store.open(tmp_path / "store")
    first = upper_limit_by_toys(small, toys=150, seed=9, store=store)
    entries = len(list(store.entries()))
    assert upper_limit_by_toys(small, toys=150, seed=9, store=store) == first
    assert len(list(store.entries())) == entries
    assert upper_limit_by_toys(small, toys=150, seed=9, workers=2) == first
    assert upper_limit_by_toys(small, toys=150, seed=10) != first


def test_what_cannot_be_is_said(small):
    with pytest.raises(InvalidToys, match="give values above 0"):
        hypothesis_tests_by_toys(small, mu=(0.0,))
    with pytest.raises(InvalidToys, match="throw 10 at least"):
        upper_limit_by_toys(small, toys=1)
    with pytest.raises(UnknownParameter, match="no parameter 'nu'"):
        significance_by_toys(small, poi="nu")
    nothing = Likelihood(counting(0.0, 3.0))
    for found in (upper_limit_by_toys(nothing, toys=10), significance_by_toys(nothing, toys=10)):
        assert found.observed is None
        assert "the data do not determine mu" in found.failures[0]
