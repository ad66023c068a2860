"""Input files that are wrong: every one is named, none is dropped in silence, and the others are kept."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import skimflow
from processing.filesets import CROSS_SECTIONS_PB, LUMINOSITY_PB
from skimflow.errors import DeliveryFailed, RepeatedInput
from skimflow.simulate.damaged import write_damaged

pytestmark = pytest.mark.xdist_group("analysis")

NEVTS = 1000
BROKEN = {
    "truncated.root": "truncated",
    "missing_branch.root": "Jet_btagCSVV2",
    "not_root.root": "not",
    "gone.root": "does not exist",
}
"""File → what its reason must speak of. The others are unusual, not wrong."""
SOUND = ("intact", "empty_tree", "no_jets", "nan_pt")


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damaged")
    write_damaged(folder, seed=1)
    return folder


@pytest.fixture
def faulty(fresh: Any, damaged: Path) -> Any:
    """All damaged files, and one that is not there, as files of one sample."""
    names = [*BROKEN, *(f"{name}.root" for name in SOUND)]
    files = [{"path": str(damaged / name), "nevts": NEVTS} for name in sorted(names)]
    fresh.write_fileset({"ttbar": {"nominal": {"nevts_total": NEVTS * len(files), "files": files}}})
    return fresh


def histograms(analysis: Any) -> dict[str, float]:
    """The kept histograms of the only run: name → sum of weights, with flow bins."""
    (entry,) = analysis.entries("process")
    document = json.loads(analysis.blob(entry["blobs"]["histograms.json"]["digest"]).read_text())
    return {name: sum(one["storage"]["values"]) for name, one in document.items()}


def test_a_run_fails_after_all_files_were_tried_and_names_each(faulty):
    with pytest.raises(DeliveryFailed) as caught:
        skimflow.run(faulty.pipeline, skimflow.Options(until="process"))
    reasons = {Path(one.request.file).name: one.reason for one in caught.value.failures}
    assert reasons.keys() == BROKEN.keys()
    for name, words in BROKEN.items():
        assert words in reasons[name], reasons[name]
        assert name in str(caught.value)
    assert "--allow-missing" in str(caught.value)
    assert len(faulty.entries("deliver")) == len(SOUND)


def test_a_plan_names_files_that_are_not_there(faulty):
    with pytest.raises(DeliveryFailed, match=r"1 of 8 files") as caught:
        skimflow.plan(faulty.pipeline)
    assert [Path(one.request.file).name for one in caught.value.failures] == ["gone.root"]


def test_the_command_fails_with_code_1_and_without_a_traceback(faulty):
    done = faulty.command("run", "tiny.yml", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["type"] == "DeliveryFailed"
    assert "4 of 8 files were not delivered (50.0 %, allowed 0 %)" in done.stderr
    assert "cannot read the file: it does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_run_tries_only_the_failed_files_and_takes_mended_ones(faulty, damaged):
    with pytest.raises(DeliveryFailed):
        skimflow.run(faulty.pipeline)
    mended = faulty.folder / "mended.root"
    shutil.copyfile(damaged / "duplicated_events.root", mended)
    document = faulty.fileset()
    files = [one for one in document["ttbar"]["nominal"]["files"] if Path(one["path"]).name not in BROKEN]
    document["ttbar"]["nominal"]["files"] = [*files, {"path": str(mended), "nevts": NEVTS}]
    faulty.write_fileset(document)
    result = skimflow.run(faulty.pipeline, skimflow.Options(until="deliver"))
    assert (result.stages["deliver"].hits, result.stages["deliver"].ran) == (len(SOUND), 1)


def test_what_is_missing_is_said_and_the_rest_normalised_to_its_own_events(faulty, damaged, tmp_path):
    result = skimflow.run(faulty.pipeline, skimflow.Options(until="process", allow_missing=50))
    (note,) = result.notes
    assert "4 of 8 files failed (50.0 %, allowed 50 %)" in note
    assert all(name in note for name in BROKEN)
    assert result.stages["deliver"].failed == 4
    (entry,) = faulty.entries("process")
    facts = json.loads(faulty.blob(entry["blobs"]["processing.json"]["digest"]).read_text())
    assert facts["nevts"] == {"ttbar__nominal": NEVTS * len(SOUND)}

    # The yield is the number of events that pass times cross-section x luminosity / generated events of the good files.
    selected = facts["cutflow"]["ttbar__nominal"]["4j2b"]
    assert list(selected) == ["all", "exactly_1l", "atleast_4j", "atleast_2b"]
    total = histograms(faulty)["4j2b_ttbar"]
    assert selected["atleast_2b"] > 100
    weight = CROSS_SECTIONS_PB["ttbar"] * LUMINOSITY_PB / (NEVTS * len(SOUND))
    assert total == pytest.approx(selected["atleast_2b"] * weight, rel=1e-9)

    # Alone, without the files that failed, the same comes out.
    document = faulty.fileset()
    files = [one for one in document["ttbar"]["nominal"]["files"] if Path(one["path"]).name not in BROKEN]
    document["ttbar"]["nominal"]["files"] = files
    faulty.write_fileset(document)
    alone = skimflow.run(faulty.pipeline, skimflow.Options(until="process"))
    assert alone.stages["process"].ran == 0
    assert alone.notes == ()


def test_one_failure_more_than_allowed_fails(faulty):
    with pytest.raises(DeliveryFailed, match="allowed 49"):
        skimflow.run(faulty.pipeline, skimflow.Options(until="deliver", allow_missing=49))


def test_raw_files_that_are_not_there_are_named_like_others(fresh, damaged):
    files = [{"path": str(damaged / f"{name}.root"), "nevts": NEVTS} for name in ("intact", "gone", "lost")]
    fresh.write_fileset({"ttbar": {"nominal": {"nevts_total": 3 * NEVTS, "files": files}}})
    options = skimflow.Options(until="process", endpoint="raw")
    with pytest.raises(DeliveryFailed) as caught:
        skimflow.run(fresh.pipeline, options)
    assert [Path(one.request.file).name for one in caught.value.failures] == ["gone.root", "lost.root"]


def test_files_without_events_may_be_equal(fresh, damaged):
    copy = fresh.folder / "another.root"
    shutil.copyfile(damaged / "no_jets.root", copy)
    paths = [damaged / "intact.root", damaged / "no_jets.root", copy, damaged / "empty_tree.root"]
    files = [{"path": str(path), "nevts": NEVTS} for path in paths]
    fresh.write_fileset({"ttbar": {"nominal": {"nevts_total": 4 * NEVTS, "files": files}}})
    result = skimflow.run(fresh.pipeline, skimflow.Options(until="process"))
    (entry,) = fresh.entries("process")
    facts = json.loads(fresh.blob(entry["blobs"]["processing.json"]["digest"]).read_text())
    assert facts["nevts"] == {"ttbar__nominal": 4 * NEVTS}
    assert result.notes == ()


def test_the_same_events_twice_in_a_sample_are_refused(fresh, damaged):
    copy = fresh.folder / "copy.root"
    shutil.copyfile(damaged / "intact.root", copy)
    files = [{"path": str(path), "nevts": NEVTS} for path in (damaged / "intact.root", copy)]
    fresh.write_fileset({"ttbar": {"nominal": {"nevts_total": 2 * NEVTS, "files": files}}})
    with pytest.raises(RepeatedInput, match=r"intact.root and .*copy.root hold the same events"):
        skimflow.run(fresh.pipeline, skimflow.Options(until="deliver"))


def test_check_names_the_histograms_in_which_a_query_loses_events(fresh):
    fresh.write_fileset({"wjets": fresh.fileset()["wjets"]})
    same = skimflow.check(fresh.pipeline)
    assert same.compared > 20
    assert same.differing == {}
    query = fresh.folder / "my_query.py"
    query.write_text(query.read_text().replace("event.run > 0", "event.event % 2 == 0"))
    lost = skimflow.check(fresh.pipeline)
    assert {"4j1b_wjets", "4j2b_wjets"} <= lost.differing.keys()
    direct, delivered = (float(text.split()[-2]) for text in lost.differing["4j1b_wjets"].split(","))
    assert 0 < delivered < direct
    done = fresh.command("check", "tiny.yml")
    assert done.returncode == 1
    assert "4j1b_wjets: sum of weights" in done.stdout


def test_check_of_a_query_that_lacks_columns_names_them(fresh):
    """The AGC's published query does not deliver what today's schema of NanoAOD asks for."""
    fresh.write_fileset({"wjets": fresh.fileset()["wjets"]})
    done = fresh.command("check", "tiny.yml", "--json")
    assert (done.returncode, json.loads(done.stdout)["identical"]) == (0, True)
    fresh.change(query="queries.ttbar:agc_published_ml")
    done = fresh.command("check", "tiny.yml")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert "luminosityBlock" in done.stderr
