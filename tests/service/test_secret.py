"""The service's secret: made once, for the owner alone, and what is worked out from it."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from delivery.service.secret import Secret, SecretUnusable
from delivery.service.settings import Settings


def test_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "new" / "data")
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: Secret.open(settings), range(32)))
    assert len({secret.root for secret in opened}) == 1
    file = settings.data / "secret"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in settings.data.iterdir()] == ["secret"]
    assert Secret.open(settings) == opened[0]
    assert opened[0].root.decode() not in repr(opened[0])


def test_operators_own_file(tmp_path: Path) -> None:
    file = tmp_path / "mine"
    settings = Settings(data=tmp_path / "data", secret_file=file)
    with pytest.raises(SecretUnusable, match="openssl rand"):
        Secret.open(settings)
    assert not file.exists(), "what the operator named is never made up"
    file.write_text("short")
    with pytest.raises(SecretUnusable, match="5 characters"):
        Secret.open(settings)
    file.write_text("0123456789abcdef" * 2 + "\n")
    assert Secret.open(settings).root == b"0123456789abcdef" * 2


def test_keys_of_requests() -> None:
    one, other = Secret(b"a" * 32), Secret(b"b" * 32)
    ids = [str(uuid4()) for _ in range(50)]
    keys = [one.s3_keys(request_id) for request_id in ids]
    assert [one.request_of_access_key(access) for access, _ in keys] == ids
    assert len({secret for _, secret in keys}) == len(ids)
    assert all(other.s3_keys(request_id) != one.s3_keys(request_id) for request_id in ids)
    assert all(one.root.decode() not in secret and one.signing_key.hex() not in secret for _, secret in keys)


@pytest.mark.parametrize("text", ["", "AKIAIOSFODNN7EXAMPLE", "x" * 32, "{" + "0" * 30 + "}", "\u0660" * 32, "a" * 32])
def test_no_access_key_of_ours(text: str) -> None:
    assert Secret(b"a" * 32).request_of_access_key(text) is None
