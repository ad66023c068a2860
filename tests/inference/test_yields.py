"""Yields and shapes against the AGC's listed numbers and cabinetry; tables of them."""

import csv
import io
import json
import re

import numpy as np
import pytest
from matplotlib.mathtext import MathTextParser

from inference.errors import InferenceError, InvalidWorkspace
from inference.model import load_model
from inference.systematics import shape_variations
from inference.tables import Table, parameter_table, yield_table
from inference.templates import load_histograms, rebin
from inference.yields import yields

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
