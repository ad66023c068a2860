"""What runs again after which change: wall time and hits per stage, as whole processes.

python benchmarks/rerun.py [--events-per-file N] [--write]     # --write: into docs/rerun.md
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAGES = ("deliver", "process", "build", "fit", "figures")
DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "rerun.md"

PIPELINE = """\
name: rerun benchmark
samples:
  fileset: fileset.json
query: my_query.py:query
processing:
  processor: my_processor.py:TtbarProcessor
inference:
  model: ttbar
  fixed: {fixed}
"""


@dataclass(frozen=True)
class Case:
    """A change, and what one run did after it."""

    name: str
    seconds: float
    stages: dict[str, dict[str, Any]]


class Analysis:
    """A pipeline of a user's own files in a folder, and the changes that the table shows."""

    def __init__(self, folder: Path, events_per_file: int) -> None:
        self.folder = folder
        self.fixed = "{}"
        command = ["simulate", "events", "--events-per-file", str(events_per_file), "--files-per-sample", "2"]
        skimflow(folder, *command)
        self._take_files(1)
        package = Path(__file__).resolve().parents[1] / "processing" / "ttbar.py"
        shutil.copyfile(package, folder / "my_processor.py")
        self.write_query("event")
        self.write_pipeline()

    def write_pipeline(self) -> None:
        """The pipeline file with the current settings."""
        (self.folder / "pipeline.yml").write_text(PIPELINE.format(fixed=self.fixed))

    def write_query(self, variable: str) -> None:
        """The query as text in the user's file, with one lambda variable of this name."""
        from queries import load

        text = load("queries.ttbar:selected").text
        text = re.sub(r"(?<=[( ])e(?=[) ])", variable, text)
        (self.folder / "my_query.py").write_text(f"def query():\n    return {text!r}\n")

    def _take_files(self, count: int) -> None:
        document = json.loads((self.folder / "events" / "fileset.json").read_text())
        for variations in document.values():
            for sample in variations.values():
                sample["files"] = sample["files"][: 1 if count == 1 else None]
                for file in sample["files"]:
                    file["path"] = f"events/{file['path']}"
        (self.folder / "fileset.json").write_text(json.dumps(document))

    def change_setting(self) -> None:
        """Hold a parameter."""
        self.fixed = "{Luminosity: 0.0}"
        self.write_pipeline()

    def change_processor(self) -> None:
        """One line of the processor."""
        path = self.folder / "my_processor.py"
        path.write_text(path.read_text() + "\nMY_OWN_LINE = 1\n")

    def rename_variable(self) -> None:
        """Another name for a lambda variable of the query."""
        self.write_query("collision")

    def add_file(self) -> None:
        """A second file in one sample."""
        document = json.loads((self.folder / "fileset.json").read_text())
        every = json.loads((self.folder / "events" / "fileset.json").read_text())
        added = every["wjets"]["nominal"]["files"][1]
        document["wjets"]["nominal"]["files"].append({**added, "path": f"events/{added['path']}"})
        (self.folder / "fileset.json").write_text(json.dumps(document))

    def remove_blob(self) -> None:
        """One delivered file is gone from the store."""
        from artifacts.store import Store

        store = Store.open(self.folder / ".skimflow" / "store")
        entry = next(one for one in store.entries() if one.stage == "deliver")
        path = store.local_path(next(iter(entry.blobs.values())))
        path.unlink()


def skimflow(folder: Path, *arguments: str) -> str:
    """Run the command line in a folder and give its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "skimflow", *arguments], cwd=folder, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"skimflow {' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout


def measure(name: str, folder: Path, change: Callable[[], None] | None = None, *options: str) -> Case:
    """Make a change, run the pipeline, and note time and hits."""
    if change is not None:
        change()
    start = time.perf_counter()
    document = json.loads(skimflow(folder, "run", "pipeline.yml", "--json", *options))
    seconds = time.perf_counter() - start
    return Case(name, seconds, {one["stage"]: one for one in document["stages"]})


def elsewhere(analysis: Analysis, scratch: Path) -> Case:
    """The same analysis in another directory, with the first one's store."""
    other = scratch / "other"
    other.mkdir()
    for name in ("pipeline.yml", "my_query.py", "my_processor.py", "fileset.json", "events"):
        source = analysis.folder / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, other / name)
    store = str(analysis.folder / ".skimflow" / "store")
    return measure("other directory, same store, --from process", other, None, "--from", "process", "--store", store)


def table(cases: list[Case]) -> str:
    """The cases as a Markdown table: kept + ran per stage."""
    lines = ["| run | wall | " + " | ".join(STAGES) + " |", "|---|---:|" + "---|" * len(STAGES)]
    for case in cases:
        cells = [cell(case.stages.get(stage)) for stage in STAGES]
        lines.append(f"| {case.name} | {case.seconds:.1f} s | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(stage: dict[str, Any] | None) -> str:
    """`17 kept, 1 ran (new)`."""
    if stage is None:
        return ""
    reasons = ", ".join(reason for reason in stage["reasons"] if reason)
    ran = f"**{stage['ran']} ran**" + (f" ({reasons})" if reasons else "") if stage["ran"] else ""
    kept = f"{stage['hits']} kept" if stage["hits"] else ""
    return ", ".join(part for part in (kept, ran) if part)


def main() -> None:
    """Measure all cases in order and print or write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events-per-file", type=int, default=50_000)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "analysis"
        folder.mkdir()
        analysis = Analysis(folder, options.events_per_file)
        cases = [
            measure("first", folder),
            measure("again", folder),
            measure("a fit setting changed", folder, analysis.change_setting),
            measure("a processor line changed", folder, analysis.change_processor),
            measure("a lambda variable renamed", folder, analysis.rename_variable),
            measure("one file added", folder, analysis.add_file),
            measure("one blob removed", folder, analysis.remove_blob),
            elsewhere(analysis, Path(scratch)),
        ]
    text = table(cases)
    print(text)
    if options.write:
        intro = (
            "# What runs again\n\nMade by `python benchmarks/rerun.py --write`: nine samples, one file of "
            f"{options.events_per_file:,} events each, two cores, every run a process of its own.\n\n"
        )
        DOCUMENT.write_text(intro + text + "\n")


if __name__ == "__main__":
    main()
