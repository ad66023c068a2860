"""`servicex_analysis_utils` 1.2, unmodified, in an environment of its own with the official client."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import awkward as ak
import httpx
import pytest
import uproot

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "service"))
from client_environments import python_of
from serving import running_service

from delivery.datasets import parse

NAMES = ("nano_dimuon.root", "nano_dy.root")
COLUMNS = ["MET_pt", "Jet_pt"]


@pytest.fixture(scope="module")
def cases(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Outcomes by name."""
    python, folder = python_of("analysis-utils"), tmp_path_factory.mktemp("utils")
    inputs = folder / "inputs"
    inputs.mkdir()
    for name in NAMES:
        shutil.copyfile(shared_data / "root" / name, inputs / name)
        shutil.copyfile(shared_data / "root" / name, inputs / name.replace(".root", ".ntuple"))
    settings = {"inputs": {"roots": [str(inputs)]}, "codegens": ["uproot", "python"]}
    with running_service(folder, **settings) as service:
        (folder / "servicex.yaml").write_text(httpx.get(f"{service.url}/servicex.yaml").text)
        program = Path(__file__).with_name("analysis_utils_cases.py")
        client = subprocess.run(
            [str(python), str(program), *(str(inputs / name) for name in NAMES)],
            check=False, cwd=folder, env={"HOME": str(folder)}, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
    assert client.returncode == 0, f"the client's words:\n{client.stderr[-4000:]}"
    return dict(json.loads(client.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def truth(shared_data: Path) -> dict[str, list[dict[str, Any]]]:
    """The columns of the selected events of each sample's files."""
    files = []
    for name in NAMES:
        events = uproot.open(f"{shared_data / 'root' / name}:Events").arrays(COLUMNS)
        events = events[events.MET_pt > 20]
        files.append({field: ak.to_list(events[field]) for field in COLUMNS})
    return {"both": files, "one": files[:1]}


def together(files: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: [value for file in files for value in file[name]] for name in COLUMNS}


@pytest.mark.parametrize("name", ["parquet", "root-ttree", "root-rntuple", "URLs"])
def test_to_awk(name: str, cases: dict[str, Any], truth: dict[str, list[dict[str, Any]]]) -> None:
    for sample, files in truth.items():
        right, found = together(files), cases[name][sample]
        events = sorted(zip(*right.values(), strict=True))
        assert sorted(zip(*found.values(), strict=True)) == events, "files come in the order in which they ended"
    assert cases[name]["one"] == together(truth["one"])


def test_to_awk_with_iterators(cases: dict[str, Any], truth: dict[str, list[dict[str, Any]]]) -> None:
    pieces = cases["iterators"]["one"]
    assert together(pieces) == together(truth["one"])
    assert {len(piece["MET_pt"]) for piece in pieces[:-1]} == {7}
    assert sum(len(piece["MET_pt"]) for piece in cases["iterators"]["both"]) == len(together(truth["both"])["MET_pt"])


def test_the_structure_of_a_file(cases: dict[str, Any], shared_data: Path) -> None:
    lines = cases["structure"].splitlines()
    assert any(line.endswith("Sample: all") for line in lines)
    with uproot.open(shared_data / "root" / NAMES[0]) as file:
        for name in file.keys(cycle=False):
            if file[name].classname != "TTree":
                continue
            assert any(line.endswith(f"Tree: {name}") for line in lines)
            for branch in file[name].branches:
                assert f"   │   ├── {branch.name} ; dtype: {branch.interpretation}" in lines


def test_the_structure_as_types(cases: dict[str, Any]) -> None:
    (found,) = cases["structure_as_types"].values()
    for part in ("{Events: {", " MET_pt: var * float64,", " nJet: var * int64,", " Jet_pt: var * var * float64,"):
        assert part in found, part


def test_the_command_says_what_is_wrong(cases: dict[str, Any]) -> None:
    """It takes names of Rucio alone, which this service has not: it ends, and the reason is told."""
    words = " ".join(cases["command"]["words"].split())
    assert cases["command"]["status"] != 0
    assert "this service does not look up Rucio datasets" in words, words


def test_identifiers_are_those_that_the_service_reads(cases: dict[str, Any]) -> None:
    assert {name: parse(did).dataset for name, did in cases["identifiers"].items()} == {
        "user.x:y": "rucio://user.x:y",
        "mc23_13p6TeV.1.x": "rucio://mc23_13p6TeV:mc23_13p6TeV.1.x",
        "1507": "cernopendata://1507",
        "root://x.org//y/*": "xrootd://root://x.org//y/*",
    }
