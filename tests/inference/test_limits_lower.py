"""Lower limits: closed forms of a counting experiment, and no limit where even the bound is allowed."""

import json
import math
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from scipy.optimize import brentq
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).parent))
from small_models import counting

from inference.documents import from_json, to_json
from inference.errors import InvalidWorkspace
from inference.hypotheses.lower import lower_limit
from inference.hypotheses.results import LowerLimit
from inference.likelihood.model import Likelihood


def closed_form(n, root):
    """μ of one bin of 10 μ + 50 where the signed √q of n events is ``root``; positive below the best fit."""

    def excess(mu):
        rate = 10 * mu + 50
        return math.copysign(math.sqrt(2 * (rate - n - n * math.log(rate / n))), n - rate) - root

    return brentq(excess, -4.9, 30, xtol=1e-13)


@pytest.mark.parametrize("level", [0.68, 0.95])
def test_a_counting_experiment_has_the_limit_of_its_closed_form(level):
    found = lower_limit(Likelihood(counting(10.0, 50.0, observed=95.0, lower=-4.0)), level=level, signal=2.0)
    target = norm.ppf(level)
    assert found.observed == pytest.approx(closed_form(95.0, target), rel=1e-9)
    expected = [closed_form(70.0, target - point) for point in (-2, -1, 0, 1, 2)]
    assert found.expected == pytest.approx(expected, rel=1e-9)
    assert not found.failures
    assert from_json(LowerLimit, to_json(found)) == found


def test_a_limit_below_the_bound_is_none():
    found = lower_limit(Likelihood(counting(10.0, 50.0, observed=55.0)))
    assert found.observed is None
    assert found.bestfit == pytest.approx(0.5)
    assert found.failures[0] == "observed limit: not reached up to mu = 0"
    with pytest.raises(InvalidWorkspace, match=r"is not between 0\.5 and 1"):
        lower_limit(Likelihood(counting(10.0, 50.0)), level=0.3)


def test_the_command(tmp_path):
    from skimflow.commands.limit import limit

    path = tmp_path / "workspace.json"
    path.write_text(json.dumps(counting(10.0, 50.0, observed=95.0)))
    told = CliRunner().invoke(limit, [str(path), "--lower", "--table", "csv"])
    assert told.exit_code == 0, told.output
    assert float(told.output.splitlines()[1].split(",")[1]) == pytest.approx(closed_form(95.0, norm.ppf(0.95)))
