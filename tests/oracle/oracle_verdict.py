"""How our answer to a query compares with what the peer answered in its two environments."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import oracle_answers
import oracle_inputs
from oracle_goldens import ENVIRONMENTS, Document, goldens
from oracle_queries import Query

from delivery.engine import evaluate
from delivery.errors import DeliveryError
from queries.errors import QueryError

GOOD = ("equal", "both fail")
BAD = ("different", "we fail", "superset", "untyped error")

# Functions that no standard rounds exactly: equal to one unit in the last place.
TRANSCENDENTAL = re.compile(
    r"'(a?(rc)?(sin|cos|tan)h?|arctan2|exp2?|expm1|log(2|10|1p|addexp2?)?|cbrt|hypot|(float_)?power)'|\(\*\* "
)
VECTORS = re.compile(r"'ToFourMoment(um|a)'")


@dataclass(frozen=True)
class Verdict:
    """``kind`` is one of GOOD or BAD; ``ours`` our answer as a document; ``reason`` where the first difference is."""

    query: Query
    kind: str
    ours: Document
    reason: str = ""

    def explain(self) -> str:
        """The query, our answer and theirs, for a person."""
        lines = [f"[{self.query.group}] on {self.query.file}: {self.kind}{': ' if self.reason else ''}{self.reason}"]
        lines += [f"  {self.query.spelling}", f"  ours {oracle_answers.shown(self.ours)}"]
        lines += [f"  {name}  {oracle_answers.shown(goldens(name)[self.query.key])}" for name in ENVIRONMENTS]
        return "\n".join(lines)


def verdict(query: Query, inputs: dict[str, Path]) -> Verdict:
    """Run our engine on a query and compare."""
    ours = our_answer(query, inputs)
    theirs = [goldens(name)[query.key] for name in ENVIRONMENTS]
    answers = [document for document in theirs if "error" not in document]
    if "error" in ours:
        if not ours["typed"]:
            return Verdict(query, "untyped error", ours)
        return Verdict(query, "we fail" if len(answers) == len(theirs) else "both fail", ours)
    if not answers:
        return Verdict(query, "superset", ours)
    reasons = [difference(ours, document, tolerance(query), answers) for document in answers]
    return Verdict(query, "different", ours, reasons[-1]) if all(reasons) else Verdict(query, "equal", ours)


def our_answer(query: Query, inputs: dict[str, Path]) -> Document:
    try:
        result = evaluate(query.text, inputs[query.file], oracle_inputs.tree_of(query.file))
        return oracle_answers.describe(result)
    except Exception as error:  # noqa: BLE001 - what kind of error it is is part of the verdict
        typed = isinstance(error, DeliveryError | QueryError)
        return {"error": type(error).__name__, "message": str(error).strip() or "(no message)", "typed": typed}


def tolerance(query: Query) -> int:
    """Units in the last place that two correct answers may differ by."""
    if VECTORS.search(query.text):
        return 4
    return 1 if TRANSCENDENTAL.search(query.text) else 0


def difference(ours: Document, theirs: Document, ulps: int, both: list[Document]) -> str:
    """What differs first, empty if nothing does."""
    for part in ("kind", "type", "length"):
        if ours[part] != theirs[part]:
            return f"{part}: {ours[part]} instead of {theirs[part]}"
    if ours["crc"] == theirs["crc"]:
        return ""
    mine, wanted = oracle_answers.array_of(ours), oracle_answers.array_of(theirs)
    if mine is None or wanted is None:
        return "values (long answer, checksums differ)"
    if ulps and len(both) == 2 and all(both[0].get(part) == both[1].get(part) for part in ("type", "length", "form")):
        others = leaves(oracle_answers.array_of(both[0])), leaves(oracle_answers.array_of(both[1]))
        spread = [distance(a, b) for a, b in zip(*others, strict=True)]
    else:
        spread = [0] * len(leaves(wanted))
    for number, (a, b, width) in enumerate(zip(leaves(mine), leaves(wanted), spread, strict=True)):
        apart = distance(a, b)
        if apart > (ulps + 2 * width if ulps else 0):
            return f"values (leaf {number}: {apart} units in the last place apart)"
    return ""


def leaves(array: Any) -> list[Any]:
    """Offsets, masks and numbers of an answer, in order; those of equal types correspond."""
    _, _, buffers = ak.to_buffers(array)
    return [
        np.asarray(buffers[name]) for name in sorted(buffers, key=lambda key: [int(s) for s in re.findall(r"\d+", key)])
    ]


def distance(a: Any, b: Any) -> float:
    """The largest distance between corresponding numbers, in units in the last place; infinite if not comparable."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return float("inf")
    if a.tobytes() == b.tobytes():
        return 0
    if a.dtype.kind != "f" or (np.isnan(a) != np.isnan(b)).any():
        return float("inf")
    fine = ~np.isnan(a)
    return float(np.abs(rank(a[fine]) - rank(b[fine])).max(initial=0))


def rank(values: Any) -> Any:
    """Place of every float among all floats of its type (as a float64, or as an integer for float64 itself)."""
    bits = values.view(f"i{values.dtype.itemsize}").astype(object)
    lowest = -(1 << (8 * values.dtype.itemsize - 1))
    return np.array([lowest - bit if bit < 0 else bit for bit in bits], dtype=object)
