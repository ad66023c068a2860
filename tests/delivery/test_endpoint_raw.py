"""Raw: the inputs themselves, looked at but untouched."""

import re
from pathlib import Path
from typing import Any

import pytest
import uproot

from delivery.endpoint import open_endpoint
from delivery.errors import UnknownTree, UnreadableFile
from delivery.outputs import tree_and_entries
from delivery.requests import FileDelivered, FileFailed, FileRequest


def request(file: Path | str, index: int = 0, tree: str | None = "Events") -> FileRequest:
    return FileRequest("sample", str(file), tree, "", "raw", "root-file", index)


def test_the_input_itself_is_delivered(shared_data: Path, tmp_path: Path) -> None:
    files = sorted((shared_data / "root").glob("nano*.root"))
    assert len(files) >= 4
    found = list(open_endpoint("raw").deliver([request(f, i) for i, f in enumerate(files)], tmp_path / "s"))
    assert sorted(o.request.index for o in found) == list(range(len(files)))
    for outcome in found:
        assert isinstance(outcome, FileDelivered)
        assert outcome.path == files[outcome.request.index]
        entries = uproot.open(outcome.path)["Events"].num_entries
        assert (outcome.tree, outcome.events_in, outcome.events_out) == ("Events", entries, entries)
    assert not (tmp_path / "s").exists()


def test_the_names_of_a_local_file(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "root" / "nano_dy.root"
    (outcome,) = open_endpoint("raw").deliver([request(f"file://{path}")], tmp_path)
    assert isinstance(outcome, FileDelivered)
    assert outcome.path == path


def test_a_remote_file_stays_where_it_is(web: Any, tmp_path: Path) -> None:
    (outcome,) = open_endpoint("raw").deliver([request(f"{web.url}/nano_dy.root")], tmp_path)
    assert isinstance(outcome, FileDelivered)
    assert outcome.path == f"{web.url}/nano_dy.root"
    assert (outcome.events_out, outcome.attempts) == (40, 1)


def test_a_remote_storage_that_hiccups_is_asked_again(web: Any, tmp_path: Path) -> None:
    asked: list[str] = []

    def hiccup(path: str) -> int:
        asked.append(path)
        return 503 if len(asked) <= 2 else 200

    web.answer = hiccup
    (outcome,) = open_endpoint("raw").deliver([request(f"{web.url}/nano_dy.root")], tmp_path)
    assert isinstance(outcome, FileDelivered)
    assert outcome.attempts > 1


def test_each_failure_is_named_and_harms_no_other(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "text.root").write_text("no ROOT file, but long enough to look at " * 20)
    (tmp_path / "cut.root").write_bytes((shared_data / "root" / "nano_dy.root").read_bytes()[:9000])
    (tmp_path / "empty.root").touch()
    good = shared_data / "root" / "nano_dy.root"
    requests = [
        request(good, 0),
        request(tmp_path / "nowhere.root", 1),
        request(tmp_path / "text.root", 2),
        request(tmp_path / "cut.root", 3),
        request(tmp_path / "empty.root", 4),
        request(good, 5, tree="Evnts"),
    ]
    found = {o.request.index: o for o in open_endpoint("raw").deliver(requests, tmp_path)}
    assert isinstance(found[0], FileDelivered)
    expected = {1: "MissingFile", 2: "NotARootFile", 3: "TruncatedFile", 4: "NotARootFile", 5: "UnknownTree"}
    for index, error in expected.items():
        outcome = found[index]
        assert isinstance(outcome, FileFailed)
        assert (outcome.error, outcome.attempts) == (error, 1)
        assert Path(requests[index].file).name in outcome.reason
        assert "\n" not in outcome.reason


@pytest.mark.parametrize(
    ("length", "error"), [(-1, "TruncatedFile"), (20_000, "UnreadableFile"), (100, "UnreadableFile")]
)
def test_a_remote_file_whose_end_is_missing(
    web: Any, shared_data: Path, tmp_path: Path, length: int, error: str
) -> None:
    """Its header and tree may be there all the same, and promise events that are not."""
    whole = (shared_data / "root" / "nano_dy.root").read_bytes()
    (tmp_path / "cut.root").write_bytes(whole[:length])
    web.folder = tmp_path
    (outcome,) = open_endpoint("raw").deliver([request(f"{web.url}/cut.root")], tmp_path)
    assert isinstance(outcome, FileFailed)
    assert (outcome.error, outcome.attempts) == (error, 1)
    assert f"{web.url}/cut.root" in outcome.reason
    assert "truncated" in outcome.reason
    assert "\n" not in outcome.reason


def test_an_error_page_in_place_of_a_remote_file(web: Any, tmp_path: Path) -> None:
    (tmp_path / "a.root").write_text("<html><body>503 Service Unavailable</body></html>\n")
    (tmp_path / "b.root").write_text("<html><body>503 Service Unavailable</body></html>\n" * 100)
    web.folder = tmp_path
    requests = [request(f"{web.url}/{name}.root", index) for index, name in enumerate("ab")]
    for outcome in open_endpoint("raw").deliver(requests, tmp_path):
        assert isinstance(outcome, FileFailed)
        assert outcome.error in ("NotARootFile", "UnreadableFile")  # the shorter one is no file at all
        assert outcome.attempts == 1
        assert re.search("no ROOT file|not a ROOT file", outcome.reason)


def test_an_rntuple_is_a_tree(shared_data: Path) -> None:
    (path,) = (shared_data / "root").glob("*rntuple*.root")
    tree, entries = tree_and_entries(path)
    assert (tree, entries) == ("Events", 10)


def test_which_tree_is_meant(tmp_path: Path) -> None:
    def write(name: str, *trees: str) -> Path:
        with uproot.recreate(tmp_path / name) as file:
            for tree in trees:
                file.mktree(tree, {"x": "int32"})
                file[tree].extend({"x": [1, 2, 3]})
        return tmp_path / name

    assert tree_and_entries(write("one.root", "anything")) == ("anything", 3)
    assert tree_and_entries(write("more.root", "Events", "Runs")) == ("Events", 3)
    assert tree_and_entries(tmp_path / "more.root", "Runs") == ("Runs", 3)
    with pytest.raises(UnknownTree, match="no tree 'c'; trees in the file: 'b', 'a'"):
        tree_and_entries(write("neither.root", "b", "a"), "c")


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UnreadableFile, match=r"a\.parquet"):
        tree_and_entries(tmp_path / "a.parquet")


def test_identity_is_the_input_alone() -> None:
    assert open_endpoint("raw").identity() == {"endpoint": "raw"}
