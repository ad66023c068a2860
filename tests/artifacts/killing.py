"""Writers that die in the middle of a put, run as a program of its own so that forking is safe.

`python killing.py boundaries ROOT` kills one writer before every file-system call of a put;
`python killing.py moments ROOT KILLS SEED` kills writers at random moments. After each death the store is checked
from the outside. The last line of the output is a JSON summary.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from artifacts.keys import Request
from artifacts.maintenance import verify
from artifacts.store import Store

EVENTS = ("open", "os.", "fcntl.", "shutil.")


def content(n: int) -> bytes:
    """What the result of request n is, known without the store."""
    return random.Random(n).randbytes(1 + n * 7919 % 400_000)


def request(n: int) -> Request:
    return Request("killed", 1, {"n": n})


def write(store: Store, scratch: Path, n: int) -> None:
    scratch.mkdir(exist_ok=True)
    output = scratch / f"{n}-{os.getpid()}.out"
    output.write_bytes(content(n))
    store.put(request(n), {"file": output, "text": b"text of %d" % n}, {"n": n})


def check(store: Store, upto: int) -> int:
    """Every visible entry is whole and right; how many of the first requests are there."""
    found = verify(store)
    assert found.sound, found
    seen = 0
    for n in range(upto):
        entry = store.get(request(n))
        if entry is not None:
            seen += 1
            assert entry.meta == {"n": n}
            assert store.read(entry.blobs["file"]) == content(n)
            assert store.read(entry.blobs["text"]) == b"text of %d" % n
    assert seen == found.entries
    return seen


def die_before(number: int) -> None:
    """Kill this process before its file-system call of that number."""
    left = [number]

    def count(event: str, args: object) -> None:
        if event.startswith(EVENTS):
            if left[0] == 0:
                signal.raise_signal(signal.SIGKILL)  # which is no event itself
            left[0] -= 1

    sys.addaudithook(count)


def ended_by_kill(pid: int) -> bool:
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def boundaries(root: Path) -> dict[str, int]:
    killed, published = 0, 0
    while True:
        store = Store.open(root / f"store-{killed}")
        scratch = root / "scratch"
        scratch.mkdir(exist_ok=True)
        pid = os.fork()
        if pid == 0:
            die_before(killed)
            write(store, scratch, 3)
            os._exit(0)
        if not ended_by_kill(pid):
            assert check(store, 4) == 1
            return {"killed": killed, "published": published}
        killed += 1
        published += check(store, 4)
        write(store, scratch, 3)  # the next run mends whatever is left
        assert check(store, 4) == 1


def moments(root: Path, kills: int, seed: int) -> dict[str, int]:
    store, scratch, chance = Store.open(root / "store"), root / "scratch", random.Random(seed)
    killed, begin = 0, 0
    while killed < kills:
        pid = os.fork()
        if pid == 0:
            for n in range(begin, begin + 1000):
                write(store, scratch, n)
            os._exit(0)
        time.sleep(chance.uniform(0.0, 0.03))
        os.kill(pid, signal.SIGKILL)
        killed += ended_by_kill(pid)
        while store.get(request(begin)) is not None:
            begin += 1
        check(store, begin + 1)
    return {"killed": killed, "published": check(store, begin + 1)}


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    done = boundaries(folder) if sys.argv[1] == "boundaries" else moments(folder, *map(int, sys.argv[3:5]))
    sys.stdout.write(json.dumps(done) + "\n")
