"""A file's result in parts: ranges of its entries, made one by one anywhere and put together in order.

The file that is put together is byte for byte the one that `delivery.engine.transform` writes. Parts are kept as NumPy
arrays with a description in JSON, in one zip file: nothing in them is run when they are read.
"""

import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from delivery.engine.plan import Plan
from delivery.engine.raw.transform import planned_raw
from delivery.engine.rows import Piece
from delivery.engine.skim import pieces_of, planned, transform
from delivery.engine.source import Source
from delivery.engine.stream import Progress, ranges
from delivery.engine.writers.layouts import normal
from delivery.requests import TransformRequest, TransformResult

_ABOUT = "about.json"


def cuts(request: TransformRequest, most_bytes: int) -> list[tuple[int, int]]:
    """Ranges of entries whose columns take about ``most_bytes`` uncompressed, cut where baskets begin if they can be.

    One range, or none, means that the file is not to be cut: it is small, or the query needs all rows at once; or a
    selection of ``uproot-raw`` reads several trees or copies objects; or the codegen is ``python``, whose function gets
    whole files. Raises what `delivery.engine.transform` raises before it reads.
    """
    with _divisible(request) as found:
        if found is None:
            return []
        plan, source = found
        return ranges(source, plan.columns, most_bytes, 1)


@contextmanager
def _divisible(request: TransformRequest) -> Iterator[tuple[Plan, Source] | None]:
    """The plan whose pieces are all of the output, with the open tree; None where ranges cannot be made apart."""
    if request.codegen == "uproot":
        with planned(request) as (_, plan, source):
            yield None if plan.tail is not None else (plan, source)
    elif request.codegen == "uproot-raw":
        with planned_raw(request) as (_, raw):
            yield None if raw.only is None else (raw.only.plan, raw.only.source)
    else:
        yield None


def write_part(
    request: TransformRequest, entries: tuple[int, int], path: Path, progress: Progress | None = None
) -> None:
    """Write the result's rows of the entries (start, stop) to ``path``.

    Raises what `transform` raises, and ValueError for a request that `cuts` does not cut.
    """
    with _divisible(request) as found, zipfile.ZipFile(path, "w") as file:
        if found is None:
            raise ValueError("the query needs all rows at once, or more than the rows of one tree")
        plan, source = found
        count = 0
        for count, piece in enumerate(pieces_of(plan, source, request, entries, progress), 1):
            _write_piece(file, f"{count - 1}/", piece)
        about = {"entries": entries, "of": source.entries, "pieces": count, "bytes_read": source.bytes_read}
        file.writestr(_ABOUT, json.dumps(about))


def _write_piece(file: zipfile.ZipFile, folder: str, piece: Piece) -> None:
    form, length, buffers = ak.to_buffers(normal(ak.to_layout(piece.rows)))
    weights = None if piece.weights is None else [str(piece.weights.numerator), str(piece.weights.denominator)]
    about = {"form": form.to_dict(), "length": length, "passed": piece.passed, "weights": weights}
    file.writestr(folder + _ABOUT, json.dumps(about))
    for name, values in buffers.items():
        with file.open(f"{folder}{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, np.asarray(values), allow_pickle=False)


def merge(request: TransformRequest, parts: Sequence[Path], progress: Progress | None = None) -> TransformResult:
    """Write the result from all its parts, in the order of their entries; as `transform` writes it.

    Raises what `transform` raises, and ValueError if the parts leave entries out or hold some twice.
    """
    abouts = [_about(part) for part in parts]
    borders = [0, *(about["entries"][1] for about in abouts)]
    in_order = [about["entries"][0] for about in abouts] == borders[:-1]
    if not in_order or {about["of"] for about in abouts} != {borders[-1]}:
        held = ", ".join("{} to {}".format(*about["entries"]) for about in abouts) or "none"
        raise ValueError(f"the parts hold the entries {held}; all entries in their order were expected")
    result = transform(request, found=_pieces(parts, borders[-1], progress))
    return replace(result, bytes_read=result.bytes_read + sum(about["bytes_read"] for about in abouts))


def _about(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as file:
        about: dict[str, Any] = json.loads(file.read(_ABOUT))
        return about


def _pieces(parts: Sequence[Path], entries: int, progress: Progress | None) -> Iterator[Piece]:
    for part in parts:
        with zipfile.ZipFile(part) as file:
            about = json.loads(file.read(_ABOUT))
            if progress is not None:
                progress(about["entries"][0], entries)
            for number in range(about["pieces"]):
                yield _read_piece(file, f"{number}/")


def _read_piece(file: zipfile.ZipFile, folder: str) -> Piece:
    about = json.loads(file.read(folder + _ABOUT))
    buffers = {}
    for name in file.namelist():
        if name.startswith(folder) and name.endswith(".npy"):
            with file.open(name) as member:
                buffers[name[len(folder) : -len(".npy")]] = np.lib.format.read_array(member, allow_pickle=False)
    rows = ak.from_buffers(ak.forms.from_dict(about["form"]), about["length"], buffers)
    weights = about["weights"]
    exact = None if weights is None else Fraction(int(weights[0]), int(weights[1]))
    return Piece(rows, tuple(about["passed"]), exact)
