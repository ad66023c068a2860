"""What a user of a store on a full or closed disk goes through, run as a program of its own.

`python faulty_disk.py full ROOT SCRATCH` fills the disk under ROOT; `python faulty_disk.py closed ROOT` uses a store
that may only be read, and that `prepare` filled before. The last line of the output is a JSON summary.
"""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from artifacts.errors import ArtifactError, BlobDamaged, StoreFull
from artifacts.keys import Request
from artifacts.maintenance import collect_garbage, remove, verify
from artifacts.store import Store, blob_name

NOBODY = 65534


def request(n: int) -> Request:
    return Request("disk", 1, {"n": n})


def content(n: int) -> bytes:
    return bytes([n]) * (100_000 * (n + 1))


def prepare(root: Path) -> None:
    """Entry 0 is whole; entry 1 has a blob of the right size with other bytes."""
    store = Store.open(root)
    store.put(request(0), {"out": content(0)}, {})
    blob = store.put(request(1), {"out": content(1)}, {}).blobs["out"]
    store.backend.write(blob_name(blob.digest), content(1)[::-1].replace(b"\x01", b"\x02"))


def full(root: Path, scratch: Path) -> dict[str, object]:
    store, n = Store.open(root), 0
    output = scratch / "output"
    elsewhere = root.stat().st_dev != scratch.stat().st_dev
    while True:
        assert n < 200, "the disk never became full"
        if elsewhere and n % 2:
            output.write_bytes(content(n))
        try:
            store.put(request(n), {"out": output if elsewhere and n % 2 else content(n)}, {})
        except StoreFull as error:
            reason = error
            break
        n += 1
    assert store.get(request(n)) is None
    assert not elsewhere or output.exists()
    assert list((root / "tmp").iterdir()) == []
    assert verify(store).sound
    for k in range(n):
        entry = store.get(request(k))
        assert entry is not None
        assert store.read(entry.blobs["out"]) == content(k)
    removed = collect_garbage(store, max_size=0)
    assert len(removed.keys) == n
    small = store.put(request(0), {"out": content(0)}, {})
    assert store.read(small.blobs["out"]) == content(0)
    return {"kept": n, "errno": getattr(reason.__cause__, "errno", None), "says": str(reason)}


def closed(root: Path) -> dict[str, object]:
    if os.environ.get("DROP") and os.geteuid() == 0:  # permissions mean nothing to root
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    with suppress(OSError):
        (root / "write").write_bytes(b"")
        raise AssertionError("the folder can be written")
    store = Store.open(root)
    entry, damaged = store.get(request(0)), store.get(request(1))
    assert entry is not None
    assert damaged is not None
    assert store.read(entry.blobs["out"]) == content(0)
    assert store.local_path(entry.blobs["out"]).read_bytes() == content(0)
    for take in (store.read, store.local_path):
        try:
            take(damaged.blobs["out"])
        except BlobDamaged:
            continue
        raise AssertionError("a damaged blob was served")
    assert store.get(request(2)) is None
    said = {}
    actions = {
        "put": lambda: store.put(request(2), {"out": b"x"}, {}),
        "gc": lambda: collect_garbage(store, max_size=0),
        "rm": lambda: remove(store, entry.key),
    }
    for name, action in actions.items():
        try:
            action()
        except ArtifactError as error:
            said[name] = type(error).__name__
    assert len(verify(store).damaged) == 1
    return {"said": said, "entries": len(list(store.entries()))}


if __name__ == "__main__":
    summary = full(Path(sys.argv[2]), Path(sys.argv[3])) if sys.argv[1] == "full" else closed(Path(sys.argv[2]))
    sys.stdout.write(json.dumps(summary) + "\n")
