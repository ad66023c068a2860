"""The structured likelihood: values against pyhf, derivatives against autodiff, minima against both."""

import sys
from pathlib import Path

import jax
import numpy as np
import pyhf
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from random_workspaces import random_workspace

from inference.errors import FitFailed
from inference.likelihood import compiled, evaluate
from inference.likelihood.model import Likelihood
from inference.reference import reference_model

# jsonschema deprecates the RefResolver that pyhf 0.7.6 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")

# Gradient and Hessian by automatic differentiation of the value alone.
AUTOMATIC = jax.jit(
    lambda theta, arrays, layout, data: (
        jax.grad(evaluate.value)(theta, arrays, layout, data),
        jax.hessian(evaluate.value)(theta, arrays, layout, data),
    ),
    static_argnums=2,
)
SEEDS = st.integers(0, 2**32 - 1)


def reference(workspace, histosys="code4p", normsys="code4"):
    """pyhf's model and data."""
    pyhf.set_backend("numpy")
    parsed = pyhf.Workspace(workspace)
    settings = {"histosys": {"interpcode": histosys}, "normsys": {"interpcode": normsys}}
    model = parsed.model(modifier_settings=settings)
    return model, parsed.data(model)


def somewhere(likelihood, rng, within=None):
    """A point within the bounds, fixed parameters where they are."""
    width = np.where(likelihood.init == 0, 1.0, 0.2)
    point = likelihood.init + width * rng.normal(size=len(likelihood.init))
    if within is not None:
        point = np.where(likelihood.init == 0, np.clip(point, -within, within), point)
    return np.where(likelihood.constant, likelihood.init, np.clip(point, likelihood.lower, likelihood.upper))


def same_as_pyhf(workspace, rng, points=1, within=None, **codes):
    model, data = reference(workspace, **codes)
    likelihood = Likelihood(workspace, **codes)
    assert list(likelihood.labels) == model.config.par_names
    assert likelihood.init.tolist() == model.config.suggested_init()
    assert list(zip(likelihood.lower, likelihood.upper, strict=True)) == list(
        map(tuple, model.config.suggested_bounds())
    )
    assert likelihood.constant.tolist() == model.config.suggested_fixed()
    seen = likelihood.from_flat(data)
    assert np.array_equal(seen.main, likelihood.observed.main)
    assert np.array_equal(seen.auxiliary, likelihood.observed.auxiliary, equal_nan=True)
    for _ in range(points):
        point = somewhere(likelihood, rng, within)
        with np.errstate(all="ignore"):
            theirs = -float(model.logpdf(point, data)[0])
        ours = likelihood.nll(point)
        if np.isfinite(theirs):
            assert ours == pytest.approx(theirs, rel=1e-12)
        else:
            assert not np.isfinite(ours)


@pytest.fixture(scope="module")
def sbottom(published):
    return published


@pytest.fixture(scope="module")
def agc(fitted):
    return fitted("all")[0]


@pytest.mark.parametrize("name", ["sbottom", "agc"])
def test_values_are_pyhfs_on_published_models(name, request):
    same_as_pyhf(request.getfixturevalue(name), np.random.default_rng(1), points=100)


# pyhf 0.7.6 is wrong for code 2 below -1 (its issue 2668), so that one is compared within ±1.
@pytest.mark.parametrize(("histosys", "normsys", "within"), [("code0", "code1", None), ("code2", "code1", 1.0)])
def test_values_are_pyhfs_for_other_interpolations(sbottom, histosys, normsys, within):
    rng = np.random.default_rng(2)
    same_as_pyhf(sbottom, rng, points=20, within=within, histosys=histosys, normsys=normsys)


def test_code_2_goes_on_straight_beyond_one_standard_deviation():
    """By hand: nominal 10, up 12, down 9 is 10 + 1.5 α + 0.5 α² within ±1 and its tangent beyond."""
    workspace = random_workspace(0)
    shift = {"name": "alpha", "type": "histosys", "data": {"hi_data": [12.0], "lo_data": [9.0]}}
    workspace["channels"] = [{"name": "c", "samples": [{"name": "s", "data": [10.0], "modifiers": [shift]}]}]
    workspace["observations"] = [{"name": "c", "data": [10.0]}]
    workspace["measurements"][0]["config"] = {"poi": "", "parameters": []}
    likelihood = Likelihood(workspace, histosys="code2")
    for alpha, rate in ((0.5, 10.875), (1.0, 12.0), (2.0, 14.5), (-1.0, 9.0), (-2.0, 8.5)):
        assert likelihood.expected(np.asarray([alpha]))[0] == pytest.approx(rate, rel=1e-14)


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_values_are_pyhfs_on_generated_models(seed):
    same_as_pyhf(random_workspace(seed), np.random.default_rng(seed), points=10)


def derivatives_agree(likelihood, point):
    data = likelihood.data(likelihood.observed)
    theta = point[likelihood.places.reduced]

    def value(at):
        return float(compiled.value(at, likelihood.arrays, likelihood.layout, data))

    found = compiled.point(theta, likelihood.arrays, likelihood.layout, data)
    assert float(found.value) == pytest.approx(float(value(theta)), rel=1e-14)
    if not np.isfinite(float(found.value)):
        return
    gradient, hessian = map(np.asarray, AUTOMATIC(theta, likelihood.arrays, likelihood.layout, data))
    assert found.gradient == pytest.approx(gradient, rel=1e-11, abs=1e-11 * (1 + np.abs(gradient).max()))
    assert found.curvature == pytest.approx(hessian, rel=1e-11, abs=1e-11 * np.abs(hessian).max())


@pytest.mark.parametrize("profile", [True, False])
@settings(max_examples=4, deadline=None)
@given(SEEDS)
def test_derivatives_are_those_of_automatic_differentiation(profile, seed):
    workspace = random_workspace(seed)
    likelihood = Likelihood(workspace, profile=profile)
    derivatives_agree(likelihood, somewhere(likelihood, np.random.default_rng(seed)))


@pytest.mark.parametrize("name", ["sbottom", "agc"])
def test_derivatives_on_published_models(name, request):
    likelihood = Likelihood(request.getfixturevalue(name))
    derivatives_agree(likelihood, somewhere(likelihood, np.random.default_rng(5)))


def test_derivatives_where_a_factor_is_zero(sbottom):
    """At mu = 0, where x/mu is no number: against differences of pyhf's own density."""
    likelihood = Likelihood(sbottom, profile=False)
    model, data = reference(sbottom)
    point = somewhere(likelihood, np.random.default_rng(6))
    mu = likelihood.index("mu_SIG")
    point[mu] = 0.0
    theta = point[likelihood.places.reduced]
    found = compiled.point(theta, likelihood.arrays, likelihood.layout, likelihood.data())
    step = 1e-4
    moved = [point.copy() for _ in range(4)]
    for place, times in enumerate((-2, -1, 1, 2)):
        moved[place][mu] = times * step
    below2, below, above, above2 = (-float(model.logpdf(each, data)[0]) for each in moved)
    here = -float(model.logpdf(point, data)[0])
    slope = (below2 - 8 * below + 8 * above - above2) / (12 * step)
    bend = (-below2 + 16 * below - 30 * here + 16 * above - above2) / (12 * step**2)
    assert float(found.gradient[mu]) == pytest.approx(slope, rel=1e-7)
    assert float(found.curvature[mu, mu]) == pytest.approx(bend, rel=1e-3)


def test_reference_minimum_of_the_published_likelihood(sbottom):
    found = Likelihood(sbottom).fit()
    assert found.certificate.converged
    assert found.certificate.at_bound == ("mu_SIG",)
    assert 2 * found.nll == pytest.approx(101.375820767, abs=1e-9)


@pytest.mark.parametrize("name", ["sbottom", "agc"])
def test_profiled_gammas_lead_where_explicit_ones_do(name, request):
    workspace = request.getfixturevalue(name)
    profiled, explicit = Likelihood(workspace), Likelihood(workspace, profile=False)
    assert len(profiled.profiled) > 0
    assert len(explicit.profiled) == 0
    first, second = profiled.fit(), explicit.fit()
    assert first.nll == pytest.approx(second.nll, abs=1e-11)
    assert first.parameters == pytest.approx(second.parameters, abs=1e-6)
    one, other = profiled.covariance(first), explicit.covariance(second)
    assert one == pytest.approx(other, rel=1e-6, abs=1e-9 * np.abs(other).max())


@pytest.mark.parametrize("name", ["sbottom", "agc"])
def test_no_minimum_of_pyhfs_is_lower(name, request):
    workspace = request.getfixturevalue(name)
    model, data = reference(workspace)
    _, theirs = pyhf.infer.mle.fit(data, model, return_fitted_val=True)
    assert 2 * Likelihood(workspace).fit().nll <= float(theirs) + 1e-9


@settings(max_examples=20, deadline=None)
@given(SEEDS)
@example(11)
def test_generated_models_converge_or_say_why(seed):
    likelihood = Likelihood(random_workspace(seed))
    found = likelihood.fit()
    if not found.certificate.converged:
        assert found.certificate.reason
        return
    assert found.certificate.edm < 1e-10
    free = ~likelihood.constant
    rng = np.random.default_rng(seed)
    for _ in range(20):
        near = found.parameters + 1e-3 * rng.normal(size=len(free)) * free
        near = np.clip(near, likelihood.lower, likelihood.upper)
        assert likelihood.nll(near) >= found.nll - 1e-9


def one_bin(modifiers, observed=10.0, data=10.0):
    return {
        "channels": [{"name": "c", "samples": [{"name": "s", "data": [data], "modifiers": modifiers}]}],
        "observations": [{"name": "c", "data": [observed]}],
        "measurements": [{"name": "m", "config": {"poi": "", "parameters": []}}],
        "version": "1.0.0",
    }


FREE = {"name": "a", "type": "normfactor", "data": None}
SECOND = {"name": "b", "type": "normfactor", "data": None}


def test_a_flat_direction_is_named():
    found = Likelihood(one_bin([FREE, SECOND], observed=13.0)).fit()
    assert not found.certificate.converged
    assert not found.certificate.positive_definite
    assert "the data do not determine a, b" in found.certificate.reason or "b, a" in found.certificate.reason


def test_a_parameter_of_an_empty_sample_is_named():
    found = Likelihood(one_bin([FREE], data=0.0, observed=0.0)).fit()
    assert found.certificate.reason.startswith("the data do not determine a")


def test_events_where_nothing_is_expected_are_no_crash():
    found = Likelihood(one_bin([FREE], data=0.0, observed=3.0)).fit()
    assert "no density at the start" in found.certificate.reason
    with pytest.raises(FitFailed, match="no covariance"):
        Likelihood(one_bin([FREE], data=0.0, observed=3.0)).covariance(found)


def test_an_empty_bin_pulls_its_gamma_as_the_closed_form_says():
    """n = 0: λ + (γ − 1)²/2σ² is least at γ = 1 − σ² a."""
    error = {"name": "stat", "type": "staterror", "data": [2.0]}
    found = Likelihood(one_bin([error], data=5.0, observed=0.0)).fit()
    assert found.certificate.converged
    assert found.parameters[0] == pytest.approx(1 - 0.4**2 * 5, rel=1e-14)


def test_a_minimum_on_a_bound_is_certified():
    signal = {"name": "s", "data": [10.0], "modifiers": [FREE]}
    background = {"name": "b", "data": [50.0], "modifiers": []}
    workspace = one_bin([FREE], observed=40.0)
    workspace["channels"][0]["samples"] = [signal, background]
    found = Likelihood(workspace).fit()
    assert found.certificate.converged
    assert found.certificate.at_bound == ("a",)
    assert found.parameters.tolist() == [0.0]


def test_many_fits_in_one_call_are_the_fits_one_by_one(agc):
    likelihood = Likelihood(agc)
    free = ~likelihood.constant
    rng = np.random.default_rng(8)
    tasks = []
    for _ in range(5):
        seen = likelihood.observation(rng.poisson(likelihood.expected(likelihood.init)))
        tasks.append((seen, likelihood.init, free))
    for task, found in zip(tasks, likelihood.minima(tasks), strict=True):
        alone = likelihood.minimum(*task)
        assert found.certificate.converged
        assert found.nll == pytest.approx(alone.nll, abs=1e-12)
        assert found.parameters == pytest.approx(alone.parameters, abs=1e-9)


def test_masked_bins_have_no_say_but_a_prediction(agc):
    likelihood = Likelihood(agc)
    mask = np.ones(likelihood.bins)
    mask[:11] = 0
    changed = likelihood.observed.main.copy()
    changed[:11] *= 3
    masked = likelihood.fit(likelihood.observation(likelihood.observed.main, mask=mask))
    other = likelihood.fit(likelihood.observation(changed, mask=mask))
    assert masked.parameters == pytest.approx(other.parameters, abs=1e-12)
    assert (likelihood.expected(masked.parameters)[:11] > 0).all()


def test_the_lower_of_two_minima_is_found(fitted):
    """A held ME variation of the AGC leaves two minima, and pyhf's minimiser ends in the upper one."""
    workspace, result = fitted("5")
    likelihood = Likelihood(workspace)
    held = {"ME variation": result.value("ME variation")[0] - 1.0}
    near, searched = likelihood.fit(fixed=held), likelihood.fit(fixed=held, search=True)
    assert near.certificate.converged
    assert searched.certificate.converged
    assert searched.certificate.starts > 1
    assert 2 * searched.nll < 2 * near.nll - 2
    model, data = reference_model(workspace)
    for minimum in (near, searched):
        assert minimum.nll == pytest.approx(-float(model.logpdf(minimum.parameters, data)[0]), abs=1e-9)


@pytest.mark.parametrize("profile", [True, False])
def test_the_gradient_alone_is_that_of_all_parameters(sbottom, profile):
    """Gammas too, which the minimiser may leave out: against differences of pyhf's log-density."""
    likelihood = Likelihood(sbottom, profile=profile)
    model, data = reference_model(sbottom)
    generator = np.random.default_rng(3)
    at = likelihood.init + generator.uniform(0.05, 0.2, len(likelihood.init))
    value, slope = likelihood.gradient(at)
    assert value == pytest.approx(-float(model.logpdf(at, data)[0]), rel=1e-12)
    for place in range(len(at)):
        step = np.zeros_like(at)
        step[place] = 1e-4
        difference = (float(model.logpdf(at - step, data)[0]) - float(model.logpdf(at + step, data)[0])) / 2e-4
        assert slope[place] == pytest.approx(difference, rel=1e-5, abs=1e-5)
