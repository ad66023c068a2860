"""The python codegen on inputs elsewhere: they are fetched for the function, which has no network itself."""

import base64
import os
import sys
import textwrap
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
import uproot

from delivery.engine.storage.hops import GUARD
from delivery.engine.usercode.limits import Limits
from delivery.engine.usercode.transform import transform_python
from delivery.errors import InputUnreachable, MissingFile, UnknownTree, UnreadableFile
from delivery.requests import TransformRequest, TransformResult
from delivery.service.inputs import web_guard
from delivery.service.settings import Inputs

sys.path.insert(0, str(Path(__file__).parent))
import remote_servers

os.environ.setdefault("XRD_TIMEOUTRESOLUTION", "1")
SOURCE = """
    import uproot

    def run_query(input_filenames):
        with uproot.open(input_filenames) as file:
            return file["Events"].arrays(["MET_pt", "Muon_pt"])
"""


@pytest.fixture(scope="module")
def events(shared_data: Path) -> Path:
    return shared_data / "adl" / "Run2012B_SingleMu_1000.root"


@pytest.fixture(scope="module")
def xrootd(events: Path) -> Iterator[remote_servers.XrootdServer]:
    with remote_servers.xrootd_with([events]) as server:
        yield server


@pytest.fixture
def web(events: Path) -> Iterator[remote_servers.RangeServer]:
    server = remote_servers.RangeServer(events.read_bytes())
    yield server
    server.close()


def run(file: str, output: Path, limits: Limits = Limits(), **more: Any) -> TransformResult:  # noqa: B008 - frozen
    text = base64.b64encode(textwrap.dedent(SOURCE).encode()).decode()
    return transform_python(TransformRequest(text, file, output, codegen="python", allow_python=True, **more), limits)


@pytest.mark.parametrize("form", ["parquet", "root-file", "root-rntuple"])
def test_the_result_is_the_local_files_byte_for_byte(
    form: Any, events: Path, xrootd: remote_servers.XrootdServer, web: remote_servers.RangeServer, tmp_path: Path
) -> None:
    here = run(str(events), tmp_path / "here", format=form)
    with uproot.open({events: "Events"}) as tree:
        assert here.events_in == here.events_out == tree.num_entries
    for url in (f"{xrootd.url}/{events.name}", web.url, events.as_uri()):
        found = run(url, tmp_path / "there", format=form)
        assert (tmp_path / "there").read_bytes() == (tmp_path / "here").read_bytes()
        assert (found.events_in, found.events_out, found.bytes_read) == (
            here.events_in, here.events_out, events.stat().st_size,
        )  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {"here", "there"}, "no copy is left"


def test_a_file_that_is_too_large_is_not_fetched(web: remote_servers.RangeServer, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=f"{len(web.content):,} bytes, and a file of 1,000 at most"):
        run(web.url, tmp_path / "out", Limits(input_bytes=1000))
    assert len(web.requests) == 1, "it was only opened"
    assert list(tmp_path.iterdir()) == []


def test_errors_tell_of_the_url_and_leave_nothing(web: remote_servers.RangeServer, tmp_path: Path) -> None:
    with pytest.raises(UnknownTree) as caught:
        run(f"{web.url}?authz=SECRET", tmp_path / "out", tree="Evnts")
    assert f"{web.url} has no tree 'Evnts'" in str(caught.value)
    with pytest.raises(MissingFile):
        run(web.url.replace("file.root", "none.root"), tmp_path / "out")
    web.dead = True
    with pytest.raises(InputUnreachable):
        run(web.url, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_requests_may_not_read_is_not_fetched(web: remote_servers.RangeServer, tmp_path: Path) -> None:
    def guarded() -> None:
        GUARD.set(web_guard(Inputs(schemes=("http",))))
        run(web.url, tmp_path / "out")

    with pytest.raises(UnreadableFile, match="internal address"):
        copy_context().run(guarded)
    assert web.requests == []
