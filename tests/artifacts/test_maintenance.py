import os
import stat
import tempfile
import time
from pathlib import Path

import pytest

from artifacts import copies, folder, objects
from artifacts.entry import Blob, Entry
from artifacts.errors import ArtifactError, UnknownKey
from artifacts.keys import Request
from artifacts.maintenance import Kept, collect_garbage, find, remove, survey, to_remove, verify
from artifacts.store import Store, blob_name, entry_name

HOUR = 3600.0


def put(store: Store, n: int, **outputs: bytes) -> Entry:
    return store.put(Request("fit", 1, {"n": n}), outputs or {"out": b"result %d" % n}, {})


def age(store: Store, name: str, seconds: float) -> None:
    """Make an object of a folder look as if it had been used that long ago."""
    path = store.backend.file(name)
    assert path is not None
    then = time.time() - seconds
    os.utime(path, (then, then))


# -- verify ----------------------------------------------------------------------------------------------------


def test_a_sound_store(store: Store) -> None:
    for n in range(3):
        put(store, n)
    found = verify(store)
    assert found.sound
    assert (found.entries, found.blobs, found.size) == (3, 3, 3 * len(b"result 0"))
    assert (found.damaged, found.missing, found.orphaned, found.unreadable) == ((), (), (), ())


def test_verify_names_every_fault_and_changes_nothing(store: Store) -> None:
    fine, flipped, gone, broken = (put(store, n) for n in range(4))
    damaged = flipped.blobs["out"].digest
    store.backend.write(blob_name(damaged), b"Result 1")
    store.backend.delete(blob_name(gone.blobs["out"].digest))
    store.backend.write(entry_name(broken.key), b"{}")
    for _ in range(2):
        found = verify(store)
        assert not found.sound
        assert found.damaged == (damaged,)
        assert [(lack.key, lack.output) for lack in found.missing] == [(gone.key, "out")]
        assert found.unreadable == (broken.key,)
        assert found.orphaned == (broken.blobs["out"].digest,)
    assert store.get(fine.key) == fine


# -- remove ----------------------------------------------------------------------------------------------------


def test_removing_takes_the_entry_and_the_blobs_that_it_alone_names(store: Store) -> None:
    first = put(store, 1, own=b"mine", shared=b"ours")
    second = put(store, 2, shared=b"ours")
    removed = remove(store, first.key[:12])
    assert removed.keys == (first.key,)
    assert store.get(first.key) is None
    assert store.get(second.key) == second
    assert store.read(second.blobs["shared"]) == b"ours"
    if store.url.startswith("s3://"):  # a bucket keeps young blobs: a writer may be about to name them
        assert removed.blobs == 0
    else:
        assert (removed.blobs, removed.size) == (1, 4)
        assert verify(store).orphaned == ()


def test_a_prefix_must_name_one_entry(folder_store: Store) -> None:
    with pytest.raises(UnknownKey, match="no entries"):
        find(folder_store, "ab")
    entries = [put(folder_store, n) for n in range(20)]
    assert find(folder_store, entries[3].key[:20]) == entries[3]
    with pytest.raises(UnknownKey, match="20 entries"):
        remove(folder_store, "")
    wrong = entries[3].key[:10] + "x"
    with pytest.raises(UnknownKey, match=f"the nearest is {entries[3].key[:12]}"):
        find(folder_store, wrong)
    folder_store.backend.write(entry_name(entries[3].key), b"?")
    with pytest.raises(UnknownKey, match="damaged"):
        find(folder_store, entries[3].key)


# -- garbage ---------------------------------------------------------------------------------------------------


def kept(name: str, used: float, **sizes: int) -> Kept:
    blobs = {digest: Blob(digest, size, "x/y") for digest, size in sizes.items()}
    return Kept(Entry(name, "s", 1, {}, "", blobs, {}), used)


def test_the_least_recently_used_go_first() -> None:
    entries = [kept("new", 90.0, a=10), kept("old", 10.0, b=10), kept("middle", 50.0, c=10)]

    def gone(max_size: int | None, max_age: float | None) -> list[str]:
        return [entry.key for entry in to_remove(entries, max_size, max_age, now=100.0)]

    assert gone(None, None) == []
    assert gone(30, None) == []
    assert gone(29, None) == ["old"]
    assert gone(10, None) == ["old", "middle"]
    assert gone(0, None) == ["old", "middle", "new"]
    assert gone(None, 50.0) == ["old"]
    assert gone(None, 49.0) == ["old", "middle"]
    assert gone(10, 89.0) == ["old", "middle"]


def test_a_shared_blob_takes_room_once_and_until_its_last_entry_goes() -> None:
    entries = [kept("old", 1.0, shared=100, a=1), kept("new", 2.0, shared=100, b=1)]
    assert to_remove(entries, 102, None, now=3.0) == []
    assert [entry.key for entry in to_remove(entries, 101, None, now=3.0)] == ["old"]
    assert [entry.key for entry in to_remove(entries, 100, None, now=3.0)] == ["old", "new"]


def test_collecting_brings_a_folder_to_its_size_and_age(folder_store: Store) -> None:
    entries = [put(folder_store, n, out=bytes([n]) * 1000) for n in range(5)]
    for n, entry in enumerate(entries):
        age(folder_store, entry_name(entry.key), (n + 2) * HOUR)
    folder_store.get(entries[4].key)  # used now, so the last to go
    removed = collect_garbage(folder_store, max_size=3000)
    assert set(removed.keys) == {entries[3].key, entries[2].key}
    assert (removed.blobs, removed.size) == (2, 2000)
    assert {one.entry.key for one in survey(folder_store)} == {entries[n].key for n in (0, 1, 4)}
    assert survey(folder_store)[0].entry == entries[4]
    assert set(collect_garbage(folder_store, max_age=2.5 * HOUR).keys) == {entries[1].key}
    assert collect_garbage(folder_store).keys == ()
    assert verify(folder_store).sound


def test_everything_may_go(store: Store) -> None:
    for n in range(3):
        put(store, n)
    assert len(collect_garbage(store, max_size=0, grace=-5.0).keys) == 3
    assert [list(store.backend.items(part)) for part in ("entries", "blobs")] == [[], []]


def test_what_cannot_be_served_goes_always(store: Store) -> None:
    fine, gone, broken = (put(store, n) for n in range(3))
    store.backend.delete(blob_name(gone.blobs["out"].digest))
    store.backend.write(entry_name(broken.key), b"not an entry")
    removed = collect_garbage(store)
    assert set(removed.keys) == {gone.key, broken.key}
    assert list(store.entries()) == [fine]


def test_orphans_and_temporaries_go_when_they_are_old(folder_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = put(folder_store, 1)
    orphan = "0" * 64
    folder_store.backend.write(blob_name(orphan), b"orphan")
    left = Path(folder_store.url) / "tmp" / "123-abc.part"
    left.write_bytes(b"half")
    stranger = Path(folder_store.url) / "blobs" / "00" / "notes.txt"
    stranger.write_text("not the store's")
    removed = collect_garbage(folder_store)
    assert (removed.keys, removed.blobs, removed.temporaries) == ((), 0, 0)
    assert left.exists()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 2 * HOUR)
    removed = collect_garbage(folder_store)
    assert (removed.keys, removed.blobs, removed.size, removed.temporaries) == ((), 1, 6, 1)
    assert not left.exists()
    assert stranger.exists()
    assert folder_store.read(entry.blobs["out"]) == b"result 1"


def test_a_bucket_keeps_young_blobs_until_a_later_collection(s3_url: str) -> None:
    store = Store.open(s3_url)
    put(store, 1)
    removed = collect_garbage(store, max_size=0)
    assert (len(removed.keys), removed.blobs) == (1, 0)
    assert collect_garbage(store, grace=-5.0).blobs == 1


# -- time of use -----------------------------------------------------------------------------------------------


def test_a_get_counts_as_use(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = put(store, 1)
    before = survey(store)[0].used
    for module in (folder, objects):
        monkeypatch.setattr(module, "USED_RESOLUTION", -1.0)
    time.sleep(1.1)  # the clock of S3 ticks in seconds
    assert store.get(entry.key) == entry
    after = survey(store)[0].used
    assert after >= before + 1
    assert store.get(entry.key) == entry


def test_use_is_noted_at_most_once_an_hour(folder_store: Store) -> None:
    entry = put(folder_store, 1)
    name = entry_name(entry.key)
    age(folder_store, name, 0.9 * HOUR)
    before = survey(folder_store)[0].used
    folder_store.get(entry.key)
    assert survey(folder_store)[0].used == before
    age(folder_store, name, 1.1 * HOUR)
    folder_store.get(entry.key)
    assert survey(folder_store)[0].used > before


@pytest.fixture
def fallback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where copies go if the user's cache is closed."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"skimflow-copies-{os.getuid()}"


def test_copies_in_the_temporary_folder_are_the_users_alone(fallback: Path) -> None:
    store = Store.open("memory://fallback")
    path = store.local_path(put(store, 1).blobs["out"])
    assert fallback in path.parents
    assert stat.S_IMODE(fallback.stat().st_mode) == 0o700
    assert store.local_path(put(store, 1).blobs["out"]) == path


@pytest.mark.parametrize("trap", ["another's", "link", "open", "file"])
def test_a_folder_of_somebody_else_takes_no_copies(
    fallback: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trap: str
) -> None:
    if trap == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        fallback.symlink_to(tmp_path / "elsewhere")
    elif trap == "file":
        fallback.write_text("no folder")
    else:
        fallback.mkdir()
        fallback.chmod(0o777 if trap == "open" else 0o700)
    if trap == "another's":
        user = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    store = Store.open("memory://traps")
    blob = put(store, 1).blobs["out"]
    with pytest.raises(ArtifactError, match=r"XDG_CACHE_HOME|cannot be written"):
        store.local_path(blob)


def test_local_copies_are_verified_and_do_not_pile_up(user_cache: Path) -> None:
    store = Store.open("memory://copies")
    blob = put(store, 1).blobs["out"]
    path = store.local_path(blob)
    assert user_cache in path.parents
    path.chmod(0o644)
    path.write_bytes(b"Result 1")
    assert store.local_path(blob).read_bytes() == b"result 1"
    then = time.time() - copies.LIFETIME - 60
    os.utime(path, (then, then))
    copies._opened.cache_clear()
    store.local_path(blob)  # the copy is gone, and made again
    assert path.stat().st_mtime > then
    os.utime(path, (then, then))
    store.local_path(blob)  # in use
    assert path.stat().st_mtime > then
    os.utime(path, (then, then))
    copies._opened.cache_clear()
    other = store.local_path(put(store, 2).blobs["out"])
    assert other.exists()
    assert not path.exists()
