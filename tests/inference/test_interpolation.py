"""Interpolation as CMS Combine has it, against its published formula; which codes a workspace may ask for."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.errors import InvalidWorkspace
from inference.likelihood import compiled  # noqa: F401 (double precision)
from inference.likelihood.interpolation import chosen_codes, norm


def combine(theta, low, high):
    """ProcessNormalization::logKappaForX, as documented: powers beyond ½, a polynomial of fifth order between."""
    if abs(theta) >= 0.5:
        return high**theta if theta > 0 else low ** (-theta)
    up, down, twice = np.log(high), -np.log(low), 2 * theta
    step = 0.125 * twice * (twice**2 * (3 * twice**2 - 10) + 15)
    return np.exp(theta * (0.5 * (up + down) + step * 0.5 * (up - down)))


def ours(theta, low, high):
    return norm(theta, None, np.log([high, low]), "combine")


KAPPA = st.floats(0.2, 5)


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.floats(-4, 4), st.sampled_from([-0.5, 0.0, 0.5])), KAPPA, KAPPA)
def test_value_and_derivatives(theta, low, high):
    value, first, second = map(float, ours(theta, low, high))
    assert value == pytest.approx(combine(theta, low, high), rel=1e-13)
    assert first == pytest.approx(float(jax.grad(lambda x: ours(x, low, high)[0])(theta)), rel=1e-11, abs=1e-12)
    assert second == pytest.approx(float(jax.grad(lambda x: ours(x, low, high)[1])(theta)), rel=1e-11, abs=1e-12)


def test_symmetric_errors_are_powers_everywhere():
    for theta in (-2.0, -0.3, 0.0, 0.1, 1.7):
        assert float(ours(theta, 1 / 1.2, 1.2)[0]) == pytest.approx(1.2**theta, rel=1e-14)


def test_codes_of_a_workspace():
    assert chosen_codes({}) == {"histosys": "code4p", "normsys": "code4"}
    assert chosen_codes({"interpolation": {"normsys": "combine"}}) == {"histosys": "code4p", "normsys": "combine"}
    with pytest.raises(InvalidWorkspace, match="no interpolation 'combin'; nearest: combine"):
        chosen_codes({"interpolation": {"normsys": "combin"}})
    with pytest.raises(InvalidWorkspace, match="interpolation of 'lumi' cannot be chosen"):
        chosen_codes({"interpolation": {"lumi": "code1"}})
    with pytest.raises(InvalidWorkspace, match="must be a mapping"):
        chosen_codes({"interpolation": "combine"})
