"""Remote files through real servers: the columns as on a disk, in few requests, and errors that say what happened."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import ContextVar
from pathlib import Path

import awkward as ak
import fsspec
import numpy as np
import pytest
import uproot

from delivery.engine import TransformRequest, transform
from delivery.engine.source import open_source
from delivery.engine.storage import xrd
from delivery.engine.stream import ranges
from delivery.engine.values import to_awkward
from delivery.errors import InputUnreachable, MissingFile, NotARootFile, TruncatedFile, UnreadableFile

sys.path.insert(0, str(Path(__file__).parent))
import remote_servers

os.environ.setdefault("XRD_TIMEOUTRESOLUTION", "1")  # seconds in which XRootD's client notices that time is up
ENTRIES, BASKETS = 120_000, 60
COLUMNS = ["x", "l"]  # of x, y, k, nl, l, which lie side by side in each of the baskets' groups


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file of 4 MB, too long to be fetched as a whole by opening it."""
    path, random = tmp_path_factory.mktemp("remote") / "file.root", np.random.default_rng(1)
    with uproot.recreate(path) as file:
        tree = file.mktree("Events", {"x": "f8", "y": "f8", "k": "i4", "l": "var * float32"})
        for _ in range(BASKETS):
            size = ENTRIES // BASKETS
            counts = random.integers(0, 9, size)
            lists = ak.unflatten(random.random(counts.sum(), np.float32), counts)
            numbers = random.random((2, size))
            tree.extend({"x": numbers[0], "y": numbers[1], "k": random.integers(0, 1 << 30, size, "i4"), "l": lists})
    return path.read_bytes()


@pytest.fixture(scope="module")
def folder(content: bytes) -> Iterator[Path]:
    """A folder that an XRootD server without rights can read."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    (made / "served").mkdir()
    for name, part in (("file.root", content), ("short.root", content[:-5000]), ("page.root", b"<html>login" * 20)):
        (made / "served" / name).write_bytes(part)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def started(folder: Path, port: int | None = None) -> Iterator[remote_servers.XrootdServer]:
    if os.environ.get(remote_servers.NO_XROOTD):
        pytest.skip(f"{remote_servers.NO_XROOTD} is set")
    logs = Path(tempfile.mkdtemp(dir=folder))
    logs.chmod(0o755)
    server = remote_servers.XrootdServer(folder / "served", logs, port)
    yield server
    server.close()


@pytest.fixture(scope="module")
def xrootd(folder: Path) -> Iterator[remote_servers.XrootdServer]:
    yield from started(folder)


@pytest.fixture
def mortal_xrootd(folder: Path) -> Iterator[remote_servers.XrootdServer]:
    """A server for one test, which may kill it."""
    yield from started(folder)


@pytest.fixture
def web(content: bytes) -> Iterator[remote_servers.RangeServer]:
    server = remote_servers.RangeServer(content)
    yield server
    server.close()


def columns(source, start, stop, keep=None):
    """The columns as awkward arrays, fetched ahead as the engine does it."""
    source.prefetch(COLUMNS, start, stop, keep)
    return {name: to_awkward(source.read(name, start, stop, keep)) for name in COLUMNS}


@pytest.fixture(scope="module")
def local(folder: Path):
    """What uproot reads of the file on the disk."""
    with uproot.open(folder / "served/file.root") as file:
        return file["Events"].arrays(COLUMNS)


def agree(found, expected):
    return all(ak.array_equal(found[name], expected[name]) for name in COLUMNS)


def test_an_xrootd_file_is_opened_by_two_reads_and_each_phase_is_one_more(xrootd, local):
    xrootd.trace()
    with closing(open_source(f"{xrootd.url}/file.root", None)) as source:
        assert xrootd.trace() == ["readv", "read"]  # both ends; and the tree, which uproot has written in between
        assert (source.entries, source.tree, source.names()) == (ENTRIES, "Events", ["x", "y", "k", "nl", "l"])
        for start, stop in ((15_000, 41_111), (41_111, 71_111), (71_111, ENTRIES)):
            assert agree(columns(source, start, stop), local[start:stop])
            assert xrootd.trace() == ["readv"]
        keep = np.zeros(ENTRIES, np.bool_)
        keep[[50_000, 50_001]] = True
        before = source.bytes_read
        assert agree(columns(source, 0, ENTRIES, keep), local[[50_000, 50_001]])
        assert xrootd.trace() == ["readv"]
        assert 0 < source.bytes_read - before < 2 * local.nbytes / BASKETS  # one basket of sixty, of each column


def test_more_pieces_than_one_vector_read_may_have_and_longer_ones_are_cut(xrootd, local, monkeypatch):
    monkeypatch.setattr(xrd, "PIECES", 7)
    monkeypatch.setattr(xrd, "PIECE_BYTES", 5_000)
    xrootd.trace()
    with closing(open_source(f"{xrootd.url}/file.root", None)) as source:
        assert agree(columns(source, 0, ENTRIES), local)
    assert len(xrootd.trace()) > 10


@pytest.mark.parametrize("many", [True, False])
def test_a_web_file_costs_three_requests_to_open_and_one_a_phase_if_the_server_knows_several_ranges(web, local, many):
    web.many = many
    with closing(open_source(web.url, None)) as source:
        assert len(web.requests) == 3  # the head, the tail, and the tree, which uproot has written in between
        assert agree(columns(source, 15_000, 41_000), local[15_000:41_000])
        first = len(web.requests) - 3
        assert agree(columns(source, 41_000, ENTRIES), local[41_000:])
        second = len(web.requests) - 3 - first
    if many:
        assert (first, second) == (1, 1)
    else:  # one request finds out that the server does not know several ranges; then as many as there are pieces
        assert first > 1
        assert all(len(request) == 1 for request in web.requests[4:])


def test_many_threads_share_what_is_fetched(web, local):
    with closing(open_source(web.url, None)) as source, ThreadPoolExecutor(8) as pool:
        cuts = [(start, start + 2_500) for start in range(0, ENTRIES, 2_500)]  # a basket has 2 000 entries
        found = list(pool.map(lambda cut: columns(source, *cut), cuts))
        assert all(agree(part, local[start:stop]) for part, (start, stop) in zip(found, cuts, strict=True))
        fetched = [piece for request in web.requests for piece in request]
        assert sum(stop - start for start, stop in fetched) < 1.5 * len(web.content)


def test_an_rntuple_on_the_web(web, local, tmp_path):
    more = {"x": local["x"], "gap": local["x"] * 2, "l": local["l"]}
    with uproot.recreate(tmp_path / "ntuple.root") as file:
        ntuple = file.mkrntuple("Events", {name: column[:0] for name, column in more.items()})
        for start in range(0, ENTRIES, ENTRIES // 10):
            ntuple.extend({name: column[start : start + ENTRIES // 10] for name, column in more.items()})
    web.content = (tmp_path / "ntuple.root").read_bytes()
    with closing(open_source(web.url, None)) as source:
        opened = len(web.requests)
        assert opened <= 3
        assert set(source.names()) == set(more)
        for start, stop in ((0, ENTRIES // 2), (ENTRIES // 2, ENTRIES)):
            assert agree(columns(source, start, stop), local[start:stop])
        assert len(web.requests) == opened + 2
        fetched = sum(stop - start for request in web.requests for start, stop in request)
        assert fetched < len(web.content)


QUERY = (
    "(Select (Where (call EventDataset 'bogus.root' 'Events') (lambda (list e) (> (attr e 'x') 0.9999)))"
    " (lambda (list e) (dict (list 'x' 'l') (list (attr e 'x') (attr e 'l')))))"
)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_transform_of_a_web_file_gives_the_bytes_of_the_local_one_in_two_requests_a_range(
    web, folder, tmp_path, threads
):
    def run(file, output):
        request = TransformRequest(QUERY, file, tmp_path / output, threads=threads, chunk_bytes=500_000 * threads)
        return transform(request)

    near, far = run(str(folder / "served/file.root"), "near.root"), run(web.url, "far.root")
    assert (tmp_path / "near.root").read_bytes() == (tmp_path / "far.root").read_bytes()
    assert near.events_out == far.events_out > 0
    assert near.bytes_read == far.bytes_read < len(web.content) / 3
    with closing(open_source(web.url, "Events")) as source:
        count = len(ranges(source, ("x", "l"), 500_000, 1))
    assert count > 3
    assert len(web.requests) - 3 <= 3 + 2 * count  # 3 to open it, here twice


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_other_urls(folder, content, local, scheme):
    url = f"file://{folder}/served/file.root" if scheme == "file" else "memory://file.root"
    fsspec.filesystem("memory").pipe("/file.root", content)
    with closing(open_source(url, None)) as source:
        assert agree(columns(source, 1_000, 30_000), local[1_000:30_000])


@pytest.mark.parametrize("name", ["missing.root", "short.root", "page.root"])
def test_what_is_wrong_with_an_xrootd_file_is_said(xrootd, name):
    wanted = {"missing.root": MissingFile, "short.root": TruncatedFile, "page.root": NotARootFile}[name]
    with pytest.raises(wanted, match=name):
        open_source(f"{xrootd.url}/{name}", None)


def test_what_is_wrong_with_a_web_file_is_said(web):
    with pytest.raises(MissingFile, match=r"other\.root"):
        open_source(web.url.replace("file", "other"), None)
    web.ranges = False
    with pytest.raises(UnreadableFile, match="does not serve ranges of bytes"):
        open_source(web.url, None)
    web.ranges, web.content = True, web.content[:-5000]
    with pytest.raises(TruncatedFile, match="truncated: it has"):
        open_source(web.url, None)
    web.content = b""
    with pytest.raises(NotARootFile, match="empty"):
        open_source(web.url, None)


@pytest.mark.parametrize(("status", "error"), [(403, UnreadableFile), (500, InputUnreachable), (503, InputUnreachable)])
def test_only_an_answer_that_may_pass_is_worth_another_try(web, status, error):
    web.status = status
    with pytest.raises(UnreadableFile) as caught:
        open_source(web.url, None)
    assert type(caught.value) is error


def test_a_web_server_that_dies_while_it_answers(web, local):
    with closing(open_source(web.url, None)) as source:
        assert agree(columns(source, 0, 5_000), local[:5_000])
        web.dead = True
        with pytest.raises(InputUnreachable, match=r"file\.root"):
            source.prefetch(COLUMNS, 5_000, 30_000, None)
        with pytest.raises(InputUnreachable, match=r"file\.root"):
            source.read("x", 5_000, 30_000, None)
        web.dead = False
        assert agree(columns(source, 5_000, 30_000), local[5_000:30_000])


def test_an_xrootd_server_that_dies(mortal_xrootd, local, monkeypatch):
    monkeypatch.setattr(xrd, "READ_SECONDS", ContextVar("READ_SECONDS", default=1.0))
    with closing(open_source(f"{mortal_xrootd.url}/file.root", None)) as source:
        assert agree(columns(source, 0, 5_000), local[:5_000])
        mortal_xrootd.close()
        with pytest.raises(InputUnreachable, match=r"file\.root"):
            columns(source, 5_000, 30_000)
    with pytest.raises(InputUnreachable):
        open_source(f"{mortal_xrootd.url}/file.root", None)


def test_an_xrootd_port_where_nothing_listens_is_told_at_once_and_found_when_something_does(folder):
    port = remote_servers.free_port()
    with pytest.raises(InputUnreachable, match="nothing listens"):  # not the end of the time for a request
        open_source(f"root://127.0.0.1:{port}//file.root", None)
    for server in started(folder, port):
        with closing(open_source(f"{server.url}/file.root", None)) as source:
            assert source.entries == ENTRIES


def test_nothing_listens(web):
    url = web.url
    web.close()
    with pytest.raises(InputUnreachable, match=r"file\.root"):
        open_source(url, None)
