"""A model's extensions laid out as arrays, beside those of its HistFactory part."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from inference.likelihood.specification import Floats, Specification

if TYPE_CHECKING:
    from inference.likelihood.arrays import Arrays, Indices, Layout, Places


class Composition(NamedTuple):
    """One element of ``reads`` and ``arrays`` for each of the layout's operators. Q constrained parameters."""

    reads: tuple[Any, ...]  # places of each operator's argument among the reduced parameters
    arrays: tuple[Any, ...]
    precision: Any  # (Q, Q): inverse covariance of the normal constraints


def compose(
    made: Specification, arrays: "Arrays", layout: "Layout", places: "Places"
) -> "tuple[Arrays, Layout, Places]":
    """From HistFactory's own arrays to those of the model with its extensions.

    HistFactory's reduced parameters end with those that extensions set; in their place come the introduced ones. Places
    of those before do not change, so that constraints and data keep theirs.
    """
    there = _translation(made)
    kept = places.reduced[there[places.reduced] >= 0]
    first = len(made.labels) - _introduced(made)
    reduced = np.concatenate([there[kept], np.arange(first, len(made.labels))])
    at = {int(place): index for index, place in enumerate(reduced)}
    spans: dict[str, tuple[int, ...]] = {}
    offset = 0
    for each in made.parameters:
        span = range(offset, offset + each.size)
        spans |= {label: (place,) for label, place in zip(each.labels, span, strict=True)} | {each.name: tuple(span)}
        offset += each.size
    sizes = {label: 1 for each in made.histfactory for label in each.labels}
    sizes |= {each.name: each.size for each in made.histfactory} | {name: len(span) for name, span in spans.items()}
    programs = [(each, each.program(sizes)) for each in made.extensions]
    reads = tuple(
        np.asarray([at[place] for name in each.reads for place in spans[name]], dtype=np.int64)
        for each, program in programs
        if program is not None
    )
    normal_par, widths = _normals(made, at)
    composition = Composition(
        reads,
        tuple(program[1] for _, program in programs if program is not None),
        _precision(made, [made.labels[reduced[index]] for index in normal_par], widths),
    )
    gamma = np.where(places.gamma >= 0, there[places.gamma], -1)
    return (
        arrays._replace(
            normal_par=normal_par,
            normal_at=inverse(normal_par, len(reduced)),
            normal_weight=widths**-2,
            composition=composition,
        ),
        replace(
            layout,
            extended=True,
            operators=tuple((each.operator, program[0]) for each, program in programs if program is not None),
        ),
        replace(places, reduced=reduced, gamma=gamma, shared=len(kept)),
    )


def inverse(chosen: "Indices", size: int) -> "Indices":
    """Which of the chosen each of ``size`` places is; their number where it is none."""
    found = np.full(size, len(chosen), dtype=np.int64)
    found[chosen] = np.arange(len(chosen))
    return found


def _translation(made: Specification) -> "Indices":
    """Place among the parameters of the fit of each of HistFactory's; -1 of those that are set."""
    own = {each.name for each in made.parameters}
    kept = np.asarray([each.name in own for each in made.histfactory for _ in each.init], dtype=bool)
    return np.where(kept, np.cumsum(kept) - 1, -1)


def _introduced(made: Specification) -> int:
    """Number of parameters that are not HistFactory's."""
    own = {each.name for each in made.histfactory}
    return sum(each.size for each in made.parameters if each.name not in own)


def _normals(made: Specification, at: Mapping[int, int]) -> "tuple[Indices, Floats]":
    """Reduced parameters with a normal constraint, and its widths."""
    rows = [
        (place, each.widths[index])
        for each in made.parameters
        if each.constraint == "normal"
        for index, place in enumerate(range(made.offsets[each.name], made.offsets[each.name] + each.size))
        if place in at
    ]
    return np.asarray([at[place] for place, _ in rows], dtype=np.int64), np.asarray([width for _, width in rows])


def _precision(made: Specification, labels: list[str], widths: Floats) -> Floats:
    correlation = np.eye(len(labels))
    for of, matrix in made.correlations:
        inside = [labels.index(label) for label in of]
        correlation[np.ix_(inside, inside)] = matrix
    scaled: Floats = np.linalg.inv(correlation) / np.outer(widths, widths)
    return 0.5 * (scaled + scaled.T)
