import json
import multiprocessing
import pickle
import re
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from artifacts.errors import StoreFull, StoreUnavailable
from artifacts.keys import Request
from artifacts.store import Store
from artifacts.transport import own_security
from delivery.engine import TransformRequest, transform
from processing.chunk_store import Recipe
from processing.clusters import ClusterSettings, local_cluster
from processing.errors import (
    ClusterUnavailable,
    FilesetError,
    IncompleteProcessing,
    ProcessingError,
    UnknownProcessor,
    WorkersLost,
)
from processing.filesets import CROSS_SECTIONS_PB, Fileset, InputFile, Sample
from processing.planning import plan
from processing.run import DEFAULT_PROCESSOR, Processed, process
from queries.named import load

pytestmark = pytest.mark.usefixtures("faults")

CHUNK = 6_000
IN_PROCESS = ClusterSettings(kind="iterative")


def sample(*paths: Path | str, process: str = "ttbar", variation: str = "nominal", **fields: Any) -> Sample:
    files = tuple(InputFile(str(path), 30_000, **fields) for path in paths)
    return Sample(process, variation, files, CROSS_SECTIONS_PB[process])


def run(fileset: Fileset, store: Store, **changes: Any) -> Processed:
    settings = {"cluster": IN_PROCESS, "code": "c0de", "chunk_events": CHUNK} | changes
    return process(fileset, store=store, **settings)


def kept_chunks(store: Store) -> int:
    return sum(entry.stage == "chunk" for entry in store.entries())


def faulty(name: str) -> str:
    return f"faulty_processors:{name}"


def test_the_agc_processors_histograms_come_out_normalised(events: Path, shared_data: Path, store: Store) -> None:
    fileset = Fileset((sample(events), sample(events, variation="ME_var"), sample(events, process="wjets")))
    seen: list[tuple[int, int]] = []
    result = run(fileset, store, progress=lambda done, total: seen.append((done, total)))
    reference = json.loads((shared_data / "agc/processor-reference/histograms.json").read_text())
    compared = 0
    for key, expected in reference.items():
        name, kind, region, *variation = key.split("/")
        if kind != "hist_dict" or variation == ["pt_res_up"]:
            continue
        suffix = "" if variation == ["nominal"] else f"_{variation[0]}"
        histogram = result.histograms[f"{region}_{name.split('__')[0]}{suffix}"]
        np.testing.assert_allclose(histogram.values(flow=True), expected["values"], rtol=1e-9)
        np.testing.assert_allclose(histogram.variances(flow=True), expected["variances"], rtol=1e-9)
        compared += 1
    assert compared == len(result.histograms) - 4 == 46
    assert seen == [(CHUNK * i, 90_000) for i in range(1, 16)]
    assert result.accounting.complete
    assert result.nevts == {"ttbar__nominal": 30_000, "ttbar__ME_var": 30_000, "wjets__nominal": 30_000}
    assert (result.metrics.events, result.metrics.new_events, result.metrics.chunks) == (90_000, 90_000, 15)
    assert result.metrics.bytes_read > 1_000_000
    assert json.loads(json.dumps(result.metrics.to_json()))["events_per_process_second"] > 0


def test_a_second_run_does_nothing_and_gives_the_same(events: Path, store: Store) -> None:
    fileset = Fileset((sample(events),))
    first = run(fileset, store)
    # A cluster that does not exist shows that none is asked for.
    again = run(fileset, store, cluster=ClusterSettings(kind="address", address="tcp://127.0.0.1:9"))
    assert again.histograms == first.histograms
    assert again.cutflow == first.cutflow
    assert (again.accounting.cached, again.metrics.new_events, again.metrics.bytes_read) == (5, 0, 0)


@pytest.mark.parametrize(
    "changed",
    [{"code": "other"}, {"processor": "faulty_processors:Flaky"}, {"chunk_events": 7_500}],
    ids=["code", "processor", "chunks"],
)
def test_what_decides_the_result_is_in_the_key(events: Path, store: Store, changed: dict[str, Any]) -> None:
    fileset = Fileset((sample(events),))
    run(fileset, store)
    assert run(fileset, store, **changed).accounting.cached == 0


def test_an_added_file_is_the_only_one_processed(events: Path, store: Store, tmp_path: Path) -> None:
    other = copy_events(events, tmp_path / "other.root", 9_000)
    run(Fileset((sample(events),)), store)
    both = run(Fileset((sample(events, other),)), store)
    assert (both.accounting.planned, both.accounting.cached, both.metrics.new_events) == (7, 5, 9_000)
    assert both.nevts == {"ttbar__nominal": 60_000}
    assert both.cutflow["ttbar__nominal"]["4j1b"]["all"] == 39_000
    moved = tmp_path / "moved.root"
    shutil.copy(other, moved)
    assert run(Fileset((sample(events, moved),)), store).accounting.cached == 7  # same content, other path


def test_results_made_anew_replace_those_that_are_kept(events: Path, store: Store) -> None:
    fileset = Fileset((sample(events),))
    first = run(fileset, store)
    for entry in list(store.entries()):
        if entry.stage == "chunk":  # a result that must not come back, nor stay
            store.backend.delete(f"entries/{entry.key[:2]}/{entry.key}.json")
            store.put(Request(entry.stage, entry.version, entry.request), {"chunk.json": b"wrong"}, entry.meta)
    forced = run(fileset, store, reuse=False)
    assert (forced.accounting.cached, forced.metrics.new_events) == (0, 30_000)
    assert forced.histograms == first.histograms
    again = run(fileset, store)
    assert (again.accounting.cached, again.histograms) == (5, first.histograms)


def test_the_order_of_files_changes_no_bit(events: Path, store: Store, tmp_path: Path) -> None:
    other = copy_events(events, tmp_path / "other.root", 9_000)
    there = run(Fileset((sample(events, other),)), store)
    back = run(Fileset((sample(other, events),)), store)
    assert back.metrics.cached_chunks == 7
    assert back.histograms == there.histograms
    assert [one.file.path for one in plan(Fileset((sample(other, events),)), store, CHUNK)] == [
        one.file.path for one in plan(Fileset((sample(events, other),)), store, CHUNK)
    ]


def test_two_samples_for_one_histogram_are_named(events: Path, store: Store) -> None:
    fileset = Fileset((sample(events), sample(events, variation="pt_res_up")))
    with pytest.raises(ProcessingError, match=r"ttbar__nominal and ttbar__pt_res_up both give .*4j1b_ttbar_pt_res_up"):
        run(fileset, store)


def copy_events(source: Path, path: Path, entries: int, tree: str = "Events") -> Path:
    """Write the first events to another file, collections with their counters."""
    with uproot.open(source) as file:
        columns = file["Events"].arrays(entry_stop=max(entries, 1))
    every = {name: columns[name] for name in ("run", "luminosityBlock", "event")}
    for name in ("Electron", "Muon", "Jet"):
        fields = [field for field in columns.fields if field.startswith(f"{name}_")]
        every[name] = ak.zip({field.removeprefix(f"{name}_"): columns[field] for field in fields})
    with uproot.recreate(path) as out:
        branches = out.mktree(tree, {name: column.type.content for name, column in every.items()})
        if entries:
            branches.extend(every)
    return path


def test_kept_parts_do_not_change_the_sum(events: Path, store: Store, tmp_path: Path) -> None:
    fileset = Fileset((sample(events),))
    processor = faulty("BrokenUntilMended")
    with pytest.raises(IncompleteProcessing):
        run(fileset, store, processor=processor)
    mended = run(fileset, store, processor=processor)
    assert mended.accounting.cached == 4
    whole = run(fileset, Store.open(tmp_path / "fresh"))
    assert mended.histograms == whole.histograms


def test_a_bug_in_one_chunk_is_named_and_the_others_are_kept(events: Path, store: Store) -> None:
    with pytest.raises(IncompleteProcessing) as caught:
        run(Fileset((sample(events),)), store, processor=faulty("Broken"))
    failures = caught.value.failures
    assert [(f.start, f.stop, f.error, f.attempts) for f in failures] == [(12_000, 18_000, "ZeroDivisionError", 1)]
    # The first line of the message, and the line of the user's own code.
    assert re.fullmatch(r"a bug in the analysis \(faulty_processors\.py:\d+ in fault\)", failures[0].reason)
    assert f"{events} events 12000 to 18000: ZeroDivisionError: a bug in the analysis" in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert kept_chunks(store) == 4


def test_a_processor_that_returns_something_else_is_told_what_to_return(events: Path, store: Store) -> None:
    with pytest.raises(IncompleteProcessing, match="it must return a processing"):
        run(Fileset((sample(events),)), store, processor=faulty("ReturnsADict"))


def test_a_passing_error_of_input_is_tried_again(events: Path, store: Store) -> None:
    assert run(Fileset((sample(events),)), store, processor=faulty("Flaky")).accounting.complete


def test_all_chunks_failing_is_no_exception_to_the_rule(shared_data: Path, store: Store) -> None:
    path = shared_data / "root/nano_tt_v15.root"
    with pytest.raises(IncompleteProcessing, match=r"MissingColumns: the tree lacks Jet_jetId, Jet_btagCSVV2"):
        run(Fileset((sample(path),)), store)


def damaged(folder: Path, events: Path) -> dict[str, Path]:
    content = events.read_bytes()
    files = {name: folder / f"{name}.root" for name in ("truncated", "text", "empty", "absent", "flipped")}
    files["truncated"].write_bytes(content[: len(content) // 2])
    files["text"].write_text("not a ROOT file")
    files["empty"].write_bytes(b"")
    third = len(content) // 3
    files["flipped"].write_bytes(content[:third] + bytes(20_000) + content[third + 20_000 :])
    return files


def test_damaged_files_are_named_and_the_others_processed(events: Path, store: Store, tmp_path: Path) -> None:
    bad = damaged(tmp_path, events)
    with pytest.raises(IncompleteProcessing) as caught:
        run(Fileset((sample(events, *bad.values()),)), store, chunk_events=30_000)
    assert {Path(failure.path).stem for failure in caught.value.failures} == set(bad)
    assert all(failure.reason for failure in caught.value.failures)
    assert run(Fileset((sample(events),)), store, chunk_events=30_000).accounting.cached == 1


def test_allowed_losses_are_left_out_whole_and_said(events: Path, store: Store, tmp_path: Path) -> None:
    copy = tmp_path / "copy.root"
    shutil.copy(events, copy)
    absent = tmp_path / "absent.root"
    fileset = Fileset((sample(events, copy, absent),))
    with pytest.raises(IncompleteProcessing, match=r"33\.3% of the files are left out, 30\.0% are allowed"):
        run(fileset, store, allow_missing=0.3)
    partial = run(fileset, store, allow_missing=0.34)
    assert not partial.accounting.complete
    assert partial.accounting.left_out == (str(absent),)
    assert partial.nevts == {"ttbar__nominal": 60_000}
    whole = run(Fileset((sample(events, copy),)), store)
    assert partial.histograms == whole.histograms
    with pytest.raises(IncompleteProcessing, match="nothing would be left of wjets__nominal"):
        run(Fileset((sample(events), sample(absent, process="wjets"))), store, allow_missing=1.0)


def test_a_file_without_events_gives_empty_histograms(events: Path, store: Store, tmp_path: Path) -> None:
    path = copy_events(events, tmp_path / "none.root", 0, tree="servicex")
    result = run(Fileset((sample(path, tree="servicex"),)), store)
    assert len(result.histograms) == 22
    assert all(not histogram.sum(flow=True).value for histogram in result.histograms.values())
    assert result.nevts == {"ttbar__nominal": 30_000}


@pytest.mark.parametrize(
    "name",
    ["agc/processor-reference/events.root", "root/nanoAOD_2015_CMS_Open_Data_ttbar.root", "root/nano_dy.root"],
)
def test_what_the_engine_delivers_gives_the_histograms_of_the_raw_file(
    shared_data: Path, store: Store, tmp_path: Path, name: str
) -> None:
    raw, skim = shared_data / name, tmp_path / "skim.root"
    transform(TransformRequest(text=load("queries.ttbar:selected").text, input=str(raw), output=skim))
    direct = run(Fileset((sample(raw, process="wjets"),)), store, chunk_events=100_000)
    delivered = run(Fileset((sample(skim, process="wjets", tree="servicex"),)), store, chunk_events=100_000)
    assert direct.histograms == delivered.histograms
    assert delivered.accounting.cached == 0


def test_a_damaged_kept_result_is_made_again(events: Path, store: Store, tmp_path: Path) -> None:
    first = run(Fileset((sample(events),)), store)
    blob = max((tmp_path / "store/blobs").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-10] + b"0123456789")
    again = run(Fileset((sample(events),)), store)
    assert again.accounting.cached == 4
    assert again.histograms == first.histograms


def test_a_store_in_memory_serves_one_process(events: Path) -> None:
    memory = Store.open("memory://processing")
    run(Fileset((sample(events),)), memory)
    assert run(Fileset((sample(events),)), memory).accounting.cached == 5


def test_a_full_store_ends_the_run_as_such(events: Path, store: Store, tmp_path: Path) -> None:
    other = copy_events(events, tmp_path / "other.root", 9_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(StoreFull, match="no room left"):
            run(Fileset((sample(events, other),)), store, processor=faulty("FillsDisk"), allow_missing=0.9)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert 2 <= kept_chunks(store) < 7


def test_a_store_that_keeps_no_entries_ends_the_planning_as_such(events: Path, store: Store, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/entries").write_text("not a folder")
    with pytest.raises(StoreUnavailable, match="entries"):
        run(Fileset((sample(events),)), store, allow_missing=1.0)


def foreign() -> Recipe:
    return replace(Recipe.here(DEFAULT_PROCESSOR, "c0de"), skimflow="0.0.1 (code 0123456789ab)")


def run_foreign(events: Path, store: Store, cluster: ClusterSettings) -> None:
    from processing.coffea_run import run_chunks

    chunks = [chunk for file in plan(Fileset((sample(events),)), store, CHUNK) for chunk in file.chunks]
    run_chunks(chunks, foreign(), store.url, cluster)


def test_a_worker_with_another_skimflow_ends_the_run(events: Path, store: Store) -> None:
    with pytest.raises(
        ClusterUnavailable, match=r"the worker has skimflow .* \(wanted 0\.0\.1 \(code 0123456789ab\)\)"
    ):
        run_foreign(events, store, IN_PROCESS)


def test_requests_that_cannot_be_met_say_what_would_be_right(events: Path, store: Store) -> None:
    fileset = Fileset((sample(events),))
    for name in ("processing.ttbar:Nothing", "no.module:Class", "no_colon", faulty("NotAProcessor")):
        with pytest.raises(UnknownProcessor, match=r"module:Class|derived from"):
            run(fileset, store, processor=name)
    with pytest.raises(FilesetError, match="digest"):
        run(Fileset((sample("https://host.invalid/file.root"),)), store)
    with pytest.raises(ClusterUnavailable, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run(fileset, store, cluster=ClusterSettings(kind="address", address="tcp://127.0.0.1:9", connect_timeout=1))
    with pytest.raises(ClusterUnavailable, match="pip install dask-gateway"):
        run(fileset, store, cluster=ClusterSettings(kind="gateway"))
    with pytest.raises(ClusterUnavailable, match="pip install dask-jobqueue"):
        run(fileset, store, cluster=ClusterSettings(kind="slurm"))


# On Dask


def test_dask_and_this_process_agree_to_the_last_bit(
    events: Path, store: Store, tmp_path: Path, scheduler: ClusterSettings
) -> None:
    fileset = Fileset((sample(events), sample(events, process="wjets")))
    here = run(fileset, store)
    there = run(fileset, Store.open(tmp_path / "other"), cluster=scheduler)
    assert here.histograms == there.histograms
    assert here.cutflow == there.cutflow
    assert here.accounting == there.accounting


def test_a_bug_in_one_chunk_is_named_by_dask_too(events: Path, store: Store, scheduler: ClusterSettings) -> None:
    with pytest.raises(IncompleteProcessing, match=r"^1 of 5 .*\n.*12000 to 18000: ZeroDivisionError: a bug"):
        run(Fileset((sample(events),)), store, processor=faulty("Broken"), cluster=scheduler)


def test_a_foreign_worker_ends_the_run_on_dask_too(events: Path, store: Store, scheduler: ClusterSettings) -> None:
    with pytest.raises(ClusterUnavailable, match="the worker has skimflow"):
        run_foreign(events, store, scheduler)


def test_a_worker_killed_once_costs_nothing(events: Path, store: Store, scheduler: ClusterSettings) -> None:
    result = run(Fileset((sample(events),)), store, processor=faulty("KillsWorkerOnce"), cluster=scheduler)
    assert result.accounting.complete


def test_a_chunk_that_kills_its_worker_is_named_and_no_other(
    events: Path, store: Store, scheduler: ClusterSettings
) -> None:
    with pytest.raises(IncompleteProcessing, match="out of memory") as caught:
        run(Fileset((sample(events),)), store, processor=faulty("KillsWorker"), cluster=scheduler)
    assert [(failure.start, failure.error) for failure in caught.value.failures] == [(12_000, "KilledWorker")]
    assert kept_chunks(store) == 4


def test_a_cluster_whose_workers_go_is_noticed_and_named(events: Path, store: Store) -> None:
    with local_cluster(1) as cluster:
        settings = ClusterSettings(
            kind="address", address=cluster.scheduler_address, security=cluster.security, worker_timeout=2
        )

        def stop_workers(done: int, total: int) -> None:
            if done == 500:
                cluster.adapt(minimum=0, maximum=0)
                cluster.scale(0)

        with pytest.raises(WorkersLost, match=rf"{cluster.scheduler_address} has had no worker for"):
            run(
                Fileset((sample(events),)),
                store,
                cluster=settings,
                chunk_events=500,
                progress=stop_workers,
            )
    assert 0 < kept_chunks(store) < 60


def test_a_local_cluster_is_started_and_stopped(events: Path, store: Store) -> None:
    before = set(multiprocessing.active_children())
    result = run(Fileset((sample(events),)), store, cluster=ClusterSettings(workers=1))
    assert (result.accounting.done, result.metrics.workers) == (5, 1)
    assert set(multiprocessing.active_children()) <= before


def test_nobody_else_gets_to_the_workers_of_a_local_cluster(scheduler: ClusterSettings) -> None:
    """Another user of this machine, who finds the ports."""
    from distributed import Client

    assert scheduler.address is not None
    host, _, port = scheduler.address.removeprefix("tls://").rpartition(":")
    for scheme, security in (("tcp", None), ("tls", own_security())):
        with pytest.raises((OSError, TimeoutError)):
            Client(f"{scheme}://{host}:{port}", security=security, timeout=3, set_as_default=False)


def test_a_scheduler_that_asks_for_certificates_is_named(
    scheduler: ClusterSettings, events: Path, store: Store
) -> None:
    without = ClusterSettings(kind="address", address=scheduler.address)
    with pytest.raises(ClusterUnavailable, match="asks for certificates, and Dask's settings"):
        run(Fileset((sample(events),)), store, cluster=without)


def test_planning_and_recalling_import_no_slow_library() -> None:
    code = (
        "import sys, processing.run, processing.filesets, processing.histograms\n"
        "slow = {'coffea', 'dask', 'distributed', 'awkward', 'uproot', 'hist', 'numpy', 'scipy', 'correctionlib'}\n"
        "print(sorted(slow & sys.modules.keys()))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
