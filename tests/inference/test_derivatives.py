"""Differences against derivatives known in closed form."""

import numpy as np
import pytest

from inference.derivatives import covariance, curvature_scales, gradient, hessian

RATES = np.array([30.0, 400.0, 5000.0])


def poisson(parameters):
    """−log L of three counting experiments with parameters that mix: rates exp(M θ)."""
    mixing = np.array([[1.0, 0.2, 0.1], [0.3, 1.0, 0.0], [0.2, 0.5, 1.0]])
    logs = mixing @ parameters
    return float(np.sum(np.exp(logs) - RATES * logs))


MIXING = np.array([[1.0, 0.2, 0.1], [0.3, 1.0, 0.0], [0.2, 0.5, 1.0]])
MINIMUM = np.linalg.solve(MIXING, np.log(RATES))
EXACT = MIXING.T @ np.diag(RATES) @ MIXING
FREE = np.arange(3)


@pytest.fixture
def scales():
    return curvature_scales(poisson, MINIMUM, np.ones(3))


def test_scales_are_one_over_the_root_of_the_curvature(scales):
    np.testing.assert_allclose(scales, 1 / np.sqrt(np.diag(EXACT)), rtol=0.05)


def test_gradient(scales):
    point = MINIMUM + 0.3 * scales
    exact = MIXING.T @ (np.exp(MIXING @ point) - RATES)
    np.testing.assert_allclose(gradient(poisson, point, scales, FREE) * scales, exact * scales, atol=1e-6)
    np.testing.assert_allclose(
        gradient(poisson, point, scales, FREE[1:]) * scales[1:], exact[1:] * scales[1:], atol=1e-6
    )


def test_hessian_along_axes(scales):
    axes = np.diag(scales)
    np.testing.assert_allclose(hessian(poisson, MINIMUM, axes), axes.T @ EXACT @ axes, atol=1e-3)


def test_covariance_is_the_inverse_of_the_exact_hessian(scales):
    found = covariance(poisson, MINIMUM, scales, FREE)
    np.testing.assert_allclose(found, np.linalg.inv(EXACT), rtol=2e-6)
    some = covariance(poisson, MINIMUM, scales, FREE[:2])
    np.testing.assert_allclose(some, np.linalg.inv(EXACT[:2, :2]), rtol=2e-6)


def test_covariance_of_a_nearly_degenerate_function():
    """Correlation 0.9999: an error of the differences blown up by the condition number would show."""
    exact = np.array([[1.0, 0.9999], [0.9999, 1.0]])

    def function(x):
        return 1e5 + 0.5 * float(x @ exact @ x) + 0.01 * float(np.sum(x**4))

    found = covariance(function, np.zeros(2), np.ones(2), np.arange(2))
    np.testing.assert_allclose(found, np.linalg.inv(exact), rtol=1e-4)


def test_there_is_no_covariance_at_a_saddle():
    assert covariance(lambda x: float(x[0] ** 2 - x[1] ** 2), np.zeros(2), np.ones(2), np.arange(2)) is None
