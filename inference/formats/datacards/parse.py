"""The text of a datacard to a `Card`. The format is that of CMS Combine's documentation ("Setting up the analysis")."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inference.errors import nearest
from inference.formats.datacards.card import (
    Card,
    Cell,
    Column,
    Nuisance,
    Parameter,
    RateParameter,
    ShapeRule,
    Size,
    Statistics,
)
from inference.formats.datacards.errors import DatacardError, refuse

# Second word of a line of systematics whose sizes stand in columns.
COLUMN_KINDS = ("lnN", "lnU", "gmN", "shape", "shape?", "shapeU")
LINE_KINDS = ("rateParam", "param", "extArg", "autoMCStats", "group")
SUPPORTED = f"supported are {', '.join((*COLUMN_KINDS, *LINE_KINDS))} and nuisance edit drop | freeze"
# Why others are not.
REFUSED = {
    "shapeN": "it morphs logarithms of contents, which no histosys does: use shape",
    "shapeN2": "it morphs logarithms of contents, which no histosys does: use shape",
    "shape2N": "it morphs logarithms of contents, which no histosys does: use shape",
    "discrete": "discrete profiling chooses among functions; workspaces hold histograms",
    "flatParam": "it floats a parameter of a RooFit function; workspaces hold histograms",
    "constr": "constraints of several parameters are no modifier: use the regularisation of the unfolding",
    "gmM": "use gmN with the events of the control region",
    "trG": "use lnN",
    "unif": "use lnU",
    "dFD": "use lnU",
    "dFD2": "use lnU",
}


@dataclass(slots=True)
class _Draft:
    """What was read so far."""

    path: Path
    bins: list[tuple[str, list[str]]] = field(default_factory=list)
    processes: list[tuple[str, list[str]]] = field(default_factory=list)
    observation: tuple[str, list[str]] | None = None
    rates: tuple[str, list[str]] | None = None
    counts: dict[str, tuple[str, str]] = field(default_factory=dict)
    shapes: list[ShapeRule] = field(default_factory=list)
    columns: tuple[Column, ...] = ()
    nuisances: dict[str, Nuisance] = field(default_factory=dict)
    factors: list[RateParameter] = field(default_factory=list)
    parameters: list[Parameter] = field(default_factory=list)
    statistics: list[Statistics] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)


def parse_card(path: Path) -> Card:
    """Read a card.

    Raises:
        DatacardError: with file and line, and what would be right.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DatacardError(f"cannot read the datacard {path}: {getattr(error, 'strerror', error)}") from error
    draft = _Draft(path)
    for place, words in _lines(path, text):
        _line(draft, place, words)
    if draft.rates is None:
        raise refuse(str(path), "there is no line `rate`: this is no datacard")
    bins, observed = _observed(draft)
    return Card(
        name=path.stem,
        folder=path.parent,
        bins=bins,
        observed=observed,
        columns=draft.columns,
        shapes=tuple(draft.shapes),
        nuisances=tuple(draft.nuisances.values()),
        rates=tuple(draft.factors),
        parameters=tuple(draft.parameters),
        statistics=tuple(draft.statistics),
        groups={name: tuple(members) for name, members in draft.groups.items()},
        place=str(path),
    )


def _lines(path: Path, text: str) -> Iterator[tuple[str, list[str]]]:
    """Place and words of each line that says something."""
    for number, line in enumerate(text.splitlines(), 1):
        words = re.sub(r"(^|\s)#.*", "", line).split()
        if words and not words[0].startswith("--"):
            yield f"{path}, line {number}", words


def _line(draft: _Draft, place: str, words: list[str]) -> None:
    match words[0].lower():
        case "imax" | "jmax" | "kmax" as name if draft.rates is None:
            draft.counts[name] = (place, words[1] if len(words) > 1 else "")
        case "shapes" if draft.rates is None:
            draft.shapes.append(_shape_rule(place, words))
        case "bin" if draft.rates is None:
            draft.bins.append((place, words[1:]))
        case "observation" if draft.rates is None:
            draft.observation = (place, words[1:])
        case "process" if draft.rates is None:
            draft.processes.append((place, words[1:]))
        case "rate" if draft.rates is None:
            draft.rates = (place, words[1:])
            draft.columns = _columns(draft)
        case _ if draft.rates is None:
            raise refuse(place, f"{words[0]!r} comes before the line `rate`; systematics come after it")
        case _:
            _systematic(draft, place, words)


def _shape_rule(place: str, words: list[str]) -> ShapeRule:
    if len(words) == 4 and words[3] == "FAKE":
        return ShapeRule(words[1], words[2], None, "", None, place)
    if len(words) not in (5, 6):
        raise refuse(place, "a line is `shapes process channel file histogram [histogram_with_systematics]`")
    return ShapeRule(words[1], words[2], words[3], words[4], words[5] if len(words) == 6 else None, place)


def _columns(draft: _Draft) -> tuple[Column, ...]:
    assert draft.rates is not None  # noqa: S101 (called when they were read)
    place, rates = draft.rates
    if not draft.bins or len(draft.processes) != 2:
        raise refuse(place, "before `rate` there must be one line `bin` and two lines `process` (names, numbers)")
    bins = draft.bins[-1][1]
    first, second = (words for _, words in draft.processes)
    names, numbers = (second, first) if all(map(_whole, first)) and not all(map(_whole, second)) else (first, second)
    for at, words in ((draft.processes[0][0], first), (draft.processes[1][0], second), (place, rates)):
        if len(words) != len(bins):
            raise refuse(at, f"{len(words)} entries, but the line `bin` above has {len(bins)}")
    if not all(map(_whole, numbers)):
        raise refuse(draft.processes[1][0], "processes need numbers, ≤ 0 for signals")
    columns = tuple(
        Column(bin_, name, int(number), _number(place, rate))
        for bin_, name, number, rate in zip(bins, names, numbers, rates, strict=True)
    )
    identifiers: dict[str, int] = {}
    for column in columns:
        if identifiers.setdefault(column.process, column.identifier) != column.identifier:
            raise refuse(draft.processes[1][0], f"process {column.process!r} has several numbers")
    cells = [(column.bin, column.process) for column in columns]
    twice = {cell for cell in cells if cells.count(cell) > 1}
    if twice:
        raise refuse(place, "process {1!r} is in bin {0!r} twice".format(*min(twice)))
    return columns


def _observed(draft: _Draft) -> tuple[tuple[str, ...], dict[str, float]]:
    of_columns = tuple(dict.fromkeys(column.bin for column in draft.columns))
    bins = tuple(draft.bins[0][1]) if len(draft.bins) > 1 else of_columns
    place, words = draft.observation or (str(draft.path), ["-1"] * len(bins))
    if len(words) != len(bins):
        raise refuse(place, f"{len(words)} observations of {len(bins)} bins")
    for name in of_columns:
        if name not in bins:
            raise refuse(draft.bins[-1][0], f"bin {name!r} has no observation; {nearest(name, bins)}")
    for name in bins:
        if name not in of_columns:
            raise refuse(draft.bins[0][0], f"bin {name!r} has no process; {nearest(name, of_columns)}")
    found = {"imax": len(bins), "jmax": len({column.process for column in draft.columns}) - 1}
    for key, number in found.items():
        at, said = draft.counts.get(key, ("", "*"))
        if said not in ("*", str(number)):
            raise refuse(at, f"{key} says {said}, but there are {number}; * counts by itself")
    return bins, {name: _number(place, word) for name, word in zip(bins, words, strict=True)}


def _systematic(draft: _Draft, place: str, words: list[str]) -> None:
    name, kind = words[0], words[1] if len(words) > 1 else ""
    if name == "nuisance" and kind == "edit":
        _edit(draft, place, words[2:])
    elif kind in COLUMN_KINDS:
        _nuisance(draft, place, words)
    elif kind == "rateParam":
        draft.factors.append(_rate_parameter(place, words))
    elif kind in ("param", "extArg"):
        draft.parameters.append(_parameter(place, words))
    elif kind == "autoMCStats":
        draft.statistics.append(_statistics(draft, place, words))
    elif kind == "group":
        _group(draft, place, words)
    elif kind in REFUSED:
        raise refuse(place, f"{kind} is not supported: {REFUSED[kind]}")
    else:
        raise refuse(place, f"no systematic of type {kind!r}; {SUPPORTED}")


def _nuisance(draft: _Draft, place: str, words: list[str]) -> None:
    name, kind, entries = words[0].removesuffix("[nofloat]"), words[1], words[2:]
    count = None
    if kind == "gmN":
        if not entries or not entries[0].isdigit():
            raise refuse(place, "gmN is followed by the whole number of events in the control region")
        count, entries = int(entries[0]), entries[1:]
    if len(entries) < len(draft.columns):
        raise refuse(place, f"{len(entries)} entries, but there are {len(draft.columns)} columns")
    sizes: dict[Cell, Size] = {}
    for column, entry in zip(draft.columns, entries, strict=False):  # what stands behind them is a comment
        size = _size(place, kind, entry)
        if size:
            sizes[column.bin, column.process] = size
    made = Nuisance(name, kind, sizes, count, words[0] != name, place)
    before = draft.nuisances.get(name)
    if before is not None:
        if (before.kind, before.count, before.fixed) != (kind, count, made.fixed) or before.sizes.keys() & sizes:
            raise refuse(place, f"{name!r} is there already ({before.place}), with another meaning")
        made = Nuisance(name, kind, {**before.sizes, **sizes}, count, made.fixed, before.place)
    draft.nuisances[name] = made


def _size(place: str, kind: str, entry: str) -> Size:
    """Empty where the line does not act: "-", 0, or a κ of 1."""
    if entry in ("-", "--"):
        return ()
    numbers = tuple(_number(place, part) for part in entry.split("/"))
    if len(numbers) > 1 and kind not in ("lnN", "lnU", "shape?"):
        raise refuse(place, f"{entry!r}: only lnN and lnU have κ down and κ up")
    if len(numbers) > 2 or min(numbers) < 0 or (len(numbers) == 2 and min(numbers) == 0):
        raise refuse(place, f"{entry!r} must be a positive number, or κdown/κup, or -")
    return () if (numbers in ((0.0,), (1.0,)) and kind in ("lnN", "lnU")) or numbers == (0.0,) else numbers


def _rate_parameter(place: str, words: list[str]) -> RateParameter:
    if len(words) < 5:
        raise refuse(place, "a line is `name rateParam bin process value [min,max]` or `… (formula) parameters`")
    name, _, bin_, process, what, *rest = words
    try:
        value = float(what)
    except ValueError:
        if re.search(r"(?<!:):(?!:)", what):  # file.root:workspace, not TMath::Exp
            raise refuse(place, f"{what}: functions from a RooFit workspace cannot be read; write a formula") from None
        arguments = tuple(name for name in ",".join(rest).split(",") if name)
        return RateParameter(name, bin_, process, None, None, what, arguments, place)
    bounds = _bounds(place, rest[0]) if rest else None
    return RateParameter(name, bin_, process, value, bounds, None, (), place)


def _parameter(place: str, words: list[str]) -> Parameter:
    name, kind, *rest = words
    needed = 2 if kind == "param" else 1
    if len(rest) < needed:
        raise refuse(place, "a line is `name param mean width [min,max]` or `name extArg value [min,max]`")
    if kind == "extArg" and ":" in rest[0]:
        raise refuse(place, f"{rest[0]}: objects of a RooFit workspace cannot be read; give a value")
    if kind == "param" and re.fullmatch(r"-[^/]+/\+.+", rest[1]):
        raise refuse(place, f"{rest[1]}: a constraint with two widths is not supported; give one")
    width = _number(place, rest[1]) if kind == "param" else None
    if width is not None and width <= 0:
        raise refuse(place, f"the width {rest[1]} must be positive")
    bounds = _bounds(place, rest[needed]) if len(rest) > needed else None
    return Parameter(name, _number(place, rest[0]), width, bounds, place)


def _bounds(place: str, word: str) -> tuple[float, float]:
    match = re.fullmatch(r"\[([^,]+),([^,]+)\]", word)
    if not match:
        raise refuse(place, f"{word!r} is no range such as [0,5], without spaces")
    low, high = (_number(place, part) for part in match.groups())
    if not low < high:
        raise refuse(place, f"the range {word} is empty")
    return low, high


def _statistics(draft: _Draft, place: str, words: list[str]) -> Statistics:
    numbers = [_number(place, word) for word in words[2:]]
    if not 1 <= len(numbers) <= 3:
        raise refuse(place, "a line is `bin autoMCStats threshold [include-signal] [hist-mode]`")
    threshold, signal, mode = (*numbers, *(0.0, 1.0)[len(numbers) - 1 :])
    if mode not in (1.0, 2.0):
        raise refuse(place, f"hist-mode is 1 or 2, not {mode:g}")
    known = {column.bin for column in draft.columns}
    if words[0] != "*" and words[0] not in known:
        raise refuse(place, f"there is no bin {words[0]!r}; {nearest(words[0], known)}")
    return Statistics(words[0], threshold, bool(signal), int(mode), place)


def _group(draft: _Draft, place: str, words: list[str]) -> None:
    if len(words) < 3 or words[2] not in ("=", "+="):
        raise refuse(place, "a line is `name group = nuisance nuisance …`, or += to add to it")
    if words[2] == "=" and words[0] in draft.groups:
        raise refuse(place, f"the group {words[0]!r} is there already; += adds to it")
    draft.groups.setdefault(words[0], []).extend(words[3:])


def _edit(draft: _Draft, place: str, words: Sequence[str]) -> None:
    """``drop process bin name`` and ``freeze name``, names being regular expressions, as Combine has them."""
    optional = words[-1:] == ["ifexists"]
    action, *rest = words[:-1] if optional else words
    if action == "freeze" and len(rest) == 1:
        chosen, cells = rest[0], None
    elif action == "drop" and len(rest) == 3:
        chosen, cells = rest[2], (rest[1], rest[0])
    else:
        raise refuse(place, f"nuisance edit {action} is not supported: drop process bin name, freeze name [ifexists]")
    try:
        found = [name for name in draft.nuisances if re.fullmatch(chosen, name)]
    except re.error as error:
        raise refuse(place, f"{chosen!r} is no regular expression: {error}") from error
    if not found and not optional:
        raise refuse(place, f"no nuisance above is named {chosen!r}; {nearest(chosen, draft.nuisances)}")
    for name in found:
        old = draft.nuisances[name]
        sizes = {cell: size for cell, size in old.sizes.items() if cells is None or not _matches(cell, cells)}
        draft.nuisances[name] = Nuisance(name, old.kind, sizes, old.count, old.fixed or cells is None, old.place)


def _matches(cell: Cell, patterns: tuple[str, str]) -> bool:
    return all(pattern == "*" or re.fullmatch(pattern, name) for pattern, name in zip(patterns, cell, strict=True))


def _whole(word: str) -> bool:
    return re.fullmatch(r"[+-]?\d+", word) is not None


def _number(place: str, word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise refuse(place, f"{word!r} is no number") from None
