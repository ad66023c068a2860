"""One suite for the three kinds of store."""

import hashlib
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from artifacts.errors import ArtifactError, BlobDamaged, InvalidRequest, InvalidStoreURL
from artifacts.keys import Request, canonical_json
from artifacts.store import Blob, Store, blob_name, entry_name

REQUEST = Request("deliver", 1, {"query": "abc", "file": "ttbar.root"})
CONTENT = b"the bytes of a skim" * 1000


def test_what_was_put_is_got(store: Store) -> None:
    assert store.get(REQUEST) is None
    put = store.put(REQUEST, {"skim": CONTENT, "log": b""}, {"events": 7}, {"skim": "application/x-root"})
    got = store.get(REQUEST)
    assert got == put
    assert got == store.get(REQUEST.key)
    assert got is not None
    assert got.key == REQUEST.key
    assert (got.stage, got.version, got.request) == ("deliver", 1, {"query": "abc", "file": "ttbar.root"})
    assert got.meta == {"events": 7}
    assert got.size == len(CONTENT)
    assert got.blobs["skim"] == Blob(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "application/x-root")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(got.created)).total_seconds()) < 60
    assert store.read(got.blobs["skim"]) == CONTENT
    assert store.read(got.blobs["log"]) == b""
    assert store.local_path(got.blobs["skim"]).read_bytes() == CONTENT
    assert store.local_path(got.blobs["log"]).read_bytes() == b""


def test_another_request_is_a_miss(store: Store) -> None:
    store.put(REQUEST, {"skim": CONTENT}, {})
    assert store.get(Request("deliver", 2, REQUEST.parts)) is None


NO_FILE_NAMES = ["", ".", "..", "../up", "a/b", "/etc/passwd", "a/", "nul\0"]


@pytest.mark.parametrize("name", NO_FILE_NAMES)
def test_an_output_has_a_plain_file_name(folder_store: Store, name: str) -> None:
    with pytest.raises(InvalidRequest, match="file name without folder"):
        folder_store.put(REQUEST, {name: CONTENT}, {})
    assert folder_store.get(REQUEST) is None


@pytest.mark.parametrize("name", NO_FILE_NAMES)
def test_an_entry_that_somebody_made_to_lead_elsewhere_is_a_miss(folder_store: Store, name: str) -> None:
    entry = folder_store.put(REQUEST, {"skim": CONTENT}, {})
    document = entry.to_json()
    document["blobs"] = {name: {"digest": entry.blobs["skim"].digest, "size": len(CONTENT), "media_type": "x"}}
    rest = canonical_json(document)[1:]
    checksum = hashlib.sha256(rest.encode()).hexdigest()
    folder_store.backend.write(entry_name(entry.key), f'{{"checksum":"{checksum}",{rest}'.encode())
    assert folder_store.get(REQUEST) is None
    assert list(folder_store.put(REQUEST, {"skim": CONTENT}, {}).blobs) == ["skim"]


@pytest.mark.parametrize("content", [CONTENT, b""])
def test_a_file_is_kept(store: Store, tmp_path: Path, content: bytes) -> None:
    output = tmp_path / "scratch.root"
    output.write_bytes(content)
    entry = store.put(REQUEST, {"skim": output, "again": output}, {})
    assert entry.blobs["skim"].digest == hashlib.sha256(content).hexdigest()
    assert store.local_path(entry.blobs["skim"]).read_bytes() == content
    assert store.read(entry.blobs["again"]) == content


def test_a_large_file_is_kept_whole(store: Store, tmp_path: Path) -> None:
    output = tmp_path / "large"
    content = bytes(range(256)) * (12_000_000 // 256)  # several parts of an S3 upload
    output.write_bytes(content)
    entry = store.put(REQUEST, {"skim": output}, {})
    assert store.read(entry.blobs["skim"]) == content
    assert store.local_path(entry.blobs["skim"]).read_bytes() == content


def test_the_first_writer_wins(store: Store) -> None:
    first = store.put(REQUEST, {"skim": b"first"}, {"who": 1})
    second = store.put(REQUEST, {"skim": b"second"}, {"who": 2})
    assert second == first
    assert store.read(second.blobs["skim"]) == b"first"


def test_outputs_with_equal_bytes_share_a_blob(store: Store) -> None:
    entry = store.put(REQUEST, {"a": b"same", "b": b"same"}, {})
    other = store.put(Request("fit", 1, {}), {"c": b"same"}, {})
    assert entry.blobs["a"] == entry.blobs["b"] == other.blobs["c"]
    assert len(list(store.backend.items("blobs"))) == 1


def test_the_url_opens_the_same_store(store: Store) -> None:
    entry = store.put(REQUEST, {"skim": CONTENT}, {})
    assert Store.open(store.url).get(REQUEST) == entry
    assert pickle.loads(pickle.dumps(store)).get(REQUEST) == entry


def test_entries_come_in_the_order_of_keys(store: Store) -> None:
    assert list(store.entries()) == []
    put = [store.put(Request("fit", 1, {"n": n}), {"r": b"%d" % n}, {}) for n in range(5)]
    assert list(store.entries()) == sorted(put, key=lambda entry: entry.key)


def test_all_kinds_write_the_same_bytes(tmp_path: Path, s3_url: str) -> None:
    texts = set()
    for url in (str(tmp_path / "store"), "memory://same-bytes", s3_url):
        store = Store.open(url)
        entry = store.put(REQUEST, {"skim": CONTENT}, {"events": 7, "weight": 0.1})
        document = json.loads(store.backend.read(entry_name(entry.key)))
        assert datetime.fromisoformat(document.pop("created")).tzinfo is not None
        document.pop("checksum")
        names = sorted(item.name for part in ("entries", "blobs") for item in store.backend.items(part))
        texts.add(json.dumps([document, names]))
    assert len(texts) == 1


# -- damage: a miss, never an error, never a wrong answer ------------------------------------------------------


@pytest.mark.parametrize("damage", ["flip", "truncate", "extend", "empty"])
def test_a_damaged_blob_is_never_served(store: Store, damage: str) -> None:
    blob = store.put(REQUEST, {"skim": CONTENT}, {}).blobs["skim"]
    damaged = {
        "flip": CONTENT[:77] + bytes([CONTENT[77] ^ 4]) + CONTENT[78:],
        "truncate": CONTENT[:-1],
        "extend": CONTENT + b"x",
        "empty": b"",
    }[damage]
    store.backend.write(blob_name(blob.digest), damaged)
    with pytest.raises(BlobDamaged, match=blob.digest[:12]) as caught:
        store.read(blob)
    assert caught.value.digest == blob.digest
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert store.get(REQUEST) is None
    mended = store.put(REQUEST, {"skim": CONTENT}, {})
    assert store.read(mended.blobs["skim"]) == CONTENT
    assert store.get(REQUEST) == mended


def test_a_damaged_blob_gives_no_local_path(store: Store) -> None:
    blob = store.put(REQUEST, {"skim": CONTENT}, {}).blobs["skim"]
    store.backend.write(blob_name(blob.digest), CONTENT[::-1])
    with pytest.raises(BlobDamaged):
        store.local_path(blob)
    assert store.get(REQUEST) is None


def test_a_blob_of_the_wrong_size_is_a_miss_at_once_and_mended_by_put(store: Store) -> None:
    blob = store.put(REQUEST, {"skim": CONTENT}, {}).blobs["skim"]
    store.backend.write(blob_name(blob.digest), CONTENT[:100])
    assert store.get(REQUEST) is None
    mended = store.put(REQUEST, {"skim": CONTENT}, {})
    assert store.read(mended.blobs["skim"]) == CONTENT


def test_a_blob_gone_is_a_miss(store: Store) -> None:
    blob = store.put(REQUEST, {"skim": CONTENT}, {}).blobs["skim"]
    store.backend.delete(blob_name(blob.digest))
    assert store.get(REQUEST) is None
    for take in (store.read, store.local_path):
        with pytest.raises(BlobDamaged, match="is gone"):
            take(blob)


def test_every_bit_flip_and_every_truncation_of_an_entry_is_a_miss(folder_store: Store) -> None:
    entry = folder_store.put(REQUEST, {"skim": b"x"}, {"events": 10})
    name = entry_name(entry.key)
    whole = folder_store.backend.read(name)
    path = folder_store.backend.file(name)
    assert path is not None
    for place in range(len(whole)):
        path.chmod(0o644)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        assert folder_store.get(REQUEST) is None, place
        path.write_bytes(whole[:place])
        assert folder_store.get(REQUEST) is None, place
    path.write_bytes(whole)
    assert folder_store.get(REQUEST) == entry


def test_a_damaged_entry_is_mended_by_put(store: Store) -> None:
    name = entry_name(store.put(REQUEST, {"skim": CONTENT}, {"events": 1}).key)
    store.backend.write(name, store.backend.read(name).replace(b'"events":1', b'"events":9'))
    assert store.get(REQUEST) is None
    assert list(store.entries()) == []
    mended = store.put(REQUEST, {"skim": CONTENT}, {"events": 1})
    assert mended.meta == {"events": 1}
    assert store.get(REQUEST) == mended


def test_an_entry_under_another_key_is_a_miss(store: Store) -> None:
    entry = store.put(REQUEST, {"skim": CONTENT}, {})
    other = Request("deliver", 1, {"query": "other"})
    store.backend.write(entry_name(other.key), store.backend.read(entry_name(entry.key)))
    assert store.get(other) is None


# -- several writers -------------------------------------------------------------------------------------------


def test_threads_that_put_one_key_at_once_agree_on_one_result(store: Store) -> None:
    count, results = 8, []
    barrier = threading.Barrier(count)

    def put(number: int) -> None:
        barrier.wait()
        results.append(store.put(REQUEST, {"skim": b"result of %d" % number}, {"writer": number}))

    threads = [threading.Thread(target=put, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = store.get(REQUEST)
    assert kept is not None
    assert results == [kept] * count
    assert store.read(kept.blobs["skim"]) == b"result of %d" % kept.meta["writer"]


def put_many(url: str, writer: int, count: int, barrier: threading.Barrier) -> list[str]:
    store = Store.open(url)
    barrier.wait()
    entries = [
        store.put(Request("race", 1, {"n": n}), {"r": b"%d of writer %d" % (n, writer)}, {"writer": writer})
        for n in range(count)
    ]
    return [entry.blobs["r"].digest for entry in entries]


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_processes_that_put_the_same_keys_at_once_agree(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = str(tmp_path / "store") if kind == "folder" else str(request.getfixturevalue("s3_url"))
    context = multiprocessing.get_context("spawn")
    count = 60
    with context.Manager() as shared, context.Pool(2) as pool:
        barrier = shared.Barrier(2)
        told = pool.starmap(put_many, [(url, writer, count, barrier) for writer in range(2)])
        pool.close()
        pool.join()
    assert told[0] == told[1]
    store = Store.open(url)
    winners = []
    for n in range(count):
        entry = store.get(Request("race", 1, {"n": n}))
        assert entry is not None
        assert entry.blobs["r"].digest == told[0][n]
        assert store.read(entry.blobs["r"]) == b"%d of writer %d" % (n, entry.meta["writer"])
        winners.append(entry.meta["writer"])
    assert len(winners) == count


# -- the folder's own promises ---------------------------------------------------------------------------------


def test_a_folder_takes_a_file_over_without_copying(folder_store: Store, tmp_path: Path) -> None:
    output = tmp_path / "skim.root"
    output.write_bytes(CONTENT)
    inode = output.stat().st_ino
    path = folder_store.local_path(folder_store.put(REQUEST, {"skim": output}, {}).blobs["skim"])
    assert path.stat().st_ino == inode
    assert path.stat().st_nlink == 1
    assert path.stat().st_mode & 0o222 == 0
    assert not output.exists()


def test_a_folder_copies_what_has_other_names(folder_store: Store, tmp_path: Path) -> None:
    for kind in ("hardlink_to", "symlink_to"):
        original, other = tmp_path / f"{kind}.root", tmp_path / kind
        original.write_bytes(CONTENT + kind.encode())
        getattr(other, kind)(original)
        entry = folder_store.put(Request(kind, 1, {}), {"skim": other}, {})
        original.write_bytes(b"the user goes on writing to the file")
        assert folder_store.read(entry.blobs["skim"]) == CONTENT + kind.encode()


def test_a_folder_has_the_documented_layout(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    entry = store.put(REQUEST, {"skim": CONTENT}, {})
    digest = entry.blobs["skim"].digest
    files = {str(p.relative_to(tmp_path / "store")) for p in (tmp_path / "store").rglob("*") if p.is_file()}
    assert files - {"lock"} == {f"entries/{entry.key[:2]}/{entry.key}.json", f"blobs/{digest[:2]}/{digest}"}
    assert store.local_path(entry.blobs["skim"]) == tmp_path / "store" / "blobs" / digest[:2] / digest


def test_file_urls_and_paths_name_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Store.open(f"file://{tmp_path}/a%20store").put(REQUEST, {"skim": CONTENT}, {})
    assert Store.open(tmp_path / "a store").get(REQUEST) == entry
    monkeypatch.chdir(tmp_path)
    relative = Store.open("a store")
    monkeypatch.chdir("/")
    assert relative.get(REQUEST) == entry
    assert relative.url == str(tmp_path / "a store")


# -- wrong use -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://example.org/x", "s3://", "s3:///prefix", "file://host/path", "memori://x"])
def test_a_url_that_is_no_store_is_refused(url: str) -> None:
    with pytest.raises(InvalidStoreURL, match="write "):
        Store.open(url)


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InvalidStoreURL, match="is a file"):
        Store.open(tmp_path / "file")


@pytest.mark.parametrize("key", ["", "abc", "../" * 21 + "x", "A" * 64, "0" * 65])
def test_what_is_no_key_is_refused(store: Store, key: str) -> None:
    with pytest.raises(InvalidRequest, match="64 hexadecimal digits"):
        store.get(key)


def test_an_output_that_is_no_file_is_refused(store: Store, tmp_path: Path) -> None:
    for output in (tmp_path / "absent", tmp_path):
        with pytest.raises(ArtifactError, match=str(output)):
            store.put(REQUEST, {"skim": output}, {})
    assert store.get(REQUEST) is None


def test_meta_that_is_no_json_is_refused(store: Store) -> None:
    with pytest.raises(InvalidRequest, match=r"\$\.meta\.x is nan"):
        store.put(REQUEST, {"skim": b""}, {"x": float("nan")})
    assert store.get(REQUEST) is None


def test_importing_the_store_is_light() -> None:
    code = "import sys, artifacts.store; print([m for m in ('obstore', 'asyncio', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.strip() == "[]"
