"""The text of a datacard to a `Card`, read as Combine's DatacardParser reads it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from inference.errors import nearest
from inference.formats.datacards import lines
from inference.formats.datacards.card import Card, Column, Nuisance, Parameter, RateParameter, ShapeRule, Statistics
from inference.formats.datacards.edits import EDITS, Edited, edit
from inference.formats.datacards.errors import DatacardError, refuse

# Second word of a line of systematics whose sizes stand in columns; shape2 and shapeN2 are shape and shapeN of TH1.
SHAPE_KINDS = tuple(f"shape{algorithm}{ending}" for algorithm in ("", "2", "N", "N2") for ending in ("", "?", "U"))
COLUMN_KINDS = ("lnN", "lnU", "gmN", "trG", "unif", *SHAPE_KINDS)
LINE_KINDS = ("rateParam", "param", "extArg", "flatParam", "autoMCStats", "group")
SUPPORTED = f"supported are {', '.join((*COLUMN_KINDS, *LINE_KINDS))} and nuisance edit"
# Why others are not.
REFUSED = {
    "discrete": "discrete profiling chooses among functions; workspaces hold histograms",
    "constr": "constraints of several parameters are no modifier: use the regularisation of the unfolding",
    "gmM": "use gmN with the events of the control region",
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
    edited: Edited = field(default_factory=Edited)
    factors: list[RateParameter] = field(default_factory=list)
    parameters: list[Parameter] = field(default_factory=list)
    statistics: dict[str, Statistics] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


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
    columns = _contributing(draft, bins)
    cells = {column.cell for column in columns}
    nuisances = [_acting(each, cells) for each in draft.edited.nuisances.values()]
    return Card(
        name=path.stem,
        folder=path.parent,
        bins=bins,
        observed=observed,
        columns=columns,
        shapes=tuple(draft.shapes),
        nuisances=tuple(nuisances),
        rates=tuple(draft.factors),
        parameters=tuple(draft.parameters),
        statistics=dict(draft.statistics),
        groups=dict(draft.groups),
        held=frozenset(draft.edited.held),
        remarks=tuple(draft.remarks + draft.edited.remarks),
        place=str(path),
    )


def _lines(path: Path, text: str) -> Iterator[tuple[str, list[str]]]:
    """Place and words of each line that says something."""
    for number, line in enumerate(text.splitlines(), 1):
        words = re.sub(r"(^|\s)#.*", "", line).split()
        if words and not words[0].startswith("--"):
            yield f"{path}, line {number}", words


def _line(draft: _Draft, place: str, words: list[str]) -> None:
    if draft.rates is not None:
        _systematic(draft, place, words)
        return
    match words[0].lower():
        case "imax" | "jmax" | "kmax" as name:
            draft.counts[name] = (place, words[1] if len(words) > 1 else "")
        case "shapes":
            _shapes(draft, lines.shape_rule(place, words))
        case "bin":
            draft.bins.append((place, words[1:]))
        case "observation":
            draft.observation = (place, words[1:])
        case "process":
            draft.processes.append((place, words[1:]))
        case "rate":
            draft.rates = (place, words[1:])
            draft.columns = _columns(draft)
        case "combination":  # "of …", as combineCards.py begins
            pass
        case _:
            draft.remarks.append(f"{place}: a line that begins {words[0]!r} says nothing before `rate`; left out")


def _shapes(draft: _Draft, rule: ShapeRule) -> None:
    for other in draft.shapes:
        if (other.bin, other.process) == (rule.bin, rule.process):
            raise refuse(
                rule.place, f"shapes of process {rule.process!r} in {rule.bin!r} are there already ({other.place})"
            )
    draft.shapes.append(rule)


def _columns(draft: _Draft) -> tuple[Column, ...]:
    assert draft.rates is not None  # noqa: S101 (called when they were read)
    place, rates = draft.rates
    if not draft.bins or len(draft.processes) != 2:
        raise refuse(place, "before `rate` there must be one line `bin` and two lines `process` (names, numbers)")
    bins = draft.bins[-1][1]
    first, second = (words for _, words in draft.processes)
    turned = all(map(lines.whole, first)) and not all(map(lines.whole, second))
    names, numbers = (second, first) if turned else (first, second)
    for at, words in ((draft.processes[0][0], first), (draft.processes[1][0], second), (place, rates)):
        if len(words) != len(bins):
            raise refuse(at, f"{len(words)} entries, but the line `bin` above has {len(bins)}")
    if not all(map(lines.whole, numbers)):
        raise refuse(draft.processes[1][0], "processes need numbers, ≤ 0 for signals")
    columns = tuple(
        Column(bin_, name, int(number), lines.number(place, rate))
        for bin_, name, number, rate in zip(bins, names, numbers, rates, strict=True)
    )
    signals: dict[str, bool] = {}
    for column in columns:
        if signals.setdefault(column.process, column.signal) != column.signal:
            raise refuse(
                draft.processes[1][0], f"process {column.process!r} is a signal in some bins and none in others"
            )
    cells = [column.cell for column in columns]
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
    return bins, {name: lines.number(place, word) for name, word in zip(bins, words, strict=True)}


def _contributing(draft: _Draft, bins: tuple[str, ...]) -> tuple[Column, ...]:
    """Columns without those of rate 0, but with those whose rate a gmN gives."""
    counted = {cell for each in draft.edited.nuisances.values() if each.count is not None for cell in each.sizes}
    columns = tuple(column for column in draft.columns if column.rate != 0 or column.cell in counted)
    for name in bins:
        if not any(column.bin == name for column in columns):
            raise refuse(str(draft.path), f"all processes in bin {name!r} have a rate of 0")
    return columns


def _acting(nuisance: Nuisance, cells: set[tuple[str, str]]) -> Nuisance:
    return replace(nuisance, sizes={cell: size for cell, size in nuisance.sizes.items() if cell in cells})


def _systematic(draft: _Draft, place: str, words: list[str]) -> None:
    if len(words) == 1:
        draft.remarks.append(f"{place}: a line with nothing but {words[0]!r} is left out")
        return
    name, kind = words[0], words[1]
    if name[0].isdigit():  # as Combine calls them
        words = [f"theta{name}", *words[1:]]
    if name == "nuisance" and kind == "edit":
        _edit(draft, place, words[2:])
    elif kind in COLUMN_KINDS:
        _nuisance(draft, place, words)
    elif kind in LINE_KINDS:
        _parameter(draft, place, words)
    elif kind in REFUSED:
        raise refuse(place, f"{kind} is not supported: {REFUSED[kind]}")
    else:
        raise refuse(place, f"no systematic of type {kind!r}; {SUPPORTED}")


def _parameter(draft: _Draft, place: str, words: list[str]) -> None:
    """A line without columns."""
    match words[1]:
        case "rateParam":
            draft.factors.append(_factor(draft, lines.rate_parameter(place, words)))
        case "param":
            draft.parameters.append(lines.constrained(place, words))
        case "extArg":
            made, held = lines.external(place, words)
            draft.parameters.append(made)
            draft.edited.held |= {made.name} if held else set()
        case "flatParam":
            if words[0] not in _floating(draft):
                draft.remarks.append(f"{place}: {words[0]} floats a parameter of a RooFit function; there is none")
        case "autoMCStats":
            _statistics(draft, place, words)
        case "group":
            before = draft.groups.get(words[0])
            draft.groups[words[0]] = (before or ()) + lines.group(place, words, before is not None)


def _floating(draft: _Draft) -> list[str]:
    """Names of parameters that no constraint holds."""
    free = (each.name for each in draft.parameters if each.width is None)
    return [*(each.name for each in draft.factors), *free]


def _nuisance(draft: _Draft, place: str, words: list[str]) -> None:
    name, kind, entries = words[0].removesuffix("[nofloat]"), words[1], words[2:]
    if name != words[0]:
        draft.remarks.append(f"{name} is marked [nofloat], which Combine heeds in its toys alone: it floats")
    count, span = None, None
    if kind == "gmN":
        if not entries or not entries[0].isdigit():
            raise refuse(place, "gmN is followed by the whole number of events in the control region")
        count, entries = int(entries[0]), entries[1:]
    if kind == "unif":
        if len(entries) < 2:
            raise refuse(place, "unif is followed by the least and the largest value")
        span, entries = (lines.number(place, entries[0]), lines.number(place, entries[1])), entries[2:]
    if len(entries) < len(draft.columns):
        raise refuse(place, f"{len(entries)} entries, but there are {len(draft.columns)} columns")
    sizes = {}
    for column, entry in zip(draft.columns, entries, strict=False):  # what stands behind them is a comment
        size = lines.size(place, kind, entry)
        if size:
            sizes[column.cell] = size
    made = Nuisance(name, kind, sizes, count, span, place)
    before = draft.edited.nuisances.get(name)
    if before is not None:
        if (before.kind, before.count, before.span) != (kind, count, span) or before.sizes.keys() & sizes:
            raise refuse(place, f"{name!r} is there already ({before.place}), with another meaning")
        made = replace(before, sizes={**before.sizes, **sizes})
    draft.edited.nuisances[name] = made


def _factor(draft: _Draft, rate: RateParameter) -> RateParameter:
    if any(rate.scales(column) for column in draft.columns):
        return rate
    known = {"bin": {column.bin for column in draft.columns}, "process": {column.process for column in draft.columns}}
    for what, name in (("bin", rate.bin), ("process", rate.process)):
        if "*" not in name and name not in known[what]:
            raise refuse(rate.place, f"there is no {what} {name!r}; {nearest(name, known[what])}")
    if "*" in rate.bin or "*" in rate.process:
        raise refuse(rate.place, f"no column matches bin {rate.bin} and process {rate.process}")
    draft.remarks.append(f"{rate.name} scales {rate.process!r} in {rate.bin!r}, which is not there")
    return rate


def _statistics(draft: _Draft, place: str, words: list[str]) -> None:
    """Of each bin the last line counts."""
    known = {column.bin for column in draft.columns}
    if "*" not in words[0] and words[0] not in known:
        raise refuse(place, f"there is no bin {words[0]!r}; {nearest(words[0], known)}")
    made = lines.statistics(place, words)
    draft.statistics |= {name: made for name in known if fnmatchcase(name, words[0])}


def _edit(draft: _Draft, place: str, words: list[str]) -> None:
    if not words or words[0] not in EDITS:
        raise refuse(place, f"there is no edit {' '.join(words[:1])!r}; there are {', '.join(EDITS)}")
    edit(draft.edited, place, words, draft.columns, _floating(draft))
