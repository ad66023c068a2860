"""A small analysis that runs in seconds: simulated events, a pipeline, and what a first run of it left."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

SKIMFLOW = Path(sys.executable).with_name("skimflow")

PROCESSOR = """from processing.ttbar import TtbarProcessor


class Mine(TtbarProcessor):
    offset = 0
"""

QUERY = """from queries import ttbar


def mine():
    return ttbar.selected().Where("lambda event: event.run > 0")
"""


@dataclass(frozen=True)
class Analysis:
    """A folder with a pipeline file; copies of it are cheap."""

    folder: Path

    @property
    def pipeline(self) -> Path:
        return self.folder / "tiny.yml"

    @property
    def store(self) -> Path:
        return self.folder / ".skimflow" / "store"

    def change(self, **sections: Any) -> None:
        """Update sections of the pipeline file."""
        document = yaml.safe_load(self.pipeline.read_text())
        for name, section in sections.items():
            document[name] = {**document.get(name, {}), **section} if isinstance(section, dict) else section
        self.pipeline.write_text(yaml.safe_dump(document))

    def fileset(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "fileset.json").read_text()))

    def write_fileset(self, document: dict[str, Any]) -> None:
        (self.folder / "fileset.json").write_text(json.dumps(document))

    def entries(self, stage: str) -> list[dict[str, Any]]:
        """The store's entries of one stage, as the documents on disk."""
        found = [json.loads(path.read_text()) for path in sorted(self.store.glob("entries/*/*.json"))]
        return [one for one in found if one["stage"] == stage]

    def entries_on_disk(self) -> list[Path]:
        """Files of entries, whether readable or not."""
        return sorted(self.store.glob("entries/*/*.json"))

    def blob(self, digest: str) -> Path:
        return self.store / "blobs" / digest[:2] / digest

    def listing(self) -> dict[str, int]:
        """Every file of the folder with the time of its last change."""
        return {
            str(path.relative_to(self.folder)): path.stat().st_mtime_ns
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }

    def command(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the installed command in the folder."""
        return subprocess.run(
            [str(SKIMFLOW), *map(str, arguments)],
            cwd=self.folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=240,
            check=False,
        )  # fmt: skip


@pytest.fixture(scope="session")
def events(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two files of 1,500 simulated events for each of six samples, as a fileset with absolute paths."""
    from skimflow.simulate import run

    folder = tmp_path_factory.mktemp("events")
    wanted = [one for one in run.SAMPLES if one.process in {"ttbar", "wjets"}]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "SAMPLES", wanted)
        made = run.simulate(folder, events_per_file=1500, files_per_sample=2, jobs=1)
    document: dict[str, Any] = json.loads(made.fileset.read_text())
    for variations in document.values():
        for sample in variations.values():
            for file in sample["files"]:
                file["path"] = str(folder / file["path"])
    return document


def first_files(document: dict[str, Any], count: int) -> dict[str, Any]:
    """The fileset with the first `count` files of each sample."""
    return {
        process: {name: {**one, "files": one["files"][:count]} for name, one in variations.items()}
        for process, variations in document.items()
    }


@pytest.fixture(name="small_model")
def small_model_fixture() -> dict[str, Any]:
    """The small model for a pipeline of a test's own."""
    return small_model()


def small_model() -> dict[str, Any]:
    """The package's model with fewer samples, bins and systematics: enough to fit a few thousand events."""
    from inference.model import load_model

    model: dict[str, Any] = json.loads(load_model().model_dump_json(exclude_none=True))
    kept = {"ttbar scale variations", "Jet energy scale", "b-tag NP 1", "Luminosity"}
    model["samples"] = [one for one in model["samples"] if one["name"] in {"ttbar", "W+jets"}]
    model["systematics"] = [one for one in model["systematics"] if one["name"] in kept]
    for region in model["regions"]:
        region["edges"] = [110, 190, 270, 550]
    return model


def write_analysis(folder: Path, document: dict[str, Any]) -> Analysis:
    """Lay an analysis of these files out in `folder`: pipeline, model, and a query and processor of its own."""
    folder.mkdir(exist_ok=True)
    analysis = Analysis(folder)
    analysis.write_fileset(document)
    (folder / "model.yml").write_text(yaml.safe_dump(small_model()))
    (folder / "my_query.py").write_text(QUERY)
    (folder / "my_processor.py").write_text(PROCESSOR)
    pipeline = {
        "name": "tiny <script>alert(1)</script>",
        "samples": {"fileset": "fileset.json"},
        "query": "my_query.py:mine",
        "cluster": {"kind": "iterative"},
        "inference": {"model": "model.yml", "results": ["fit"]},
    }
    analysis.pipeline.write_text(yaml.safe_dump(pipeline))
    return analysis


@pytest.fixture
def fresh(tmp_path: Path, events: dict[str, Any]) -> Analysis:
    """The analysis of one file per sample; nothing has run."""
    return write_analysis(tmp_path / "analysis", first_files(events, 1))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, events: dict[str, Any]) -> Analysis:
    """The analysis after its first run, with the report; tests leave it as it is."""
    analysis = write_analysis(tmp_path_factory.mktemp("first") / "analysis", first_files(events, 1))
    done = analysis.command("run", "tiny.yml", "--json")
    assert done.returncode == 0, done.stderr
    (analysis.folder / "first.json").write_text(done.stdout)
    return analysis


@pytest.fixture
def analysis(tmp_path: Path, finished: Analysis) -> Iterator[Analysis]:
    """A copy of the finished analysis, to be changed and broken."""
    folder = tmp_path / "analysis"
    shutil.copytree(finished.folder, folder)
    yield Analysis(folder)
    shutil.rmtree(folder, ignore_errors=True)
