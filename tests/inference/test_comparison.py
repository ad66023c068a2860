"""Two models side by side: structure, yields, and nested tests against pyhf's fits and a closed form."""

import copy
import json

import numpy as np
import pyhf
import pytest
from click.testing import CliRunner
from scipy.stats import chi2, norm

from inference.comparison.compare import compare, compare_fits
from inference.comparison.figures import parameters
from inference.comparison.results import Comparison, Difference
from inference.comparison.structure import differences
from inference.comparison.tables import comparison_tables, sentence
from inference.documents import from_json, to_json
from inference.errors import FitFailed, UnknownParameter
from inference.fit import fit_likelihood
from inference.likelihood.model import Likelihood
from inference.likelihood.specification import specification
from inference.reference import reference_model
from skimflow.commands.compare import compare as compare_command

# jsonschema deprecates the RefResolver that pyhf 0.7.6 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")

DROPPED = "b-tag NP 4"


def without(workspace, name):
    """The workspace without the modifiers of that name."""
    made = copy.deepcopy(workspace)
    for channel in made["channels"]:
        for sample in channel["samples"]:
            sample["modifiers"] = [modifier for modifier in sample["modifiers"] if modifier["name"] != name]
    return made


@pytest.fixture(scope="module")
def nested(fitted):
    workspace, _ = fitted("5")
    return compare(Likelihood(workspace), Likelihood(without(workspace, DROPPED)), names=("full", "lean"))


def test_a_model_that_lacks_a_nuisance_parameter_is_within_the_full_one(nested, fitted):
    """The statistic is that of pyhf's likelihood with the parameter held at 0, at Minuit's minima."""
    workspace, result = fitted("5")
    test = nested.test
    assert (test.smaller, test.larger, test.parameters, test.at_bound) == ("lean", "full", (DROPPED,), ())
    model, data = reference_model(workspace)
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer())
    held = model.config.suggested_fixed()
    held[model.config.par_names.index(DROPPED)] = True
    minima = []
    for fixed in (model.config.suggested_fixed(), held):
        start = [0.0 if name == DROPPED else value for name, value in zip(result.labels, result.bestfit, strict=True)]
        _, twice = pyhf.infer.mle.fit(
            data, model, init_pars=start, fixed_params=fixed, return_fitted_val=True, tolerance=0.001
        )
        minima.append(float(twice))
    pyhf.set_backend("numpy")
    assert test.statistic == pytest.approx(minima[1] - minima[0], abs=2e-4)
    assert test.p_value == pytest.approx(chi2.sf(test.statistic, 1))
    assert nested.first.free == nested.second.free + 1
    assert nested.second.aic - nested.first.aic == pytest.approx(test.statistic - 2)


def test_a_nested_test_in_closed_form():
    """One bin: with the signal held at 0, −2 Δlog L is 2 (n log(n/b) − n + b), the saturated deviance."""
    model = Likelihood(counting(130.0))
    found = compare(model, Likelihood(counting(130.0)), fixed_second={"mu": 0.0})
    expected = 2 * (130 * np.log(1.3) - 30)
    assert found.test.statistic == pytest.approx(expected, rel=1e-10)
    assert found.test.p_value == pytest.approx(2 * norm.sf(np.sqrt(expected)), rel=1e-9)
    assert found.test.at_bound == ("mu",)
    assert sentence(found).endswith("p = 0.00416; too large, since mu is held on a bound.")
    assert found.second.deviance == pytest.approx(expected, rel=1e-10)
    [mu] = found.parameters
    assert mu.first.bestfit == pytest.approx(1.5, rel=1e-9)
    assert mu.second.fixed
    assert mu.shift == pytest.approx(-1.5 / (np.sqrt(130) / 20), rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "held", "reason"),
    [
        ({"observed": 131.0}, {}, "of different channels or data"),
        ({"channel": "other"}, {}, "of different channels or data"),
        ({"background": 101.0}, {}, "both models have the same free parameters"),
        ({"background": 101.0}, {"mu": 0.0}, "the larger model does not predict what the smaller one does"),
        ({"factor": "nu"}, {}, "mu is free in first alone"),
    ],
)
def test_models_that_are_not_nested_are_not_tested(changes, held, reason):
    other = counting(**({"observed": 130.0} | changes))
    found = compare(Likelihood(counting(130.0)), Likelihood(other), fixed_second=held)
    assert found.test is None
    assert reason in found.not_nested
    assert sentence(found).startswith("No likelihood-ratio test")


def test_differences_are_named_where_they_are(nested):
    found = nested.differences
    assert {one.kind for one in found} == {"modifier", "parameter"}
    assert all(DROPPED in one.place and one.second is None for one in found)
    assert len([one for one in found if one.kind == "modifier"]) == 2 * 2 * 5
    changed = counting(130.0)
    channel = changed["channels"][0]
    channel["samples"][0]["data"] = [21.0]
    channel["samples"].append({"name": "more", "data": [1.0], "modifiers": []})
    changed["channels"].append({"name": "new", "samples": [{"name": "s", "data": [1.0, 2.0], "modifiers": []}]})
    changed["observations"] = [{"name": "bin", "data": [129.0]}, {"name": "new", "data": [3.0, 4.0]}]
    changed["measurements"][0]["config"]["parameters"] = [{"name": "mu", "bounds": [[0.0, 20.0]]}]
    assert differences(specification(counting(130.0)), specification(changed)) == (
        Difference("channel", "new", None, "2 bins"),
        Difference("sample", "more in bin", None, "1 events"),
        Difference("sample", "signal in bin", "20 events", "21 events"),
        Difference("parameter", "mu", "starts at 1 within 0 and 10", "starts at 1 within 0 and 20"),
        Difference("data", "bin", "130 events", "129 events"),
    )
    assert differences(specification(changed), specification(changed)) == ()


def test_yields_stand_side_by_side(nested, fitted):
    from inference.yields import yields

    workspace, result = fitted("5")
    for pair, region in zip(nested.yields, yields(workspace, result).regions, strict=True):
        assert pair.first == (region.prediction.total, region.prediction.total_uncertainty)
        assert pair.second[0] == pytest.approx(pair.first[0], rel=1e-3)
        assert pair.data_first == pair.data_second == pytest.approx(sum(region.data))
        assert np.allclose(pair.ratio, 1.0, atol=0.01)
        assert pair.ratio != (1.0,) * 11


def test_fits_alone_are_compared_by_their_parameters(fitted, nested):
    workspace, result = fitted("5")
    other = fit_likelihood(Likelihood(without(workspace, DROPPED)))
    found = compare_fits(result, other, names=("full", "lean"))
    assert found.parameters == nested.parameters
    assert (found.yields, found.differences, found.test) == ((), (), None)
    assert found.not_nested == "only the fits are known: give the workspaces"
    assert [pair.parameter for pair in found.parameters if pair.second is None] == [DROPPED]


def test_a_comparison_survives_json_and_is_shown(nested):
    assert from_json(Comparison, to_json(nested)) == nested
    titles = [table.title for table in comparison_tables(nested)]
    assert titles == ["Models", "Parameters", "Post-fit yields", "Differences between the models"]
    figure = parameters(nested)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["ttbar_norm"]
    assert len(figure.axes[1].get_yticklabels()) == 11
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["full", "lean"]


def test_what_cannot_be_compared_is_said():
    model = Likelihood(counting(130.0))
    with pytest.raises(UnknownParameter, match="no parameter 'nu'"):
        compare(model, model, fixed_second={"nu": 1.0})
    flat = counting(130.0)
    flat["channels"][0]["samples"][0]["data"] = [0.0]
    with pytest.raises(FitFailed, match="second: no minimum"):
        compare(model, Likelihood(flat))


def test_the_command_compares_workspaces_and_fits(tmp_path):
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    one.write_text(json.dumps(counting(130.0)), encoding="utf-8")
    other.write_text(json.dumps(counting(125.0)), encoding="utf-8")
    figure = tmp_path / "pulls.png"

    def typed(*words):
        return CliRunner().invoke(compare_command, [str(word) for word in words])

    ended = typed(one, other, "--figure", figure)
    assert ended.exit_code == 0, ended.output
    assert "the models are of different channels or data" in ended.output
    assert "130 events" in ended.output
    assert figure.read_bytes().startswith(b"\x89PNG")
    itself = typed(one, one, "--fix-second", "mu=0", "--json")
    assert json.loads(itself.output)["test"]["smaller"] == "one, mu held"
    fits = []
    for path in (one, other):
        fits.append(path.with_name(f"{path.stem}-fit.json"))
        fits[-1].write_text(to_json(fit_likelihood(Likelihood(json.loads(path.read_text())))), encoding="utf-8")
    assert "best fit, one-fit" in typed(*fits).output
    mixed = typed(one, fits[1])
    assert mixed.exit_code == 2
    assert "give two workspaces, or two fits" in mixed.output
    assert "nothing can be held" in typed(*fits, "--fix", "mu=1").output


def counting(observed, *, channel="bin", factor="mu", background=100.0):
    """One bin: 20 μ + 100."""
    free = {"name": factor, "type": "normfactor", "data": None}
    samples = [
        {"name": "signal", "data": [20.0], "modifiers": [free]},
        {"name": "background", "data": [background], "modifiers": []},
    ]
    return {
        "channels": [{"name": channel, "samples": samples}],
        "observations": [{"name": channel, "data": [observed]}],
        "measurements": [{"name": "m", "config": {"poi": factor, "parameters": []}}],
        "version": "1.0.0",
    }
