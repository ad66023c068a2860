"""`skimflow users` and `skimflow token`, as an operator types them."""

import json
import os
import stat
import subprocess
import sys

import pytest

from delivery.service.secret import Secret
from delivery.service.settings import Settings
from delivery.service.sign_in.tokens import Claims, verified


@pytest.fixture
def skimflow(tmp_path):
    def call(*arguments, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "skimflow", *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "SKIMFLOW_DATA": str(tmp_path / "data")},
        )
        assert done.returncode == code, done.stderr
        return done.stdout, done.stderr

    return call


def test_a_user_from_the_first_token_to_the_last(skimflow, tmp_path):
    first = skimflow("users", "add", "alice", "--email", "alice@example.org")[0].strip()
    second = skimflow("token", "alice", "--days", "1")[0].strip()
    key = Secret.open(Settings(data=tmp_path / "data")).signing_key
    assert verified(key, first, "refresh") == Claims("refresh", 1, 1)
    assert verified(key, second, "refresh") == Claims("refresh", 1, 2)
    assert "alice  user  tokens 1 to 2  alice@example.org\n" in skimflow("users", "list")[0]
    skimflow("users", "set", "alice", "open_requests=3", "stored_bytes=1000", "--role", "admin")
    skimflow("users", "set", "alice", "stored_bytes=", "--inactive")
    (alice,) = json.loads(skimflow("users", "list", "--json")[0])
    assert alice == {
        "name": "alice",
        "email": "alice@example.org",
        "role": "admin",
        "active": False,
        "tokens_from": 0,
        "last_token": 2,
        "quota": {"open_requests": 3},
    }
    assert json.loads(skimflow("users", "revoke", "alice", "--before", "2", "--json")[0])["tokens_from"] == 2
    assert "alice  admin  inactive  token 2" in skimflow("users", "list")[0]
    assert json.loads(skimflow("users", "revoke", "alice", "--json")[0])["tokens_from"] == 3
    listed = skimflow("users", "list")[0]
    assert first not in listed
    assert "alice  admin  inactive  no token" in listed


def test_the_data_folder_is_its_owners_alone(skimflow, tmp_path):
    skimflow("users", "add", "alice")
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "data" / "secret").stat().st_mode) == 0o600


def test_tokens_are_kept_nowhere(skimflow, tmp_path):
    token = skimflow("users", "add", "alice")[0].strip().encode()
    for path in (tmp_path / "data").rglob("*"):
        assert path.is_dir() or token.rpartition(b".")[2] not in path.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("users", "set", "alcie"), "did you mean alice?"),
        (("token", "alcie"), "did you mean alice?"),
        (("users", "revoke", "zzz"), "skimflow users list"),
        (("users", "add", "alice"), "already"),
        (("users", "add", "a b"), "is no user name"),
        (("users", "set", "alice", "open_requets=3"), "did you mean open_requests?"),
        (("users", "set", "alice", "open_requests=many"), "LIMIT=NUMBER"),
        (("users", "set", "alice", "open_requests=-1"), "must not be negative"),
        (("users", "list", "--config", "wrong.yaml"), "hots"),
    ],
)
def test_what_is_wrong_is_said(skimflow, tmp_path, arguments, said):
    (tmp_path / "wrong.yaml").write_text("hots: 127.0.0.1\n")
    skimflow("users", "add", "alice")
    assert said in skimflow(*arguments, code=2)[1]


def test_the_settings_file_says_where_the_service_is(skimflow, tmp_path, monkeypatch):
    monkeypatch.delenv("SKIMFLOW_DATA", raising=False)
    (tmp_path / "service.yaml").write_text(f"database: sqlite:///{tmp_path}/other.sqlite\n")
    skimflow("users", "add", "bob", "--config", "service.yaml")
    assert (tmp_path / "other.sqlite").exists()
    assert json.loads(skimflow("users", "list", "--json")[0]) == []
