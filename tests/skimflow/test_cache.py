import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from artifacts.entry import Entry
from artifacts.keys import Request
from artifacts.store import Store
from skimflow.cache import _age, cache, default_store_url
from skimflow.quantities import bytes_text


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    folder = tmp_path / "store"
    monkeypatch.setenv("SKIMFLOW_STORE", str(folder))
    return Store.open(folder)


@pytest.fixture
def entries(store: Store) -> list[Entry]:
    return [
        store.put(
            Request("deliver" if n < 2 else "fit", 1, {"query": "a" * 64, "file": f"file_{n}.root"}),
            {"skim": bytes([n]) * 1000 * 10**n},
            {"unit": f"ttbar {n}"} if n == 0 else {},
            {"skim": "application/x-root"},
        )
        for n in range(3)
    ]


def run(*args: str, answer: str = "") -> Result:
    result = CliRunner().invoke(cache, args, input=answer)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def printed(*args: str) -> Any:
    result = run(*args, "--json")
    return json.loads(result.stdout)


def fails(code: int, *args: str, answer: str = "") -> str:
    """The one sentence of a failure."""
    result = run(*args, answer=answer)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    return result.stderr.strip().splitlines()[-1]


# -- ls and show -----------------------------------------------------------------------------------------------


def test_ls_says_what_each_entry_is(entries: list[Entry]) -> None:
    result = run("ls")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["key", "stage", "what", "blobs", "size", "age", "used"]
    assert {line.split()[0] for line in lines[1:]} == {entry.key[:12] for entry in entries}
    assert "ttbar 0" in result.stdout
    assert "file=file_1.root" in result.stdout
    assert "aaaa" not in result.stdout
    assert "100 kB" in result.stdout
    assert "3 entries, 111 kB" in result.stderr


def test_ls_of_one_stage_as_json(entries: list[Entry]) -> None:
    found = printed("ls", "--stage", "fit")
    assert [one["key"] for one in found] == [entries[2].key]
    assert found[0]["size"] == 100_000
    assert found[0]["stage"] == "fit"
    assert len(printed("ls")) == 3


def test_ls_of_an_unknown_stage_names_those_there_are(entries: list[Entry]) -> None:
    assert "'delver'; the stages in" in fails(2, "ls", "--stage", "delver")
    assert fails(2, "ls", "--stage", "delver").endswith("deliver, fit")


def test_an_empty_store_is_no_error(store: Store) -> None:
    assert printed("ls") == []
    assert "0 entries" in run("ls").stderr
    assert not Path(store.url).exists()


def test_show_prints_the_whole_entry(entries: list[Entry]) -> None:
    entry = entries[0]
    result = run("show", entry.key[:8])
    assert result.exit_code == 0
    for part in (
        entry.key,
        "deliver (version 1)",
        "file_0.root",
        "ttbar 0",
        entry.blobs["skim"].digest,
        "1.0 kB, whole",
    ):
        assert part in result.stdout
    document = printed("show", entry.key[:8])
    assert document["request"] == entry.request
    assert document["blobs"]["skim"] == {
        "digest": entry.blobs["skim"].digest,
        "size": 1000,
        "media_type": "application/x-root",
    }
    assert document["whole"] is True


def test_show_says_that_a_blob_is_gone(store: Store, entries: list[Entry]) -> None:
    store.local_path(entries[1].blobs["skim"]).unlink()
    assert "computed again" in run("show", entries[1].key).stdout
    assert printed("show", entries[1].key)["whole"] is False


def test_a_prefix_must_name_one_entry(entries: list[Entry]) -> None:
    assert "the nearest is" in fails(2, "show", entries[0].key[:9] + "-")
    assert "3 entries" in fails(2, "show", "")


# -- verify ----------------------------------------------------------------------------------------------------


def test_verify_of_a_sound_store(entries: list[Entry]) -> None:
    result = run("verify")
    assert result.exit_code == 0
    assert "3 entries and 3 blobs (111 kB) read: 0 damaged blobs, 0 missing" in result.stdout


def test_verify_names_the_damage(store: Store, entries: list[Entry]) -> None:
    flipped, gone = (store.local_path(entry.blobs["skim"]) for entry in entries[:2])
    flipped.chmod(0o644)
    flipped.write_bytes(b"\x01" * 1000)
    gone.unlink()
    result = run("verify")
    assert result.exit_code == 1
    assert f"damaged   blob {entries[0].blobs['skim'].digest}" in result.stdout
    assert f"missing   output skim of entry {entries[1].key[:12]}" in result.stdout
    found = printed("verify")
    assert found["sound"] is False
    assert found["damaged"] == [entries[0].blobs["skim"].digest]


# -- rm and gc -------------------------------------------------------------------------------------------------


def test_rm_asks_first(store: Store, entries: list[Entry]) -> None:
    keys = [entry.key[:10] for entry in entries[:2]]
    assert "nothing was removed" in fails(1, "rm", *keys, answer="n\n")
    assert "give --yes" in fails(2, "rm", *keys)
    assert len(list(store.entries())) == 3
    result = run("rm", *keys, answer="y\n")
    assert result.exit_code == 0
    assert "removed 2 entries, 2 blobs: 11.0 kB freed" in result.stdout
    assert [entry.key for entry in store.entries()] == [entries[2].key]


def test_rm_removes_nothing_if_one_key_is_wrong(store: Store, entries: list[Entry]) -> None:
    assert "no entry" in fails(2, "rm", entries[0].key, "zz", "--yes")
    assert len(list(store.entries())) == 3
    assert printed("rm", entries[0].key, entries[0].key[:20], "--yes")["keys"] == [entries[0].key]


def test_gc_keeps_a_size(store: Store, entries: list[Entry]) -> None:
    assert "nothing was removed" in fails(1, "gc", "--max-size", "0 B", answer="n\n")
    assert printed("gc", "--max-size", "111kB", "--yes")["keys"] == []
    assert run("gc", "--max-size", "0.5kB", "--yes").exit_code == 0
    assert list(store.entries()) == []


def test_gc_keeps_an_age(store: Store, entries: list[Entry]) -> None:
    import os
    import time

    path = Path(store.url) / "entries" / entries[1].key[:2] / f"{entries[1].key}.json"
    os.utime(path, (time.time() - 31 * 86400,) * 2)
    assert printed("gc", "--max-age", "32d", "--yes")["keys"] == []
    assert printed("gc", "--max-age", "4w", "--yes")["keys"] == [entries[1].key]


def test_gc_without_limits_asks_nothing_and_takes_left_overs_only(store: Store, entries: list[Entry]) -> None:
    store.local_path(entries[1].blobs["skim"]).unlink()
    assert printed("gc")["keys"] == [entries[1].key]
    assert len(list(store.entries())) == 2


@pytest.mark.parametrize("args", [("--max-size", "10"), ("--max-size", "ten GB"), ("--max-age", "3 moons")])
def test_a_limit_needs_a_unit(entries: list[Entry], args: tuple[str, str]) -> None:
    assert "write a number and a unit" in fails(2, "gc", *args)


# -- which store, and stores that cannot be used ---------------------------------------------------------------


def test_the_default_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SKIMFLOW_STORE", raising=False)
    assert default_store_url() == str(tmp_path / "cache" / "skimflow" / "store")
    (tmp_path / ".skimflow" / "store").mkdir(parents=True)
    assert default_store_url() == str(Path(".skimflow") / "store")
    monkeypatch.setenv("SKIMFLOW_STORE", "s3://bucket/x")
    assert default_store_url() == "s3://bucket/x"


def test_the_option_names_the_store(tmp_path: Path, entries: list[Entry]) -> None:
    assert printed("ls", "--store", str(tmp_path / "other")) == []
    assert "is no store" in fails(2, "ls", "--store", "ftp://x")
    (tmp_path / "file").touch()
    assert "is a file" in fails(2, "verify", "--store", str(tmp_path / "file"))


def test_a_store_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert "does not answer" in fails(1, "ls", "--store", "s3://bucket")


def test_importing_the_commands_is_light() -> None:
    code = (
        "import sys, skimflow.cache\n"
        "print([m for m in ('rich', 'obstore', 'artifacts.store', 'numpy', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (345e9, "345 GB"), (2e15, "2000 TB")],
)
def test_sizes(size: float, text: str) -> None:
    assert bytes_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0s"), (59.9, "59s"), (134, "2m 14s"), (3600, "1h 0m"), (90_061, "1d 1h"), (15 * 86400, "15d 0h")],
)
def test_ages(seconds: float, text: str) -> None:
    assert _age(seconds) == text
