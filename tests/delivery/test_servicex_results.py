"""Matching results to inputs: names are made exactly as the service's and the client's own code makes them."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from servicex.minio_adapter import MinioAdapter, _sanitize_filename

from delivery.servicex_results import Result, local_name, match, object_name

LONG = "root://eospublic.cern.ch//eos/opendata/cms/" + "RunIIFall15MiniAODv2/" * 12 + "0A1B.root"


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=300))
def test_local_names_are_the_clients(name: str) -> None:
    assert local_name(name) == _sanitize_filename(MinioAdapter.hash_path(name))


@pytest.mark.parametrize("suffix", ["", ".parquet", ".root"])
@pytest.mark.parametrize("file", ["/data/a.root", "root://x//y.root", LONG])
def test_without_rows_the_name_tells(file: str, suffix: str) -> None:
    name = object_name(file) + suffix
    assert "/" not in name
    if len(name) > 255:  # what the service does to a name that its object store would refuse
        from hashlib import sha1

        name = "_" + sha1(name.encode()).hexdigest() + name[-(255 - 41) :]
    path = Path("/cache") / _sanitize_filename(MinioAdapter.hash_path(name))
    assert match([file, "other.root"], [path], []) == {file: Result(path), "other.root": Result(None)}


def test_with_rows_the_row_tells() -> None:
    rows = [
        {"file-path": "a", "s3-object-name": "one", "transform_status": "success", "total-events": 5, "total-bytes": 9},
        {"file-path": "b", "s3-object-name": "two", "transform_status": "failure", "total-events": 0, "total-bytes": 0},
        {"file-path": "unasked", "s3-object-name": "three", "transform_status": "success"},
    ]
    downloaded = [Path("/cache/three"), Path("/cache/one"), Path("/cache/a")]
    assert match(["a", "b", "c"], downloaded, rows) == {
        "a": Result(Path("/cache/one"), "success", 9),
        "b": Result(None, "failure", 0),
        "c": Result(None),
    }
