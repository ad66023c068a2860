"""`skimflow preserve` on an analysis that has run: what it writes runs elsewhere."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from skimflow.commands.preserve import preserve
from skimflow.errors import UsageError
from skimflow.pipeline import load_pipeline
from skimflow.portable import make_portable


@pytest.fixture(scope="module")
def preserved(finished, tmp_path_factory):
    """The folder that it wrote, and what it said."""
    folder = tmp_path_factory.mktemp("preserved") / "left"
    options = ["--output", str(folder), "--keyword", "cmenergies=13000", "--json"]
    done = CliRunner().invoke(preserve, [str(finished.pipeline), *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return folder, json.loads(done.stdout)


def texts(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.suffix in {".yml", ".yaml", ".json", ".py"}
    }


def test_all_is_there_and_nothing_names_this_machine(preserved, finished):
    folder, said = preserved
    assert set(said["files"]) >= {
        "hepdata/submission.yaml",
        "hepdata/workspace.json",
        "hepdata/fitted_parameters.yaml",
        "hepdata/pulls.png",
        "reana.yaml",
        "reana-recast.yaml",
        "recast.yml",
        "specs/workflow.yml",
        "signal.json",
    }
    assert all((folder / name).is_file() for name in said["files"])
    for name, text in texts(folder).items():
        assert str(finished.folder) not in text, name
        assert not re.search(r"(?m)[\s'\"](/home|/root|/tmp|/var)/", text), name
    assert "local files of events are not copied: put them where fileset.json names them" in said["notes"][-1]


def test_reana_is_told_of_every_file(preserved):
    folder, _ = preserved
    document = yaml.safe_load((folder / "reana.yaml").read_text())
    assert set(document["inputs"]["files"]) == {"tiny.yml", "fileset.json", "model.yml", "my_query.py"}
    assert document["inputs"]["directories"] == ["events"]
    assert all((folder / name).is_file() for name in document["inputs"]["files"])


def test_the_workspace_is_the_one_that_was_fitted(preserved, finished):
    folder, _ = preserved
    kept = json.loads((finished.folder / "report" / "workspace.json").read_text())
    assert json.loads((folder / "hepdata" / "workspace.json").read_text()) == kept


def test_the_workflow_of_recast_runs_elsewhere(preserved, finished, tmp_path):
    """Its steps' commands, filled in as yadage does and run by a shell, give limits on the example's signal."""
    folder, _ = preserved
    inputs = tmp_path / "inputs"
    subprocess.run(["cp", "-r", folder, inputs], check=True)
    place_events(finished.fileset(), inputs)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    published = {"init": {"pipeline": f"{inputs}/tiny.yml", "signal": f"{inputs}/signal.json"}}
    for stage in yaml.safe_load((inputs / "specs" / "workflow.yml").read_text())["stages"]:
        workdir = tmp_path / stage["name"]
        workdir.mkdir()
        values = {}
        for name, value in stage["scheduler"]["parameters"].items():
            if isinstance(value, dict):
                values[name] = published[value.get("step") or value["stages"]][value["output"]]
            else:
                values[name] = value.format(workdir=workdir)
        step = stage["scheduler"]["step"]
        done = subprocess.run(
            ["sh", "-c", step["process"]["cmd"].format(**values)],
            cwd=workdir, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        published[stage["name"]] = {name: values[key] for name, key in step["publisher"]["outputmap"].items()}
    limits = json.loads(Path(published["reinterpret"]["limits"]).read_text())
    assert limits["signals"][0]["name"] == "example"
    workspace = json.loads(Path(published["measurement"]["workspace"]).read_text())
    assert workspace == json.loads((folder / "hepdata" / "workspace.json").read_text())


def place_events(fileset, folder):
    """Bring the events, as whoever runs it must."""
    wanted = json.loads((folder / "fileset.json").read_text())
    for process, variations in fileset.items():
        for variation, sample in variations.items():
            for here, there in zip(sample["files"], wanted[process][variation]["files"], strict=True):
                target = folder / there["path"]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(here["path"])


def test_results_must_be_kept(fresh, tmp_path):
    done = CliRunner().invoke(preserve, [str(fresh.pipeline), "--output", str(tmp_path / "left")])
    assert isinstance(done.exception, UsageError)
    assert f"results are missing; first: skimflow run {fresh.pipeline}" in str(done.exception)
    assert not (tmp_path / "left").exists()


def test_a_pipeline_whose_files_lie_elsewhere_is_made_portable(fresh, tmp_path):
    """Absolute paths, a fileset in a folder of its own, and a cluster that others do not have."""
    (fresh.folder / "sets").mkdir()
    (fresh.folder / "fileset.json").rename(fresh.folder / "sets" / "mine.json")
    (tmp_path / "model.yml").write_text((fresh.folder / "model.yml").read_text())
    fresh.change(
        samples={"fileset": "sets/mine.json"},
        inference={"model": f"{tmp_path}/model.yml"},
        cluster={"kind": "address", "address": "tcp://scheduler:8786"},
        store="s3://bucket/store",
    )
    made = make_portable(fresh.pipeline, tmp_path / "left")
    assert set(made.files) == {"sets/mine.json", "inputs/model.yml", "my_query.py"}
    assert made.directories == ["sets/events"]
    assert [note.split(":")[0].split("'")[0] for note in made.notes] == [
        "the cluster is ",
        "6 local files of events are not copied",
    ]
    again = load_pipeline(tmp_path / "left" / "tiny.yml")
    assert (again.store, again.cluster.kind, str(again.report)) == (None, "local", "report")
    named = json.loads((tmp_path / "left" / "sets" / "mine.json").read_text())
    paths = [file["path"] for kinds in named.values() for one in kinds.values() for file in one["files"]]
    assert len(set(paths)) == len(paths)
    assert all(path.startswith("events/") for path in paths)
