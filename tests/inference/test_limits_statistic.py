"""Test statistics and asymptotic p-values: pyhf's distributions, the paper's formulas, differences for slopes."""

import numpy as np
import pyhf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from inference.hypotheses.statistic import (
    BAND,
    discovery,
    discovery_p_value,
    expected_p_values,
    expected_root,
    log_p_value,
    p_values,
    separation,
    upper,
)

Q = st.floats(0.01, 60)


class Given(pyhf.infer.calculators.AsymptoticCalculator):
    """pyhf's calculator, told the fits' outcome."""

    def __init__(self, q_asimov):
        self.sqrtqmuA_v = np.sqrt(q_asimov)
        self.calc_base_dist = "normal"


@given(st.floats(0.5, 30), st.floats(0.5, 30))
def test_p_values_are_pyhfs(q, q_asimov):
    pyhf.set_backend("numpy")
    theirs = Given(q_asimov)
    signal, background = theirs.distributions(1.0)
    at = np.sqrt(q) - np.sqrt(q_asimov) if q <= q_asimov else (q - q_asimov) / (2 * np.sqrt(q_asimov))
    found = p_values(separation(q, q_asimov), q_asimov)
    expected = theirs.pvalues(at, signal, background)
    assert (found.clsb, found.clb, found.cls) == pytest.approx([float(each) for each in expected], rel=1e-10)
    band = [float(each) for each in theirs.expected_pvalues(signal, background)[2]]
    assert [float(point.cls) for point in expected_p_values(q_asimov)] == pytest.approx(band, rel=1e-10)


@pytest.mark.parametrize("point", BAND)
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.32])
def test_the_expected_root_is_where_cls_is_alpha(point, alpha):
    """CCGV (89): the limit is μ̂ + σ Φ⁻¹(1 − αΦ(μ̂/σ)), in units of σ with μ̂/σ = n."""
    root = expected_root(point, alpha)
    assert root == pytest.approx(point + norm.ppf(1 - alpha * norm.cdf(point)), rel=1e-12)
    assert float(p_values(-point, root**2).cls) == pytest.approx(alpha, rel=1e-12)
    below = expected_root(point, alpha, "CLsb")
    assert float(p_values(-point, below**2).clsb) == pytest.approx(alpha, rel=1e-12) or below < 0


@pytest.mark.parametrize("statistic", ["qtilde", "q"])
@pytest.mark.parametrize("method", ["CLs", "CLsb"])
@given(Q, Q)
def test_slopes_of_p_values_are_those_of_differences(statistic, method, q, q_asimov):
    """Along a path on which q and q_A grow at rates of 1.3 and 0.7."""
    step = 1e-6

    def value(at):
        return log_p_value(q + 1.3 * at, 1.3, q_asimov + 0.7 * at, 0.7, statistic, method)

    slope = (value(step)[0] - value(-step)[0]) / (2 * step)
    # At q = q_A the formula of q̃ changes, with equal first derivatives.
    assert value(0.0)[1] == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_cls_has_no_underflow():
    """Both p-values of 50 standard deviations are 0 in numbers, their ratio is not: tails fall as φ(x) / x."""
    found = p_values(separation(70.0**2, 50.0**2, "q"), 50.0**2)
    assert found.clsb == 0.0
    assert found.cls == 0.0
    found = p_values(separation(60.0**2, 0.01, "q"), 0.01)
    assert found.clsb == 0.0
    assert found.cls == pytest.approx(np.exp(-(60.0**2 - 59.9**2) / 2) * 59.9 / 60, rel=1e-4)


def test_no_sensitivity_is_no_exclusion():
    found = p_values(separation(9.0, 0.0), 0.0)
    assert found.cls == pytest.approx(1.0)


def test_statistics_are_one_sided_and_broadcast():
    mu = np.array([0.5, 1.0, 2.0])
    assert upper(mu, 7.0, 1.0, 5.0).tolist() == [0.0, 4.0, 4.0]
    assert upper(2.0, np.array([4.999999, 6.0]), 1.0, 5.0).tolist() == [0.0, 2.0]
    assert discovery(7.0, np.array([-0.1, 0.0, 0.1]), 5.0).tolist() == [0.0, 0.0, 4.0]
    assert discovery_p_value(25.0) == pytest.approx(2.866515718791933e-07, rel=1e-12)
