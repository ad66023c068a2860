"""Models and data that other fitters stumble on: an honest answer, never a number without a certificate."""

import copy
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2, poisson

sys.path.insert(0, str(Path(__file__).parent))
from small_models import counting

from inference.errors import InvalidWorkspace
from inference.fit import fit, fit_likelihood
from inference.goodness.goodness import goodness
from inference.likelihood.model import Likelihood
from inference.toys.errors import InvalidToys
from inference.toys.generate import asimov, throw


def changed(place, value, workspace=None):
    """A workspace with one value replaced."""
    made = copy.deepcopy(workspace or counting(10.0, 50.0, error=0.1))
    at = made
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    return made


ALPHA = ("channels", 0, "samples", 0, "modifiers", 0)
SETTING = ("measurements", 0, "config", "parameters", 0)
NORM = {"name": "norm", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (("observations", 0, "data"), [-3.0], "observation of 'bin' is negative in bin 0"),
        (("observations", 0, "data"), [float("nan")], "observation of 'bin': contents must be a list of finite"),
        (("observations", 0, "data"), [10**400], "observation of 'bin': contents must be a list of finite"),
        ((*SETTING, "bounds"), [[10.0, 0.0]], "'mu' bounds of which the lower is above the upper"),
        ((*SETTING, "bounds"), [[float("nan"), 1.0]], "gives no numbers for 'mu'"),
        (ALPHA, {**NORM, "data": {"hi": float("nan"), "lo": 0.9}}, r"'norm' \(normsys\) of sample 'background'"),
        (ALPHA, {**NORM, "data": {"hi": 1.1, "lo": 0.0}}, "finite factors above 0"),
        (ALPHA, {**NORM, "data": {"hi": -1.1, "lo": 0.9}}, "finite factors above 0"),
        (
            ("measurements", 0, "config", "parameters"),
            [{"name": "alpha", "sigmas": [0.0]}],
            "'alpha' sigmas that are not finite numbers above 0",
        ),
    ],
)
def test_numbers_that_mean_nothing_are_refused_by_name(place, value, sentence):
    with pytest.raises(InvalidWorkspace, match=sentence):
        Likelihood(changed(place, value))


def test_data_that_mean_nothing_are_refused():
    likelihood = Likelihood(counting(10.0, 50.0))
    for data in ([np.nan], [-1.0], [np.inf]):
        with pytest.raises(InvalidWorkspace, match="finite numbers of events, 0 or more"):
            likelihood.observation(data)
    assert likelihood.observation([np.nan], mask=[0]).mask.tolist() == [0.0]
    with pytest.raises(InvalidWorkspace, match="a mask of shape"):
        likelihood.observation([1.0], mask=[1, 0])
    with pytest.raises(InvalidWorkspace, match="auxiliary measurements of shape"):
        likelihood.observation([1.0], [])
    with pytest.raises(InvalidWorkspace, match="a start of shape"):
        likelihood.fit(start=np.zeros(3))


def test_a_negative_rate_is_told():
    """−log L of a bin without events is its rate, continued below 0 as pyhf does; that it is so is said."""
    likelihood = Likelihood(counting(1.0, -2.0, observed=0.0))
    found = fit_likelihood(likelihood)
    assert found.bestfit == (0.0,)
    assert found.certificate.negative == ("bin 0 of 'bin' has 0 events and expects -2",)
    assert "beware: bin 0 of 'bin'" in found.certificate.sentence
    observed = goodness(likelihood, statistics=["pearson"], fit=found).statistics[0].value
    assert observed == 0.0
    with pytest.raises(InvalidToys, match=r"bin 0 of all channels .* expects -2 events"):
        asimov(likelihood, np.asarray(found.bestfit))


def test_a_signal_that_may_be_negative_meets_an_empty_bin():
    """Closed form: 30 + 2 μ events where 40 are seen, 1 + 3 μ where none are: 2 (1 − 40 / (30 + 2 μ)) + 3 = 0."""
    workspace = counting(2.0, 30.0, observed=40.0, lower=-10.0)
    workspace["channels"].append(
        {
            "name": "other",
            "samples": [
                {"name": "background", "data": [1.0], "modifiers": []},
                {"name": "signal", "data": [3.0], "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]},
            ],
        }
    )
    workspace["observations"].append({"name": "other", "data": [0.0]})
    found = fit(workspace)
    assert found.certificate.converged
    assert found.bestfit == pytest.approx([(80 / 5 - 30) / 2], abs=1e-9)
    assert found.certificate.negative == ("bin 0 of 'other' has 0 events and expects -20",)


def test_a_start_with_a_negative_rate_is_walked_out_of():
    """5 μ − 8 where 12 are seen, from μ = 1."""
    assert fit(counting(5.0, -8.0, observed=12.0)).bestfit == pytest.approx([4.0], abs=1e-9)


def test_a_signal_that_starts_at_nothing_is_found():
    """12 events where only the signal is expected, whose strength starts at 0: closed form 12 / 5."""
    workspace = counting(5.0, 0.0, observed=12.0)
    workspace["measurements"][0]["config"]["parameters"][0]["inits"] = [0.0]
    found = fit(workspace)
    assert found.bestfit == pytest.approx([2.4], abs=1e-9)
    assert found.certificate.starts > 1


def test_what_has_no_start_names_the_bin():
    workspace = counting(0.0, 0.0, observed=12.0)
    found = Likelihood(workspace).fit()
    assert not found.certificate.converged
    assert found.certificate.reason.endswith("bin 0 of 'bin' has 12 events and expects 0")


def with_empty_bins(empty):
    """Two filled bins and some in which nothing is expected nor seen."""
    none = [0.0] * empty
    modifiers = [
        {"name": "alpha", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}},
        {"name": "gamma", "type": "staterror", "data": [1.0, 2.0, *none]},
    ]
    return {
        "channels": [
            {
                "name": "region",
                "samples": [
                    {"name": "background", "data": [50.0, 40.0, *none], "modifiers": modifiers},
                    {
                        "name": "signal",
                        "data": [5.0, 3.0, *none],
                        "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
                    },
                ],
            }
        ],
        "observations": [{"name": "region", "data": [62.0, 37.0, *none]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def test_empty_bins_change_no_goodness_of_fit():
    """Neither the degrees of freedom nor what toys say: the constraint of a held gamma is no measurement."""
    plain = goodness(Likelihood(with_empty_bins(0)), statistics=["saturated", "pearson"], toys=500, seed=3)
    padded = goodness(Likelihood(with_empty_bins(10)), statistics=["saturated", "pearson"], toys=500, seed=3)
    for one, other in zip(plain.statistics, padded.statistics, strict=True):
        assert other.degrees_of_freedom == one.degrees_of_freedom == 1
        assert other.value == pytest.approx(one.value, abs=1e-9)
        assert other.p_asymptotic == pytest.approx(chi2.sf(one.value, 1), rel=1e-6)
        assert abs(other.p_toys.value - one.p_toys.value) < 0.08  # 3 of the difference's errors


def test_the_auxiliary_measurement_of_what_is_held_is_not_thrown():
    likelihood = Likelihood(counting(10.0, 50.0, error=0.1))
    place = likelihood.index("alpha")
    held = np.arange(len(likelihood.labels)) == place
    free, kept = (throw(likelihood, likelihood.init, count=5, seed=1, held=which) for which in (~(held | True), held))
    assert set(kept.auxiliary[:, place]) == {0.0}
    assert len(set(free.auxiliary[:, place])) == 5
    assert (free.main == kept.main).all()


def test_goodness_with_a_held_nuisance_follows_the_poisson():
    """Background alone in one bin, nothing free: the p-value of the toys is that of a Poisson of 50."""
    likelihood = Likelihood(counting(10.0, 50.0, observed=58.0, error=0.1))
    found = goodness(likelihood, statistics=["pearson"], toys=4000, seed=1, fixed={"mu": 0.0, "alpha": 0.0})
    counts = np.arange(200)
    truth = poisson.pmf(counts, 50)[np.abs(counts - 50) >= 8].sum()
    p_toys = found.statistics[0].p_toys
    assert abs(p_toys.value - truth) < 4 * np.sqrt(truth * (1 - truth) / 4000)


def bent(random):
    """Three shapes in six bins whose even part is a quarter of the background: up to eight minima."""
    nominal = random.uniform(80, 300, 6)
    modifiers = []
    for number in range(3):
        even, odd = random.normal(0, 0.25, 6) * nominal, random.normal(0, 0.05, 6) * nominal
        shape = {"hi_data": (nominal + even + odd).tolist(), "lo_data": (nominal + even - odd).tolist()}
        modifiers.append({"name": f"shape_{number}", "type": "histosys", "data": shape})
    signal = {"name": "signal", "data": (0.1 * nominal).tolist()}
    signal["modifiers"] = [{"name": "mu", "type": "normfactor", "data": None}]
    data = np.round(random.normal(nominal * random.uniform(0.75, 1.3, 6), np.sqrt(nominal)))
    return {
        "channels": [
            {
                "name": "region",
                "samples": [signal, {"name": "background", "data": nominal.tolist(), "modifiers": modifiers}],
            }
        ],
        "observations": [{"name": "region", "data": data.tolist()}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def test_the_search_finds_what_64_random_starts_find():
    """In one of these models two shapes have to change sides, one after the other."""
    random = np.random.default_rng(1)
    for _ in range(40):
        likelihood = Likelihood(bent(random))
        found = likelihood.fit(search=True)
        low, high = np.maximum(likelihood.lower, -3), np.minimum(likelihood.upper, 3)
        starts = [(likelihood.observed, random.uniform(low, high), ~likelihood.constant) for _ in range(64)]
        best = min(other.nll for other in likelihood.minima(starts) if other.certificate.converged)
        assert found.certificate.converged
        assert found.nll <= best + 1e-9
