"""Operators that only clients give a meaning: they change nothing but the columns' names."""

import sys
from pathlib import Path

import numpy as np
import pytest

from delivery.engine import evaluate
from delivery.errors import DepthMismatch

sys.path.insert(0, str(Path(__file__).parent))
from engine_inputs import write_tree

DS = "(call EventDataset 'bogus.root' 'Events')"
PAIR = f"(Select {DS} (lambda (list e) (list (attr e 'x') (attr e 'y'))))"
BARE = f"(Select {DS} (lambda (list e) (attr e 'x')))"
NAMED = f"(Select {DS} (lambda (list e) (dict (list 'a' 'b') (list (attr e 'x') (attr e 'y')))))"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    columns = {"x": np.array([1, 2], np.float32), "y": np.array([3, 4], np.int32)}
    return write_tree(tmp_path_factory.mktemp("client") / "in.root", columns)


@pytest.mark.parametrize(
    "text",
    [
        f"(call ResultTTree {PAIR} (list 'u' 'v') 'tree' 'file.root')",
        f"(call ResultParquet {PAIR} (list 'u' 'v') 'file.parquet')",
        f"(call ResultPandasDF {PAIR} (list 'u' 'v'))",
        f"(call ResultAwkwardArray {NAMED} (list 'u' 'v'))",
        f"(call (attr {PAIR} 'AsROOTTTree') 'file.root' 'tree' (list 'u' 'v'))",
        f"(call (attr {PAIR} 'AsParquetFiles') 'file.parquet' (list 'u' 'v'))",
        f"(call (attr {NAMED} 'AsAwkwardArray') (list 'u' 'v'))",
    ],
)
def test_results_name_their_columns(file, text):
    assert evaluate(text, file).tolist() == [{"u": 1, "v": 3}, {"u": 2, "v": 4}]


@pytest.mark.parametrize(
    "text",
    [
        f"(call ResultParquet {BARE} 'u' 'file.parquet')",
        f"(call ResultPandasDF {BARE} (list 'u'))",
        f"(call (attr {BARE} 'AsROOTTTree') 'file.root' 'tree' 'u')",
    ],
)
def test_one_name_is_for_a_bare_column(file, text):
    assert evaluate(text, file).tolist() == [{"u": 1}, {"u": 2}]


def test_without_names_nothing_changes(file):
    plain = [{"a": 1, "b": 3}, {"a": 2, "b": 4}]
    assert evaluate(f"(call ResultAwkwardArray {NAMED} (list))", file).tolist() == plain
    assert evaluate(f"(call (attr {NAMED} 'AsAwkwardArray'))", file).tolist() == plain
    assert evaluate(f"(call MetaData {NAMED} (dict (list 'a') (list 1)))", file).tolist() == plain
    inside = NAMED.replace(DS, f"(call (attr {DS} 'QMetaData') (dict (list) (list)))")
    assert evaluate(inside, file).tolist() == plain


def test_names_must_be_as_many_as_columns(file):
    with pytest.raises(DepthMismatch, match="3 names for 2 columns"):
        evaluate(f"(call ResultPandasDF {PAIR} (list 'u' 'v' 'w'))", file)


def test_counting_through_them(file):
    assert evaluate(f"(Count (call MetaData {DS} (dict (list 'a') (list 1))))", file) == 2


def test_what_is_no_query_and_no_semantics(file):
    with pytest.raises(TypeError, match=r"queries\.named\.load"):
        evaluate(DS.split, file)
    with pytest.raises(ValueError, match="there are servicex and strict"):
        evaluate(BARE, file, semantics="peer")
