"""``nuisance edit`` lines: changes of the nuisances that stand above them, as Combine's NuisanceModifier makes them.

Names of processes, bins and nuisances are regular expressions that match as a whole; ``*`` is all processes or bins,
and a + in the name of a bin is a plus.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from inference.errors import nearest
from inference.formats.datacards import lines
from inference.formats.datacards.card import Cell, Column, Nuisance, Size
from inference.formats.datacards.errors import refuse


@dataclass(slots=True)
class Edited:
    """What edits change: nuisances by name, names of parameters that are held, and remarks."""

    nuisances: dict[str, Nuisance] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Edit:
    """One line: its words after the name of the edit, options apart."""

    edited: Edited
    place: str
    words: tuple[str, ...]
    options: frozenset[str]
    columns: tuple[Column, ...]
    others: tuple[str, ...]  # parameters that are no nuisances

    def cells(self) -> list[Cell]:
        """Those that the first two words name: process and bin."""
        process, bin_ = self.words[0], self.words[1].replace("+", r"\+")
        return [
            column.cell
            for column in self.columns
            if _matches(self.place, process, column.process) and _matches(self.place, bin_, column.bin)
        ]

    def named(self, pattern: str) -> list[Nuisance]:
        """Nuisances whose names match."""
        return [each for name, each in self.edited.nuisances.items() if _matches(self.place, pattern, name)]

    def found(self, pattern: str) -> list[tuple[Nuisance, list[Cell]]]:
        """Nuisances of that name, with the cells that the edit is about; where there are none that is told."""
        cells = self.cells()
        found = [(each, cells) for each in self.named(pattern)] if cells else []
        if not found and self.words[1] != "*" and "ifexists" not in self.options:
            raise refuse(self.place, f"no nuisance above fits {pattern!r}; {nearest(pattern, self.edited.nuisances)}")
        if not found:
            self.edited.remarks.append(f"{self.place}: this edit changes nothing")
        return found

    def keep(self, nuisance: Nuisance, sizes: Mapping[Cell, Size]) -> None:
        """The nuisance with other sizes; where there is none, nothing."""
        self.edited.nuisances[nuisance.name] = replace(
            nuisance, sizes={key: size for key, size in sizes.items() if size}
        )


def edit(edited: Edited, place: str, words: Sequence[str], columns: tuple[Column, ...], others: Iterable[str]) -> None:
    """Make one edit: ``words`` are its name and what follows.

    Raises:
        DatacardError: words are missing, or there is nothing to edit.
    """
    run, count, usage = EDITS[words[0]]
    counts = (count,) if words[0] != "rename" else (2, count)
    given = tuple(word for word in words[1:] if word not in OPTIONS)
    if len(given) not in counts:
        raise refuse(place, f"the line is `nuisance edit {words[0]} {usage}`")
    options = frozenset(words[1:]) & OPTIONS
    run(_Edit(edited, place, given, options, columns, tuple(others)))


def _add(edit: _Edit) -> None:
    _, _, name, kind, value = edit.words
    size = lines.size(edit.place, kind, value)
    for cell in edit.cells():
        _set(edit, cell, name, kind, size)


def _set(edit: _Edit, cell: Cell, name: str, kind: str, size: Size) -> None:
    """A size that is added; 1 and 0 add nothing, of whatever kind."""
    if kind not in ("lnN", "lnU", "trG") and not kind.startswith("shape"):
        raise refuse(edit.place, f"a nuisance of type {kind!r} cannot be added")
    old = edit.edited.nuisances.get(name) or Nuisance(name, kind, {}, None, None, edit.place)
    if old.kind != kind:
        raise refuse(edit.place, f"{name!r} is {old.kind} already ({old.place}), not {kind}")
    if size in ((), (1.0,)):
        edit.edited.nuisances.setdefault(name, old)
        return
    present = old.sizes.get(cell, ())
    if present and "addq" in edit.options:
        size = _quadrature(edit, kind, present, size)
    elif present and "overwrite" not in edit.options:
        raise refuse(edit.place, f"{name!r} acts on {cell[1]!r} in {cell[0]!r} already: add addq or overwrite")
    edit.keep(old, {**old.sizes, cell: size})


def _quadrature(edit: _Edit, kind: str, first: Size, second: Size) -> Size:
    """Logarithms added in quadrature; one κ stands for 1/κ down and κ up."""
    if kind not in ("lnN", "lnU"):
        raise refuse(edit.place, f"only lnN and lnU are added in quadrature, not {kind}")
    if len(first) != len(second):
        first, second = ((1 / each[0], each[0]) if len(each) == 1 else each for each in (first, second))
    sums = []
    for one, other in zip(np.log(first), np.log(second), strict=True):
        if one * other < 0:
            raise refuse(edit.place, "effects of different signs cannot be added in quadrature")
        sums.append(float(np.exp((1 if one > 0 else -1) * np.hypot(one, other))))
    return tuple(sums)


def _drop(edit: _Edit) -> None:
    for nuisance, cells in edit.found(edit.words[2]):
        edit.keep(nuisance, {cell: size for cell, size in nuisance.sizes.items() if cell not in cells})


def _rename(edit: _Edit) -> None:
    *where, old, new = edit.words
    nuisance = edit.edited.nuisances.get(old)
    if nuisance is None:
        raise refuse(edit.place, f"there is no nuisance {old!r} above; {nearest(old, edit.edited.nuisances)}")
    if nuisance.kind in ("gmN", "trG"):
        raise refuse(edit.place, f"{old!r} is {nuisance.kind}, which cannot be renamed: rename it in its line")
    cells = set(edit.cells()) if where else set(nuisance.sizes)
    moved = {cell: size for cell, size in nuisance.sizes.items() if cell in cells}
    kept = {cell: size for cell, size in nuisance.sizes.items() if cell not in cells}
    if not moved and "ifexists" not in edit.options:
        raise refuse(edit.place, f"{old!r} acts on no such process")
    other = edit.edited.nuisances.get(new) or replace(nuisance, name=new, sizes={}, templates={})
    if other.kind != nuisance.kind:
        raise refuse(edit.place, f"{new!r} is {other.kind} already ({other.place}), not {nuisance.kind}")
    templates = {cell: nuisance.templates.get(cell, old) for cell in moved}
    edit.keep(replace(other, templates={**other.templates, **templates}), {**other.sizes, **moved})
    if kept:
        edit.keep(nuisance, kept)
    else:
        del edit.edited.nuisances[old]


def _change_kind(edit: _Edit) -> None:
    pattern, new = edit.words
    for nuisance in edit.named(pattern):
        logs = [each in ("lnN", "lnU") for each in (nuisance.kind, new)]
        shapes = nuisance.shaped and new.startswith("shape")
        if not (shapes or all(logs) or {nuisance.kind, new} in ({"lnN", "trG"}, {"lnU", "trG"}, {"trG"})):
            raise refuse(edit.place, f"{nuisance.name!r} is {nuisance.kind}, which cannot become {new}")
        sizes = dict(nuisance.sizes)
        if any(logs) and not all(logs):
            if any(len(size) > 1 for size in sizes.values()):
                raise refuse(edit.place, f"{nuisance.name!r} has κ down and κ up, which {new} has not")
            to = np.log if logs[0] else np.exp
            sizes = {cell: (float(to(size[0])),) for cell, size in sizes.items()}
        edit.edited.nuisances[nuisance.name] = replace(nuisance, kind=new, sizes=sizes)


def _merge(edit: _Edit) -> None:
    into, pattern = edit.words[2:]
    for nuisance, cells in edit.found(pattern):
        for cell, size in nuisance.sizes.items():
            if cell in cells:
                _set(replace(edit, options=frozenset({"addq"})), cell, into, nuisance.kind, size)
        edit.keep(nuisance, {cell: size for cell, size in nuisance.sizes.items() if cell not in cells})


def _split(edit: _Edit) -> None:
    old, first, second, one, other = edit.words[2:]
    for nuisance, cells in edit.found(old):
        for name, value in ((first, one), (second, other)):
            for cell in nuisance.sizes.keys() & set(cells):
                size = lines.size(edit.place, nuisance.kind, value)
                _set(replace(edit, options=frozenset({"overwrite"})), cell, name, nuisance.kind, size)
        edit.keep(nuisance, {cell: size for cell, size in nuisance.sizes.items() if cell not in cells})


def _freeze(edit: _Edit) -> None:
    [pattern] = edit.words
    names = [name for name in edit.others if _matches(edit.place, pattern, name)]
    names = names or [each.name for each in edit.named(pattern)]
    if not names and "ifexists" not in edit.options:
        known = (*edit.others, *edit.edited.nuisances)
        raise refuse(edit.place, f"no parameter above fits {pattern!r}; {nearest(pattern, known)}")
    edit.edited.held |= set(names)


def _flip(edit: _Edit) -> None:
    if not edit.options & {"p2n", "n2p"}:
        raise refuse(edit.place, "flip needs p2n, n2p, or both")
    for nuisance, cells in edit.found(edit.words[2]):
        if nuisance.kind != "lnN":
            raise refuse(edit.place, f"{nuisance.name!r} is {nuisance.kind}: only lnN can be flipped")
        sizes = dict(nuisance.sizes)
        for cell in cells:
            size = sizes.get(cell, ())
            positive = bool(size) and (size[0] > 1) == (len(size) == 1)
            if size and ("p2n" if positive else "n2p") in edit.options:
                sizes[cell] = tuple(1 / each for each in size)
        edit.keep(nuisance, sizes)


def _matches(place: str, pattern: str, name: str) -> bool:
    try:
        return pattern == "*" or re.fullmatch(pattern, name) is not None
    except re.error as error:
        raise refuse(place, f"{pattern!r} is no regular expression: {error}") from error


OPTIONS = frozenset({"ifexists", "addq", "overwrite", "p2n", "n2p"})
# What each does, how many words it needs, and which.
EDITS: Mapping[str, tuple[Callable[[_Edit], None], int, str]] = {
    "add": (_add, 5, "process channel name type value [addq | overwrite]"),
    "drop": (_drop, 3, "process channel name [ifexists]"),
    "rename": (_rename, 4, "[process channel] old new [ifexists]"),
    "changepdf": (_change_kind, 2, "name type"),
    "merge": (_merge, 4, "process channel into name [ifexists]"),
    "split": (_split, 7, "process channel old new1 new2 value1 value2 [ifexists]"),
    "freeze": (_freeze, 1, "name [ifexists]"),
    "flip": (_flip, 3, "process channel name (p2n | n2p) [ifexists]"),
}
