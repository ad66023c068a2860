"""Fits side by side, as on an accelerator: here the processor plays one."""

import sys
from pathlib import Path

import jax
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from small_models import counting, with_every_constraint

from inference.likelihood import bulk, compiled
from inference.likelihood.model import Likelihood
from inference.toys.campaign import CHUNK, Campaign, carry_out
from inference.toys.fits import fit_toys
from inference.toys.generate import throw

PLACES, ROWS = 8, 64


@pytest.fixture
def device(monkeypatch):
    """With few places in a call, so that they are handed on many times, and several calls."""
    monkeypatch.setattr(bulk, "MOST_PLACES", PLACES)
    monkeypatch.setattr(bulk, "LANE_ROWS", ROWS)
    return jax.devices("cpu")[0]


def tasks(likelihood, count, seed=0):
    toys = throw(likelihood, likelihood.init, count=count, seed=seed)
    return likelihood.task(toys.seen, np.tile(likelihood.init, (count, 1)), ~likelihood.constant)


@pytest.mark.parametrize("count", [1, PLACES - 1, ROWS, 2 * ROWS + 3])
def test_side_by_side_are_the_fits_one_by_one(device, count):
    likelihood = Likelihood(with_every_constraint())
    rows = tasks(likelihood, count)
    alone, beside = bulk.fit_all(likelihood, rows), bulk.fit_all(likelihood, rows, device)
    assert (beside.iterations == alone.iterations).all()
    assert len(set(alone.iterations.tolist())) > 1 or count < ROWS  # some wait for others
    for name in ("positive", "feasible", "held"):
        assert (getattr(beside, name) == getattr(alone, name)).all()
    for name in ("theta", "gamma", "value", "gradient"):
        assert getattr(beside, name) == pytest.approx(getattr(alone, name), rel=1e-9, abs=1e-9)


def test_what_cannot_be_fitted_stops_no_other(device):
    """A third of the fits begin where a bin with events has no rate, and a parameter moves nothing in any of them."""
    likelihood = Likelihood(counting(signal=10.0, background=0.0))
    rows = jax.tree.map(np.array, tasks(likelihood, 60))
    rows.start[::3] = 0.0
    rows.free[::3] = False
    rows.lower[::3] = rows.upper[::3] = 0.0
    alone, beside = bulk.fit_all(likelihood, rows), bulk.fit_all(likelihood, rows, device)
    assert not alone.feasible[::3].any()
    assert alone.feasible.sum() == 40
    for name in ("positive", "feasible", "held", "iterations"):
        assert (getattr(beside, name) == getattr(alone, name)).all()
    assert beside.theta == pytest.approx(alone.theta, rel=1e-12)


def test_a_campaign_is_the_same_on_an_accelerator(device, monkeypatch):
    likelihood = Likelihood(with_every_constraint())
    variants = {"free": {}, "held": {"mu": 1.0}}
    campaign = Campaign(likelihood.init, 2 * CHUNK + 10, 9, variants=variants, uncertainties=True)
    alone = carry_out(likelihood, campaign)
    monkeypatch.setattr(compiled, "accelerator", lambda: device)
    monkeypatch.setattr(bulk, "LANE_ROWS", 2 * CHUNK)
    counts, lanes = [], compiled.lanes
    monkeypatch.setattr(compiled, "lanes", lambda *given, **named: counts.append(given[0]) or lanes(*given, **named))
    beside = carry_out(likelihood, campaign)
    assert counts == [2 * CHUNK, 2 * CHUNK]  # two chunks in one call, those left over on the processor
    for name in variants:
        assert beside[name].converged.all()
        assert beside[name].nll == pytest.approx(alone[name].nll, abs=1e-9)
        assert beside[name].parameters == pytest.approx(alone[name].parameters, abs=1e-7)


def test_failed_fits_tell_why(device, monkeypatch):
    likelihood = Likelihood(counting(signal=0.0, background=50.0))
    monkeypatch.setattr(compiled, "accelerator", lambda: device)
    found = fit_toys(likelihood, throw(likelihood, likelihood.init, count=bulk.LEAST, seed=1))
    assert not found.converged.any()
    assert all("the data do not determine mu" in reason for reason in found.reasons)


def test_the_memory_of_an_accelerator_bounds_the_places():
    assert bulk.places(60) == bulk.MOST_PLACES
    assert bulk.places(2000) * 2000**2 * 8 * bulk.HESSIANS <= bulk.MEMORY
    assert bulk.places(10**6) == 1
