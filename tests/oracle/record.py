"""Re-record the peer's answers: ``python tests/oracle/record.py``.

Makes the peer's environments below ``--env-dir`` where they are missing (an index of packages must be reachable; Python
3.10 or 3.11 and 3.12 or 3.13 must be on the path), runs every query in both and writes ``goldens/``. ``--python
P24=PATH`` uses an environment that exists; ``--new`` runs only queries that have no golden yet.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import oracle_generate
import oracle_goldens
import oracle_inputs
import oracle_queries

HERE = Path(__file__).parent
PYTHONS = {"P24": ("python3.10", "python3.11"), "P26": ("python3.12", "python3.13")}
SHARED_DATA = HERE.parents[2] / "shared" / "data"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env-dir", type=Path, default=HERE.parents[1] / "build" / "oracle")
    parser.add_argument("--python", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--new", action="store_true")
    options = parser.parse_args()
    given = dict(choice.split("=", 1) for choice in options.python)
    with tempfile.TemporaryDirectory() as folder:
        inputs = oracle_inputs.write_inputs(Path(folder))
        inputs |= {name: SHARED_DATA / path for name, path in oracle_inputs.SHARED.items()}
        queries = {query.key: query for query in [*oracle_queries.hand_written(), *oracle_generate.generated()]}
        jobs = [job(query, inputs) for query in queries.values()]
        for name in oracle_goldens.ENVIRONMENTS:
            python = given.get(name) or environment(name, options.env_dir / name)
            known = oracle_goldens.goldens(name) if options.new else {}
            kept = [{"id": key, **document} for key, document in known.items() if key in queries]
            missing = [job for job in jobs if job["id"] not in known]
            documents = [*kept, *answers(python, missing, Path(folder) / f"{name}.json")]
            path = oracle_goldens.save(name, documents)
            failed = sum("error" in document for document in documents)
            sys.stdout.write(f"{path}: {len(documents)} answers, {failed} of them failures\n")


def job(query: oracle_queries.Query, inputs: dict[str, Path]) -> dict[str, str]:
    tree = oracle_inputs.tree_of(query.file)
    return {"id": query.key, "file": str(inputs[query.file]), "tree": tree, "text": query.text}


def answers(python: str, jobs: Sequence[dict[str, str]], path: Path) -> list[oracle_goldens.Document]:
    """What the peer answers to the jobs, which are handed to it at `path`."""
    path.write_text(json.dumps(jobs))
    command = [python, "-W", "ignore", str(HERE / "oracle_peer.py"), str(path)]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def environment(name: str, folder: Path) -> str:
    """The Python of an environment, made if it is not there, with the peer's pins."""
    python = folder / "bin" / "python"
    if not python.exists():
        base = next(filter(runs, PYTHONS[name]), None)
        if base is None:
            versions = " or ".join(PYTHONS[name])
            sys.exit(
                f"{name} needs {versions} on the path (`pyenv shell` can put several there), or --python {name}=PATH"
            )
        subprocess.run([base, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "-r", HERE / "environments" / f"{name}.txt"], check=True)
    return str(python)


def runs(python: str) -> bool:
    """Whether there is such a Python: pyenv has names on the path that fail where the version is not chosen."""
    if shutil.which(python) is None:
        return False
    return subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode == 0


if __name__ == "__main__":
    main()
