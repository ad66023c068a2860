"""Our own workers listen on ports of this machine, where other users are: none of them lets anybody else in."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from cryptography import x509
from distributed import Client, Security

sys.path.insert(0, str(Path(__file__).parent))
from requesting import MET, ended, submitted
from serving import RunningService, running_service

from artifacts.transport import own_security

PAGES = ("info/main/workers.html", "status", "json/counts.json", "metrics", "health", "sysmon")


def ports(service: RunningService) -> set[int]:
    """Where the service's processes listen, but for the port that the service is for."""
    process = psutil.Process(service.process.pid)
    lines = [line for one in (process, *process.children(recursive=True)) for line in one.net_connections("inet")]
    listening = [line.laddr for line in lines if line.status == psutil.CONN_LISTEN]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    return {address.port for address in listening} - {int(service.url.rpartition(":")[2])}


def lets_in(address: str, security: Security | None) -> bool:
    """Whether somebody's Dask client gets so far as to run code there."""
    try:
        with Client(address, security=security, timeout=3, set_as_default=False) as client:
            return bool(client.submit(int, "1").result(timeout=10))
    except (OSError, TimeoutError):
        return False


def test_nobody_else_gets_to_the_workers(tmp_path: Path, shared_data: Path) -> None:
    inputs = {"roots": [str(shared_data / "root")]}
    body = {
        "title": "ours",
        "file-list": [str(shared_data / "root" / "nano_dy.root")],
        "selection": MET,
        "codegen": "uproot",
        "result-destination": "object-store",
        "result-format": "parquet",
    }
    with running_service(tmp_path, inputs=inputs) as service, service.client() as http:
        assert ended(http, submitted(http, body))["status"] == "Complete"
        answers = {port: {page(f"http://127.0.0.1:{port}/{name}") for name in PAGES} for port in ports(service)}
        assert set().union(*answers.values()) == {None, 404}, "Dask's own pages tell nothing"
        dask = [port for port, answer in answers.items() if answer == {None}]
        assert len(dask) >= 3, "a scheduler, a worker and its nanny"
        for port in dask:
            assert not lets_in(f"tcp://127.0.0.1:{port}", None)
            assert not lets_in(f"tls://127.0.0.1:{port}", own_security())
        again = submitted(http, {**body, "selection": MET.replace("met", "other")})
        assert ended(http, again)["status"] == "Complete", "the workers are none the worse"


def page(url: str) -> int | None:
    """The status of a page; None where nothing speaks HTTP."""
    try:
        return httpx.get(url, timeout=5).status_code
    except httpx.TransportError:
        return None


@pytest.mark.parametrize("year", [2001, 2026, 2500])
def test_no_clock_ends_the_certificate(year: int) -> None:
    security: Any = own_security()
    certificate = x509.load_pem_x509_certificate(security.tls_ca_file.encode())
    assert certificate.not_valid_before_utc < datetime(year, 1, 1, tzinfo=UTC) < certificate.not_valid_after_utc


def test_each_service_has_a_key_of_its_own_that_is_not_shown() -> None:
    one, other = own_security(), own_security()
    assert one.tls_client_key != other.tls_client_key
    assert "PRIVATE KEY" not in repr(one)
