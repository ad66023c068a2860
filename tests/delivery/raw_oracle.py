"""uproot's own answer to a uproot-raw sub-query, with the functions that ServiceX adds to its language, and ours."""

import json
import warnings
from functools import cache, partial
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from uproot.language.python import PythonLanguage

from delivery.engine.expressions import Evaluation, Expressions
from delivery.engine.raw.planning import compile_raw
from delivery.engine.raw.request import parse_selection
from delivery.engine.source import Source, open_source
from delivery.engine.values import Column, keep_rows, to_awkward

# The server's table, as its documentation lists it; those of AXIS_1 work on axis 1 unless told otherwise.
AXIS_1 = (
    *("concatenate", "count", "count_nonzero", "sum", "nansum", "prod", "nanprod", "any", "all", "min", "nanmin"),
    *("max", "nanmax", "argmin", "nanargmin", "argmax", "nanargmax", "moment", "mean", "nanmean", "var", "nanvar"),
    *("std", "nanstd", "softmax"),
)
OTHERS = (
    *("where", "num", "sort", "argsort", "mask", "is_none", "drop_none", "pad_none", "fill_none", "firsts"),
    *("singletons", "broadcast_arrays", "broadcast_fields", "cartesian", "argcartesian", "combinations"),
    *("argcombinations", "isclose", "almost_equal", "flatten"),
)
# Functions of awkward that we have and the server has not; of these the reducers also work on axis 1.
MORE_AXIS_1 = ("ptp", "covar", "corr", "linear_fit")
MORE = (*("local_index", "run_lengths", "zip", "values_astype", "nan_to_num", "zeros_like", "ones_like", "full_like"),)


def language(standard_axis: bool = False) -> PythonLanguage:
    """uproot's language with all these functions."""
    functions = dict(PythonLanguage.default_functions)
    functions |= {name: getattr(ak, name) for name in (*AXIS_1, *OTHERS, *MORE_AXIS_1, *MORE)}
    if not standard_axis:
        functions |= {name: partial(getattr(ak, name), axis=1) for name in (*AXIS_1, *MORE_AXIS_1)}
        functions["flatten"] = partial(ak.flatten, axis=2)
    return PythonLanguage(functions)


@cache
def opened_tree(file: Path, tree: str) -> Any:
    """A tree as uproot reads it; its baskets are kept."""
    return uproot.open(file)[tree]


@cache
def opened_source(file: Path, tree: str) -> Source:
    return open_source(str(file), tree)


def theirs(file: Path, tree: str, *, standard_axis: bool = False, **query: Any) -> Any:
    """uproot's answer."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return opened_tree(file, tree).arrays(library="ak", language=language(standard_axis), **query)


@cache
def one_by_one(file: Path, tree: str, expressions: tuple[str, ...]) -> dict[str, Any]:
    """uproot's answer to each of these expressions alone, computed in one call."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = opened_tree(file, tree).arrays(expressions, library="ak", how=dict, language=language())
    return {expression: ak.Array({expression: array}) for expression, array in found.items()}


@cache
def _column(file: Path, tree: str, name: str) -> Column:
    source = opened_source(file, tree)
    return source.read(name, 0, source.entries, None)


def ours(file: Path, tree: str, **query: Any) -> Any:
    """Our answer on all events of the file at once: the cut first, then the columns of the events that it keeps."""
    selection = json.dumps([{"treename": tree, **query}])
    (subquery,) = parse_selection(selection)
    source = opened_source(file, tree)
    compiled = compile_raw(subquery, selection, source, Expressions(), opened_tree(file, tree).typenames)
    keep: Any = None

    def column(name: str) -> Column:
        return _column(file, tree, name) if keep is None else keep_rows(_column(file, tree, name), keep)

    if compiled.cut is not None:
        keep = Evaluation(column)(compiled.cut)
    evaluate = Evaluation(column)
    return ak.Array({name: to_awkward(evaluate(value)) for name, value in compiled.columns.items()})


def same(left: Any, right: Any) -> bool:
    """Whether two arrays have equal types and values, bit for bit (any two NaN are the same)."""
    if left.fields != right.fields or len(left) != len(right):
        return False
    types = all(str(left[name].type) == str(right[name].type) for name in left.fields)
    return types and repr(left.to_list()) == repr(right.to_list())
