"""What runs again after which change, and what does not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import skimflow
from artifacts.store import Store
from skimflow.errors import StageNotKept

pytestmark = [
    pytest.mark.xdist_group("analysis"),
    pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning"),  # pyhf's
]

STAGES = ("deliver", "process", "build", "fit")

DOUBLED = (
    "    def process(self, events):\n"
    "        result = super().process(events)\n"
    "        for histogram in result.histograms.values():\n"
    "            histogram *= 2\n"
    "        return result\n"
)


def ran(result: Any) -> dict[str, int]:
    return {name: summary.ran for name, summary in result.stages.items()}


def run_to_fit(analysis: Any, **options: Any) -> Any:
    return skimflow.run(analysis.pipeline, skimflow.Options(until="fit", **options))


def first(analysis: Any) -> dict[str, Any]:
    return json.loads((analysis.folder / "first.json").read_text())["results"]


def test_the_first_run_computes_everything_once(finished):
    stages = {one["stage"]: one for one in json.loads((finished.folder / "first.json").read_text())["stages"]}
    assert {name: stages[name]["ran"] for name in STAGES} == {"deliver": 6, "process": 6, "build": 1, "fit": 1}
    assert stages["deliver"]["reasons"] == {"never computed": 6}
    assert all(one["hits"] == 0 for one in stages.values())


def test_again_nothing_runs_and_the_result_is_the_same(analysis):
    before = analysis.listing()
    result = run_to_fit(analysis)
    assert ran(result) == dict.fromkeys(STAGES, 0)
    assert result.results == first(analysis)
    kept = {name: time for name, time in analysis.listing().items() if "identities" not in name}
    assert kept == {name: time for name, time in before.items() if "identities" not in name}


def test_a_run_with_nothing_to_do_imports_nothing_slow(analysis):
    code = (
        "import sys, json, skimflow; r = skimflow.run('tiny.yml'); "
        "print(json.dumps([sum(s.ran for s in r.stages.values()), sorted(sys.modules)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=analysis.folder, capture_output=True, text=True, check=True, timeout=120
    )
    computed, modules = json.loads(done.stdout)
    assert computed == 0
    slow = {
        "awkward", "boost_histogram", "cabinetry", "coffea", "dask", "distributed", "hist", "iminuit", "jax",
        "matplotlib", "numba", "numpy", "pandas", "pyarrow", "pyhf", "scipy", "servicex", "tenacity", "uproot",
    }  # fmt: skip
    assert slow & set(modules) == set()


def test_a_changed_fit_setting_runs_the_fit_alone(analysis):
    analysis.change(inference={"fixed": {"Luminosity": 0.0}})
    result = run_to_fit(analysis)
    assert ran(result) == {"deliver": 0, "process": 0, "build": 0, "fit": 1}
    assert result.stages["fit"].reasons == {"fixed Luminosity None → 0.0": 1}
    held, free = result.results["fit"], first(analysis)["fit"]
    luminosity, poi = held["labels"].index("Luminosity"), held["labels"].index(held["poi"])
    assert (held["bestfit"][luminosity], held["uncertainties"][luminosity]) == (0.0, 0.0)
    assert held["uncertainties"][poi] < free["uncertainties"][poi]
    assert held["bestfit"][poi] == pytest.approx(free["bestfit"][poi], abs=1e-3)


def test_a_changed_model_runs_build_and_fit(analysis):
    model = analysis.folder / "model.yml"
    model.write_text(model.read_text().replace("normalization: 0.03", "normalization: 0.04"))
    result = run_to_fit(analysis)
    assert ran(result) == {"deliver": 0, "process": 0, "build": 1, "fit": 1}
    assert result.stages["build"].reasons == {"model file changed": 1}


def test_a_renamed_lambda_variable_and_comments_in_a_query_run_nothing(analysis):
    query = analysis.folder / "my_query.py"
    text = query.read_text().replace("lambda event: event.run", "lambda x: x.run")
    assert text != query.read_text()
    query.write_text(f"# a remark\n{text}")
    assert ran(run_to_fit(analysis)) == dict.fromkeys(STAGES, 0)


def test_a_query_that_asks_for_something_else_delivers_again(analysis):
    query = analysis.folder / "my_query.py"
    query.write_text(query.read_text().replace("> 0", "> 1"))
    result = skimflow.run(analysis.pipeline, skimflow.Options(until="deliver"))
    assert result.stages["deliver"].reasons == {"query changed": 6}
    assert result.stages["deliver"].ran == 6


def test_one_added_file_is_the_only_one_delivered_and_processed(analysis, events):
    document = analysis.fileset()
    document["ttbar"]["nominal"]["files"] = events["ttbar"]["nominal"]["files"]
    analysis.write_fileset(document)
    result = run_to_fit(analysis)
    assert (result.stages["deliver"].hits, result.stages["deliver"].ran) == (6, 1)
    assert (result.stages["process"].hits, result.stages["process"].ran) == (6, 1)
    assert result.stages["deliver"].reasons == {"new": 1}
    # And it is what a store without any history gives.
    shutil.rmtree(analysis.folder / ".skimflow")
    assert run_to_fit(analysis).results == result.results


def test_a_changed_input_file_is_the_only_one_delivered(analysis, events):
    document = analysis.fileset()
    file = document["wjets"]["nominal"]["files"][0]
    own = analysis.folder / Path(file["path"]).name
    shutil.copyfile(events["wjets"]["nominal"]["files"][1]["path"], own)
    file["path"] = own.name
    analysis.write_fileset(document)
    result = skimflow.run(analysis.pipeline, skimflow.Options(until="process"))
    assert ran(result) == {"deliver": 1, "process": 1}
    assert result.stages["deliver"].reasons == {"input file changed": 1}


@pytest.mark.parametrize("harm", ["removed", "flipped", "truncated", "entry removed"])
@pytest.mark.parametrize("stage", ["deliver", "chunk", "process", "build", "fit"])
def test_a_lost_or_damaged_result_is_made_again(analysis, stage, harm):
    entries = analysis.entries(stage)
    for blob in entries[0]["blobs"].values():
        break_blob(analysis, entries[0], analysis.blob(blob["digest"]), harm)
    if stage in {"deliver", "chunk"}:  # read again only where something after them is gone too
        for entry in analysis.entries("process"):
            (analysis.store / "entries" / entry["key"][:2] / f"{entry['key']}.json").unlink()
    result = run_to_fit(analysis)
    assert result.results == first(analysis)
    assert ran(run_to_fit(analysis)) == dict.fromkeys(STAGES, 0)


def break_blob(analysis: Any, entry: dict[str, Any], path: Path, harm: str) -> None:
    if harm == "entry removed":
        (analysis.store / "entries" / entry["key"][:2] / f"{entry['key']}.json").unlink(missing_ok=True)
        return
    content = bytearray(path.read_bytes())
    path.chmod(0o644)
    if harm == "removed":
        path.unlink()
    elif harm == "truncated":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 0x10
        path.write_bytes(content)


def test_a_later_start_in_another_folder_with_the_same_store(analysis, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(analysis.folder, elsewhere, ignore=shutil.ignore_patterns(".skimflow", "report"))
    options = skimflow.Options(store=str(analysis.store), start="process", until="fit")
    result = skimflow.run(elsewhere / "tiny.yml", options)
    assert ran(result) == dict.fromkeys(STAGES, 0)
    assert result.results == first(analysis)
    assert not (elsewhere / ".skimflow" / "store").exists()


@pytest.mark.parametrize(("start", "gone"), [("process", "deliver"), ("build", "process"), ("fit", "build")])
def test_a_later_start_needs_the_earlier_results(analysis, start, gone):
    for entry in analysis.entries(gone):
        (analysis.store / "entries" / entry["key"][:2] / f"{entry['key']}.json").unlink()
    before = analysis.listing()
    with pytest.raises(StageNotKept, match=f"stage '{gone}' lacks"):
        run_to_fit(analysis, start=start)
    assert {n for n in analysis.listing() if "store" in n} == {n for n in before if "store" in n}


def test_forced_stages_run_although_their_results_are_kept(analysis):
    result = run_to_fit(analysis, forced=frozenset({"deliver", "fit"}))
    assert ran(result) == {"deliver": 6, "process": 0, "build": 0, "fit": 1}
    assert result.results == first(analysis)
    assert result.stages["fit"].reasons == {"forced": 1}


@pytest.mark.parametrize(("until", "stages"), [("deliver", 1), ("process", 2), ("build", 3), ("fit", 4)])
def test_a_run_ends_where_it_was_told_to(analysis, until, stages):
    result = skimflow.run(analysis.pipeline, skimflow.Options(until=until))
    assert tuple(result.stages) == STAGES[:stages]
    assert result.report is None


def test_a_plan_says_what_a_run_would_do_and_computes_nothing(analysis):
    analysis.change(inference={"fixed": {"Luminosity": 0.0}})
    before = analysis.listing()
    plan = skimflow.plan(analysis.pipeline)
    after = {name: time for name, time in analysis.listing().items() if "identities" not in name}
    assert after == {name: time for name, time in before.items() if "identities" not in name}
    assert plan.waiting == ()
    said = {unit.name: (unit.hit, unit.reason) for unit in plan.units}
    assert said.pop("fit") == (False, "fixed Luminosity None → 0.0")
    assert all(found == (True, "") for found in said.values())


def test_a_plan_of_nothing_done_waits(fresh):
    plan = skimflow.plan(fresh.pipeline)
    assert [unit.reason for unit in plan.units] == ["never computed"] * 6
    assert plan.waiting == ("process", "build", "fit")
    assert not fresh.store.exists()


def test_everything_in_the_store_is_whole_after_a_run(analysis):
    store = Store.open(analysis.store)
    for entry in store.entries():
        for blob in entry.blobs.values():
            assert len(store.read(blob)) == blob.size


def test_a_changed_line_of_ones_own_processor_runs_processing_and_what_follows(analysis):
    analysis.change(processing={"processor": "my_processor.py:Mine"})
    source = analysis.folder / "my_processor.py"

    def run() -> dict[str, int]:
        done = analysis.command("run", "tiny.yml", "--until", "build", "--json")
        assert done.returncode == 0, done.stderr
        return {one["stage"]: one["ran"] for one in json.loads(done.stdout)["stages"]}

    assert run() == {"deliver": 0, "process": 6, "build": 0}  # another name for the same processor: the same histograms
    source.write_text(f"# a remark\n{source.read_text()}")
    assert run() == {"deliver": 0, "process": 0, "build": 0}
    source.write_text(source.read_text().replace("    offset = 0\n", DOUBLED))
    assert run() == {"deliver": 0, "process": 6, "build": 1}


def test_a_cluster_of_processes_gives_the_same_and_starts_only_for_work(fresh, finished):
    fresh.change(cluster={"kind": "local", "workers": 2})
    fresh.write_fileset({"ttbar": fresh.fileset()["ttbar"]})
    result = skimflow.run(fresh.pipeline, skimflow.Options(until="process"))
    assert ran(result) == {"deliver": 5, "process": 5}
    delivered = {one["key"]: one["blobs"]["events.root"]["digest"] for one in finished.entries("deliver")}
    for one in fresh.entries("deliver"):
        assert one["blobs"]["events.root"]["digest"] == delivered[one["key"]]
    fresh.change(cluster={"kind": "address", "address": "tcp://127.0.0.1:1"})  # nobody is there, nobody is needed
    again = skimflow.run(fresh.pipeline, skimflow.Options(until="process"))
    assert ran(again) == {"deliver": 0, "process": 0}


@pytest.mark.parametrize("kind", ["iterative", "local"])
@pytest.mark.parametrize("processor", ["notebook_processor:Mine", "notebook_processor.py:Mine"])
def test_a_notebook_that_edits_its_processor_gets_the_new_one(fresh, monkeypatch, processor, kind):
    """In one Python process: what was imported before the edit must not pass for what is there now."""
    monkeypatch.syspath_prepend(fresh.folder)
    source = fresh.folder / "notebook_processor.py"
    text = (fresh.folder / "my_processor.py").read_text()
    source.write_text(text)
    fresh.write_fileset({"wjets": fresh.fileset()["wjets"]})
    fresh.change(processing={"processor": processor}, cluster={"kind": kind})

    def total() -> float:
        before = {one["key"] for one in fresh.entries("process")}
        skimflow.run(fresh.pipeline, skimflow.Options(until="process"))
        (entry,) = [one for one in fresh.entries("process") if one["key"] not in before]
        histograms = json.loads(fresh.blob(entry["blobs"]["histograms.json"]["digest"]).read_text())
        return float(sum(histograms["4j1b_wjets"]["storage"]["values"]))

    first_total = total()
    source.write_text(text.replace("    offset = 0\n", DOUBLED))
    assert total() == pytest.approx(2 * first_total)
