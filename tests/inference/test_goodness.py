"""Goodness of fit: against cabinetry, the residuals' covariance, scipy's unbinned tests and the χ² distribution."""

import logging

import numpy as np
import pytest
from scipy import stats

from inference.documents import from_json, to_json
from inference.errors import InferenceError
from inference.fit import fit_likelihood
from inference.goodness.goodness import Goodness, goodness
from inference.goodness.statistics import anderson_darling, kolmogorov_smirnov
from inference.likelihood.model import Likelihood
from inference.reference import reference_model
from inference.toys.generate import throw

# jsonschema deprecates the RefResolver that pyhf 0.7.6 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")


def two_channels(first, second):
    """A free signal on a background of uncertain rate and shape in two channels."""
    mu = {"name": "mu", "type": "normfactor", "data": None}
    rate = {"name": "rate", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}
    shape = {
        "name": "shape",
        "type": "histosys",
        "data": {"hi_data": [110.0, 60.0, 24.0], "lo_data": [92.0, 61.0, 30.0]},
    }
    counts = {"name": "counts", "type": "shapesys", "data": [8.0, 5.0]}
    return {
        "version": "1.0.0",
        "channels": [
            {
                "name": "one",
                "samples": [
                    {"name": "s", "data": [5.0, 15.0, 10.0], "modifiers": [mu]},
                    {"name": "b", "data": [100.0, 60.0, 27.0], "modifiers": [rate, shape]},
                ],
            },
            {"name": "two", "samples": [{"name": "b", "data": [80.0, 40.0], "modifiers": [rate, counts]}]},
        ],
        "observations": [{"name": "one", "data": list(first)}, {"name": "two", "data": list(second)}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
    }


@pytest.fixture(scope="module")
def small():
    return Likelihood(two_channels([112.0, 71.0, 44.0], [77.0, 46.0]))


@pytest.fixture(scope="module")
def agc(fitted):
    return fitted("10")[0]


def test_the_saturated_models_p_value_is_cabinetrys(agc):
    import cabinetry

    logging.getLogger("cabinetry").setLevel(logging.ERROR)
    theirs = cabinetry.fit.fit(*cabinetry.model_utils.model_and_data(agc), goodness_of_fit=True)
    likelihood = Likelihood(agc)
    found = goodness(likelihood, statistics=["saturated"]).statistic("saturated")
    # what its minimiser leaves of −2 log L
    left = theirs.best_twice_nll - fit_likelihood(likelihood).twice_nll
    assert -1e-9 < left < 1e-3
    expected = stats.chi2.isf(theirs.goodness_of_fit, found.degrees_of_freedom)
    assert found.value + left == pytest.approx(expected, abs=1e-7)
    assert found.p_asymptotic == pytest.approx(theirs.goodness_of_fit, abs=2e-4)


def slopes(likelihood, parameters):
    """∂ν/∂θ by central differences, (bins, parameters)."""
    steps = 1e-5 * np.eye(len(parameters))
    pairs = [(likelihood.expected(parameters + step), likelihood.expected(parameters - step)) for step in steps]
    return np.stack([(up - down) / 2e-5 for up, down in pairs], axis=1)


@pytest.mark.parametrize("model", ["small", "agc"])
def test_pearson_is_the_residuals_in_their_covariance_after_the_fit(model, request):
    """rᵀ (diag ν̂ − J F⁻¹ Jᵀ)⁻¹ r, written out; a pseudo-inverse where free parameters take directions away."""
    given = request.getfixturevalue(model)
    likelihood = given if model == "small" else Likelihood(given)
    result = fit_likelihood(likelihood)
    parameters = np.asarray(result.bestfit)
    moving = ~np.asarray(result.fixed) & ~np.isin(likelihood.labels, result.certificate.at_bound)
    rates = likelihood.expected(parameters)
    jacobian = slopes(likelihood, parameters)[:, moving]
    # Poisson constraints: the information on γ is τ/γ, which is that of the width at γ = 1
    weights = np.nan_to_num(likelihood.widths**-2.0)
    poisson = [made.constraint == "poisson" for made in likelihood.specification.parameters for _ in made.init]
    weights = np.where(poisson, weights / np.where(poisson, parameters, 1.0), weights)[moving]
    information = jacobian.T @ (jacobian / rates[:, None]) + np.diag(weights)
    covariance = np.diag(rates) - jacobian @ np.linalg.inv(information) @ jacobian.T
    scale = np.sqrt(rates)
    whitened = covariance / np.outer(scale, scale)
    residuals = (likelihood.observed.main - rates) / scale
    inverse = np.linalg.pinv(whitened, rcond=1e-7, hermitian=True)
    found = goodness(likelihood, statistics=["pearson"], fit=result).statistic("pearson")
    # constraints of parameters that do not move give no residual here
    assert found.value == pytest.approx(residuals @ inverse @ residuals, rel=1e-4)


def test_pearson_and_neyman_of_a_counting_experiment(small):
    workspace = two_channels([112.0, 71.0, 0.0], [77.0, 46.0])
    likelihood = Likelihood(workspace)
    fixed = dict.fromkeys(("mu", "rate", "shape"), 0.0) | {"counts[0]": 1.0, "counts[1]": 1.0}
    found = goodness(likelihood, fixed=fixed)
    seen, rates = np.asarray([112.0, 71.0, 0.0, 77.0, 46.0]), np.asarray([100.0, 60.0, 27.0, 80.0, 40.0])
    squares = (seen - rates) ** 2
    assert found.statistic("pearson").value == pytest.approx((squares / rates).sum(), rel=1e-12)
    assert found.statistic("neyman").value == pytest.approx((squares / [112.0, 71.0, 1.0, 77.0, 46.0]).sum(), rel=1e-12)
    parts = {each.channel: each.value for each in found.statistic("pearson").channels}
    assert parts == pytest.approx({"one": (squares / rates)[:3].sum(), "two": (squares / rates)[3:].sum()}, rel=1e-12)


def test_a_pull_counts_as_a_bin_does(small):
    """With nothing but a constraint moving, the minimum of −log L balances data and pull."""
    found = goodness(small, fixed={"mu": 1.0, "rate": 0.5, "shape": 0.0, "counts[0]": 1.0, "counts[1]": 1.0})
    without = [each.value for each in found.statistic("pearson").channels]
    assert found.statistic("pearson").value - sum(without) == pytest.approx(0.25, abs=1e-12)


def by_definition(seen, expected):
    """Combine's two distances, bin after bin."""
    largest = total = data = model = 0.0
    for n, rate in zip(seen, expected, strict=True):
        before = model
        data, model = data + n / sum(seen), model + rate / sum(expected)
        largest = max(largest, abs(data - model))
        if 0 < model < 1 - 1e-12:
            total += sum(seen) * (data - model) ** 2 / (model * (1 - model)) * (model - before)
    return largest, total


def test_distances_are_as_combine_defines_them(small, agc):
    """For each channel; together they add up, those of Kolmogorov and Smirnov too."""
    for likelihood in (small, Likelihood(agc)):
        result = fit_likelihood(likelihood)
        found = goodness(likelihood, fit=result, statistics=["ks", "ad"])
        expected, seen = likelihood.expected(np.asarray(result.bestfit)), likelihood.observed.main
        start, sums = 0, np.zeros(2)
        for at, channel in enumerate(likelihood.specification.channels):
            inside = slice(start, start + channel.bins)
            distances = by_definition(seen[inside], expected[inside])
            both = [found.statistic(name).channels[at] for name in ("ks", "ad")]
            assert [each.channel for each in both] == [channel.name] * 2
            assert [each.value for each in both] == pytest.approx(distances, rel=1e-9)
            sums += distances
            start += channel.bins
        assert [found.statistic(name).value for name in ("ks", "ad")] == pytest.approx(sums, rel=1e-9)


def test_distances_in_fine_bins_are_the_unbinned_ones():
    rng = np.random.default_rng(7)
    events, bins = np.sort(rng.beta(1.3, 1.1, size=200)), 200_000
    seen = np.histogram(events, bins, (0.0, 1.0))[0].astype(float)
    expected = np.full(bins, 1.0)
    n = len(events)
    ranks = 2 * np.arange(1, n + 1) - 1
    squared = -n - np.sum(ranks * (np.log(events) + np.log1p(-events[::-1]))) / n
    assert float(kolmogorov_smirnov(seen, expected)) == pytest.approx(
        stats.kstest(events, "uniform").statistic, abs=1e-5
    )
    assert float(anderson_darling(seen, expected)) == pytest.approx(squared, rel=2e-3)


def test_a_channel_without_events_has_combines_value():
    assert float(kolmogorov_smirnov(np.zeros(3), np.ones(3))) == -1
    assert anderson_darling(np.asarray([[0.0, 0.0], [1.0, 2.0]]), np.ones((2, 2)))[0] == -1


def test_toys_follow_chi_squared_and_give_its_p_value(small):
    """Many events per bin: p-values of the toys are uniform, and the fraction beyond the data is the asymptotic one."""
    found = goodness(small, toys=1000, seed=3)
    assert not found.failures
    for name in ("saturated", "pearson"):
        each = found.statistic(name)
        assert each.degrees_of_freedom == 4
        assert stats.kstest(each.toys, stats.chi2(4).cdf).pvalue > 0.01
        assert each.p_toys.value == pytest.approx(each.p_asymptotic, abs=4 * each.p_toys.error)
    for name in ("ks", "ad"):
        each = found.statistic(name)
        assert each.p_asymptotic is None
        assert each.p_toys.count == sum(value >= each.value for value in each.toys)
        assert each.p_toys.toys == len(each.toys) == 1000
        assert all(part.p_toys.toys == 1000 for part in each.channels)


def test_a_toys_value_is_what_cabinetry_makes_of_its_data(small):
    import cabinetry

    result = fit_likelihood(small)
    found = goodness(small, statistics=["saturated"], toys=3, seed=5, fit=result).statistic("saturated")
    pdf, _ = reference_model(two_channels([112.0, 71.0, 44.0], [77.0, 46.0]))
    thrown = throw(small, np.asarray(result.bestfit), count=3, seed=5)
    for number in range(3):
        seen = thrown[number]
        auxiliary = seen.auxiliary[[small.index(label) for label in _constrained(small)]]
        data = np.concatenate([seen.main, auxiliary])
        assert small.from_flat(data).auxiliary == pytest.approx(seen.auxiliary, nan_ok=True)
        fitted = small.fit(small.from_flat(data), search=True)
        twice_nll = -2 * float(pdf.logpdf(fitted.parameters, data)[0])
        p_value = cabinetry.fit._goodness_of_fit(pdf, data.tolist(), twice_nll)
        assert stats.chi2.sf(found.toys[number], found.degrees_of_freedom) == pytest.approx(p_value, abs=1e-6)


def _constrained(likelihood):
    """Labels in the order of pyhf's auxiliary data."""
    return [label for made in likelihood.specification.parameters if made.constraint != "free" for label in made.labels]


def test_a_bad_fit_is_seen_by_all(small):
    """A step that no parameter can follow: half of the events of a bin have moved to the next one."""
    likelihood = Likelihood(two_channels([60.0, 112.0, 40.0], [40.0, 80.0]))
    found = goodness(likelihood, toys=300, seed=1)
    for each in found.statistics:
        assert each.p_toys.value < 0.01
        assert each.p_asymptotic is None or each.p_asymptotic < 1e-3


def test_it_is_the_same_for_any_number_of_workers_and_survives_json(small):
    alone, together = (goodness(small, toys=600, seed=2, workers=workers) for workers in (1, 2))
    assert alone == together
    assert from_json(Goodness, to_json(alone)) == alone
    with pytest.raises(InferenceError, match="no goodness-of-fit statistic 'KS'"):
        goodness(small, statistics=["KS"])
