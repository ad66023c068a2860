"""Which bytes a file holds: content decides, memory is never trusted beyond the file's metadata."""

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from delivery.errors import InputUnreachable, MissingFile, UnreadableFile
from delivery.identity import FileIdentity, FileMemo, identify, identify_all

ABC_SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1


def aged(path: Path, content: bytes) -> Path:
    """A file that was last written an hour ago; its change time can not be set, so it is checked apart."""
    path.write_bytes(content)
    hour_ago = path.stat().st_mtime_ns - 3600 * 10**9
    os.utime(path, ns=(hour_ago, hour_ago))
    return path


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files just written count as settled, so that a test need not wait two seconds."""
    monkeypatch.setattr("delivery.identity.SETTLED_SECONDS", -1.0)


def test_a_local_file_is_the_sha256_of_its_content(tmp_path: Path) -> None:
    (tmp_path / "a.root").write_bytes(b"abc")
    assert identify(tmp_path / "a.root") == FileIdentity(ABC_SHA256, 3)
    assert identify(f"file://{tmp_path}/a.root") == FileIdentity(ABC_SHA256, 3)


def test_where_a_file_lies_does_not_change_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b").mkdir()
    for name in ("a.root", "b/c d.root"):
        (tmp_path / name).write_bytes(b"x" * 100_000)
    monkeypatch.chdir(tmp_path)
    assert identify("a.root") == identify(tmp_path / "b" / "c d.root") == identify(f"file://{tmp_path}/b/c%20d.root")


def test_the_memo_answers_while_the_metadata_stays(tmp_path: Path, settled: None) -> None:
    path = tmp_path / "a.root"
    path.write_bytes(b"abc")
    memo: dict[str, str] = {}
    first = identify(path, memo)
    (key,) = memo
    assert key == str(path)
    stamp, _, digest = memo[key].rpartition(" ")
    assert digest == first.digest
    memo[key] = f"{stamp} {'0' * 64}"
    assert identify(path, memo).digest == "0" * 64  # it is the memo that answers, not the file


@pytest.mark.parametrize("change", ["content", "size", "replaced", "content with the old time"])
def test_a_changed_file_is_read_again(tmp_path: Path, settled: None, change: str) -> None:
    path = aged(tmp_path / "a.root", b"abc")
    memo: dict[str, str] = {}
    identify(path, memo)
    times = path.stat()
    if change == "content":
        path.write_bytes(b"xyz")
    elif change == "size":
        path.write_bytes(b"abcd")
    elif change == "replaced":
        aged(tmp_path / "new", b"xyz").replace(path)
    else:
        path.write_bytes(b"xyz")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert path.stat().st_mtime_ns == times.st_mtime_ns
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert expected != ABC_SHA256
    assert identify(path, memo).digest == expected
    assert len(memo) == 1


def test_a_file_just_written_is_not_remembered(tmp_path: Path) -> None:
    (tmp_path / "a.root").write_bytes(b"abc")
    memo: dict[str, str] = {}
    identify(tmp_path / "a.root", memo)
    assert memo == {}


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "ttbar_0.root").write_bytes(b"")
    (tmp_path / "wjets.root").write_bytes(b"")
    with pytest.raises(MissingFile, match=r"ttbar_1\.root: it does not exist; near: ttbar_0\.root") as caught:
        identify(tmp_path / "ttbar_1.root")
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.near == ("ttbar_0.root",)
    with pytest.raises(MissingFile, match="there is no folder"):
        identify(tmp_path / "nowhere" / "a.root")
    with pytest.raises(MissingFile, match=r"wjets\.root does; name the tree 'Events' apart from the file"):
        identify(f"{tmp_path}/wjets.root:Events")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="directory"):
        identify(tmp_path)


def test_many_files_keep_their_order_and_their_errors(tmp_path: Path, settled: None) -> None:
    names = [str(tmp_path / f"{i}.root") for i in range(20)]
    for i, name in enumerate(names):
        if i != 7:
            Path(name).write_bytes(b"%d" % i)
    memo: dict[str, str] = {}
    found = dict(identify_all(names, memo))
    assert list(found) == names
    assert isinstance(found[names[7]], MissingFile)
    digests = {one.digest for one in found.values() if isinstance(one, FileIdentity)}
    assert digests == {hashlib.sha256(b"%d" % i).hexdigest() for i in range(20) if i != 7}
    assert len(memo) == 19


def test_a_remote_file_is_url_size_and_uuid(web: Any, shared_data: Path) -> None:
    size = (shared_data / "root" / "nano_dy.root").stat().st_size
    dy = identify(f"{web.url}/nano_dy.root")
    assert dy.size == size
    assert dy == identify(f"{web.url}/nano_dy.root")
    assert dy.digest != identify(f"{web.url}/nano_dimuon.root").digest
    assert dy.digest != identify(f"{web.url}//nano_dy.root").digest


def test_a_remote_file_that_is_not_there(web: Any) -> None:
    with pytest.raises(MissingFile, match=r"no_such\.root"):
        identify(f"{web.url}/no_such.root")


def test_a_remote_file_whose_end_is_missing(web: Any, shared_data: Path, tmp_path: Path) -> None:
    whole = (shared_data / "root" / "nano_dy.root").read_bytes()
    (tmp_path / "cut.root").write_bytes(whole[:-1])
    web.folder = tmp_path
    with pytest.raises(UnreadableFile, match=f"truncated: it has {len(whole) - 1} of {len(whole)} bytes"):
        identify(f"{web.url}/cut.root")


def test_a_remote_file_that_is_no_root_file(web: Any, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("no ROOT file\n" * 100)
    web.folder = tmp_path
    with pytest.raises(UnreadableFile, match="not a ROOT file"):
        identify(f"{web.url}/text.txt")


class TestFileMemo:
    def test_it_keeps_what_it_was_told(self, tmp_path: Path) -> None:
        with FileMemo(tmp_path / "deep" / "memo.json") as memo:
            memo["/a"] = "1:2:3:4 abc"
            memo["/b"] = "5:6:7:8 def"
            del memo["/b"]
        assert dict(FileMemo(tmp_path / "deep" / "memo.json")) == {"/a": "1:2:3:4 abc"}
        assert [path.name for path in (tmp_path / "deep").iterdir()] == ["memo.json"]

    @pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b"\xff\xfe", b'{"/a": 1, "/b": "kept"}', b"null"])
    def test_a_damaged_memo_is_forgotten(self, tmp_path: Path, damage: bytes) -> None:
        path = tmp_path / "memo.json"
        path.write_bytes(damage)
        memo = FileMemo(path)
        assert "/a" not in memo
        memo["/c"] = "new"
        memo.save()
        assert FileMemo(path)["/c"] == "new"

    def test_a_memo_that_can_not_be_written_costs_nothing_but_time(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with FileMemo(tmp_path / "file" / "memo.json") as memo:
            memo["/a"] = "x"
        assert memo["/a"] == "x"

    def test_a_nonsense_entry_is_read_again(self, tmp_path: Path) -> None:
        (tmp_path / "a.root").write_bytes(b"abc")
        for nonsense in ("", " ", "abc", f"1:2:3:4 {'0' * 64}"):
            assert identify(tmp_path / "a.root", {str(tmp_path / "a.root"): nonsense}).digest == ABC_SHA256


def test_a_remote_storage_that_hiccups_is_asked_again(web: Any) -> None:
    asked: list[str] = []

    def hiccup(path: str) -> int:
        asked.append(path)
        return 503 if len(asked) <= 2 else 200

    expected = identify(f"{web.url}/nano_dy.root")
    web.answer = hiccup
    assert identify(f"{web.url}/nano_dy.root") == expected


def test_a_remote_storage_that_stays_down_is_named(web: Any) -> None:
    asked: list[str] = []

    def down(path: str) -> int:
        asked.append(path)
        return 503

    web.answer = down
    with pytest.raises(InputUnreachable, match="503"):
        identify(f"{web.url}/nano_dy.root")
    assert 3 <= len(asked) <= 12
