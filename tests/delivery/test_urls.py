"""What lets in whoever holds it stays out of keys and messages, and reading still uses it."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from delivery.endpoint import open_endpoint
from delivery.errors import DeliveryError, MissingResult, UnreadableFile, WorkerKilled
from delivery.identity import FileIdentity, identify, shown
from delivery.requests import FileDelivered, FileFailed, FileRequest
from delivery.urls import without_secrets

QUERY = "(call Select (call EventDataset 'x' 'Events') (lambda (list e) (dict (list 'm') (list (attr e 'MET_pt')))))"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/data/a?b#c@d.root", "/data/a?b#c@d.root"),
        ("https://host/a.root", "https://host/a.root"),
        ("https://host:1094/a.root?authz=Bearer%20abc&x=1#part", "https://host:1094/a.root"),
        ("root://user:p@ss@host//eos/a@b.root?authz=abc", "root://host//eos/a@b.root"),
        ("https://host?authz=abc/def@ghi", "https://host"),
        ("s3://key:secret@bucket/a b.root#frag", "s3://bucket/a b.root"),
    ],
)
def test_shown(url: str, expected: str) -> None:
    assert shown(url) == expected == shown(expected)


def test_messages() -> None:
    text = "403, url='https://u:p@host/a.root?authz=abc' (see root://host//b?x=1), then GET /a.root?authz=abc."
    expected = "403, url='https://host/a.root' (see root://host//b), then GET /a.root."
    assert without_secrets(text, "https://u:p@host/a.root?authz=abc") == expected
    assert without_secrets("10 / 3 at a:b", "/local/file") == "10 / 3 at a:b"


def test_errors_keep_no_secret_even_in_their_parts() -> None:
    url = "https://host/a.root?authz=secret"
    for error in (UnreadableFile(url, f"cannot open {url!r}"), WorkerKilled(url, 3)):
        again = pickle.loads(pickle.dumps(error))
        assert str(again) == str(error)
        assert "https://host/a.root" in str(error)
        assert "secret" not in f"{error} {error.args}"


def test_a_services_log_keeps_its_address() -> None:
    log = "https://kibana/app#/logs?_g=(time:1)"
    assert log in str(MissingResult("https://host", f"no result; its log: {log}"))


def guarded(web: Any) -> None:
    """The storage lets in who shows the token."""
    web.answer = lambda path: 200 if path.endswith(("?authz=secret1", "?authz=secret2")) else 403


def test_a_new_token_makes_no_new_file(web: Any) -> None:
    plain = identify(f"{web.url}/nano_dy.root")
    guarded(web)
    assert identify(f"{web.url}/nano_dy.root?authz=secret1") == plain
    assert identify(f"{web.url}/nano_dy.root?authz=secret2") == plain
    with pytest.raises(UnreadableFile, match="403") as caught:
        identify(f"{web.url}/nano_dy.root?authz=secret3")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("kind", ["local", "raw"])
def test_reading_shows_the_token_and_failures_do_not(web: Any, tmp_path: Path, shared_data: Path, kind: str) -> None:
    guarded(web)
    asked = [
        "nano_dy.root?authz=secret1",
        "nano_dy.root?authz=secret3",
        "none.root?authz=secret1",
        "README.md?authz=secret1",
    ]
    (tmp_path / "README.md").write_text("no ROOT file " * 100)
    (tmp_path / "nano_dy.root").write_bytes((shared_data / "root" / "nano_dy.root").read_bytes())
    web.folder = tmp_path
    requests = [
        FileRequest("s", f"{web.url}/{name}", "Events", QUERY, "uproot", "root-file", i) for i, name in enumerate(asked)
    ]
    requests.append(FileRequest("s", f"{web.url}/{asked[0]}", "Evnts", QUERY, "uproot", "root-file", 4))
    found = {o.request.index: o for o in open_endpoint(kind).deliver(requests, tmp_path / "s")}
    assert isinstance(found[0], FileDelivered)
    for index in range(1, 5):
        outcome = found[index]
        assert isinstance(outcome, FileFailed)
        assert shown(requests[index].file) in outcome.reason
        assert "secret" not in outcome.reason


def test_a_password_before_the_host(web: Any) -> None:
    with pytest.raises(DeliveryError, match=r"none\.root") as caught:
        identify(f"{web.url}/none.root".replace("://", "://user:secret@"))
    assert "secret" not in str(caught.value)
    assert isinstance(identify(f"{web.url}/nano_dy.root".replace("://", "://user:secret@")), FileIdentity)
