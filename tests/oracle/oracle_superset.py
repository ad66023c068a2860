"""Queries on which we knowingly do not follow the peer, each with the reason.

``SUPERSET``: the peer fails, we answer; the expected answer is worked out here from the branches as uproot reads them.
The type of its rows follows from the rules of docs/queries.md: a literal alone is int64 or float64, as it is in
`np.where`, and takes the type of a column that it meets elsewhere; sums of float32 are float32, counts are int64; what
is missing for an empty list, and rows that a missing value selects, are optional; the rest is NumPy's promotion.
``REFUSED``: the peer answers, we fail.
"""

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import awkward as ak
import numpy as np

Expected = Callable[[ak.Array], Any]
EVENT = "an event as uproot reads it"  # the type of whole events, which is the file's


def one(value: Any) -> Expected:
    """The same value for every event."""
    return lambda events: [value] * len(events)


def objects(mask: Callable[[ak.Array], ak.Array], *names: str) -> Expected:
    """These lists without the items that a mask removes."""
    return lambda events: [
        dict(zip(names, row, strict=True)) if len(names) > 1 else row[0]
        for row in zip(*(ak.to_list(events[name][mask(events)]) for name in names), strict=True)
    ]


def event(function: Callable[[Any], Any]) -> Expected:
    """A function of one event's values."""
    return lambda events: [function(each) for each in events]


LITERAL = "a literal stands for one value per event"
BUILTIN = "functions of lists and numbers that users write first"
ORDER = "events can be ordered"
IGNORED = "what other backends want to know is passed over"
MASK = "a mask of objects selects in the lists that fit it"
SHADOW = "an inner variable may have the name of an outer one"

DEAD = (
    "DS.Select(lambda e: {'a': e.Jet_mass.Select(lambda x1: (x1 if x1 > 3.3 else True)), "
    "'b': e.Muon_mass.OrderByDescending(lambda x2: np.sqrt(x2)), "
    "'s': e.w_f32.OrderByDescending(lambda x3: (x3 if x3 > 20.0 else 5)).First()})"
    ".Where(lambda r: r.a.Any(lambda x: x > 1))"
    ".Select(lambda r: {'p': r.a.Choose(2).Select(lambda p: p.Sum()), 'n': r.b.Count()})"
)


DEAD_TOO = (
    "DS.Where(lambda e: (e.v_u8.Count() < 3)).Select(lambda e: {'a': (e.v_i16 * e.v_u64), "
    "'b': e.v_u64.OrderByDescending(lambda x2: (x2 if x2 > 1.5 else 10)), 's': (e.w_i32 - e.w_i32).Last()})"
    ".Where(lambda r: r.a.Count() > 0)"
    ".Select(lambda r: {'p': r.a.Choose(2).Select(lambda p: p.Sum()), 'n': r.b.Count()})"
)


def dead_too(events: ak.Array) -> list[Any]:
    """DEAD_TOO's answer without its column 's'."""
    lists = [values for values in ak.to_list(events.v_i16 * events.v_u64) if 0 < len(values) < 3]
    return [{"p": [a + b for a, b in combinations(values, 2)], "n": len(values)} for values in lists]


def dead(events: ak.Array) -> list[Any]:
    """DEAD's answer without its column 's'."""
    rows = []
    for each in events:
        masses = [mass if mass > np.float32(3.3) else np.float32(1) for mass in each.Jet_mass]
        if any(mass > 1 for mass in masses):
            rows.append({"p": [one + two for one, two in combinations(masses, 2)], "n": len(each.Muon_mass)})
    return rows


FIXED = "a mask makes lists of one length lists of any"
SUPERSET: dict[str, tuple[str, str, Expected]] = {
    "DS.Select(lambda e: abs(-1))": (LITERAL, "int64", one(1)),
    "DS.Select(lambda e: -1)": (LITERAL, "int64", one(-1)),
    "DS.Select(lambda e: 1 + 1)": (LITERAL, "int64", one(2)),
    "DS.Select(lambda e: {'c': 1})": (LITERAL, "{c: int64}", one({"c": 1})),
    "DS.Select(lambda e: {'c': 1, 'd': e.MET_pt})": (
        LITERAL,
        "{c: int64, d: float32}",
        event(lambda e: {"c": 1, "d": e.MET_pt}),
    ),
    "DS.Select(lambda e: e.MET_pt + 99999999999999999999)": (LITERAL, "float32", event(lambda e: np.float32(1e20))),
    "DS.Select(lambda e: 3 > 2)": (LITERAL, "bool", one(True)),
    "DS.Select(lambda e: np.pi)": (LITERAL, "float64", one(math.pi)),
    "DS.Select(lambda e: np.inf)": (LITERAL, "float64", one(math.inf)),
    "DS.Select(lambda e: np.sqrt(2))": (LITERAL, "float64", one(math.sqrt(2))),
    "DS.Select(lambda e: {'a': e.MET_pt, 'b': e.run}.a)": (
        "a field of a record that was just made",
        "float32",
        event(lambda e: e.MET_pt),
    ),
    "DS.Select(lambda e: sqrt(e.MET_pt))": (BUILTIN, "float32", lambda events: np.sqrt(events.MET_pt)),
    "DS.Select(lambda e: math.sqrt(e.MET_pt))": (BUILTIN, "float32", lambda events: np.sqrt(events.MET_pt)),
    "DS.Select(lambda e: len(e.Jet_pt))": (BUILTIN, "int64", lambda events: ak.num(events.Jet_pt)),
    "DS.Select(lambda e: sum(e.Jet_pt))": (BUILTIN, "float32", event(lambda e: sum(e.Jet_pt, np.float32(0)))),
    "DS.Select(lambda e: max(e.Jet_pt))": (BUILTIN, "?float32", event(lambda e: max(e.Jet_pt, default=None))),
    "DS.Select(lambda e: round(e.MET_pt))": (BUILTIN, "float32", event(lambda e: float(round(e.MET_pt)))),
    "DS.Select(lambda e: any(e.Jet_pt))": (BUILTIN, "bool", event(lambda e: any(e.Jet_pt))),
    "DS.Select(lambda e: list(e.Jet_pt))": (BUILTIN, "var * float32", lambda events: events.Jet_pt),
    "DS.Select(lambda e: np.where(e.HLT, e.MET_pt, 0))": (
        BUILTIN,
        "float64",
        event(lambda e: e.MET_pt if e.HLT else 0.0),
    ),
    "DS.Select(lambda e: np.sum(e.Jet_pt))": (BUILTIN, "float32", event(lambda e: sum(e.Jet_pt, np.float32(0)))),
    "DS.Select(lambda e: np.max(e.Jet_pt))": (BUILTIN, "?float32", event(lambda e: max(e.Jet_pt, default=None))),
    "DS.Select(lambda e: np.round(e.MET_pt))": (BUILTIN, "float32", event(lambda e: float(round(e.MET_pt)))),
    "DS.Select(lambda e: np.clip(e.MET_pt, 0, 50))": (BUILTIN, "float32", event(lambda e: min(e.MET_pt, 50.0))),
    "DS.Select(lambda e: np.any(e.Jet_pt > 3))": (BUILTIN, "bool", event(lambda e: any(pt > 3 for pt in e.Jet_pt))),
    "(Select DS (lambda (list e) (Aggregate (attr e 'Jet_pt') 0 (lambda (list a b) (+ a b)))))": (
        "Aggregate that adds is Sum",
        "float32",
        event(lambda e: sum(e.Jet_pt, np.float32(0))),
    ),
    "(Select DS (lambda (list e) (call Range 0 5)))": (
        "Range is a list of integers",
        "var * int64",
        one([0, 1, 2, 3, 4]),
    ),
    "(call MetaData DS (dict (list) (list)))": (IGNORED, EVENT, lambda events: events),
    "(Select (call MetaData DS (dict (list 'a') (list 1))) (lambda (list e) (attr e 'MET_pt')))": (
        IGNORED,
        "float32",
        lambda events: events.MET_pt,
    ),
    "DS.Select(lambda e: e.run).OrderBy(lambda x: x)": (ORDER, "uint32", lambda events: sorted(events.run)),
    "DS.OrderBy(lambda e: e.MET_pt)": (ORDER, EVENT, lambda events: events[np.argsort(events.MET_pt, kind="stable")]),
    "DS.Where(lambda e: e.Jet_pt > 30).Select(lambda e: e.Jet_pt)": (
        MASK,
        "var * float32",
        objects(lambda e: e.Jet_pt > 30, "Jet_pt"),
    ),
    "DS.Where(lambda e: e.Jet_pt > 30).Select(lambda e: {'a': e.Jet_pt, 'b': e.Jet_eta})": (
        MASK,
        "{a: var * float32, b: var * float32}",
        event(lambda e: {"a": e.Jet_pt[e.Jet_pt > 30], "b": e.Jet_eta[e.Jet_pt > 30]}),
    ),
    "DS.Where(lambda e: e.Jet_pt > e.Muon_pt).Select(lambda e: {'a': e.Jet_eta, 'b': e.Muon_eta})": (
        MASK,
        "{a: var * float32, b: var * float32}",
        event(lambda e: {"a": e.Jet_eta[e.Jet_pt > e.Muon_pt], "b": e.Muon_eta[e.Jet_pt > e.Muon_pt]}),
    ),
    "DS.Select(lambda e: e.Jet_pt.Select(lambda x: e.Muon_pt.Select(lambda x: x * 2)))": (
        SHADOW,
        "var * var * float32",
        event(lambda e: [[2 * muon for muon in e.Muon_pt] for _ in e.Jet_pt]),
    ),
    "DS.Where(lambda e: e.Jet_pt + e.Muon_pt.Max() > 50).Select(lambda e: e.Jet_pt)": (
        MASK,
        "option[var * float32]",
        event(lambda e: e.Jet_pt[e.Jet_pt + ak.max(e.Muon_pt) > 50] if len(e.Muon_pt) else None),
    ),
    "DS.Where(lambda e: e.Muon_pt.Max() > 30).Where(lambda e: e.Jet_pt > 30).Select(lambda e: e.Jet_pt)": (
        MASK,
        "option[var * float32]",
        lambda events: [
            e.Jet_pt[e.Jet_pt > 30] if len(e.Muon_pt) else None for e in events if max(e.Muon_pt, default=99) > 30
        ],
    ),
    "DS.Select(lambda e: e.r_f32.Where(lambda x: x > 0))": (
        FIXED,
        "var * float32",
        event(lambda e: e.r_f32[e.r_f32 > 0]),
    ),
    "DS.Where(lambda e: e.r_f32 > 0).Select(lambda e: e.r_f32)": (
        FIXED,
        "var * float32",
        event(lambda e: e.r_f32[e.r_f32 > 0]),
    ),
    DEAD_TOO: ("a column that nothing reads is not computed", "{p: var * float64, n: int64}", dead_too),
    DEAD: (
        "a column that nothing reads is not computed, so that the empty list in it harms nobody",
        "{p: var * float32, n: int64}",
        dead,
    ),
}

NONSENSE = "the peer takes the predicate for row numbers or keeps one row, whatever the query says"
REFUSED: dict[str, str] = {
    "(Concat DS DS)": "the dataset can be read once, at the query's beginning",
    "(Select DS (lambda (list e) (dict (list 'a' 'b' 'c') (list (attr e 'MET_pt') (attr e 'run')))))": (
        "a key without a value is a mistake; the peer drops it"
    ),
    "DS.Select(lambda e: e.Jet_pt.ToFourMomenta())": "numbers are no four-vectors",
    "DS.Select(lambda e: {'v': e.Jet_pt, 's': e.MET_pt}).Where(lambda r: True)": NONSENSE,
    "DS.Where(lambda e: None).Select(lambda e: e.MET_pt)": NONSENSE,
    "DS.Select(lambda e: e.Jet_pt.Where(lambda x: e.HLT))": NONSENSE,
    "DS.Select(lambda e: e.Jet_pt.Where(lambda x: True))": NONSENSE,
    "DS.Select(lambda e: e.MET_pt.Where(lambda x: x > 30))": NONSENSE,
    "DS.Where(lambda e: e.Jet_pt.Count()).Select(lambda e: e.MET_pt)": NONSENSE,
    "DS.Select(lambda e: e.Jet_pt.Where(lambda x: e.Muon_pt.Where(lambda y: y > 20).Count() > 0))": NONSENSE,
    "DS.Where(lambda e: (e.MET_pt > 20)).Select(lambda e: {'a': e.s_i8.Select(lambda x1: (x1 if x1 > 3 else True)), "
    "'b': e.s_u32.Select(lambda x2: ((x2 - e.MET_pt) * 10)), 'c': e.Muon_mass.Max()}.Zip()"
    ".Where(lambda o: (o.a < 0) & (o.b != o.c)))": NONSENSE,
}

# Answers of the peer that depend on other events, which ours must not: by the key of the query.
OTHERS = "a ternary of lists in an event that is None is a list of None there, as long as some other event's list"
DIFFERENT: dict[str, str] = {"7e805961b8e3edbd": OTHERS}
