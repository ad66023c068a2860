"""Remote files on workers: no more requests than the engine alone makes, though what they hold is looked at before."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "delivery"))
from remote_servers import RangeServer
from runner_service import QUERY, Bench, small_file

from delivery.engine import TransformRequest, transform
from delivery.service.settings import Inputs, Limits

HERE = Inputs(roots=(), schemes=("http",), hosts=("127.0.0.1",))
RAW = '[{"treename": "Events", "expressions": ["x", "n"], "cut": "x > 0"}]'


@pytest.fixture
def server(tmp_path):
    """A file of 3 MB, too long to be fetched as a whole by opening it."""
    server = RangeServer(small_file(tmp_path / "remote.root", events=200_000).read_bytes())
    assert len(server.content) > 2_000_000
    yield server
    server.close()


@pytest.mark.parametrize(("codegen", "text"), [("uproot", QUERY), ("uproot-raw", RAW)])
def test_a_remote_file_is_opened_once(tmp_path, server, codegen, text):
    request = TransformRequest(text, server.url, tmp_path / "expected", codegen=codegen, format="parquet")
    transform(request)
    needed = list(server.requests)
    bench = Bench(
        tmp_path / "service", inputs=HERE, limits=Limits(range_bytes=10_000_000)
    )  # so that cuts are looked for
    try:
        server.requests.clear()
        asked = bench.submit([server.url], text, codegen=codegen)
        assert bench.end_of(asked).status == "Complete"
        assert bench.content(bench.results(asked)[0]) == request.output.read_bytes()
    finally:
        bench.close()
    assert sorted(server.requests) == sorted(needed)
