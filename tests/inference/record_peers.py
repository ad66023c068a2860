"""Ask other programs about what we write: ``python tests/inference/record_peers.py [pyhs3] [hepdata] [reana]``.

Makes their environments below ``--env-dir`` where they are missing (an index of packages must be reachable) and writes
what they say into ``peers/``. Their pins are there too.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import hs3_cases
import peer_answers
import preservation_cases

HERE = Path(__file__).parent
SHARED_DATA = HERE.parents[2] / "shared" / "data"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peers", nargs="*", default=list(ASK))
    parser.add_argument("--env-dir", type=Path, default=HERE.parents[1] / "build" / "peers")
    options = parser.parse_args()
    for peer in options.peers:
        environment(options.env_dir / peer, peer)
        path = peer_answers.keep(peer, ASK[peer](options.env_dir / peer / "bin"))
        sys.stdout.write(f"{path}: {len(json.loads(path.read_text()))} answers\n")


def environment(folder: Path, peer: str) -> None:
    """Make the environment of a peer with its pins, if it is not there."""
    if not (folder / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "-r", str(HERE / "peers" / f"{peer}.txt")], check=True)


def pyhs3(programs: Path) -> dict:
    """log L of all documents at their points."""
    cases = {
        name: hs3_cases.case(workspace, seed)[0]
        for seed, (name, workspace) in enumerate(hs3_cases.workspaces(SHARED_DATA).items())
    }
    with tempfile.TemporaryDirectory() as folder:
        jobs = Path(folder) / "jobs.json"
        jobs.write_text(json.dumps(cases))
        command = [str(programs / "python"), "-W", "ignore", str(HERE / "peers" / "pyhs3_values.py"), str(jobs)]
        said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return {name: (case, said[name]) for name, case in cases.items()}


def hepdata(programs: Path) -> dict:
    """What HEPData's validator says of a submission."""
    with tempfile.TemporaryDirectory() as folder:
        paths = preservation_cases.submission(Path(folder), b"{}\n")
        said = spoken([str(programs / "hepdata-validate"), "-d", folder], folder)
        return {"submission": (preservation_cases.shown(paths), said)}


def reana(programs: Path) -> dict:
    """What REANA's client and yadage's validator say of the workflows."""
    with tempfile.TemporaryDirectory() as folder:
        shown = preservation_cases.workflows(Path(folder))
        answers = {
            name: (shown, spoken([str(programs / "reana-client"), "validate", "-f", name], folder))
            for name in ("reana.yaml", "reana-recast.yaml")
        }
        validate = [str(programs / "yadage-validate"), "workflow.yml"]
        answers["specs/workflow.yml"] = (shown, spoken(validate, f"{folder}/specs"))
        return answers


def spoken(command: list[str], folder: str) -> dict:
    """Exit code and lines of a program that runs in a folder, whose name is left out."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    lines = [line.replace(f"{folder}/", "").replace(folder, "folder").rstrip() for line in done.stdout.splitlines()]
    return {"exit": done.returncode, "output": [line for line in lines if line.strip()]}


ASK = {"pyhs3": pyhs3, "hepdata": hepdata, "reana": reana}


if __name__ == "__main__":
    main()
