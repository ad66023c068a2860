"""Input files that lie in the store of results, named by their content."""

from pathlib import Path
from typing import Any

import pytest
import uproot

from artifacts.errors import BlobDamaged
from artifacts.keys import Request
from artifacts.store import Blob, Store, blob_name
from processing.clusters import ClusterSettings
from processing.errors import ClusterUnavailable, FilesetError
from processing.filesets import CROSS_SECTIONS_PB, Fileset, InputFile, Sample
from processing.run import Processed, process


def run(fileset: Fileset, store: Store, **changes: Any) -> Processed:
    settings = {"cluster": ClusterSettings(kind="iterative"), "code": "c0de", "chunk_events": 6_000} | changes
    return process(fileset, store=store, **settings)


def put(store: Store, *files: Path) -> list[Blob]:
    """The files as outputs of a stage."""
    entry = store.put(Request("deliver", 1, {}), {file.name: file.read_bytes() for file in files}, {})
    return [entry.blobs[file.name] for file in files]


def from_store(*blobs: tuple[Blob, int]) -> Fileset:
    files = tuple(InputFile(f"blob:{b.digest}:{b.size}", 30_000, "Events", entries, b.digest) for b, entries in blobs)
    return Fileset((Sample("ttbar", "nominal", files, CROSS_SECTIONS_PB["ttbar"]),))


def spoil(store: Store, blob: Blob) -> None:
    path = store.backend.file(blob_name(blob.digest))
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-3] + b"bad")


def test_inputs_of_a_store_in_memory_give_what_their_files_give(
    events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    memory = Store.open("memory://inputs")
    (blob,) = put(memory, events)
    result = run(from_store((blob, 30_000)), memory)
    file = InputFile(str(events), 30_000)
    fileset = Fileset((Sample("ttbar", "nominal", (file,), CROSS_SECTIONS_PB["ttbar"]),))
    assert result.histograms == run(fileset, Store.open(tmp_path / "other")).histograms


def test_workers_that_cannot_see_the_store_are_refused(events: Path) -> None:
    memory = Store.open("memory://unseen")
    (blob,) = put(memory, events)
    with pytest.raises(ClusterUnavailable, match="cluster kind 'iterative', or a store in a folder"):
        run(from_store((blob, 30_000)), memory, cluster=ClusterSettings(workers=1))


def test_an_input_of_the_store_is_read_only_for_what_is_not_kept(events: Path, store: Store, shared_data: Path) -> None:
    other = shared_data / "root/nanoAOD_2015_CMS_Open_Data_ttbar.root"
    with uproot.open(other) as file:
        entries = file["Events"].num_entries
    first, second = put(store, events, other)
    run(from_store((first, 30_000)), store)
    spoil(store, first)
    both = run(from_store((first, 30_000), (second, entries)), store)
    assert (both.accounting.cached, both.metrics.new_events) == (5, entries)


def test_a_damaged_input_of_the_store_is_no_failed_chunk(events: Path, store: Store) -> None:
    (blob,) = put(store, events)
    run(from_store((blob, 30_000)), store)
    spoil(store, blob)
    with pytest.raises(BlobDamaged) as caught:
        run(from_store((blob, 30_000)), store, code="other", allow_missing=1.0)
    assert caught.value.digest == blob.digest
    put(store, events)
    assert run(from_store((blob, 30_000)), store, code="other").accounting.complete


def test_an_input_of_the_store_is_found_and_verified_on_the_worker(
    events: Path, store: Store, scheduler: ClusterSettings
) -> None:
    (blob,) = put(store, events)
    assert run(from_store((blob, 30_000)), store, cluster=scheduler).accounting.done == 5
    spoil(store, blob)
    with pytest.raises(BlobDamaged) as caught:
        run(from_store((blob, 30_000)), store, cluster=scheduler, code="other", allow_missing=1.0)
    assert caught.value.digest == blob.digest


@pytest.mark.parametrize(
    ("path", "entries", "right"),
    [("blob:abc", 1, "blob:<SHA-256>:<size"), (f"blob:{'0' * 64}:1", None, "give the 'entries'")],
)
def test_a_name_that_does_not_lead_to_an_input_is_explained(
    store: Store, path: str, entries: int | None, right: str
) -> None:
    file = InputFile(path, 1, entries=entries, digest="abc")
    with pytest.raises(FilesetError, match=right):
        run(Fileset((Sample("ttbar", "nominal", (file,), 1.0),)), store)
