"""Look after a store: survey it, verify it, remove from it, keep it within a size and an age."""

import time
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass

from artifacts.backend import Item
from artifacts.entry import Entry
from artifacts.errors import UnknownKey
from artifacts.store import Store, blob_name, entry_name, key_of

GRACE = 3600.0
"""Seconds during which a blob without an entry, or a half-written file, may belong to a writer at work."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry and when it was last used (seconds since 1970, exact to an hour)."""

    entry: Entry
    used: float


@dataclass(frozen=True, slots=True)
class Lack:
    """An entry's output whose blob is gone."""

    key: str
    output: str
    digest: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found.

    `entries` and `blobs` count what was looked at, `size` the blobs' bytes. `damaged` are digests whose bytes
    are others, `missing` the outputs without a blob, `orphaned` the digests that no entry names (perhaps of a
    writer at work), `unreadable` the keys whose entry is damaged.
    """

    entries: int
    blobs: int
    size: int
    damaged: tuple[str, ...]
    missing: tuple[Lack, ...]
    orphaned: tuple[str, ...]
    unreadable: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether every entry can be served. Orphans take room and do no harm."""
        return not (self.damaged or self.missing or self.unreadable)


@dataclass(frozen=True, slots=True)
class Removal:
    """What was removed: entries by key, the number of blobs and half-written files, the blobs' bytes."""

    keys: tuple[str, ...]
    blobs: int
    size: int
    temporaries: int


def survey(store: Store) -> list[Kept]:
    """Every readable entry with its time of last use, the most recent first."""
    return _survey(store)[0]


def find(store: Store, prefix: str) -> Entry:
    """The one entry whose key begins with `prefix`. Raises `UnknownKey` if there is none or more than one."""
    keys = sorted(key_of(item.name) for item in store.backend.items("entries"))
    found = [key for key in keys if key.startswith(prefix)]
    if not found:
        near = max(keys, key=lambda key: _common(key, prefix), default=None)
        hint = f"; the nearest is {near[:12]}" if near else ", the store has no entries"
        raise UnknownKey(f"no entry of {store.url} begins with {prefix!r}{hint}")
    if len(found) > 1:
        some = ", ".join(key[:12] for key in found[:3])
        raise UnknownKey(f"{len(found)} entries of {store.url} begin with {prefix!r} ({some}); give more digits")
    entry = store.load(found[0])
    if entry is None:
        raise UnknownKey(f"the entry {found[0][:12]} of {store.url} is damaged; `skimflow cache gc` removes it")
    return entry


def verify(store: Store) -> Verification:
    """Compare every blob with its digest. Changes nothing: damage is mended when it is met in use."""
    blobs = {key_of(item.name): item for item in store.backend.items("blobs")}
    kept, unreadable = _survey(store)
    sound = {digest for digest in blobs if store.measure(digest) is not None}
    missing = [
        Lack(key=one.entry.key, output=output, digest=blob.digest)
        for one in kept
        for output, blob in one.entry.blobs.items()
        if blob.digest not in blobs
    ]
    return Verification(
        entries=len(kept),
        blobs=len(blobs),
        size=sum(item.size for item in blobs.values()),
        damaged=tuple(sorted(digest for digest in blobs.keys() - sound if _is_there(store, digest))),
        missing=tuple(sorted(missing, key=lambda lack: (lack.key, lack.output))),
        orphaned=tuple(sorted(blobs.keys() - _references(one.entry for one in kept).keys())),
        unreadable=tuple(sorted(unreadable)),
    )


def remove(store: Store, prefix: str) -> Removal:
    """Remove the one entry whose key begins with `prefix`, and the blobs that no other entry names.

    Raises `UnknownKey`.
    """
    entry = find(store, prefix)
    with store.backend.guard(exclusive=True) as alone:
        return _evict(store, [entry], before=time.time() - (0.0 if alone else GRACE))


def collect_garbage(
    store: Store,
    max_size: int | None = None,
    max_age: float | None = None,
    grace: float = GRACE,
    keep: Container[str] = (),
) -> Removal:
    """Bring the store to at most `max_size` bytes and to entries used within `max_age` seconds.

    Entries whose keys are in `keep` stay, whatever size and age say. The least recently used go first. Entries that
    cannot be served go always, and so do blobs that no entry names and files that a killed writer left, once they are
    older than `grace` seconds. A blob that an entry names is never removed. Writers may be at work: in a folder they
    are kept waiting; in a bucket, the blobs of removed entries are left for a later collection while they are younger
    than `grace`.
    """
    with store.backend.guard(exclusive=True) as alone:
        now = time.time()
        kept, unreadable = _survey(store)
        broken = [one.entry for one in kept if not store.is_whole(one.entry)]
        gone = {entry.key for entry in broken}
        whole = [one for one in kept if one.entry.key not in gone]
        for key in unreadable:
            store.backend.delete(entry_name(key))
        removed = _evict(
            store, broken + to_remove(whole, max_size, max_age, now, keep), before=now if alone else now - grace
        )
        orphans, freed = _remove_orphans(store, before=now - grace)
        temporaries = store.backend.sweep(now - grace)
    keys = tuple(sorted({*removed.keys, *unreadable}))
    return Removal(keys, removed.blobs + orphans, removed.size + freed, temporaries)


def to_remove(
    kept: Iterable[Kept], max_size: int | None, max_age: float | None, now: float, keep: Container[str] = ()
) -> list[Entry]:
    """The entries that must go so that the others keep within the age (seconds) and the size (bytes) allowed.

    Those whose keys are in `keep` stay, and take room.
    A blob that several entries name takes room once, and until the last of them goes.
    """
    oldest_first = sorted(kept, key=lambda one: (one.used, one.entry.key))
    references = _references(one.entry for one in oldest_first)
    sizes = {blob.digest: blob.size for one in oldest_first for blob in one.entry.blobs.values()}
    size = sum(sizes.values())
    gone = []
    for one in oldest_first:
        too_old = max_age is not None and now - one.used > max_age
        too_much = max_size is not None and size > max_size
        if (too_old or too_much) and one.entry.key not in keep:
            gone.append(one.entry)
            for digest in _digests(one.entry):
                references[digest] -= 1
                if not references[digest]:
                    size -= sizes[digest]
    return gone


def _survey(store: Store) -> tuple[list[Kept], list[str]]:
    """The readable entries, the most recently used first, and the keys of the others."""
    kept, unreadable = [], []
    for item in store.backend.items("entries"):
        entry = store.load(key_of(item.name))
        if entry is not None:
            kept.append(Kept(entry, item.modified))
        elif store.backend.stat(item.name) is not None:
            unreadable.append(key_of(item.name))
    return sorted(kept, key=lambda one: (-one.used, one.entry.key)), unreadable


def _evict(store: Store, entries: list[Entry], before: float) -> Removal:
    """Remove entries, then those of their blobs that no entry names any more and that nobody wrote since."""
    for entry in entries:
        store.backend.delete(entry_name(entry.key))
    candidates = {digest for entry in entries for digest in _digests(entry)}
    items = [item for digest in candidates if (item := store.backend.stat(blob_name(digest))) is not None]
    blobs, size = _remove_unnamed(store, items, before)
    return Removal(tuple(sorted(entry.key for entry in entries)), blobs, size, temporaries=0)


def _remove_orphans(store: Store, before: float) -> tuple[int, int]:
    return _remove_unnamed(store, store.backend.items("blobs"), before)


def _remove_unnamed(store: Store, items: Iterable[Item], before: float) -> tuple[int, int]:
    """Remove the blobs that no entry names and that were last written before; their number and bytes."""
    found = [item for item in items if item.modified <= before]
    named = _references(store.entries()) if found else Counter()
    unnamed = [item for item in found if key_of(item.name) not in named]
    for item in unnamed:
        store.backend.delete(item.name)
    return len(unnamed), sum(item.size for item in unnamed)


def _references(entries: Iterable[Entry]) -> Counter[str]:
    """How many entries name each blob."""
    return Counter(digest for entry in entries for digest in _digests(entry))


def _digests(entry: Entry) -> set[str]:
    return {blob.digest for blob in entry.blobs.values()}


def _is_there(store: Store, digest: str) -> bool:
    return store.backend.stat(blob_name(digest)) is not None


def _common(key: str, prefix: str) -> int:
    """How many leading characters two texts share."""
    return next((place for place, (a, b) in enumerate(zip(key, prefix, strict=False)) if a != b), len(prefix))
