"""Pulls, coverage, figures, the command and the page of documentation."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))
from small_models import counting, with_every_constraint

from artifacts.store import Store
from inference.documents import from_json, to_json
from inference.errors import UnknownParameter
from inference.extensions.functions import Function
from inference.extensions.workspaces import attach
from inference.likelihood.model import Likelihood
from inference.toys import figures, tables
from inference.toys.campaign import Campaign, carry_out
from inference.toys.discovery import significance_by_toys
from inference.toys.errors import InvalidToys
from inference.toys.exclusion import hypothesis_tests_by_toys
from inference.toys.feldman_cousins import feldman_cousins
from inference.toys.fits import fit_variants
from inference.toys.generate import throw
from inference.toys.limits import upper_limit_by_toys
from inference.toys.study import ToyStudy, toy_study, truth_of
from skimflow.commands.toys import toys as command

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def workspace():
    return with_every_constraint()


@pytest.fixture(scope="module")
def likelihood(workspace):
    return Likelihood(workspace)


@pytest.fixture(scope="module")
def studied(likelihood):
    return toy_study(likelihood, toys=1000, seed=1, bin_gammas=True)


def test_uncertainties_are_those_of_the_covariance(likelihood):
    toys = throw(likelihood, likelihood.init, count=12, seed=4)
    for held in ({}, {"mu": 1.0}):
        fits = fit_variants(likelihood, toys, {"fit": held}, uncertainties=True)["fit"]
        free = ~likelihood.constant & np.asarray([label not in held for label in likelihood.labels])
        for row in range(12):
            minimum = likelihood.fit(toys[row], fixed=held)
            assert minimum.certificate.at_bound == ()
            exact = np.sqrt(np.diag(likelihood.covariance(minimum, toys[row], free)))
            assert fits.uncertainties[row] == pytest.approx(exact, rel=1e-9, abs=1e-12)


def test_pulls_of_a_normal_measurement_are_standard_normal():
    """10⁴ events: the fit is the count, its error √n."""
    likelihood = Likelihood(counting(10_000.0, 1e-3, observed=10_000.0))
    study = toy_study(likelihood, toys=2000, seed=2)
    [pulls] = study.pulls
    assert pulls.truth == pytest.approx(1.0, abs=1e-6)
    assert abs(pulls.mean.value) < 4 * pulls.mean.error
    assert pulls.mean.error == pytest.approx(1 / np.sqrt(2000), rel=0.05)
    assert abs(pulls.width.value - 1) < 4 * pulls.width.error
    assert pulls.width.error == pytest.approx(1 / np.sqrt(4000), rel=0.15)
    assert pulls.uncertainty == pytest.approx(0.01, rel=1e-3)
    assert sum(pulls.pulls.counts) == pulls.toys == 2000
    for each in study.coverage:
        assert abs(each.inside.value - each.level) < 4 * each.inside.error


def test_a_study_tells_of_all_parameters(likelihood, studied):
    assert studied.converged.count == 1000
    assert studied.edm < 1e-10
    assert studied.failures == ()
    assert studied.labels == likelihood.labels
    assert studied.truth == pytest.approx(likelihood.fit().parameters, abs=1e-9)
    free = [label for label, held in zip(likelihood.labels, likelihood.constant, strict=True) if not held]
    assert [pulls.parameter for pulls in studied.pulls] == free
    for pulls in studied.pulls:
        assert abs(pulls.mean.value) < 0.2
        assert 0.85 < pulls.width.value < 1.15
    assert [each.level for each in studied.coverage] == pytest.approx([0.6827, 0.9545], abs=1e-4)
    assert from_json(ToyStudy, to_json(studied)) == studied


def test_toys_that_end_on_a_bound_have_no_pull():
    study = toy_study(Likelihood(counting(5.0, 12.0, observed=10.0)), toys=500, seed=1)
    [pulls] = study.pulls
    assert 200 < pulls.at_bound < 400
    assert pulls.toys + pulls.at_bound == 500


def test_the_truth_may_be_chosen(likelihood):
    moved = truth_of(likelihood, {"mu": 2.0}, "nominal", {"norm": 0.5})
    assert moved[likelihood.index("mu")] == 2.0
    assert moved[likelihood.index("norm")] == 0.5
    assert moved[likelihood.index("alpha")] == 0.0
    profiled = truth_of(likelihood, {"mu": 2.0}, "fitted", {})
    assert profiled == pytest.approx(likelihood.fit(fixed={"mu": 2.0}).parameters, abs=1e-9)
    study = toy_study(likelihood, toys=100, seed=3, at={"mu": 3.0}, parameters=["mu"], fixed={"norm": 0.0})
    [pulls] = study.pulls
    assert pulls.truth == 3.0
    assert pulls.bias.value == pytest.approx(0, abs=4 * pulls.bias.error)
    with pytest.raises(UnknownParameter, match="no parameter 'nu'"):
        toy_study(likelihood, toys=10, at={"nu": 1.0})


def test_prior_toys_are_compared_with_their_own_truth(likelihood):
    """A measurement that the data do not constrain: the auxiliary one stays, so that the pull is the prior's."""
    study = toy_study(likelihood, toys=500, seed=3, method="prior", parameters=["lumi"], truth="nominal")
    [pulls] = study.pulls
    assert study.coverage == ()
    assert pulls.truth == pytest.approx(1.0, abs=0.01)
    assert pulls.width.value == pytest.approx(1.0, abs=0.15)


def test_correlated_constraints_are_thrown_together(workspace):
    tie = {"operator": "correlation", "name": "tied", "of": ["alpha", "norm"], "matrix": [[1.0, -0.6], [-0.6, 1.0]]}
    likelihood = Likelihood(attach(workspace, tie))
    pair = [likelihood.index("alpha"), likelihood.index("norm")]
    thrown = throw(likelihood, likelihood.init, count=5000, seed=1).auxiliary[:, pair]
    assert np.cov(thrown.T) == pytest.approx(np.asarray([[1.0, -0.6], [-0.6, 1.0]]), abs=0.08)
    drawn = throw(likelihood, likelihood.init, count=5000, seed=1, method="prior").truth[:, pair]
    assert np.cov(drawn.T) == pytest.approx(np.asarray([[1.0, -0.6], [-0.6, 1.0]]), abs=0.08)


def test_toys_are_thrown_where_fits_may_find_them(workspace):
    likelihood = Likelihood(workspace)
    with pytest.raises(InvalidToys, match=r"mu = 50.0 is outside its bounds from 0.0 to 10.0"):
        toy_study(likelihood, toys=10, at={"mu": 50.0})


def test_toys_of_a_function_are_not_kept(workspace):
    mine = Function(name="mine", residuals=lambda given: given["mu"] - 1.0, inputs=("mu",))
    likelihood = Likelihood(attach(workspace, mine))
    with pytest.raises(InvalidToys, match="'mine' is a Python function"):
        carry_out(likelihood, Campaign(likelihood.init, 10, 1), store=Store.open("memory://toys"))


def test_tables_and_figures_of_all_results(likelihood, studied):
    from inference.canvas import save

    tests = hypothesis_tests_by_toys(likelihood, mu=(1.5, 2.5), toys=100)
    found, none = significance_by_toys(likelihood, toys=100), significance_by_toys(likelihood, toys=50, signal_toys=0)
    limit = upper_limit_by_toys(likelihood, toys=100)
    interval = feldman_cousins(likelihood, toys=100, points=5)
    written = [
        *tables.study_tables(studied),
        tables.tests_table(tests),
        tables.significance_table(found),
        tables.limit_table(limit),
        tables.feldman_cousins_table(interval),
    ]
    for table in written:
        assert table.rows
        assert all(len(row) == len(table.columns) for row in table.rows)
    assert "covered" in written[1].to_text()
    drawn = [
        figures.study(studied),
        figures.distribution(studied.pulls[0]),
        figures.statistic(tests.tests[0]),
        figures.significance(found),
        figures.significance(none),
        figures.limit(limit),
        figures.belt(interval),
    ]
    for figure in drawn:
        assert save(figure, "x", ("png",))["x.png"].startswith(PNG)


@pytest.fixture
def path(workspace, tmp_path):
    file = tmp_path / "workspace.json"
    file.write_text(json.dumps(workspace))
    return file


def test_the_command_shows_pulls_and_keeps_toys(path, tmp_path, likelihood):
    arguments = [str(path), "--count", "300", "--seed", "7", "--store", str(tmp_path / "store"), "--workers", "2"]
    figure = tmp_path / "pulls.png"
    shown = CliRunner().invoke(command, [*arguments, "--figure", str(figure)], catch_exceptions=False)
    assert shown.exit_code == 0
    assert "Pulls of 300 frequentist toys" in shown.output
    assert "300 of 300 fits converged" in shown.output
    assert figure.read_bytes().startswith(PNG)
    assert len(list(Store.open(tmp_path / "store").entries())) == 2
    answer = CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False)
    document = json.loads(answer.output)
    assert document == json.loads(to_json(toy_study(likelihood, toys=300, seed=7)))


def test_the_command_throws_where_it_is_told(path):
    arguments = [
        str(path),
        "--count",
        "50",
        "--at",
        "mu=2.5",
        "--par",
        "mu",
        "--truth",
        "nominal",
        "--fix",
        "norm=0",
        "--no-search",
    ]
    shown = CliRunner().invoke(command, [*arguments, "--table", "csv"], catch_exceptions=False)
    assert shown.exit_code == 0
    assert shown.output.splitlines()[1].startswith("mu,2.5,")
    wrong = CliRunner().invoke(command, [str(path), "--at", "mu"])
    assert wrong.exit_code == 2
    assert "NAME=VALUE" in wrong.output


def test_the_page_of_documentation_runs(workspace, capsys, path, tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "toys.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(code, {"workspace": workspace})
    assert len(capsys.readouterr().out.split()) == 4
    lines = re.findall(r"^    skimflow toys workspace.json (.*)$", text, re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        given = line.replace("pulls.png", str(tmp_path / "pulls.png")).replace("toys/", str(tmp_path / "toys")).split()
        assert CliRunner().invoke(command, [str(path), *given], catch_exceptions=False).exit_code == 0
