"""Whole or not at all, the same bytes for the same rows, a record of what was done, objects copied as they are."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot

from delivery.engine.writers import Grouped, open_writer, read_record
from delivery.errors import OutputUnwritable, UnwritableType
from delivery.requests import OutputFormat

FORMATS: list[OutputFormat] = ["parquet", "root-file", "root-rntuple"]
ROOT: list[OutputFormat] = ["root-file", "root-rntuple"]
IDENTITY = bytes(range(32))
ROWS = ak.zip({"pt": [[1.5, 2.5], [], [3.5]], "n": [2, 0, 1]}, depth_limit=1)
RECORD = {
    "query": "ab" * 32,
    "events_in": 3,
    "cutflow": [["e.x > 1", 2]],
    "sum_of_weights": 1.25,
    "tree": "é",
    "none": None,
}


def write(path: Path, output_format: OutputFormat, rows: Any = ROWS, identity: bytes = IDENTITY) -> Path:
    writer = open_writer(path, output_format, {"servicex": rows[:0]}, identity)
    writer.write(rows)
    writer.close(RECORD)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- whole or not at all ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output_format", FORMATS)
def test_the_name_is_given_at_the_end(output_format: OutputFormat, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("what was there")
    writer = open_writer(path, output_format, {"servicex": ROWS[:0]}, IDENTITY)
    writer.write(ROWS)
    assert path.read_text() == "what was there"
    writer.close({})
    assert path.read_bytes()[:4] in {b"PAR1", b"root"}
    writer.abandon()
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("output_format", FORMATS)
def test_an_abandoned_output_leaves_what_was_there(output_format: OutputFormat, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("what was there")
    writer = open_writer(path, output_format, {"servicex": ROWS[:0]}, IDENTITY)
    writer.write(ROWS)
    writer.abandon()
    writer.abandon()
    assert (names(tmp_path), path.read_text()) == (["out"], "what was there")


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_record_that_cannot_be_written_fails_the_output(output_format: OutputFormat, tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "out", output_format, {"servicex": ROWS[:0]}, IDENTITY)
    with pytest.raises(TypeError, match="not JSON serializable"):
        writer.close({"when": object()})  # type: ignore[dict-item]
    assert not names(tmp_path)


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_link_stays_a_link(output_format: OutputFormat, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "folder" / "file")
    write(link, output_format)
    assert link.is_symlink()
    assert names(tmp_path / "folder") == ["file"]


@pytest.mark.parametrize("output_format", FORMATS)
def test_places_that_cannot_be_written(output_format: OutputFormat, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place, reason in (
        (tmp_path / "no" / "out", "its folder does not exist"),
        (tmp_path / "file" / "out", "what should be its folder is a file"),
        (tmp_path, "it is there and is no file"),
        (Path(os.devnull), "it is there and is no file"),
    ):
        with pytest.raises(OutputUnwritable, match=reason):
            write(place, output_format)
    assert names(tmp_path) == ["file"]


LIMITED = """
import resource, sys
from pathlib import Path
import awkward as ak, numpy as np
from delivery.engine.writers import open_writer
from delivery.errors import OutputUnwritable

path, output_format = Path(sys.argv[1]), sys.argv[2]
rows = ak.Array({"x": np.random.default_rng(1).random(100_000)})
writer = open_writer(path, output_format, {"servicex": rows[:0]}, bytes(16))
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    for _ in range(5):
        writer.write(rows)
    writer.close({})
except OutputUnwritable as error:
    writer.abandon()
    print(error)
"""


@pytest.mark.parametrize("output_format", FORMATS)
def test_no_room(output_format: OutputFormat, tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: the system refuses a write halfway."""
    path = tmp_path / "out"
    path.write_text("what was there")
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, path, output_format], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.startswith(f"cannot write {path}: ")
    assert "File too large; give another place" in run.stdout
    assert not run.stderr
    assert (names(tmp_path), path.read_text()) == (["out"], "what was there")


INTERRUPTED = """
import signal, sys
from pathlib import Path
import awkward as ak, numpy as np
from delivery.engine.writers import open_writer

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job would ignore
rows = ak.Array({"x": np.arange(1000.0)})
writer = open_writer(Path(sys.argv[1]), sys.argv[2], {"servicex": rows[:0]}, bytes(16))
try:
    print("writing", flush=True)
    while True:
        writer.write(rows)
except BaseException:
    writer.abandon()
    raise
"""


@pytest.mark.parametrize("output_format", FORMATS)
def test_interrupted(output_format: OutputFormat, tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED, tmp_path / "out", output_format]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "writing\n"
        time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        try:
            child.communicate(timeout=60)
        finally:
            child.kill()
    assert child.returncode
    assert not names(tmp_path)


# -- the same bytes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output_format", FORMATS)
def test_neither_time_nor_name_shows(output_format: OutputFormat, tmp_path: Path) -> None:
    first = write(tmp_path / "first", output_format).read_bytes()
    time.sleep(1.1)  # ROOT's times are whole seconds
    assert write(tmp_path / "second", output_format).read_bytes() == first


@pytest.mark.parametrize("output_format", ROOT)
def test_the_identifier_is_made_from_the_identity(output_format: OutputFormat, tmp_path: Path) -> None:
    files = [write(tmp_path / name, output_format, identity=name.encode() * 16) for name in "ab"]
    identifiers = [uproot.open(path).file.uuid for path in files]
    assert identifiers[0] != identifiers[1]
    assert all(identifier.version == 4 for identifier in identifiers)


def test_threads_write_at_once_and_others_keep_their_dates(tmp_path: Path) -> None:
    rows = ak.Array({"x": np.random.default_rng(3).normal(size=200_000)})
    alone = write(tmp_path / "alone", "root-file", rows).read_bytes()
    stop = threading.Event()

    def others() -> None:
        for number in range(1000):
            with uproot.recreate(tmp_path / f"other{number % 2}.root") as file:
                file.mktree("t", {"x": "f8"}).extend({"x": np.zeros(10)})
            if stop.is_set():
                return

    threads = [threading.Thread(target=write, args=(tmp_path / f"{i}", "root-file", rows)) for i in range(3)]
    beside = threading.Thread(target=others)
    for thread in [beside, *threads]:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    beside.join()
    assert all((tmp_path / f"{i}").read_bytes() == alone for i in range(3))
    created = uproot.open(tmp_path / "other0.root").file.root_directory.created_on
    assert abs(created.timestamp() - time.time()) < 3600
    assert uproot.open(tmp_path / "alone").file.root_directory.created_on.year == 2000


# -- the record ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("rows", [ROWS, ROWS[:0]], ids=["rows", "no rows"])
def test_the_record_comes_back(output_format: OutputFormat, rows: Any, tmp_path: Path) -> None:
    assert read_record(write(tmp_path / "out", output_format, rows)) == RECORD


def test_sums_that_are_no_numbers(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "out", "parquet", {"servicex": ROWS[:0]}, IDENTITY)
    writer.close({"sum_of_weights": float("nan"), "sums": [float("inf"), 1.5]})
    assert read_record(tmp_path / "out") == {"sum_of_weights": None, "sums": [None, 1.5]}


def test_files_of_others_have_none(tmp_path: Path, shared_data: Path) -> None:
    pq.write_table(ak.to_arrow_table(ROWS), tmp_path / "theirs")
    assert read_record(tmp_path / "theirs") is None
    assert read_record(shared_data / "adl/Run2012B_SingleMu_1000.root") is None
    with uproot.recreate(tmp_path / "tree.root") as file:
        file.mktree("skimflow", {"x": "f8"})
    assert read_record(tmp_path / "tree.root") is None


@pytest.mark.parametrize("output_format", ROOT)
def test_the_record_is_in_nobodys_way(output_format: OutputFormat, tmp_path: Path) -> None:
    """The tree is first, and what finds the only tree of a file finds it."""
    path = write(tmp_path / "out.root", output_format)
    with uproot.open(path) as file:
        assert file.keys() == ["servicex;1", "skimflow;1"]
        assert str(file["skimflow"]).startswith('{"cutflow"')
    assert uproot.open(f"{path}:servicex").num_entries == len(ROWS)


def test_the_tree_is_found_without_a_name(tmp_path: Path) -> None:
    path = write(tmp_path / "out.root", "root-file")
    assert uproot.concatenate(str(path)).pt.to_list() == ROWS.pt.to_list()


def test_parquet_reads_as_before(tmp_path: Path) -> None:
    path = write(tmp_path / "out", "parquet")
    assert ak.from_parquet(path).to_list() == ROWS.to_list()
    assert pq.read_table(path).column_names == ["pt", "n"]
    assert all(pq.read_metadata(path).row_group(0).column(i).compression == "SNAPPY" for i in range(2))


# -- several trees ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output_format", ROOT)
def test_several_trees(output_format: OutputFormat, tmp_path: Path) -> None:
    other = ak.Array({"x": [1, 2]})
    writer = open_writer(tmp_path / "out", output_format, {"one": ROWS[:0], "two": other[:0]}, IDENTITY)
    for _ in range(2):
        writer.write(ROWS, "one")
        writer.write(other, "two")
    writer.close({})
    with uproot.open(tmp_path / "out") as file:
        assert file.keys() == ["one;1", "two;1", "skimflow;1"]
        assert file["one"].arrays().pt.to_list() == 2 * ROWS.pt.to_list()
        assert file["two"].arrays().x.to_list() == [1, 2, 1, 2]


def test_several_trees_in_one_table(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "out", "parquet", {"one": ROWS[:0], "two": ROWS[:0]}, IDENTITY)
    writer.write(ROWS, "one")
    writer.write(ROWS[:1], "two")
    writer.close({})
    theirs = ROWS[:]
    theirs["treename"] = "one"
    wanted = ak.to_arrow_table(theirs).schema
    assert pq.read_table(tmp_path / "out").schema.equals(wanted)
    back = ak.from_parquet(tmp_path / "out")
    assert back.treename.to_list() == ["one"] * 3 + ["two"]
    assert back.n.to_list() == [2, 0, 1, 2]


def test_one_tree_with_its_name(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "out", "parquet", {"Events": ROWS[:0]}, IDENTITY, treenames=True)
    writer.write(ROWS, "Events")
    writer.close({})
    assert ak.from_parquet(tmp_path / "out").treename.to_list() == ["Events"] * 3


def test_trees_of_different_columns_are_no_table(tmp_path: Path) -> None:
    with pytest.raises(UnwritableType, match=r"'one'.*'two'.*different columns"):
        open_writer(tmp_path / "out", "parquet", {"one": ROWS[:0], "two": ROWS[["n"]][:0]}, IDENTITY)


@pytest.mark.parametrize("output_format", FORMATS)
def test_no_trees(output_format: OutputFormat, tmp_path: Path) -> None:
    open_writer(tmp_path / "out", output_format, {}, IDENTITY).close({"events_in": 0})
    assert read_record(tmp_path / "out") == {"events_in": 0}


@pytest.mark.parametrize("output_format", ROOT)
def test_the_records_name_is_taken(output_format: OutputFormat, tmp_path: Path) -> None:
    with pytest.raises(UnwritableType, match="'skimflow' is kept"):
        open_writer(tmp_path / "out", output_format, {"skimflow": ROWS[:0]}, IDENTITY)


def test_names_that_collide_with_a_counter(tmp_path: Path) -> None:
    rows = ak.zip({"nJet": [[1.0], []], "Jet": [[1.0], []]}, depth_limit=1)
    with pytest.raises(UnwritableType, match="nJet"):
        open_writer(tmp_path / "out", "root-file", {"servicex": rows[:0]}, IDENTITY)
    rows = ak.zip({"nJet": [5, 6], "Jet": [[1.0], []]}, depth_limit=1)
    writer = open_writer(tmp_path / "out", "root-file", {"servicex": rows[:0]}, IDENTITY)
    with pytest.raises(UnwritableType, match=r"nJet.*other names"):
        writer.write(rows)
    writer.abandon()
    assert not names(tmp_path)


# -- large outputs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output_format", ROOT)
def test_hundreds_of_groups(output_format: OutputFormat, tmp_path: Path) -> None:
    rows = ak.zip({"x": np.arange(2400), "v": ak.unflatten(np.arange(4800.0), np.arange(2400) % 5)}, depth_limit=1)
    writer = open_writer(tmp_path / "out", output_format, {"servicex": rows[:0]}, IDENTITY)
    grouped = Grouped(writer, "servicex", 7)
    grouped.add(rows)
    grouped.end()
    writer.close({})
    with uproot.open(tmp_path / "out") as file:
        back = file["servicex"].arrays(["x", "v"])
    assert ak.array_equal(back.x, rows.x)
    assert ak.array_equal(back.v, rows.v)


# -- copies ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def histograms(tmp_path: Path) -> Path:
    path = tmp_path / "histograms.root"
    with uproot.recreate(path) as file:
        file["cutflow"] = np.histogram([1, 2, 2, 3], bins=3)
        file["deep/er/plane"] = np.histogram2d([1, 2], [3, 4], bins=2)
        file["note"] = "as it is"
        file.mktree("t", {"x": "f8"})
    return path


@pytest.mark.parametrize("output_format", ROOT)
def test_objects_are_copied_as_they_are(output_format: OutputFormat, histograms: Path, tmp_path: Path) -> None:
    path = tmp_path / "out"
    with uproot.open(histograms) as source:
        writer = open_writer(path, output_format, {"servicex": ROWS[:0]}, IDENTITY)
        writer.write(ROWS)
        for name in ("cutflow", "deep/er/plane", "note"):
            writer.copy(name, source)
        writer.close({})
        with uproot.open(path) as file:
            assert file.keys(cycle=False, filter_classname="TH*") == ["cutflow", "deep/er/plane"]
            assert file["cutflow"].values().tolist() == [1, 2, 1]
            assert (file["deep/er/plane"].values() == source["deep/er/plane"].values()).all()
            assert str(file["note"]) == "as it is"
            assert file["servicex"].num_entries == 3
            assert file.key("cutflow").data_uncompressed_bytes == source.key("cutflow").data_uncompressed_bytes


def test_a_source_that_is_cut_off_is_not_the_outputs_fault(histograms: Path, tmp_path: Path) -> None:
    with uproot.open(histograms) as source:
        cut = source.key("cutflow").data_cursor.index + 10
    writer = open_writer(tmp_path / "out", "root-file", {"servicex": ROWS[:0]}, IDENTITY)
    with uproot.open(histograms) as source:
        os.truncate(histograms, cut)
        with pytest.raises(Exception) as error:  # noqa: PT011 - whatever uproot raises there
            writer.copy("cutflow", source)
    assert not isinstance(error.value, OutputUnwritable)
    writer.abandon()


COPY = """
import sys
from pathlib import Path
import uproot
from delivery.engine.writers import open_writer
with uproot.open(sys.argv[1]) as source:
    writer = open_writer(Path(sys.argv[2]), "root-file", {}, bytes(16))
    for name in ("deep/er/plane", "cutflow"):
        writer.copy(name, source)
    writer.close({})
"""


def test_copies_have_the_same_bytes_in_each_process(histograms: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / seed for seed in "123"]
    for output in outputs:
        command = [sys.executable, "-c", COPY, histograms, output]
        subprocess.run(command, check=True, timeout=60, env={**os.environ, "PYTHONHASHSEED": output.name})
    assert len({output.read_bytes() for output in outputs}) == 1


@pytest.mark.parametrize(
    ("output_format", "name"), [("parquet", "cutflow"), ("root-file", "t"), ("root-file", "skimflow")]
)
def test_what_cannot_be_copied(output_format: OutputFormat, name: str, histograms: Path, tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "out", output_format, {"servicex": ROWS[:0]}, IDENTITY)
    with uproot.open(histograms) as source, pytest.raises(UnwritableType, match=f"'{name}'"):
        writer.copy(name, source)
    writer.abandon()
