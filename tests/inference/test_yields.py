"""Yields and shapes against the AGC's listed numbers and cabinetry; tables of them."""

import csv
import io
import json
import re

import numpy as np
import pytest
from matplotlib.mathtext import MathTextParser

from inference.errors import InferenceError, InvalidWorkspace
from inference.fit import fit_likelihood
from inference.likelihood.model import Likelihood
from inference.model import load_model
from inference.propagation import along
from inference.reference import reference_model
from inference.systematics import shape_variations
from inference.tables import Table, parameter_table, yield_table
from inference.templates import load_histograms, rebin
from inference.yields import yields, yields_of

# jsonschema deprecates the RefResolver that pyhf 0.7.6 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def prefit(fitted):
    return yields(fitted("5")[0], model=load_model())


@pytest.fixture(scope="module")
def postfit(fitted):
    return yields(*fitted("5"), model=load_model())


def test_pre_fit_yields_are_the_templates(prefit, shared_data):
    histograms = load_histograms(shared_data / "agc" / "reference" / "histos_5_file_per_process.json")
    model = load_model()
    assert prefit.stage == "pre-fit"
    for region in model.regions:
        found = prefit.region(region.name)
        assert [sample.sample for sample in found.samples] == [sample.name for sample in model.samples]
        for sample, known in zip(found.samples, model.samples, strict=True):
            values, _ = rebin(histograms[f"{region.histogram}_{known.histogram}"], region.edges)
            np.testing.assert_allclose(sample.values, values, rtol=1e-9)
            assert sample.total == pytest.approx(values.sum())


def test_pre_fit_band_is_the_sum_of_squares_of_the_variations(prefit, fitted):
    """Per bin and sample: 11 systematics, halved up − down, and the bin's own statistical term."""
    variations = shape_variations(fitted("5")[0])
    chosen = [v for v in variations if (v.region, v.sample) == ("4j2b SR", "tW")]
    square = sum((0.5 * np.subtract(v.up, v.down)) ** 2 for v in chosen)
    sample = next(s for s in prefit.region("4j2b SR").samples if s.sample == "tW")
    found = np.array(sample.uncertainties) ** 2 - square
    # What is left is the gamma of the whole bin, relative to all samples: small and not negative.
    assert (found > 0).all()
    assert np.sqrt(found / np.array(sample.values) ** 2).max() < 0.2


def peer(workspace, result=None):
    """Cabinetry's prediction."""
    from cabinetry import model_utils
    from cabinetry.fit.results_containers import FitResults

    model, _ = reference_model(workspace)
    if result is None:
        return model_utils.prediction(model)
    numbers = np.asarray(result.bestfit), np.asarray(result.uncertainties)
    return model_utils.prediction(
        model, fit_results=FitResults(*numbers, list(result.labels), result.correlation, result.twice_nll)
    )


def bands(found):
    """As cabinetry has them: per channel, samples and their sum; per bin and for all bins."""
    per_bin = [[one.uncertainties for one in (*region.samples, region.prediction)] for region in found.regions]
    whole = [[one.total_uncertainty for one in (*region.samples, region.prediction)] for region in found.regions]
    return np.asarray(per_bin), np.asarray(whole)


def test_pre_fit_bands_are_cabinetrys(fitted):
    workspace, _ = fitted("5")
    per_bin, whole = bands(yields(workspace))
    theirs = peer(workspace)
    np.testing.assert_allclose(per_bin, theirs.total_stdev_model_bins, rtol=1e-9)
    np.testing.assert_allclose(whole, theirs.total_stdev_model_channels, rtol=1e-9)


def test_post_fit_bands_are_cabinetrys_where_rates_are_straight():
    """Cabinetry varies up and down by σ; that is the derivative where rates bend evenly and parameters are at 0."""
    straight = straight_workspace()
    likelihood = Likelihood(straight)
    result = fit_likelihood(likelihood)
    assert abs(result.value("shape")[0]) < 1e-6
    per_bin, whole = bands(yields_of(likelihood, fit=result))
    theirs = peer(straight, result)
    np.testing.assert_allclose(per_bin[0], theirs.total_stdev_model_bins[0], rtol=1e-6)
    np.testing.assert_allclose(whole[0], theirs.total_stdev_model_channels[0], rtol=1e-6)


def test_no_channel_is_known_worse_than_its_own_count_says(fitted):
    """J C Jᵀ ≤ diag(λ) for the inverse C of the Fisher information: a theorem of linear algebra.

    Cabinetry's variations by one whole σ of strongly correlated parameters break it: 332 where the root is 222.
    """
    workspace, result = fitted("5")
    per_bin, whole = bands(yields(workspace, result))
    theirs = peer(workspace, result)
    counts = [np.asarray(one.data) for one in yields(workspace).regions]
    for ours, bins, count in zip(whole[:, -1], per_bin[:, -1], counts, strict=True):
        assert 0.9 * np.sqrt(count.sum()) < ours < 1.005 * np.sqrt(count.sum())
        assert (bins < 1.03 * np.sqrt(count)).all()
    assert np.asarray(theirs.total_stdev_model_channels)[1, -1] > 1.4 * np.sqrt(counts[1].sum())
    np.testing.assert_allclose(per_bin[:, -1], np.asarray(theirs.total_stdev_model_bins)[:, -1], rtol=0.25)


def test_the_derivatives_of_the_rates_are_pyhfs(fitted):
    """Central differences of pyhf's expected data along every parameter, gammas included."""
    workspace, result = fitted("5")
    model, _ = reference_model(workspace)
    best, step = np.asarray(result.bestfit), 1e-5
    found = along(Likelihood(workspace), best, np.eye(len(best)))
    for index, row in enumerate(found):
        move = step * np.eye(len(best))[index]
        up, down = (model.expected_data(best + sign * move, include_auxdata=False) for sign in (1, -1))
        np.testing.assert_allclose(row, (up - down) / (2 * step), atol=1e-5 * np.abs(row).max() + 1e-5)


def test_a_sampled_band_is_the_linear_one_within_its_own_error():
    likelihood = Likelihood(straight_workspace())
    result = fit_likelihood(likelihood)
    straight = bands(yields_of(likelihood, fit=result))
    sampled = yields_of(likelihood, fit=result, draws=20_000)
    assert (sampled.band, sampled.draws) == ("sampled", 20_000)
    for ours, theirs in zip(bands(sampled), straight, strict=True):
        # A standard deviation of N draws is known to 1/sqrt(2N) = 0.5 %; the shape's bending adds little.
        np.testing.assert_allclose(ours, theirs, rtol=0.03)
    assert yields_of(likelihood, fit=result, draws=20_000) == sampled


def test_a_signal_at_zero_keeps_its_band():
    """No signal seen, its strength on its bound: the band is the signal times the uncertainty of its strength."""
    document = straight_workspace(data=[80.0, 100.0])
    likelihood = Likelihood(document)
    result = fit_likelihood(likelihood)
    found = yields_of(likelihood, fit=result).region("both")
    value, sigma = result.value("mu")
    assert value == 0
    assert found.samples[1].sample == "signal"
    assert found.samples[1].uncertainties == pytest.approx((50 * sigma, 0.0))
    assert sigma > 0.1


def test_hidden_bins_have_no_data():
    likelihood = Likelihood(straight_workspace())
    likelihood.observed = likelihood.observation([1.0, 100.0], mask=np.asarray([0.0, 1.0]))
    found = yields_of(likelihood)
    assert found.region("both").data == (None, 100.0)
    rows = yield_table(found, bins=True).rows
    assert ("both", 0, "data", None, None) in rows
    assert ("both", "data in 1 of 2 bins", 100.0, None) in yield_table(found).rows


def straight_workspace(data=(150.0, 100.0)):
    """Signal in the first bin; a background with a shape and statistical uncertainties."""
    shape = {"name": "shape", "type": "histosys", "data": {"hi_data": [110.0, 95.0], "lo_data": [92.0, 106.0]}}
    errors = {"name": "errors", "type": "staterror", "data": [5.0, 5.0]}
    background = {"name": "background", "data": [100.0, 100.0], "modifiers": [shape, errors]}
    free = {"name": "mu", "type": "normfactor", "data": None}
    signal = {"name": "signal", "data": [50.0, 0.0], "modifiers": [free]}
    return {
        "channels": [{"name": "both", "samples": [signal, background]}],
        "observations": [{"name": "both", "data": list(data)}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def test_post_fit_prediction_meets_the_data_with_a_narrower_band(prefit, postfit):
    for before, after in zip(prefit.regions, postfit.regions, strict=True):
        assert after.data == before.data
        assert after.prediction.total == pytest.approx(sum(after.data), rel=0.01)
        assert after.prediction.total_uncertainty < 0.1 * before.prediction.total_uncertainty
        pulls = (np.array(after.prediction.values) - after.data) / np.sqrt(after.data)
        assert np.abs(pulls).max() < 1


def test_post_fit_values_are_the_models_at_the_best_fit(postfit, fitted):
    import pyhf

    workspace, result = fitted("5")
    model = pyhf.Workspace(workspace).model(
        modifier_settings={"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}
    )
    expected = model.expected_data(list(result.bestfit), include_auxdata=False)
    found = np.concatenate([region.prediction.values for region in postfit.regions])
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_foreign_fit_is_refused(fitted, postfit):
    document = json.loads(json.dumps(fitted("5")[0]))
    for channel in document["channels"]:
        for sample in channel["samples"]:
            sample["modifiers"] = [m for m in sample["modifiers"] if m["name"] != "Luminosity"]
    with pytest.raises(InvalidWorkspace, match="other parameters"):
        yields(document, fitted("5")[1])
    with pytest.raises(InferenceError, match="no region '5j'; known: 4j1b CR, 4j2b SR"):
        postfit.region("5j")


def test_shapes_come_back_whole(fitted, shared_data):
    histograms = load_histograms(shared_data / "agc" / "reference" / "histos_5_file_per_process.json")
    edges = load_model().regions[0].edges
    variations = {(v.region, v.sample, v.systematic): v for v in shape_variations(fitted("5")[0])}
    assert len(variations) == 2 * (10 + 8 + 3 * 7)
    found = variations["4j1b CR", "ttbar", "ttbar scale variations"]
    for values, name in ((found.up, "scaleup"), (found.down, "scaledown"), (found.nominal, "")):
        whole, variances = rebin(histograms[f"4j1b_ttbar_{name}".rstrip("_")], edges)
        np.testing.assert_allclose(values, whole, rtol=1e-9)
    np.testing.assert_allclose(found.statistical, np.sqrt(variances))
    luminosity = variations["4j1b CR", "tW", "Luminosity"]
    np.testing.assert_allclose(luminosity.up, 1.03 * np.array(luminosity.nominal))


def test_tables_hold_the_numbers(prefit, postfit, fitted):
    table = yield_table(postfit)
    rows = list(csv.reader(io.StringIO(table.to_csv())))
    assert rows[0] == ["region", "sample", "events", "uncertainty"]
    assert len(rows) == 1 + 2 * 7
    assert rows[1][:2] == ["4j1b CR", "ttbar"]
    assert float(rows[1][2]) == postfit.regions[0].samples[0].total
    records = json.loads(table.to_json())["rows"]
    assert records[6] == {
        "region": "4j1b CR", "sample": "data", "events": sum(postfit.regions[0].data), "uncertainty": None,
    }  # fmt: skip
    assert len(yield_table(prefit, bins=True).rows) == 2 * 7 * 11
    text = parameter_table(fitted("5")[1]).to_text()
    assert "ttbar_norm" in text
    assert "0.9533" in text


def test_a_latex_table_in_booktabs_style():
    rows = (("mu_sig [0]", 1.5e-7, -2.0), ("[α] 50% & more", None, 12345.67))
    assert Table("Fit of #1", ("parameter", "best_fit", "±1σ"), rows).to_latex() == (
        "\\begin{table}\n\\centering\n\\caption{Fit of \\#1}\n\\begin{tabular}{lrr}\n\\toprule\n"
        "parameter & best\\_fit & $\\pm$1$\\sigma$ \\\\\n\\midrule\n"
        "mu\\_sig [0] & $1.5 \\times 10^{-7}$ & $-2$ \\\\\n"
        "{}[$\\alpha$] 50\\% \\& more &  & 12345.7 \\\\\n"
        "\\bottomrule\n\\end{tabular}\n\\end{table}\n"
    )


def test_latex_of_any_text_has_no_open_command():
    """What is left after known commands are taken out holds no character that LaTeX gives a meaning."""
    printable = "".join(map(chr, range(32, 127))) + "λΛΣ−²"
    table = Table(printable, (printable,), ((printable,), ("\\",), ("*",)))
    words = r"\\(text(backslash|asciitilde|asciicircum|less|greater|bar)|[lL]ambda|Sigma)(?![a-zA-Z])"
    for line in table.to_latex().splitlines()[7:-3]:
        cell = line.removesuffix(" \\\\")
        rest = re.sub(words + r"|\\[&%$#_{}]|\{\}|\$\^2\$|\$-\$", "", cell).replace("$$", "")
        assert not set(rest) & set("\\&%$#_{}~^<>|"), cell
        for math in re.findall(r"(?<!\\)\$[^$]+(?<!\\)\$", cell):
            MathTextParser("path").parse(math)
