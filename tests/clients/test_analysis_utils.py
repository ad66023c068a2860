"""`servicex_analysis_utils` 1.2, unmodified, in an environment of its own with the official client."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import httpx
import pytest
import uproot

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "service"))
sys.path.insert(0, str(Path(__file__).parents[1] / "delivery"))
from catalogues import catalogue, rucio, rucio_client, rucio_file
from client_environments import python_of
from remote_servers import XrootdServer, xrootd_with
from serving import running_service

from delivery.datasets import parse

NAMES = ("nano_dimuon.root", "nano_dy.root")
COLUMNS = ["MET_pt", "Jet_pt"]


@pytest.fixture(scope="module")
def xrootd(shared_data: Path) -> Iterator[XrootdServer]:
    """The files' place for Rucio."""
    with xrootd_with(shared_data / "root" / name for name in NAMES) as server:
        yield server


@pytest.fixture(scope="module")
def cases(shared_data: Path, xrootd: XrootdServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Outcomes by name."""
    python, folder = python_of("analysis-utils"), tmp_path_factory.mktemp("utils")
    inputs = folder / "inputs"
    inputs.mkdir()
    for name in NAMES:
        shutil.copyfile(shared_data / "root" / name, inputs / name)
        shutil.copyfile(shared_data / "root" / name, inputs / name.replace(".root", ".ntuple"))
    settings = {
        "inputs": {"roots": [str(inputs)], "schemes": ["root"], "hosts": ["127.0.0.1"]},
        "codegens": ["uproot", "python"],
        "rucio_account": "me",
    }
    dataset = [rucio_file(name, f"{xrootd.url}/{name}") for name in NAMES]
    with catalogue(rucio({"data:structure": dataset}, "a-test's-own")) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in rucio_client(server.url, folder / "rucio", "a-test's-own").items():
            patch.setenv(name, value)
        return outcomes(python, folder, inputs, settings)


def outcomes(python: Path, folder: Path, inputs: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """What the client's program says, beside a service with these settings."""
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


def structure(path: Path, part: str = "") -> list[tuple[str, list[str]]]:
    """The trees of a file and the lines of their branches whose names hold `part`, as uproot knows them."""
    with uproot.open(path) as file:
        trees = {name: file[name] for name in file.keys(cycle=False) if file[name].classname == "TTree"}
        return [
            (
                f"Tree: {name}",
                [f"   │   ├── {b.name} ; dtype: {b.interpretation}" for b in tree.branches if part in b.name],
            )
            for name, tree in trees.items()
        ]


def told(text: str) -> list[tuple[str, list[str]]]:
    """The same, as the utilities print it."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if "Tree: " in line:
            found.append((line[line.index("Tree: ") :], []))
        elif line.startswith("   │   ├── "):
            found[-1][1].append(line)
    return found


def test_the_structure_of_a_file(cases: dict[str, Any], shared_data: Path) -> None:
    assert any(line.endswith("Sample: all") for line in cases["structure"].splitlines())
    assert told(cases["structure"]) == structure(shared_data / "root" / NAMES[0])


def test_the_command_tells_the_structure_of_a_rucio_dataset(cases: dict[str, Any], shared_data: Path) -> None:
    """Of its first file, which the service finds by Rucio's own client and reads from a real XRootD server."""
    command = cases["command"]
    assert command["status"] == 0, command["words"]
    assert any(line.endswith("Sample: data:structure") for line in command["output"].splitlines())
    right = structure(shared_data / "root" / NAMES[0], "Jet_")
    assert told(command["output"]) == right
    assert len(dict(right)["Tree: Events"]) > 5


def test_the_structure_as_types(cases: dict[str, Any]) -> None:
    (found,) = cases["structure_as_types"].values()
    for part in ("{Events: {", " MET_pt: var * float64,", " nJet: var * int64,", " Jet_pt: var * var * float64,"):
        assert part in found, part


def test_the_command_says_what_is_wrong(cases: dict[str, Any]) -> None:
    """It ends, and the reason is told."""
    words = " ".join(cases["command_for_nothing"]["words"].split())
    assert cases["command_for_nothing"]["status"] != 0
    assert '"data:nowhere" failed due to a dataset problem: Dataset does not exist' in words, words


def test_identifiers_are_those_that_the_service_reads(cases: dict[str, Any]) -> None:
    assert {name: parse(did).dataset for name, did in cases["identifiers"].items()} == {
        "user.x:y": "rucio://user.x:y",
        "mc23_13p6TeV.1.x": "rucio://mc23_13p6TeV:mc23_13p6TeV.1.x",
        "1507": "cernopendata://1507",
        "root://x.org//y/*": "xrootd://root://x.org//y/*",
    }
