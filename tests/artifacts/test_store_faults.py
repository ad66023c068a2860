"""Deaths of writers, full disks, closed folders, services that refuse: never a wrong result, always a plain reason."""

import errno
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from artifacts.errors import BlobDamaged, StoreFull, StoreNotWritable, StoreUnavailable, cannot_write
from artifacts.folder import FolderBackend
from artifacts.keys import Request
from artifacts.maintenance import collect_garbage, verify
from artifacts.store import Store

HERE = Path(__file__).parent
REQUEST = Request("fault", 1, {})
KILLS = 40
NO_MOUNT = "this machine lets nobody mount; the variant beside this one needs no mount"


def program(name: str, *args: str | Path, wrap: list[str] | None = None, **options: Any) -> dict[str, Any]:
    """Run a program of this folder; its summary, or its own complaint as this test's."""
    command = [*(wrap or []), sys.executable, str(HERE / name), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parents[1], **options)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def in_own_mounts(script: str) -> list[str]:
    """A prefix that runs a command where `script` has mounted something that nobody else sees."""
    wrap = ["unshare", "--map-root-user", "--mount", "sh", "-c", f'{script} && exec "$@"', "sh"]
    if shutil.which("unshare") is None or subprocess.run([*wrap, "true"], capture_output=True, check=False).returncode:
        pytest.skip(NO_MOUNT)
    return wrap


# -- death -----------------------------------------------------------------------------------------------------


def test_killed_before_any_file_system_call_of_a_put(tmp_path: Path) -> None:
    summary = program("killing.py", "boundaries", tmp_path)
    assert summary["killed"] >= 20  # every boundary of the put, whatever their number
    assert summary["published"] >= 1  # the last ones come after the entry's link


def test_killed_at_random_moments(tmp_path: Path) -> None:
    summary = program("killing.py", "moments", tmp_path, str(KILLS), "20151")
    assert summary["killed"] == KILLS
    assert summary["published"] > 0
    store = Store.open(tmp_path / "store")
    collect_garbage(store, grace=0.0)
    after = verify(store)
    assert after.sound
    assert after.orphaned == ()
    assert after.entries == summary["published"]
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


def test_collecting_never_takes_the_blobs_of_a_writer_at_work(tmp_path: Path) -> None:
    """With no grace at all, only the lock stands between a new blob and its collector."""
    code = (
        "import sys; from artifacts.store import Store; from artifacts.keys import Request\n"
        "store = Store.open(sys.argv[1])\n"
        "for n in range(60):\n"
        "    store.put(Request('gc', 1, {'n': n}), {str(k): b'%d of %d' % (k, n) for k in range(5)}, {})"
    )
    store = Store.open(tmp_path / "store")
    writer = subprocess.Popen([sys.executable, "-c", code, store.url], cwd=HERE.parents[1])
    collections = 0
    while writer.poll() is None:
        removed = collect_garbage(store, grace=0.0)
        collections += 1
        assert removed.keys == ()
        assert removed.blobs == 0
        time.sleep(0.002)  # locks are not fair: let the writer have its turn
    assert writer.returncode == 0
    assert collections > 1
    assert verify(store).entries == 60
    assert verify(store).sound


# -- full disk -------------------------------------------------------------------------------------------------


def test_a_disk_that_becomes_full(tmp_path: Path) -> None:
    root, scratch = tmp_path / "disk", tmp_path / "scratch"
    root.mkdir()
    scratch.mkdir()
    wrap = in_own_mounts(f"mount -t tmpfs -o size=4m none '{root}'")
    summary = program("faulty_disk.py", "full", root, scratch, wrap=wrap)
    assert summary["errno"] == errno.ENOSPC
    assert summary["kept"] > 2
    assert "cache gc --max-size" in summary["says"]


def test_a_file_size_limit_is_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (550_000, 550_000))

    summary = program("faulty_disk.py", "full", tmp_path / "disk", tmp_path, preexec_fn=limit)
    assert summary["errno"] == errno.EFBIG
    assert summary["kept"] == 5


# -- closed folder ---------------------------------------------------------------------------------------------


@pytest.fixture
def prepared() -> Iterator[Path]:
    """A filled store that everyone may look into (pytest's own folders are closed to other users)."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        code = f"import sys; sys.path.insert(0, {str(HERE)!r}); import faulty_disk as f; f.prepare(f.Path(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", code, folder], check=True, cwd=HERE.parents[1])
        folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
        for path in folders:
            path.chmod(0o555)
        (root / "lock").chmod(0o444)
        yield root
        for path in folders:
            path.chmod(0o755)


def test_a_folder_without_the_right_to_write(prepared: Path) -> None:
    summary = program("faulty_disk.py", "closed", prepared, env={**os.environ, "DROP": "1"})
    assert summary["said"] == dict.fromkeys(["put", "gc", "rm"], "StoreNotWritable")
    assert summary["entries"] == 2


def test_a_read_only_file_system(prepared: Path) -> None:
    wrap = in_own_mounts(f"mount --bind '{prepared}' '{prepared}' && mount -o remount,bind,ro '{prepared}'")
    summary = program("faulty_disk.py", "closed", prepared, wrap=wrap)
    assert summary["said"] == dict.fromkeys(["put", "gc", "rm"], "StoreNotWritable")
    assert summary["entries"] == 2


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EROFS, StoreNotWritable),
        (errno.EIO, StoreUnavailable),
    ],
)
def test_each_cause_has_its_error_and_says_what_to_do(number: int, kind: type[Exception]) -> None:
    error = cannot_write(OSError(number, os.strerror(number), "/disk/file"), "/disk")
    assert type(error) is kind
    assert os.strerror(number) in str(error)
    assert "/disk" in str(error)
    assert "\n" not in str(error)


def test_a_folder_where_the_entry_should_be_is_a_miss(folder_store: Store) -> None:
    path = folder_store.backend.file(f"entries/{REQUEST.key[:2]}/{REQUEST.key}.json")
    assert path is not None
    path.mkdir(parents=True)
    assert folder_store.get(REQUEST) is None
    blob = folder_store.put(Request("other", 1, {}), {"a": b"x"}, {}).blobs["a"]
    there = folder_store.backend.file(f"blobs/{blob.digest[:2]}/{blob.digest}")
    assert there is not None
    there.unlink()
    there.mkdir()
    with pytest.raises(BlobDamaged):
        folder_store.read(blob)


def test_a_process_without_descriptors_removes_nothing(folder_store: Store) -> None:
    """What is wrong with the reader is never taken for damage of the blob."""
    blob = folder_store.put(REQUEST, {"a": b"x"}, {}).blobs["a"]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open("/dev/null", os.O_RDONLY)  # descriptors are given in order: the first free one
    os.close(free)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        with pytest.raises(StoreUnavailable, match="Too many open files"):
            folder_store.read(blob)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert folder_store.read(blob) == b"x"


def test_a_folder_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network and container file systems have none: files are copied, the first writer still wins."""

    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    store = Store(FolderBackend(tmp_path / "store"))
    output = tmp_path / "output"
    output.write_bytes(b"first")
    first = store.put(REQUEST, {"a": output}, {})
    assert store.put(REQUEST, {"a": b"second"}, {}) == first
    assert store.read(first.blobs["a"]) == b"first"
    assert output.read_bytes() == b"first"


# -- S3 services with faults -----------------------------------------------------------------------------------


def refusing_writes(app: Callable[..., Any]) -> Callable[..., Any]:
    def closed(environ: Any, start_response: Any) -> Any:
        if environ["REQUEST_METHOD"] in {"PUT", "POST", "DELETE"} and environ["PATH_INFO"].count("/") > 1:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response("403 Forbidden", [("Content-Type", "application/xml")])
            return [b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"]
        return app(environ, start_response)

    return closed


def ignoring_conditions(app: Callable[..., Any]) -> Callable[..., Any]:
    def careless(environ: Any, start_response: Any) -> Any:
        environ.pop("HTTP_IF_NONE_MATCH", None)
        environ.pop("HTTP_IF_MATCH", None)
        return app(environ, start_response)

    return careless


def test_a_bucket_without_the_right_to_write(faulty_s3: Callable[..., str]) -> None:
    store = Store.open(faulty_s3(refusing_writes))
    assert store.get(REQUEST) is None
    with pytest.raises(StoreNotWritable, match="AWS_ACCESS_KEY_ID"):
        store.put(REQUEST, {"a": b"x"}, {})


def test_a_service_that_ignores_conditions_keeps_the_first_of_two_writers(faulty_s3: Callable[..., str]) -> None:
    url = faulty_s3(ignoring_conditions)
    first = Store.open(url).put(REQUEST, {"a": b"first"}, {})
    assert Store.open(url).put(REQUEST, {"a": b"second"}, {}) == first
    assert Store.open(url).backend.create(f"entries/{REQUEST.key[:2]}/{REQUEST.key}.json", b"other") is False
    assert Store.open(url).get(REQUEST) == first


def test_a_bucket_that_does_not_exist(s3_url: str) -> None:
    store = Store.open("s3://no-such-bucket-here/p")
    assert store.get(REQUEST) is None
    with pytest.raises(StoreUnavailable, match="the bucket exists"):
        store.put(REQUEST, {"a": b"x"}, {})
    with pytest.raises(StoreUnavailable, match="the bucket exists"):
        list(store.entries())


def test_a_service_that_is_not_there(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as bound:  # bound and not listening: connections are refused
        bound.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{bound.getsockname()[1]}")
        store = Store.open(s3_url)
        for action in (lambda: store.get(REQUEST), lambda: store.put(REQUEST, {"a": b"x"}, {})):
            with pytest.raises(StoreUnavailable, match="AWS_ENDPOINT_URL") as caught:
                action()
            assert "\n" not in str(caught.value)
