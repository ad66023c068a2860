"""/metrics as Prometheus' own parser reads it."""

import sys
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from delivery.service.metrics import lies_in
from delivery.service.settings import Settings

sys.path.insert(0, str(Path(__file__).parent))
from page_service import a_day, site

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(client: httpx.Client) -> Samples:
    text = client.get("/metrics").text
    families = text_string_to_metric_families(text)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def test_requests_and_files_are_counted_by_state(tmp_path: Path) -> None:
    with site(tmp_path / "data") as served, served.client() as client:
        served.service.database.transact(a_day)
        found = samples(client)
        listed = client.get("/servicex/transformation").json()["requests"]
        for status in ("Running", "Complete", "Fatal", "Canceled", "Lookup", "Bad Dataset", "Submitted"):
            expected = sum(one["status"] == status for one in listed)
            assert found["skimflow_requests", (("status", status),)] == expected, status
        assert found["skimflow_files", (("state", "failed"),)] == sum(one["files-failed"] for one in listed)
        assert found["skimflow_files", (("state", "done"),)] == sum(one["files-completed"] for one in listed)
        assert found["skimflow_files", (("state", "running"),)] == 4
        assert found["skimflow_result_bytes", ()] == sum(one["total-bytes"] for one in listed)
        assert found["skimflow_database_up", ()] == 1


def test_calls_are_counted_by_template_never_by_path(tmp_path: Path) -> None:
    with site(tmp_path / "data") as served, served.client() as client:
        for number in range(3):
            client.get(f"/servicex/transformation/b0b0b0b0-0000-4000-8000-00000000000{number}")
        client.get("/nothing/here")
        found = samples(client)
    labels = (("method", "GET"), ("route", "/servicex/transformation/{request_id}"))
    assert found["skimflow_http_requests_total", (*labels, ("status", "404"))] == 3
    assert found["skimflow_http_seconds_count", labels] == 3
    buckets = [
        value
        for (name, of), value in found.items()
        if name == "skimflow_http_seconds_bucket" and set(labels) <= set(of)
    ]
    assert max(buckets) == 3
    assert not any("b0b0" in value or "nothing" in value for _, of in found for _, value in of)


def test_figures_of_the_state_are_left_out_while_the_database_is_away(tmp_path: Path) -> None:
    with site(tmp_path / "data") as served, served.client() as client:
        served.service.database.close()
        file = tmp_path / "data" / "service.sqlite"
        for one in list(file.parent.glob("service.sqlite*")):
            one.rename(one.with_name(f"away-{one.name}"))
        file.mkdir()
        found = samples(client)
        file.rmdir()
        for one in list(file.parent.glob("away-*")):
            one.rename(one.with_name(one.name.removeprefix("away-")))
    assert found["skimflow_database_up", ()] == 0
    assert not any(name == "skimflow_requests" for name, _ in found)


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("::2", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_which_addresses_are_the_monitors(host: str, inside: bool) -> None:
    assert lies_in(host, Settings().metrics_networks) is inside
    assert lies_in(host, [ip_network("10.0.0.0/8")]) is host.endswith("10.0.0.1")
