"""docs/extensions.md: its Python and its commands run, and the commands keep their promises."""

import json
import re
import shlex
from pathlib import Path

import pyhf
import pytest
from click.testing import CliRunner

from inference.documents import from_json
from inference.extensions.unfolding import Unfolding
from skimflow.commands.eft import eft
from skimflow.commands.unfold import unfold

pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")

PAGE = (Path(__file__).parents[2] / "docs" / "extensions.md").read_text(encoding="utf-8")
COMMANDS = {"unfold": unfold, "eft": eft}


def run(line, **settings):
    name, *arguments = shlex.split(line)
    return CliRunner().invoke(COMMANDS[name], arguments, **settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the page's Python has run, with what it made."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("extensions")
        patch.chdir(place)
        [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
        names = {}
        exec(code, names)
        yield place, names


def test_the_python_of_the_page_does_what_it_says(folder):
    _, names = folder
    result = names["result"]
    assert result.certificate.converged
    assert result.curve.tau == result.tau
    for value, sigma, truth in zip(result.yields, result.uncertainties, result.truth, strict=True):
        assert abs(value - truth) < 5 * sigma
    assert pyhf.Workspace(names["plain"]).model().config.poi_name is None
    assert names["correlated"].certificate.converged
    assert names["predicted"].certificate.converged
    predicted = names["predicted"].parameters
    assert 0 < predicted[-1] < 1  # 46 events where 40 are expected, with 20 % for the closure
    b, c, d, closure = predicted
    assert 40 < 40 * b * c / d * 1.2**closure < 46


def test_the_commands_of_the_page_run(folder):
    place, _ = folder
    lines = re.findall(r"^    skimflow (.*)$", PAGE, re.MULTILINE)
    assert len(lines) == 2
    told = {}
    for line in lines:
        done = run(line, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        told[line.split()[0]] = done.output
    assert "τ from the corner of an L-curve of 60 fits" in told["unfold"]
    assert "condition number" in told["eft"]
    assert "Standard Model" in told["eft"]
    for name in ("spectrum.png", "coefficients.png"):
        assert (place / name).read_bytes()[:4] == b"\x89PNG"


def test_json_is_the_result(folder):
    place, names = folder
    done = run("unfold unfolding.json --tau 0.001 --json --output kept.json", catch_exceptions=False)
    kept = from_json(Unfolding, (place / "kept.json").read_text())
    assert json.loads(done.output)["yields"] == list(kept.yields)
    assert kept.tau == 0.001
    assert kept.edges == tuple(names["spectrum"]["edges"])


def test_wrong_settings_are_told(folder):
    assert "neither a number from 0 nor l-curve" in run("unfold unfolding.json --tau much").output
    assert "a plane needs two coefficients" in run("eft eft.json --plane --par c").output
    missing = run("unfold eft.json")
    assert "no extension with the operator 'unfold'" in str(missing.exception)
