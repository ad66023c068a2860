"""`skimflow smooth` on the AGC's workspace: what is written fits, what is printed is true, figures can be seen."""

import json

import pytest
from click.testing import CliRunner

from inference.fit import fit
from inference.workspace import load_workspace, workspace_bytes
from skimflow.commands.smooth import smooth

# jsonschema deprecates the RefResolver that pyhf 0.7.6 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def agc(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("agc") / "workspace.json"
    path.write_bytes(workspace_bytes(fitted("all")[0]))
    return path


def run(*arguments):
    result = CliRunner().invoke(smooth, [str(each) for each in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_agc_workspace_smoothed_and_pruned(agc, tmp_path):
    output = tmp_path / "new.json"
    settings = ("--smooth", "353QH", "--prune-norm", "0.005", "--prune-shape", "0.005", "--symmetrise", "two-sided")
    told = run(agc, "--output", output, *settings, "--json")
    changes = json.loads(told)["changes"]
    assert {each["step"] for each in changes} == {"symmetrised", "smoothed", "norm pruned", "shape pruned"}
    made = load_workspace(output)
    assert json.loads(told)["workspace"] == made
    assert fit(made).certificate.converged
    # what was asked for holds everywhere: up and down mirrored to rounding, nothing small left
    for channel in made["channels"]:
        for sample in channel["samples"]:
            for modifier in sample["modifiers"]:
                data = modifier["data"]
                if modifier["type"] == "normsys":
                    assert data["hi"] - 1 == pytest.approx(1 - data["lo"], abs=1e-12)
                    assert abs(data["hi"] - 1) >= 0.005
                elif modifier["type"] == "histosys":
                    pairs = zip(data["hi_data"], data["lo_data"], sample["data"], strict=True)
                    assert max(abs(high / nominal - 1) for high, _, nominal in pairs) >= 0.005


def test_a_dry_run_with_figures(agc, tmp_path):
    shown = run(
        agc, "--smooth", "ratio", "--tolerance", "0.002", "--only", "ME var*", "--figures", tmp_path / "figures"
    )
    lines = shown.splitlines()
    assert lines[0] == "Changes of templates"
    rows = [line for line in lines if "smoothed" in line]
    assert rows
    assert all("ME variation" in line and "ratio, groups of 0.002 statistical error" in line for line in rows)
    assert lines[-2:] == [
        f"{len(rows)} changes of {len(rows)} variations",
        "nothing is written: give --output NEW.json",
    ]
    drawn = sorted(path.name for path in (tmp_path / "figures").glob("*.png"))
    assert len(drawn) == len(rows)
    assert all((tmp_path / "figures" / name).read_bytes().startswith(b"\x89PNG") for name in drawn)
