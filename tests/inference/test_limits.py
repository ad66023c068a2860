"""Limits: published numbers, closed forms of counting experiments, cabinetry, and what happens where there is none."""

import json
import math
import sys
from pathlib import Path

import cabinetry
import numpy as np
import pyhf
import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).parent))
from random_workspaces import random_workspace
from small_models import counting

from inference.documents import from_json, to_json
from inference.errors import InvalidWorkspace, UnknownParameter
from inference.hypotheses.asymptotic import Asymptotic
from inference.hypotheses.limits import hypothesis_tests, upper_limit
from inference.hypotheses.results import UpperLimit
from inference.hypotheses.statistic import p_values, separation
from inference.likelihood.model import Likelihood
from inference.profiles.profile import Profile

pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")


@pytest.fixture(scope="session")
def sbottom(published):
    return Likelihood(published)


@pytest.fixture(scope="session")
def documented():
    """pyhf's example of two bins; the parameter of interest may be negative, as in its example of qmu."""
    model = pyhf.simplemodels.uncorrelated_background([12.0, 11.0], [50.0, 52.0], [3.0, 7.0])
    workspace = pyhf.Workspace.build(model, [51, 48, *model.config.auxdata])
    return json.loads(json.dumps(workspace))


def test_cls_of_the_published_likelihood(sbottom):
    """As pyhf's tests have it, to the five digits that its minimiser gives, and converged."""
    [one] = hypothesis_tests(sbottom, mu=[1.0]).tests
    assert one.cls == pytest.approx(0.24443627759085326, rel=1e-5)
    assert one.cls == pytest.approx(0.2444369559, abs=1e-9)
    published = [0.09022509053507759, 0.1937839194960632, 0.38432344933992, 0.6557757334303531, 0.8910420971601081]
    assert one.expected == pytest.approx(published, rel=2e-5)
    assert one.expected == pytest.approx([0.09022627, 0.19378572, 0.38432570, 0.65577767, 0.89104298], abs=1e-8)


def test_limits_of_the_published_likelihood_need_few_fits(sbottom):
    found = upper_limit(sbottom)
    assert found.observed == pytest.approx(2.01016, abs=5e-6)
    assert found.expected == pytest.approx((1.24263, 1.76243, 2.65791, 4.13667, 6.29696), abs=5.1e-6)
    assert found.bestfit == 0.0
    assert not found.failures
    assert all(fit.certificate.converged for fit in found.fits)
    assert len(found.fits) <= 30
    assert from_json(UpperLimit, to_json(found)) == found
    at = [*found.expected, found.observed]
    tests = {test.mu: test for test in hypothesis_tests(sbottom, mu=at).tests}
    assert tests[found.observed].cls == pytest.approx(0.05, abs=1e-11)
    assert [tests[mu].expected[k] for k, mu in enumerate(found.expected)] == pytest.approx([0.05] * 5, abs=1e-11)


def test_slopes_along_the_profile_are_those_of_differences(sbottom):
    profile = Profile(sbottom, sbottom.observed, sbottom.index("mu_SIG"))
    point, step = profile.at(1.3), 1e-4
    rise = profile.at(1.3 + step).nll - profile.at(1.3 - step).nll
    bend = profile.at(1.3 + step).nll + profile.at(1.3 - step).nll - 2 * point.nll
    assert point.slope == pytest.approx(rise / (2 * step), rel=1e-6)
    assert point.curvature == pytest.approx(bend / step**2, rel=1e-3)
    parameters = (profile.at(1.3 + step).minimum.parameters - profile.at(1.3 - step).minimum.parameters) / (2 * step)
    reduced = sbottom.places.reduced
    assert point.tangent[reduced] == pytest.approx(parameters[reduced], abs=1e-5)


def test_documented_example_of_pyhf(documented):
    likelihood = Likelihood(documented)
    [one] = hypothesis_tests(likelihood).tests
    assert one.q == pytest.approx(3.93824492, rel=1e-6)
    assert (one.clsb, one.clb, one.cls) == pytest.approx((0.02332502, 0.4441594, 0.05251497), abs=1e-5)
    band = [0.00260626, 0.01382005, 0.06445321, 0.23525644, 0.57303621]
    assert one.expected == pytest.approx(band, abs=1e-5)
    found = upper_limit(likelihood)
    assert found.observed == pytest.approx(1.01156939, rel=1e-4)
    assert found.expected == pytest.approx((0.5600747, 0.75702605, 1.06234693, 1.50116923, 2.05078912), rel=1e-3)


def test_q_lets_the_best_fit_be_negative(documented):
    """pyhf's documented qmu: 3.9549891 with the best fit at −0.06679525."""
    found = hypothesis_tests(Likelihood(documented), statistic="q")
    assert found.tests[0].q == pytest.approx(3.9549891, rel=1e-6)
    assert found.bestfit == pytest.approx(-0.06679525, abs=1e-4)
    assert "bound 0 moved to -10" in found.notes[0]


def test_limits_are_cabinetrys(documented):
    model = pyhf.Workspace(documented).model()
    data = [51, 48, *model.config.auxdata]
    theirs = cabinetry.fit.limit(model, data, bracket=(0.1, 5.0), poi_tolerance=1e-5, tolerance=1e-4)
    found = upper_limit(Likelihood(documented))
    assert found.observed == pytest.approx(theirs.observed_limit, abs=2e-4)
    assert found.expected == pytest.approx(theirs.expected_limit, abs=2e-4)


def exact(n, signal, background, mu, *, bounded=True):
    """q, q_A and CLs, CLsb of one bin with neither nuisance parameters nor fits."""

    def twice_nll(count, mu):
        rate = mu * signal + background
        return 2 * (rate - (count * math.log(rate) if count else 0.0))

    def q(count):
        best = (count - background) / signal
        best = max(best, 0.0) if bounded else best
        return 0.0 if best > mu else twice_nll(count, mu) - twice_nll(count, best)

    root, asimov = math.sqrt(q(n)), math.sqrt(q(background))
    at = root - asimov if root <= asimov or not bounded else (root**2 - asimov**2) / (2 * asimov)
    clsb, clb = norm.sf(at + asimov), norm.sf(at)
    return clsb / clb, clsb


@pytest.mark.parametrize(
    ("n", "level"), [(12.0, 0.95), (40.0, 0.95), (50.0, 0.9), (63.0, 0.95), (50.0, 0.999), (58.0, 0.3)]
)
@pytest.mark.parametrize("statistic", ["qtilde", "q"])
def test_a_counting_experiment_has_the_limit_of_its_closed_form(n, level, statistic):
    likelihood = Likelihood(counting(10.0, 50.0, observed=n))
    bounded = statistic == "qtilde"
    for index, method in enumerate(("CLs", "CLsb")):

        def excess(mu, index=index):
            return exact(n, 10.0, 50.0, mu, bounded=bounded)[index] - (1 - level)

        found = upper_limit(likelihood, level=level, method=method, statistic=statistic)
        if excess(1e-4) < 0:
            assert found.observed is None
            assert any("exclude even mu = 0 by CLsb" in failure for failure in found.failures)
        else:
            assert found.observed == pytest.approx(brentq(excess, 1e-4, 50.0, xtol=1e-13), rel=1e-9)


@pytest.mark.parametrize("statistic", ["qtilde", "q"])
def test_a_deficit_of_many_standard_deviations_has_a_limit(statistic):
    """Fifty: CLsb and CLb are both smaller than any number, their ratio is not."""
    found = upper_limit(Likelihood(counting(1e3, 1e6, observed=9.5e5, lower=-200.0, upper=200.0)), statistic=statistic)
    assert not found.failures
    [one] = hypothesis_tests(
        Likelihood(counting(1e3, 1e6, observed=9.5e5, lower=-200.0, upper=200.0)),
        mu=[found.observed],
        statistic=statistic,
    ).tests
    assert one.cls == pytest.approx(0.05, abs=1e-8)
    # Far below, the tails fall as exp(−x²/2) / x: a shift by μ/σ lets CLs fall as exp(−50 μ/σ).
    assert found.observed == pytest.approx(math.log(20) / 50, rel=0.05)


def test_a_bound_below_the_best_fit_is_widened():
    found = upper_limit(Likelihood(counting(10.0, 50.0, observed=90.0, upper=2.0)))
    assert found.bestfit == pytest.approx(4.0)
    wide = upper_limit(Likelihood(counting(10.0, 50.0, observed=90.0)))
    assert found.observed == pytest.approx(wide.observed, rel=1e-12)
    assert "the best fit of mu was at its bound 2, widened to 20" in found.notes
    assert "3 of the limits lie beyond the bound 2 of mu" in found.notes


def test_a_bound_above_zero_is_moved_there():
    found = upper_limit(Likelihood(counting(10.0, 50.0, observed=52.0, lower=0.5)))
    assert found.observed == pytest.approx(upper_limit(Likelihood(counting(10.0, 50.0, observed=52.0))).observed)
    assert found.notes == ("mu may be anything from 0 on in the best fit: bound 0.5 moved to 0",)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_limits_far_from_one_are_found(scale):
    """A signal a million times smaller has a limit a million times higher."""
    one = upper_limit(Likelihood(counting(10.0, 50.0, observed=52.0, error=0.1)))
    other = upper_limit(Likelihood(counting(10.0 * scale, 50.0, observed=52.0, error=0.1)))
    assert other.observed * scale == pytest.approx(one.observed, rel=1e-7)
    assert np.array(other.expected) * scale == pytest.approx(np.array(one.expected), rel=1e-7)


def test_no_signal_no_limit():
    found = upper_limit(Likelihood(counting(0.0, 50.0)))
    assert found.observed is None
    assert found.expected == (None,) * 5
    assert found.failures == ("best fit of mu: the data do not determine mu (curvature 0)",)


def test_events_that_the_background_cannot_make_are_said():
    found = upper_limit(Likelihood(counting(10.0, 0.0, observed=9.0)))
    assert found.observed is None
    assert "fit with mu = 0: the model has no density" in found.failures[0]


def test_what_saturates_is_not_reached():
    """A signal that one standard deviation of its own uncertainty makes vanish: q is never above 1."""
    workspace = counting(10.0, 50.0, observed=50.0)
    signal = workspace["channels"][0]["samples"][1]
    signal["modifiers"].append({"name": "vanish", "type": "histosys", "data": {"hi_data": [20.0], "lo_data": [0.0]}})
    found = upper_limit(Likelihood(workspace))
    assert (found.observed, found.expected) == (None, (None,) * 5)
    assert len([failure for failure in found.failures if "not reached up to mu = " in failure]) == 6
    assert found.test_of_one.q < 1


def test_wrong_questions_have_clear_answers(documented):
    likelihood = Likelihood(documented)
    with pytest.raises(UnknownParameter, match="no parameter 'mu_sig'; nearest: mu"):
        upper_limit(likelihood, poi="mu_sig")
    with pytest.raises(UnknownParameter, match="mu is held constant"):
        upper_limit(likelihood, fixed={"mu": 1.0})
    with pytest.raises(UnknownParameter, match="is the gamma of a single bin"):
        upper_limit(likelihood, poi="uncorr_bkguncrt[0]")
    with pytest.raises(InvalidWorkspace, match="level 95 is not between 0 and 1"):
        upper_limit(likelihood, level=95)
    found = hypothesis_tests(likelihood, mu=[-1.0, 1.0])
    assert len(found.tests) == 1
    assert found.failures == ("mu = -1 cannot be tested against 0: give a value of 0 or above",)


def test_the_reference_analysis_with_variances_from_contents(fitted):
    """pyhf's limit, 1.115566, took it 153 s; MC variances are the contents there."""
    workspace = json.loads(json.dumps(fitted("all")[0]))
    for channel in workspace["channels"]:
        for sample in channel["samples"]:
            for modifier in sample["modifiers"]:
                if modifier["type"] == "staterror":
                    modifier["data"] = np.sqrt(sample["data"]).tolist()
    found = upper_limit(Likelihood(workspace))
    assert found.observed == pytest.approx(1.115566, abs=1e-6)
    assert not found.failures


@pytest.mark.filterwarnings("ignore:.*empty bins")
@pytest.mark.parametrize("size", ["1", "20"])
def test_hard_sets_of_the_reference_analysis_converge(fitted, size):
    """Without ttbar, nuisance parameters at their nominal values leave bins with events and no rate."""
    found = upper_limit(Likelihood(fitted(size)[0]))
    assert not found.failures
    assert found.observed > found.bestfit > 0.9
    assert all(fit.certificate.converged for fit in found.fits)


def test_other_parameters_may_be_held(documented):
    held = {"uncorr_bkguncrt[0]": 1.0, "uncorr_bkguncrt[1]": 1.0}
    found = upper_limit(Likelihood(documented), fixed=held)
    assert found.observed < upper_limit(Likelihood(documented)).observed
    [one] = hypothesis_tests(Likelihood(documented), fixed=held).tests

    def q(seen, mu, best=0.0):
        rates = [np.array([12.0, 11.0]) * at + [50.0, 52.0] for at in (mu, best)]
        return 2 * sum(sign * np.sum(rate - seen * np.log(rate)) for sign, rate in zip((1, -1), rates, strict=True))

    assert one.q_asimov == pytest.approx(q(np.array([50.0, 52.0]), 1.0), rel=1e-12)
    assert one.q == pytest.approx(q(np.array([51.0, 48.0]), 1.0), rel=1e-12)


@pytest.fixture
def workspace_file(documented, tmp_path):
    path = tmp_path / "workspace.json"
    path.write_text(json.dumps(documented))
    return str(path)


def test_the_command(workspace_file, tmp_path):
    from skimflow.commands.limit import limit

    kept, drawn = tmp_path / "limit.json", tmp_path / "limit.png"
    told = CliRunner().invoke(limit, [workspace_file, "--output", str(kept), "--figure", str(drawn)])
    assert told.exit_code == 0, told.output
    assert "95 % CLs upper limit on mu" in told.output
    assert "1.012" in told.output
    assert "mu = 1: CLs 0.05252, expected 0.06446" in told.output
    result = from_json(UpperLimit, kept.read_text())
    assert len(result.tests) == 41
    assert result.tests[-1].mu == pytest.approx(1.15 * result.expected[4])
    assert drawn.read_bytes().startswith(b"\x89PNG")
    told = CliRunner().invoke(limit, [workspace_file, "--test", "1", "--test", "0.5", "--table", "csv"])
    rows = [line.split(",") for line in told.output.splitlines()]
    assert [row[0] for row in rows[1:3]] == ["0.5", "1.0"]
    assert float(rows[2][5]) == pytest.approx(0.05251552514, abs=1e-10)
    told = CliRunner().invoke(limit, [workspace_file, "--json", "--method", "CLsb", "--level", "0.9"])
    assert json.loads(told.output)["level"] == 0.9


def test_the_command_by_toys(workspace_file, tmp_path):
    from skimflow.commands.limit import limit

    drawn = tmp_path / "toys.png"
    some = ["--toys", "200", "--seed", "1", "--json"]
    told = CliRunner().invoke(limit, [workspace_file, *some, "--figure", str(drawn)])
    assert told.exit_code == 0, told.output
    found = json.loads(told.output)
    assert found["asymptotic"] == pytest.approx(1.01157, abs=1e-5)
    assert found["observed"]["value"] == pytest.approx(found["asymptotic"], abs=5 * found["observed"]["error"] + 0.05)
    assert drawn.read_bytes().startswith(b"\x89PNG")
    told = CliRunner().invoke(limit, [workspace_file, *some, "--test", "1"])
    [test] = json.loads(told.output)["tests"]
    assert test["cls"]["value"] == pytest.approx(0.0525, abs=5 * test["cls"]["error"])
    told = CliRunner().invoke(limit, [workspace_file, *some, "--test", "1", "--ensemble", "prior"])
    assert "hybrid toys" in json.loads(told.output)["notes"][0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--ensemble", "prior"], "say how many with --toys"),
        (["--ensemble", "prior", "--test", "1"], "say how many with --toys"),
        (["--lower", "--toys", "100"], "lower limits are asymptotic"),
    ],
)
def test_options_that_would_do_nothing_are_refused(workspace_file, options, words):
    from skimflow.commands.limit import limit

    told = CliRunner().invoke(limit, [workspace_file, *options])
    assert told.exit_code == 2
    assert words in told.output


def test_the_figure_shows_bands_and_limits(documented):
    from inference.hypotheses.figures import brazil

    result = upper_limit(Likelihood(documented), points=11)
    [axes] = brazil(result).axes
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == [r"Expected $\pm 2\sigma$", r"Expected $\pm 1\sigma$", "Expected", "Observed", "CLs = 0.05"]
    observed = next(line for line in axes.lines if line.get_label() == "Observed")
    assert observed.get_ydata().tolist() == [test.cls for test in result.tests]
    assert [line.get_xdata()[0] for line in axes.lines[-2:]] == [result.observed, result.expected[2]]


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1))
@example(0)
@example(4)
@example(21)
def test_generated_models_have_limits_or_say_why(seed):
    likelihood = Likelihood(random_workspace(seed))
    found = upper_limit(likelihood)
    missing = (found.observed is None) + found.expected.count(None)
    assert bool(found.failures) == (missing > 0 or found.test_of_one is None)
    assert all(fit.certificate.converged for fit in found.fits)
    assert from_json(UpperLimit, to_json(found)) == found
    if found.observed is not None:
        assert cls_of(found) == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("seed", [181, 503])
def test_several_minima(seed):
    """Shapes that bend so much that fits begun elsewhere end elsewhere: none of fifty random starts ends lower."""
    likelihood = Likelihood(random_workspace(seed))
    shared = Asymptotic(likelihood)
    at = shared.test(upper_limit(likelihood).observed)
    rng, mu = np.random.default_rng(seed), likelihood.index("mu")
    free = ~likelihood.constant & (np.arange(len(likelihood.labels)) != mu)
    others = []
    for profile in (shared.data, shared.asimov):
        found = profile.at(at.mu).nll
        ends = []
        for _ in range(50):
            start = likelihood.init + rng.normal(size=len(free)) * np.where(likelihood.init == 0, 2, 0.5)
            start = np.where(free, np.clip(start, likelihood.lower, likelihood.upper), likelihood.init)
            start[mu] = at.mu
            ended = likelihood.minimum(profile.seen, start, free)
            if ended.certificate.converged:
                ends.append(ended.nll)
        assert min(ends) > found - 1e-8
        others.append(max(ends) - found)
    assert max(others) > 1e-2
    assert at.cls == pytest.approx(0.05, abs=1e-6)


def cls_of(found):
    """CLs at the observed limit, from the fits that the result tells of."""
    q = {}
    for data in ("observed", "Asimov, 0"):
        best, *held = [fit for fit in found.fits if fit.data == data]
        near = min(held, key=lambda fit: abs(fit.held_at - found.observed))
        assert near.held_at == pytest.approx(found.observed, rel=1e-5)
        q[data] = 2 * (near.nll - best.nll)
    return float(p_values(separation(q["observed"], q["Asimov, 0"]), q["Asimov, 0"]).cls)


def test_a_signal_without_effect_is_not_limited_by_rounding():
    """A generated model in which the parameter of interest is as good as without curvature where it begins."""
    found = upper_limit(Likelihood(random_workspace(153)))
    limits = [limit for limit in (found.observed, *found.expected) if limit is not None]
    assert all(limit < 1e7 for limit in limits)
    assert len(limits) + sum("limit" in failure for failure in found.failures) == 6


@pytest.mark.parametrize("seed", [66, 268, 285, 422])
def test_cls_does_not_depend_on_what_else_is_tested(seed):
    """Models with several minima: a fit that follows another value's may end in another one than a fit from afar."""
    likelihood = Likelihood(random_workspace(seed))
    limit = upper_limit(likelihood).observed
    found = [hypothesis_tests(likelihood, mu=also) for also in ([1.0], [0.3 * limit, 1.0], [1.0, 2 * limit, 5 * limit])]
    values = [next(test.cls for test in each.tests if test.mu == 1.0) for each in found]
    assert values == pytest.approx([values[0]] * 3, abs=1e-7)


def test_nothing_expected_and_nothing_seen_is_limited():
    """5 μ expected, n = 0: q̃ = 10 μ of data and Asimov data alike, CLs = 2 (1 − Φ(√q̃))."""
    found = upper_limit(Likelihood(counting(5.0, 0.0, observed=0.0)))
    assert found.observed == pytest.approx(norm.isf(0.025) ** 2 / 10, rel=1e-5)
    assert found.expected[2] == pytest.approx(found.observed, rel=1e-5)


def test_the_command_fails_where_there_is_no_limit(tmp_path):
    from skimflow.commands.limit import limit

    file = tmp_path / "empty.json"
    file.write_text(json.dumps(counting(0.0, 50.0)))
    told = CliRunner().invoke(limit, [str(file)])
    assert told.exit_code == 1
    assert "the data do not determine mu" in told.output
    assert CliRunner().invoke(limit, [str(file), "--json"]).exit_code == 1
