"""Figures: what they show, that they leave matplotlib alone, and that their bytes are the same each time."""

import json
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest

from inference import figures
from inference.impacts.figures import pulls as draw_pulls
from inference.impacts.pulls import pulls_of
from inference.model import load_model
from inference.ranking import Impact, Ranking
from inference.systematics import shape_variations
from inference.yields import yields

# jsonschema deprecates the RefResolver that pyhf 0.7.6 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def postfit(fitted):
    return yields(*fitted("5"), model=load_model())


def impact(name, up, down, failures=()):
    return Impact(name, 0.1, 0.9, 0.1, 0.9, up, down, up, down, failures)


def texts(figure):
    return {text.get_text() for axes in figure.axes for text in axes.findobj(mpl.text.Text)}


def test_data_and_prediction_are_drawn_with_units(postfit):
    figure = figures.data_mc(postfit, "4j2b SR", load_model())
    main, below = figure.axes[1], figure.axes[0]
    assert below.get_xlabel() == "$m_{bjj}$ [GeV]"
    assert main.get_ylabel() == "Events / 40 GeV"
    legend = [text.get_text() for text in main.get_legend().get_texts()]
    assert legend[:3] == ["Pseudo-data", "$t\\bar{t}$", "$W$+jets"]
    assert legend[-1] == "Uncertainty"
    points = main.containers[-1].lines[0].get_ydata()
    np.testing.assert_allclose(points, postfit.region("4j2b SR").data)
    assert any("3.378" in text and "13 TeV" in text for text in texts(figure))


def test_the_figure_does_without_a_model(postfit):
    figure = figures.data_mc(postfit, "4j2b SR", log=True)
    assert figure.axes[0].get_xlabel() == "Bin"
    assert figure.axes[1].get_yscale() == "log"


def test_pulls_show_constrained_parameters_only(fitted):
    made = pulls_of(fitted("5")[1])
    figure = draw_pulls(made, load_model())
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) == 11
    assert "ttbar_norm" not in labels
    assert len(draw_pulls(made, bin_gammas=True).axes[0].get_yticklabels()) == 33


def test_correlations_below_the_threshold_are_pruned(fitted):
    result = fitted("5")[1]
    strict = figures.correlation(result, load_model(), threshold=0.5)
    shown = [label.get_text() for label in strict.axes[0].get_yticklabels()]
    matrix = np.abs(result.correlation)
    at = [result.index(label) for label in shown]
    assert 0 < len(shown) < 11
    assert all((matrix[index][at] >= 0.5).sum() > 1 for index in at)


def test_the_same_parameters_are_pruned_as_by_cabinetry(fitted):
    from cabinetry import visualize
    from cabinetry.fit.results_containers import FitResults

    result = fitted("5")[1]
    numbers = np.asarray(result.bestfit), np.asarray(result.uncertainties)
    theirs = visualize.correlation_matrix(
        FitResults(*numbers, list(result.labels), result.correlation, result.twice_nll),
        pruning_threshold=0.3, close_figure=True, save_figure=False,
    )  # fmt: skip
    ours = figures.correlation(result, threshold=0.3, bin_gammas=True)
    shown = [{label.get_text() for label in figure.axes[0].get_yticklabels()} for figure in (theirs, ours)]
    assert shown[0] == shown[1]
    assert 5 < len(shown[0]) < 34


def test_ranking_shows_the_largest_and_lives_with_failures():
    ranked = Ranking(
        "mu", 1.0, 0.1, (impact("a", 0.1, -0.1), impact("b", None, -0.05, ("post-fit up: no",)), impact("c", 0, 0))
    )
    figure = figures.ranking(ranked, load_model(), largest=2)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b"]


def test_shape_shows_the_size_of_the_variation(fitted):
    variation = next(v for v in shape_variations(fitted("5")[0]) if (v.sample, v.systematic) == ("tW", "Luminosity"))
    figure = figures.shape(variation, load_model())
    legend = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert legend == ["Statistical unc.", "Nominal", "up (+3.0%)", "down (-3.0%)"]


def test_bytes_are_the_same_each_time_and_settings_stay(postfit):
    before = dict(mpl.rcParams)
    first = figures.save(figures.data_mc(postfit, "4j1b CR", load_model()), "stem")
    second = figures.save(figures.data_mc(postfit, "4j1b CR", load_model()), "stem")
    assert dict(mpl.rcParams) == before
    assert first == second
    assert set(first) == {"stem.svg", "stem.pdf", "stem.png"}
    assert first["stem.png"].startswith(b"\x89PNG")
    assert first["stem.pdf"].startswith(b"%PDF")
    assert b"</svg>" in first["stem.svg"]
    assert set(figures.save(figures.data_mc(postfit, "4j1b CR"), "one", ["svg"])) == {"one.svg"}


def test_the_package_imports_nothing_slow():
    slow = ["pyhf", "cabinetry", "matplotlib", "mplhep", "hist", "scipy", "numpy"]
    code = f"import inference, sys, json; print(json.dumps([m for m in {slow} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
