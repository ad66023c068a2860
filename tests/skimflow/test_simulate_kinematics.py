"""Kinematics and matrix elements of the simulation against closed forms."""

import numpy as np
import pytest
from scipy import stats

from skimflow.simulate import processes
from skimflow.simulate.generate import generator
from skimflow.simulate.kinematics import (
    Momentum,
    boost,
    breakup_momentum,
    delta_phi,
    direction,
    from_cylinder,
    to_cylinder,
)
from skimflow.simulate.partons import LONGITUDINAL_W, TOP_MASS, W_MASS, Partons, draw_channels, helicity_cosine
from skimflow.simulate.samples import Radiation
from skimflow.simulate.sampling import GridDensity, counts, power_law

N = 40_000


@pytest.fixture
def rng() -> np.random.Generator:
    return generator((3,))


def mass(p: Momentum) -> np.ndarray:
    return np.sqrt(np.maximum(p.e**2 - p.px**2 - p.py**2 - p.pz**2, 0))


def test_cylinder_coordinates_and_back(rng: np.random.Generator) -> None:
    pt, eta, phi = 5 + 100 * rng.random(N), rng.normal(0, 2, N), rng.uniform(-np.pi, np.pi, N)
    back = to_cylinder(from_cylinder(pt, eta, phi, 4.8))
    for one, other in zip((pt, eta, phi), back, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_boost_keeps_masses_and_moves_the_rest_frame(rng: np.random.Generator) -> None:
    frame = from_cylinder(50 + 100 * rng.random(N), rng.normal(0, 1, N), rng.uniform(-np.pi, np.pi, N), 172.5)
    at_rest = Momentum(*(np.zeros(N),) * 3, np.full(N, 172.5))
    np.testing.assert_allclose(boost(at_rest, frame, 172.5), frame, rtol=1e-9, atol=1e-9)
    daughter = direction(rng, rng.uniform(-1, 1, N)).momentum(np.full(N, 60.0), np.full(N, 100.0))
    np.testing.assert_allclose(mass(boost(daughter, frame, 172.5)), 80.0, rtol=1e-6)


def test_breakup_momentum_of_top_decay() -> None:
    # (m_t² - m_W²) / 2 m_t for a massless b quark
    expected = (172.5**2 - 80.4**2) / (2 * 172.5)
    np.testing.assert_allclose(breakup_momentum(np.array([172.5]), 80.4, 0.0), expected)


def test_delta_phi_wraps() -> None:
    np.testing.assert_allclose(delta_phi(np.array([3.0]), np.array([-3.0])), 2 * np.pi - 6, rtol=1e-5)


def test_helicity_of_w_bosons(rng: np.random.Generator) -> None:
    def integral(c: np.ndarray) -> np.ndarray:
        longitudinal = (2 + 3 * c - c**3) / 4
        left = 1 - (1 - c) ** 3 / 8
        return LONGITUDINAL_W * longitudinal + (1 - LONGITUDINAL_W) * left

    assert stats.kstest(helicity_cosine(rng, N), integral).pvalue > 1e-3


def test_decay_channels_have_the_branching_fractions(rng: np.random.Generator) -> None:
    channels = draw_channels(rng, 2, N)
    leptonic = channels < 3
    assert leptonic.any(axis=0).all()
    fraction = 0.3258
    both = fraction**2 / (1 - (1 - fraction) ** 2)
    assert leptonic.all(axis=0).mean() == pytest.approx(both, abs=5 * np.sqrt(both / N))


def test_grid_density_follows_the_density(rng: np.random.Generator) -> None:
    edges = np.linspace(0, 1, 201)
    (x, y) = GridDensity(lambda x, y: x * np.ones_like(y), [edges, np.linspace(-1, 1, 11)]).draw(rng, N)
    assert stats.kstest(x, lambda v: v**2).pvalue > 1e-3
    assert stats.kstest(y, stats.uniform(-1, 2).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(x, y)[0, 1]) < 5 / np.sqrt(N)


def test_power_law_and_counts(rng: np.random.Generator) -> None:
    assert stats.kstest(power_law(rng, (N,), 10.0, 1.6, 1e9), stats.pareto(1.6, scale=10.0).cdf).pvalue > 1e-3
    observed = np.bincount(counts(rng, 1.2, N, 4), minlength=5)
    poisson = stats.poisson(1.2)
    expected = np.array([*(poisson.pmf(k) for k in range(4)), poisson.sf(3)]) * N
    assert stats.chisquare(observed, expected).pvalue > 1e-3


def line(partons: Partons, identity: int, status: int | None = None) -> list[int]:
    return [
        i
        for i in range(len(partons.mother))
        if np.all(np.abs(partons.pdg[i]) == identity) and status in (None, partons.status[i])
    ]


@pytest.mark.parametrize("name", ["ttbar", "single_top_tW", "single_top_t_chan", "single_top_s_chan"])
def test_decays_conserve_momentum_and_have_the_masses(rng: np.random.Generator, name: str) -> None:
    partons = processes.PROCESSES[name](rng, N, Radiation())
    tops, bosons = line(partons, 6, status=62), line(partons, 24)
    assert len(tops) == (2 if name == "ttbar" else 1)
    for parent in [*tops, *bosons]:
        children = [i for i, mother in enumerate(partons.mother) if mother == parent]
        assert len(children) == 2
        for part in partons.momentum:
            np.testing.assert_allclose(part[children].sum(axis=0), part[parent], rtol=1e-3, atol=0.5)
        charges = np.sign(partons.pdg[parent])
        first, second = partons.pdg[children]
        if parent in tops:
            assert np.all(first == 5 * charges)
            assert np.all(second == 24 * charges)
    assert np.median(partons.mass[tops]) == pytest.approx(TOP_MASS, abs=0.1)
    assert np.median(partons.mass[bosons]) == pytest.approx(W_MASS, abs=0.1)


def test_top_quarks_are_central_and_move_slower_than_their_mass(rng: np.random.Generator) -> None:
    # Leading order at 13 TeV: the top's pT spectrum peaks near 100 GeV, |y| is below 2.5 nearly always.
    partons = processes.top_pair(rng, N, Radiation())
    pt, _, _ = to_cylinder(Momentum(*(part[4] for part in partons.momentum)))
    heights, edges = np.histogram(pt, np.arange(0, 400, 20))
    assert 60 <= edges[np.argmax(heights)] <= 120
    rapidity = np.arctanh(partons.momentum.pz[4] / partons.momentum.e[4])
    assert (np.abs(rapidity) < 2.5).mean() > 0.95


def test_light_quark_of_the_t_channel_is_forward(rng: np.random.Generator) -> None:
    t_channel = processes.single_top_t(rng, N, Radiation())
    light, top = 9, 3
    assert set(np.unique(np.abs(t_channel.pdg[light]))) == {1}
    eta = [np.abs(to_cylinder(Momentum(*(part[i] for part in t_channel.momentum)))[1]) for i in (light, top)]
    assert np.median(eta[0]) > 1.5
    assert (
        np.median(eta[0]) > np.median(np.abs(np.arctanh(t_channel.momentum.pz[top] / t_channel.momentum.e[top]))) + 0.5
    )


def test_w_recoils_against_the_jets(rng: np.random.Generator) -> None:
    partons = processes.w_jets(rng, N, Radiation())
    jets = slice(6, 6 + processes.W_JETS[1])
    np.testing.assert_allclose(partons.momentum.px[jets].sum(axis=0), -partons.momentum.px[2], rtol=1e-3, atol=0.05)
    number = (partons.pdg[jets] != 0).sum(axis=0)
    assert np.all(np.diff(np.bincount(number)[processes.W_JETS[0] :]) < 0)  # falling multiplicity
