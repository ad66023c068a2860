"""Globs and folders: of this machine and of a real XRootD server, against what Python's own glob finds."""

import glob
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from delivery.datasets import DatasetError, expanded, find_files
from delivery.datasets.patterns import MOST_ALTERNATIVES, alternatives
from delivery.service.settings import Inputs, Limits, Settings

sys.path.insert(0, str(Path(__file__).parents[1] / "delivery"))
from remote_servers import NO_XROOTD, XrootdServer, free_port

FILES = (
    "run1/a.root",
    "run1/b.root",
    "run1/log.txt",
    "run2/a.root",
    "run2/deep/er/c.root",
    "run10/a.root",
    "run10/.hidden.root",
    ".private/a.root",
    "x[1].root",
    "top.root",
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree") / "data"
    for place, name in enumerate(FILES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"r" * (place + 1))
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


@pytest.fixture(scope="module")
def server(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[XrootdServer]:
    if os.environ.get(NO_XROOTD):
        pytest.skip(f"{NO_XROOTD} is set")
    for path in tree.parents:  # the server runs as nobody
        if path.owner() == "root" and path != Path("/") and path != Path("/tmp"):
            path.chmod(0o755)
    started = XrootdServer(tree, tmp_path_factory.mktemp("xrootd"))
    yield started
    started.close()


def settings(tree: Path, **limits: Any) -> Settings:
    return Settings(inputs=Inputs(roots=(tree,), hosts=("127.0.0.1",)), limits=Limits(**limits))


def in_python(tree: Path, pattern: str) -> list[str]:
    found = glob.glob(f"{tree}/{pattern}", recursive=True)  # noqa: PTH207 - pathlib's matches hidden files
    return [path for path in found if Path(path).is_file()]


PATTERNS = ("run*/*.root", "run?/a.root", "run[12]/*.root", "*/a.root", "run*/**/*.root", "**/c.root", "*.root", "**/*")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_local_globs_find_what_pythons_glob_finds(tree: Path, pattern: str) -> None:
    expected = in_python(tree, pattern)
    found = find_files(f"glob://{tree}/{pattern}", settings(tree)).files
    if pattern == "**/*":  # a folder that matches stands for its ROOT files, which match themselves too
        assert {file.paths[0] for file in found} == set(expected)
    else:
        assert [file.paths[0] for file in found] == sorted(expected)
    assert all(file.size == Path(file.paths[0]).stat().st_size for file in found)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_server_finds_what_its_disk_holds(tree: Path, server: XrootdServer, pattern: str) -> None:
    expected = in_python(tree, pattern)
    found = find_files(f"xrootd://{server.url}/{pattern}", settings(tree)).files
    urls = sorted(server.url + path.removeprefix(str(tree)) for path in expected)
    assert [file.paths[0] for file in found] == urls
    assert {file.size for file in found} == {Path(path).stat().st_size for path in expected}


def test_braces_folders_and_plain_names(tree: Path, server: XrootdServer) -> None:
    for base, did in ((f"{tree}", f"glob://{tree}"), (server.url, f"xrootd://{server.url}")):

        def names(pattern: str, did: str = did, base: str = base) -> list[str]:
            found = find_files(f"{did}/{pattern}", settings(tree)).files
            return [file.paths[0].removeprefix(base).lstrip("/") for file in found]

        assert names("run{1,10}/a.root") == ["run1/a.root", "run10/a.root"]
        assert names("run{1/{a,b},2/a}.root") == ["run1/a.root", "run1/b.root", "run2/a.root"]
        assert names("run2") == names("run2/") == names("run{2,9}") == ["run2/a.root", "run2/deep/er/c.root"]
        assert names("run1/a.root") == ["run1/a.root"]
        assert names("run*?files=2") == ["run1/a.root", "run1/b.root"]


def test_nothing_found_is_no_success(tree: Path, server: XrootdServer) -> None:
    for did in (f"glob://{tree}", f"xrootd://{server.url}"):
        for pattern in ("run3/*.root", "run1/*.rot", "run1/a.root/*", "run1/nothing.root"):
            with pytest.raises(DatasetError, match="no file matches") as failed:
                find_files(f"{did}/{pattern}", settings(tree))
            assert failed.value.lookup_status == "does_not_exist"


def test_a_server_that_is_not_there_is_told_apart(tree: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be listed") as failed:
        find_files(f"xrootd://root://127.0.0.1:{free_port()}//d/*.root", settings(tree))
    assert failed.value.lookup_status == "internal_failure"


def test_only_allowed_hosts_and_folders_are_listed(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.root").write_bytes(b"secret")
    refused = (f"glob://{tmp_path}/*.root", f"glob://{tree}/../*.root", "xrootd://root://10.0.0.1//d/*", "glob:///*")
    for did in refused:
        with pytest.raises(DatasetError) as failed:
            find_files(did, settings(tree))
        assert failed.value.lookup_status == "bad_name"


def test_links_that_lead_out_are_refused_where_they_match(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.root").write_bytes(b"r")
    (inside / "link").symlink_to(outside)
    (inside / "file.root").symlink_to(outside / "a.root")
    (inside / "loop").symlink_to(inside)
    assert [file.paths for file in find_files(f"glob://{inside}/a*.root", settings(inside)).files] == [
        (f"{inside}/a.root",)
    ]
    for pattern in ("link/*.root", "l*/a.root", "*.root", "**/*.root"):
        with pytest.raises(DatasetError, match="not below a folder that may be read"):
            find_files(f"glob://{inside}/{pattern}", settings(inside))
    (inside / "file.root").unlink()
    assert len(find_files(f"glob://{inside}/**/*.root", settings(inside)).files) == 1


def test_a_link_that_leads_nowhere_is_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.root").symlink_to(tmp_path / "gone.root")
    assert len(find_files(f"glob://{tmp_path}/*.root", settings(tmp_path)).files) == 1


def test_lookups_are_bounded(tree: Path) -> None:
    with pytest.raises(DatasetError, match="more than 2 files"):
        find_files(f"glob://{tree}/**/*.root", settings(tree, files=2))
    with pytest.raises(DatasetError, match="longer than 0 s"):
        find_files(f"glob://{tree}/**/*.root", settings(tree, lookup_seconds=0))
    with pytest.raises(DatasetError, match=f"more than {MOST_ALTERNATIVES}"):
        alternatives("{a,b,c,d}" * 12)


def test_a_list_of_files_may_hold_patterns_and_folders(tree: Path, server: XrootdServer) -> None:
    given = [f"{tree}/top.root", f"{tree}/run1", f"file://{tree}/run2/*.root", f"{tree}/x[1].root", "https://h/a?b=*"]
    assert expanded([*given, f"{server.url}/run10/*.root"], settings(tree)) == [
        f"{tree}/top.root",
        f"{tree}/run1/a.root",
        f"{tree}/run1/b.root",
        f"{tree}/run2/a.root",
        f"{tree}/x[1].root",
        "https://h/a?b=*",
        f"{server.url}/run10/a.root",
    ]
    with pytest.raises(DatasetError, match="no file matches"):
        expanded([f"{tree}/run7/*.root"], settings(tree))
