"""Discovery significance: closed forms, pyhf, cabinetry."""

import json
import math
import sys
from pathlib import Path

import cabinetry
import numpy as np
import pyhf
import pytest
from click.testing import CliRunner
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).parent))
from small_models import counting, with_every_constraint

from inference.documents import from_json, to_json
from inference.hypotheses.discovery import significance
from inference.hypotheses.results import Significance
from inference.likelihood.model import Likelihood

pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")


@pytest.mark.parametrize("n", [50.0, 60.0, 75.0])
def test_a_counting_experiment_has_the_significance_of_its_closed_form(n):
    """q0 = 2 (n log(n/b) − (n − b)); expected with the Asimov formula, CCGV (97)."""
    found = significance(Likelihood(counting(10.0, 50.0, observed=n)))
    assert found.z == pytest.approx(math.sqrt(2 * (n * math.log(n / 50) - (n - 50))), abs=1e-7)
    expected = math.sqrt(2 * (60 * math.log(1 + 10 / 50) - 10))
    assert found.expected_z == pytest.approx(expected, rel=1e-9)
    assert found.p_value == pytest.approx(0.5 * math.erfc(found.z / math.sqrt(2)), rel=1e-12)
    assert found.expected_band == pytest.approx([expected + point for point in (-2, -1, 0, 1, 2)], rel=1e-9)
    assert from_json(Significance, to_json(found)) == found


def test_a_deficit_has_no_significance():
    found = significance(Likelihood(counting(10.0, 50.0, observed=41.0, lower=-5.0)))
    assert found.bestfit == pytest.approx(-0.9)
    assert (found.q0, found.p_value, found.z) == (0.0, 0.5, 0.0)


@pytest.mark.parametrize(("n", "best"), [(70.0, 2.0), (52.0, 0.5)])
def test_a_signal_that_may_not_vanish_has_one_too_and_says_so(n, best):
    """The parameter of interest from 0.5 on: q0 is the rise from the best fit there to 0, if it is one."""
    found = significance(Likelihood(counting(10.0, 50.0, observed=n, lower=0.5)))
    rates = (50.0, 50.0 + 10.0 * best)
    zero, there = (rate - n * math.log(rate) for rate in rates)
    assert found.q0 == pytest.approx(max(2 * (zero - there), 0.0), rel=1e-9)
    assert found.bestfit == pytest.approx(best)
    assert found.notes == ("0 is not within the bounds 0.5 and 10 of mu, between which the best fit is looked for",)


def test_another_signal_is_expected_otherwise():
    found = significance(Likelihood(counting(10.0, 50.0)), signal=3.0)
    assert found.expected_z == pytest.approx(math.sqrt(2 * (80 * math.log(80 / 50) - 30)), rel=1e-9)


def test_significance_is_pyhfs_and_cabinetrys():
    workspace = with_every_constraint()
    found = significance(Likelihood(workspace))
    pyhf.set_backend("numpy")
    parsed = pyhf.Workspace(workspace)
    model = parsed.model()
    data = parsed.data(model)
    observed, expected = pyhf.infer.hypotest(0.0, data, model, test_stat="q0", return_expected=True)
    assert (found.p_value, found.expected_p_value) == pytest.approx((float(observed), float(expected)), rel=1e-4)
    theirs = cabinetry.fit.significance(model, data, tolerance=1e-4)
    assert found.z == pytest.approx(theirs.observed_significance, abs=1e-4)
    assert found.expected_z == pytest.approx(theirs.expected_significance, abs=1e-4)


def test_the_reference_analysis_sees_ttbar(fitted):
    found = significance(Likelihood(fitted("all")[0]))
    assert not found.failures
    assert found.bestfit == pytest.approx(0.9468, abs=1e-4)
    assert found.z > 100
    assert all(fit.certificate.converged for fit in found.fits)


def test_what_fails_is_said_and_the_rest_remains():
    """Without background, events at μ = 0 are impossible: there is no number for the significance."""
    found = significance(Likelihood(counting(10.0, 0.0, observed=9.0)))
    assert (found.z, found.p_value, found.expected_z) == (None, None, None)
    assert found.bestfit == pytest.approx(0.9)
    assert "observed: fit with mu = 0: the model has no density" in found.failures[0]


@pytest.mark.parametrize("seen", [75.0, 40.0])
def test_the_figures_tail_is_the_p_value(seen):
    from inference.hypotheses.figures import discovery

    found = significance(Likelihood(counting(10.0, 50.0, observed=seen)))
    [axes] = discovery(found).axes
    [tail] = axes.collections[0].get_paths()
    lowest = axes.get_ylim()[0]
    z, density = tail.vertices[tail.vertices[:, 1] > lowest].T
    assert z.min() == pytest.approx(found.z, abs=0.02)
    area = np.trapezoid(density[np.argsort(z)], np.sort(z))
    assert area == pytest.approx(found.p_value - norm.sf(z.max()), rel=0.1)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "Background", f"mu = 1: {found.expected_z:.3g} expected", f"Observed {found.z:.3g}",
    ]  # fmt: skip


def test_the_figure_of_what_is_beyond_all_numbers():
    from inference.canvas import save
    from inference.hypotheses.figures import discovery

    found = significance(Likelihood(counting(2000.0, 1000.0, observed=3000.0)))
    assert found.z > 50
    assert save(discovery(found), "z", ("svg",))["z.svg"].startswith(b"<?xml")


def test_the_command(tmp_path):
    from skimflow.commands.significance import significance as command

    path = tmp_path / "workspace.json"
    path.write_text(json.dumps(counting(10.0, 50.0, observed=75.0)))
    told = CliRunner().invoke(command, [str(path)])
    assert told.exit_code == 0, told.output
    assert [line.split()[-1] for line in told.output.splitlines()[-2:]] == ["3.289", "1.371"]
    told = CliRunner().invoke(command, [str(path), "--json", "--figure", str(tmp_path / "z.png")])
    assert json.loads(told.output)["kind"] == "Significance"
    assert (tmp_path / "z.png").read_bytes().startswith(b"\x89PNG")
    told = CliRunner().invoke(command, [str(path), "--json", "--toys", "2000", "--seed", "1"])
    assert told.exit_code == 0, told.output
    observed = json.loads(told.output)["observed"]
    assert observed["p_value"]["value"] == pytest.approx(0.0005, abs=0.002)
