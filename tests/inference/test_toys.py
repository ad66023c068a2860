"""Toys: pyhf's sampling distribution, closed forms, the same numbers however the work is cut, and failures."""

import pickle
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyhf
import pytest
from scipy.stats import gamma, truncnorm

sys.path.insert(0, str(Path(__file__).parent))
from small_models import counting, with_every_constraint

from artifacts.store import Store
from inference.errors import UnknownParameter
from inference.likelihood.model import Likelihood
from inference.toys.batches import expected
from inference.toys.campaign import CHUNK, Campaign, carry_out, digest
from inference.toys.errors import InvalidToys
from inference.toys.fits import fit_toys, fit_variants
from inference.toys.generate import asimov, throw

pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def workspace():
    return with_every_constraint()


@pytest.fixture(scope="module")
def likelihood(workspace):
    return Likelihood(workspace)


@pytest.fixture(scope="module")
def somewhere(likelihood):
    rng = np.random.default_rng(4)
    moved = likelihood.init + 0.3 * rng.normal(size=len(likelihood.init)) * np.where(likelihood.init == 0, 1, 0.2)
    return np.where(likelihood.constant, likelihood.init, np.clip(moved, likelihood.lower, likelihood.upper))


@pytest.fixture(scope="module")
def reference(workspace):
    pyhf.set_backend("numpy")
    return pyhf.Workspace(workspace).model()


def flat(likelihood, toys):
    """As pyhf writes data."""
    constrained = ~np.isnan(toys.auxiliary[0])
    return np.concatenate([toys.main, toys.auxiliary[:, constrained]], axis=1)


def test_frequentist_toys_are_distributed_as_pyhfs(likelihood, somewhere, reference):
    count = 20_000
    nothing = np.zeros(len(likelihood.labels), dtype=bool)  # pyhf throws also what a held parameter cannot follow
    ours = flat(likelihood, throw(likelihood, somewhere, count=count, seed=1, held=nothing))
    np.random.seed(1)  # noqa: NPY002 - pyhf draws from the global generator
    theirs = np.asarray(reference.make_pdf(pyhf.tensorlib.astensor(somewhere)).sample((count,)))
    assert ours.shape == theirs.shape
    variance = theirs.var(axis=0)
    assert np.all(np.abs(ours.mean(axis=0) - reference.expected_data(somewhere)) < 4.5 * np.sqrt(variance / count))
    assert np.all(np.abs(ours.var(axis=0) / variance - 1) < 4.5 * np.sqrt(2 * 3.5 / count))
    correlation = np.corrcoef(ours.T) - np.eye(ours.shape[1])
    assert np.abs(correlation).max() < 5 / np.sqrt(count)


def test_asimov_data_are_pyhfs(likelihood, somewhere, reference):
    seen = asimov(likelihood, somewhere)
    theirs = likelihood.from_flat(reference.expected_data(somewhere))
    assert seen.main == pytest.approx(theirs.main, rel=1e-12)
    assert seen.auxiliary == pytest.approx(theirs.auxiliary, rel=1e-12, nan_ok=True)


def test_a_fit_to_asimov_data_gives_their_parameters_back(likelihood, somewhere):
    found = likelihood.fit(asimov(likelihood, somewhere))
    assert found.certificate.converged
    assert found.parameters == pytest.approx(somewhere, abs=1e-6)


def test_prior_toys_draw_the_constraints_within_their_bounds(likelihood):
    """Means and widths of truncated normals and of gamma distributions, by scipy; auxiliary data stay."""
    count = 20_000
    toys = throw(likelihood, likelihood.init, count=count, seed=2, method="prior")
    assert np.array_equal(toys.auxiliary[7], likelihood.observed.auxiliary, equal_nan=True)
    for made in likelihood.specification.parameters:
        for index, label in enumerate(made.labels):
            drawn = toys.truth[:, likelihood.index(label)]
            if made.constraint == "free" or made.fixed[index]:
                assert set(drawn) == {made.init[index]}
                continue
            centre, scale = made.auxdata[index], made.widths[index]
            low, high = made.lower[index], made.upper[index]
            if made.constraint == "normal":
                prior = truncnorm((low - centre) / scale, (high - centre) / scale, loc=centre, scale=scale)
            else:
                prior = gamma(centre + 1, scale=1 / scale)
            assert abs(drawn.mean() - prior.mean()) < 4.5 * prior.std() / np.sqrt(count)
            assert drawn.std() == pytest.approx(prior.std(), rel=0.04)
    rates = expected(likelihood, toys.truth)
    assert np.abs((toys.main - rates) / np.sqrt(rates)).mean() == pytest.approx(np.sqrt(2 / np.pi), rel=0.03)


def test_expected_rates_of_many_points_are_those_one_by_one(likelihood, somewhere):
    points = np.stack([likelihood.init, somewhere, 0.5 * (likelihood.init + somewhere)])
    for point, rates in zip(points, expected(likelihood, points), strict=True):
        assert rates == pytest.approx(likelihood.expected(point), rel=1e-14)


@pytest.mark.parametrize("method", ["frequentist", "prior"])
def test_a_toy_is_the_same_in_any_company(likelihood, somewhere, method):
    whole = throw(likelihood, somewhere, count=90, seed=5, method=method)
    part = throw(likelihood, somewhere, count=3, seed=5, first=70, method=method)
    assert np.array_equal(part.main, whole.main[70:73])
    assert np.array_equal(part.auxiliary, whole.auxiliary[70:73], equal_nan=True)
    other = throw(likelihood, somewhere, count=3, seed=6, first=70, method=method)
    assert not np.array_equal(part.main, other.main)
    nested = throw(likelihood, somewhere, count=3, seed=(5, 1), first=70, method=method)
    assert not np.array_equal(part.main, nested.main)


def test_toys_need_rates_that_are_not_negative(likelihood):
    far = likelihood.init.copy()
    far[likelihood.index("mu")] = -30.0
    with pytest.raises(InvalidToys, match=r"expects -.* events at mu = -30"):
        throw(likelihood, far, count=1, seed=0)


def test_fits_in_bulk_are_the_fits_one_by_one(likelihood, somewhere):
    toys = throw(likelihood, somewhere, count=70, seed=3)
    found = fit_variants(likelihood, toys, {"free": {}, "held": {"mu": 0.5}})
    assert found["free"].converged.all()
    assert found["held"].converged.all()
    assert (found["held"].nll >= found["free"].nll - 1e-9).all()
    for row in range(0, 70, 7):
        free = likelihood.fit(toys[row], start=somewhere)
        assert found["free"].nll[row] == pytest.approx(free.nll, abs=1e-9)
        assert found["free"].parameters[row] == pytest.approx(free.parameters, abs=1e-6)
        held = likelihood.fit(toys[row], start=somewhere, fixed={"mu": 0.5})
        assert found["held"].nll[row] == pytest.approx(held.nll, abs=1e-9)
    assert set(found["held"].of("mu")) == {0.5}


def test_minima_are_not_above_pyhfs(likelihood, somewhere, reference):
    toys = throw(likelihood, somewhere, count=5, seed=11)
    found = fit_toys(likelihood, toys)
    for row, data in enumerate(flat(likelihood, toys)):
        _, theirs = pyhf.infer.mle.fit(data, reference, return_fitted_val=True)
        assert 2 * found.nll[row] <= float(theirs) + 1e-9
        assert 2 * found.nll[row] == pytest.approx(float(theirs), abs=1e-3)


def test_saturated_values_of_many_are_those_one_by_one(likelihood, somewhere):
    mask = np.ones(likelihood.bins)
    mask[0] = 0
    toys = throw(likelihood, somewhere, count=4, seed=1, mask=mask)
    alone = [likelihood.saturated(toys[number]) for number in range(4)]
    assert likelihood.saturated(toys.seen) == pytest.approx(alone, rel=1e-13)


def test_bins_that_do_not_count_in_the_data_do_not_in_toys(workspace, somewhere, tmp_path):
    likelihood = Likelihood(workspace)
    mask = np.asarray([1.0, 0.0, 1.0, 1.0])
    campaign, store = Campaign(somewhere, 20, 1), Store.open(tmp_path / "store")
    whole = carry_out(likelihood, campaign, store=store)
    likelihood.observed = likelihood.observation(likelihood.observed.main, mask=mask)
    assert asimov(likelihood, somewhere).mask.tolist() == mask.tolist()
    masked = carry_out(likelihood, campaign, store=store)
    assert (masked["free"].nll != whole["free"].nll).all()
    given = carry_out(Likelihood(workspace), replace(campaign, mask=mask))
    assert np.array_equal(given["free"].nll, masked["free"].nll)


def same(one, other):
    for name in one:
        assert np.array_equal(one[name].parameters, other[name].parameters)
        assert np.array_equal(one[name].nll, other[name].nll)
        assert one[name].reasons == other[name].reasons


def test_numbers_do_not_depend_on_the_workers(likelihood, somewhere):
    from dask.distributed import Client, LocalCluster

    campaign = Campaign(somewhere, 2 * CHUNK + 10, 9, variants={"free": {}, "held": {"mu": 1.0}}, keep=["mu"])
    alone = carry_out(likelihood, campaign)
    assert len(alone["free"]) == campaign.count
    same(alone, carry_out(likelihood, campaign, workers=2))
    fewer = carry_out(likelihood, Campaign(somewhere, 40, 9, keep=["mu"]))
    assert np.array_equal(fewer["free"].nll, alone["free"].nll[:40])
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        same(alone, carry_out(likelihood, campaign, workers=processes))
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        same(alone, carry_out(likelihood, campaign, workers=client.get_executor()))


def test_an_interrupted_campaign_goes_on(likelihood, somewhere, tmp_path):
    store = Store.open(tmp_path / "store")
    campaign = Campaign(somewhere, 3 * CHUNK, 9, variants={"free": {}}, keep=["mu"])

    def interrupt(done, _):
        if done >= 2 * CHUNK:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(likelihood, campaign, store=store, progress=interrupt)
    assert len(list(store.entries())) == 2
    steps = []
    resumed = carry_out(likelihood, campaign, store=store, progress=lambda done, all_: steps.append((done, all_)))
    assert steps == [(3 * CHUNK, 3 * CHUNK)]
    same(carry_out(likelihood, campaign), resumed)
    more = Campaign(somewhere, 3 * CHUNK + 5, 9, variants={"free": {}}, keep=["mu"])
    steps.clear()
    carry_out(likelihood, more, store=store, progress=lambda done, all_: steps.append((done, all_)))
    assert steps == [(3 * CHUNK + 5, 3 * CHUNK + 5)]


def test_a_damaged_chunk_is_made_anew(likelihood, somewhere, tmp_path):
    store = Store.open(tmp_path / "store")
    campaign = Campaign(somewhere, 20, 9, keep=["mu"])
    first = carry_out(likelihood, campaign, store=store)
    [blob] = [path for path in (tmp_path / "store" / "blobs").rglob("*") if path.is_file()]
    blob.chmod(0o600)
    blob.write_bytes(b"x" * blob.stat().st_size)
    same(first, carry_out(likelihood, campaign, store=store))


def test_another_likelihood_has_another_digest(workspace, likelihood):
    assert digest(Likelihood(workspace)) == digest(likelihood)
    assert digest(pickle.loads(pickle.dumps(likelihood))) == digest(likelihood)
    assert digest(Likelihood(workspace, histosys="code0")) != digest(likelihood)
    changed = with_every_constraint()
    changed["channels"][0]["samples"][0]["data"][0] += 1e-9
    assert digest(Likelihood(changed)) != digest(likelihood)


def test_failed_fits_are_recorded_and_stop_nothing():
    """The factor of an empty sample: no toy can be fitted unless it is held."""
    likelihood = Likelihood(counting(signal=0.0, background=50.0))
    found = fit_variants(
        likelihood, throw(likelihood, likelihood.init, count=3, seed=1), {"free": {}, "held": {"mu": 1.0}}
    )
    assert not found["free"].converged.any()
    assert all("the data do not determine mu" in reason for reason in found["free"].reasons)
    assert found["held"].converged.all()
    assert found["held"].reasons == ("", "", "")


def test_a_fit_in_the_wrong_minimum_is_made_again_from_a_lower_one():
    """Both sides of the shape raise the first bin, so that −log L has two minima, and some toys end in the higher."""
    workspace = counting(10.0, 50.0, lower=-10.0)
    workspace["channels"][0]["samples"] = [
        {"name": "background", "data": [50.0, 50.0], "modifiers": []},
        {"name": "signal", "data": [10.0, 2.0], "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]},
    ]
    workspace["observations"][0]["data"] = [70.0, 50.0]
    shape = {"name": "alpha", "type": "histosys", "data": {"hi_data": [70.0, 55.0], "lo_data": [68.0, 44.0]}}
    workspace["channels"][0]["samples"][0]["modifiers"] = [shape]
    likelihood = Likelihood(workspace)
    toys = throw(likelihood, np.ones(2), count=400, seed=1)
    alone, held = fit_toys(likelihood, toys), fit_toys(likelihood, toys, fixed={"mu": 3.0})
    assert (alone.nll > held.nll + 1e-6).any()
    together = fit_variants(likelihood, toys, {"free": {}, "held": {"mu": 3.0}})
    assert together["free"].converged.all()
    assert (together["free"].nll <= together["held"].nll + 1e-9).all()
    assert (together["free"].nll <= alone.nll + 1e-9).all()
    searched = fit_toys(likelihood, toys, search=True)
    assert (alone.nll > searched.nll + 1e-3).any()
    for row in range(0, 400, 10):
        assert searched.nll[row] <= likelihood.fit(toys[row], search=True).nll + 1e-9


def test_unknown_parameters_are_named(likelihood, somewhere):
    with pytest.raises(UnknownParameter, match="nearest: mu"):
        carry_out(likelihood, Campaign(somewhere, 5, 1, variants={"x": {"muu": 1.0}}))
    with pytest.raises(InvalidToys, match="0 toys"):
        carry_out(likelihood, Campaign(somewhere, 0, 1))


def test_kept_toys_do_not_outlive_the_code(likelihood, somewhere, tmp_path, monkeypatch):
    store = Store.open(tmp_path / "store")
    carry_out(likelihood, Campaign(somewhere, 20, 9, keep=["mu"]), store=store)
    monkeypatch.setattr("inference.toys.campaign._code", lambda: "another")
    carry_out(likelihood, Campaign(somewhere, 20, 9, keep=["mu"]), store=store)
    assert len(list(store.entries())) == 2
