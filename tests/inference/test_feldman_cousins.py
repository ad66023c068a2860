"""Feldman-Cousins intervals: the published tables, the exact sum over counts, and the same by toys."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import poisson

sys.path.insert(0, str(Path(__file__).parent))
from small_models import counting

from artifacts.store import Store
from inference.documents import from_json, to_json
from inference.errors import UnknownParameter
from inference.likelihood.model import Likelihood
from inference.toys.counting import accepted, counting_interval
from inference.toys.errors import InvalidToys
from inference.toys.feldman_cousins import FeldmanCousins, feldman_cousins

# arXiv:physics/9711021, table IV: 90 % intervals for n = 0 ... 10. For n = 0 at b = 3 it has 1.08, see below.
TABLE_IV = {
    0.0: ((0, 2.44), (0.11, 4.36), (0.53, 5.91), (1.10, 7.42), (1.47, 8.60), (1.84, 9.99), (2.21, 11.47),
          (3.56, 12.53), (3.96, 13.99), (4.36, 15.30), (5.50, 16.50)),
    3.0: (None, (0, 1.88), (0, 3.04), (0, 4.42), (0, 5.60), (0, 6.99), (0.15, 8.47),
          (0.89, 9.53), (1.51, 10.99), (1.88, 12.30), (2.63, 13.50)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("background", "observed", "interval"),
    [(b, n, interval) for b, row in TABLE_IV.items() for n, interval in enumerate(row) if interval],
)
def test_exact_intervals_are_the_published_ones(background, observed, interval):
    assert counting_interval(observed, background) == pytest.approx(interval, abs=0.0101)


def test_the_paper_lengthens_an_interval_where_more_background_would_do_so():
    """No event over 3: the table's 1.08 is the end for a background of some 3.45, where the order of counts changes."""
    assert counting_interval(0, 3.0)[1] == pytest.approx(0.95, abs=0.005)
    longest = max(counting_interval(0, background, resolution=1e-3)[1] for background in np.linspace(3.4, 3.5, 11))
    assert longest == pytest.approx(1.08, abs=0.01)


@pytest.mark.parametrize("level", [0.68, 0.9, 0.95])
@pytest.mark.parametrize(("signal", "background"), [(0.5, 3.0), (4.2, 0.0), (7.0, 12.0)])
def test_the_belt_holds_its_level_and_no_more_than_one_count_beyond(signal, background, level):
    low, high = accepted(signal, background, level)
    rate = signal + background
    inside = poisson.cdf(high, rate) - poisson.cdf(low - 1, rate)
    assert inside >= level
    ranks = {n: poisson.logpmf(n, rate) - poisson.logpmf(n, max(n, background)) for n in (low, high)}
    assert inside - poisson.pmf(min(ranks, key=ranks.get), rate) < level


def test_no_interval_of_nonsense():
    with pytest.raises(InvalidToys, match="-1 events"):
        counting_interval(-1, 3.0)


@pytest.mark.parametrize(("observed", "background"), [(0, 3.0), (8, 3.0), (4, 0.5)])
def test_toys_find_the_exact_interval(observed, background):
    likelihood = Likelihood(counting(1.0, background, observed=float(observed), upper=50.0))
    found = feldman_cousins(likelihood, level=0.9, toys=2000, seed=3)
    for end, exact in zip((found.lower, found.upper), counting_interval(observed, background), strict=True):
        if exact == 0:
            assert (end.status, end.value) == ("bound", 0.0)
        else:
            assert end.status == "crossing"
            assert abs(end.value - exact) < 1.5 * end.error
            assert end.error < 0.4 * exact
    for point in found.points:
        exact = 1 - sum_below(observed, background, point.mu)
        assert abs(point.p_value.value - exact) < 4.5 * point.p_value.error
    assert found.failures == ()


def sum_below(observed, background, signal):
    """Probability of the counts that rank before the observed one, by scipy."""
    counts = np.arange(200)
    ratio = poisson.logpmf(counts, signal + background) - poisson.logpmf(counts, np.maximum(counts, background))
    return poisson.pmf(counts[ratio > ratio[observed] + 1e-10], signal + background).sum()


@pytest.fixture(scope="module")
def gaussian():
    """Function of x: a bounded normal measurement, half of its variance Poisson's and half a nuisance parameter's."""

    def of(x):
        width = np.sqrt(2 * 10_000)
        workspace = counting(width, 10_000.0, observed=float(round(10_000 + x * width)), error=0.01, upper=20.0)
        return Likelihood(workspace)

    return of


# Table X of the paper: mean of a normal distribution that cannot be negative, at 90 %.
@pytest.mark.parametrize(("measured", "upper"), [(-1.0, 0.81), (1.0, 2.64)])
def test_with_a_nuisance_the_interval_is_that_of_a_bounded_normal_mean(gaussian, measured, upper):
    found = feldman_cousins(gaussian(measured), level=0.9, toys=1200, seed=1)
    assert found.lower.status == "bound"
    # the rate, and so its error, grows with the signal: one percent of the width here
    assert abs(found.upper.value - upper) < 3 * found.upper.error + 0.01 * (upper - measured)
    assert found.upper.error < 0.04


def test_far_from_the_bound_the_interval_is_the_ordinary_one(gaussian):
    found = feldman_cousins(gaussian(8.0), level=0.6827, toys=500, seed=2, points=5)
    assert found.bestfit == pytest.approx(8.0, abs=0.01)
    for end, exact in ((found.lower, 7.0), (found.upper, 9.0)):
        assert abs(end.value - exact) < 3 * end.error + 0.02
    assert len(found.points) >= 5
    assert found.notes == ()


def test_the_same_seed_gives_the_same_interval_and_a_store_keeps_the_toys(gaussian, tmp_path):
    store = Store.open(tmp_path / "store")
    likelihood = gaussian(0.0)
    first = feldman_cousins(likelihood, toys=300, seed=5, store=store)
    entries = len(list(store.entries()))
    assert entries >= len(first.points)
    assert feldman_cousins(likelihood, toys=300, seed=5, store=store) == first
    assert len(list(store.entries())) == entries
    assert feldman_cousins(likelihood, toys=300, seed=5, workers=2) == first
    assert feldman_cousins(likelihood, toys=300, seed=6) != first
    assert from_json(FeldmanCousins, to_json(first)) == first


def test_what_cannot_be_is_said(gaussian):
    likelihood = gaussian(0.0)
    with pytest.raises(InvalidToys, match="not between 0 and 1"):
        feldman_cousins(likelihood, level=90)
    with pytest.raises(InvalidToys, match="throw 100 at least"):
        feldman_cousins(likelihood, toys=10)
    with pytest.raises(UnknownParameter, match="no parameter 'nu'"):
        feldman_cousins(likelihood, poi="nu")


def test_without_a_best_fit_both_ends_say_why():
    workspace = counting(0.0, 3.0)
    found = feldman_cousins(Likelihood(workspace), toys=100)
    assert found.lower.status == found.upper.status == "failed"
    assert "the data do not determine mu" in found.upper.reason
    assert found.bestfit is None
