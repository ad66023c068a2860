"""uproot's own answer to a uproot-raw sub-query, with the functions that ServiceX adds to its language, and ours."""

import json
import warnings
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from uproot.language.python import PythonLanguage

from delivery.engine.expressions import Evaluation, Expressions
from delivery.engine.raw.planning import compile_raw
from delivery.engine.raw.request import parse_selection
from delivery.engine.source import open_source
from delivery.engine.values import Column, to_awkward

# The server's table, as its documentation lists it; those of AXIS_1 work on axis 1 unless told otherwise.
AXIS_1 = """concatenate count count_nonzero sum nansum prod nanprod any all min nanmin max nanmax argmin nanargmin argmax
nanargmax moment mean nanmean var nanvar std nanstd softmax""".split()
OTHERS = """where num sort argsort mask is_none drop_none pad_none fill_none firsts singletons broadcast_arrays
broadcast_fields cartesian argcartesian combinations argcombinations isclose almost_equal""".split()
# Functions of awkward that we have and the server has not; of these the reducers also work on axis 1.
MORE_AXIS_1 = "ptp covar corr linear_fit".split()
MORE = "local_index run_lengths zip values_astype nan_to_num zeros_like ones_like full_like".split()


def language(standard_axis: bool = False) -> PythonLanguage:
    """uproot's language with all these functions."""
    functions = dict(PythonLanguage.default_functions)
    functions |= {name: getattr(ak, name) for name in (*AXIS_1, *OTHERS, *MORE_AXIS_1, *MORE, "flatten")}
    if not standard_axis:
        functions |= {name: partial(getattr(ak, name), axis=1) for name in (*AXIS_1, *MORE_AXIS_1)}
        functions["flatten"] = partial(ak.flatten, axis=2)
    return PythonLanguage(functions)


def theirs(file: Path, tree: str, **query: Any) -> Any:
    """uproot's answer."""
    standard = query.pop("use_standard_awkward_axis", False)
    with uproot.open(file) as opened, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return opened[tree].arrays(library="ak", language=language(standard), **query)


def ours(file: Path, tree: str, **query: Any) -> Any:
    """Our answer, evaluated on all events of the file at once: the cut's columns first, then the others where it holds."""
    selection = json.dumps([{"treename": tree, **query}])
    (subquery,) = parse_selection(selection)
    with closing(open_source(str(file), tree)) as source:
        compiled = compile_raw(subquery, selection, source, Expressions())
        keep: Any = None

        def column(name: str) -> Column:
            return source.read(name, 0, source.entries, keep)

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
