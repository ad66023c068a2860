"""What `skimflow doctor` finds, on installations that are wrong in known ways."""

import importlib.metadata
import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from skimflow import doctor
from skimflow.cli import cli


@pytest.fixture
def service() -> Iterator[HTTPServer]:
    """Answers every request with the status in its path, as /401/servicex."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(int(self.path.split("/")[1]))
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_configuration(folder: Path, *urls: str) -> Path:
    lines = [f"  - {{name: s{number}, endpoint: '{url}'}}" for number, url in enumerate(urls)]
    path = folder / "servicex.yaml"
    path.write_text("\n".join(["api_endpoints:", *lines]))
    return path


def test_this_installation_is_sound(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    done = CliRunner().invoke(cli, ["doctor", "--store", str(tmp_path / "store"), "--json"])
    findings = json.loads(done.stdout)
    assert [one for one in findings if not one["ok"]] == []
    assert done.exit_code == 0
    checks = {one["check"] for one in findings}
    assert {"python", "coffea", "pyhf", "store", "servicex", "package queries"} <= checks
    assert list((tmp_path / "store" / "entries").glob("*/*.json")) == []  # its probe is gone


def test_an_old_and_a_missing_library_are_named_with_what_to_do(monkeypatch):
    versions = {"coffea": "2025.1.0"}
    true_version = importlib.metadata.version

    def version(name: str) -> str:
        if name == "pyhf":
            raise importlib.metadata.PackageNotFoundError(name)
        return versions.get(name, true_version(name))

    monkeypatch.setattr(importlib.metadata, "version", version)
    wrong = {one.check: one for one in doctor.check_versions() if not one.ok}
    assert wrong.keys() == {"coffea", "pyhf"}
    assert wrong["coffea"].found == "2025.1.0"
    assert wrong["coffea"].advice.startswith("pip install 'coffea>=")
    assert wrong["pyhf"].found == "not installed"


def test_another_distribution_with_one_of_our_package_names_is_found(tmp_path, monkeypatch):
    """`inference` of somebody else, installed beside ours."""
    (tmp_path / "inference").mkdir()
    (tmp_path / "inference" / "__init__.py").touch()
    info = tmp_path / "inference_sdk-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: inference-sdk\nVersion: 1.0\n")
    (info / "RECORD").write_text("inference/__init__.py,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    (wrong,) = [one for one in doctor.check_clashes(importlib.metadata.packages_distributions()) if not one.ok]
    assert wrong.check == "package inference"
    assert "inference-sdk" in wrong.found
    assert "pip uninstall inference-sdk" in wrong.advice


def test_a_store_that_cannot_be_written_is_found(tmp_path):
    (tmp_path / "file").write_text("no folder")
    wrong = doctor.check_store(str(tmp_path / "file" / "store"))
    assert not wrong.ok
    assert "--store" in wrong.advice


@pytest.mark.parametrize("status", [200, 401, 403, 500])
def test_an_endpoint_is_asked(service, tmp_path, status):
    url = f"http://127.0.0.1:{service.server_address[1]}/{status}"
    (found,) = doctor.check_endpoints(write_configuration(tmp_path, url))
    assert found.ok == (status == 200)
    assert str(status) in found.found
    assert bool(found.advice) == (status != 200)


def test_an_endpoint_that_nobody_serves_is_found(tmp_path, monkeypatch):
    write_configuration(tmp_path, f"http://user:secret@127.0.0.1:{closed_port()}")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["doctor", "--store", str(tmp_path / "store")])
    assert done.exit_code == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("✗")]
    assert "servicex s0" in line
    assert "→ is it running" in done.stdout
    assert "secret" not in done.stdout


@pytest.mark.parametrize("text", ["[", "{}", "api_endpoints: 3", "api_endpoints: [{name: x}]", ""])
def test_a_configuration_that_cannot_be_used_is_named(tmp_path, text):
    path = tmp_path / "servicex.yaml"
    path.write_text(text)
    (wrong,) = doctor.check_endpoints(path)
    assert not wrong.ok
    assert str(path) in wrong.found


def test_the_configuration_is_looked_for_upwards_and_then_at_home(tmp_path, monkeypatch):
    home, project = tmp_path / "home", tmp_path / "project" / "deep"
    home.mkdir()
    project.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    assert doctor.find_configuration(project) is None
    (home / ".servicex").touch()
    assert doctor.find_configuration(project) == home / ".servicex"
    (tmp_path / "project" / "servicex.yaml").touch()
    assert doctor.find_configuration(project) == tmp_path / "project" / "servicex.yaml"
