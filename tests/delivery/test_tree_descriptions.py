"""A tree whose description is known from another file is written as if it were the first."""

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from delivery.engine.writers import descriptions, open_writer

LISTS = ak.Array([[1.0, 2.0], [], [3.0]])
TABLES: list[dict[str, Any]] = [
    {"x": np.arange(3.0), "n": [1, 2, 3]},
    {"x": np.arange(3), "n": [1, 2, 3]},  # of another type
    {"x": LISTS, "n": [1, 2, 3]},
    {"x": LISTS, "y": LISTS, "s": ["a", "b", ""], "f": np.zeros((3, 2), np.float32)},
    {"r": ak.zip({"x": LISTS, "y": LISTS}), "p": ak.zip({"a": [1, 2, 3], "b": [True, False, True]})},
]


def write(path: Path, rows: Any, groups: int) -> bytes:
    writer = open_writer(path, "root-file", {"servicex": rows[:0]}, bytes(16))
    for _ in range(groups):
        writer.write(rows)
    writer.close({})
    return path.read_bytes()


@pytest.mark.parametrize("groups", [0, 1, 25])  # uproot moves a tree that has got many baskets
@pytest.mark.parametrize("number", range(len(TABLES)))
def test_the_bytes_are_uproots(number: int, groups: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ak.Array(TABLES[number])
    with monkeypatch.context() as plain:
        plain.setattr(descriptions, "_build_out", descriptions._build_anew)
        expected = write(tmp_path / "uproot", rows, groups)
    for table in TABLES:
        write(tmp_path / "other", ak.Array(table), 1)
    assert write(tmp_path / "known", rows, groups) == expected
    with uproot.open(tmp_path / "known") as file:
        assert file["servicex"].num_entries == 3 * groups


def test_few_descriptions_are_kept(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path / "out", ak.Array({f"x{number}": [1]}), 1)
    assert len(descriptions._known) <= 8
