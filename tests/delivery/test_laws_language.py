"""Laws of the query language, tried on queries that a generator makes over every type of column.

The generator is the one whose fixed set is compared with the peer (tests/oracle); hypothesis drives it here.
"""

import ast
import re
import sys
from pathlib import Path

import awkward as ak
import pytest
import qastle
import uproot
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from delivery.engine import TransformRequest, evaluate, transform
from delivery.errors import DeliveryError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "oracle"))
from oracle_answers import describe
from oracle_generate import Maker
from oracle_inputs import write_inputs, write_tree
from oracle_queries import qastle_text

COMPRESSIONS = [None, uproot.ZLIB(1), uproot.LZMA(1), uproot.LZ4(1), uproot.ZSTD(1)]
DICE = st.randoms(use_true_random=False)
SEMANTICS = st.sampled_from(("servicex", "strict"))

slow = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_inputs(tmp_path_factory.mktemp("language"))


@pytest.fixture(scope="module")
def layouts(files, tmp_path_factory):
    """The same 96 events in other baskets and compressions."""
    folder = tmp_path_factory.mktemp("layouts")
    with uproot.open(files["baskets"]) as file:
        events = file["Events"].arrays()
    counters = [name for name in events.fields if name.startswith("n")]
    columns = {name: events[name] for name in events.fields if name not in counters}
    sizes = [[], [1, 95], [50], [3, 5, 7, 11, 13, 17], [90, 2]]
    return [
        write_tree(folder / f"{number}.root", columns, size, compression)
        for number, (size, compression) in enumerate(zip(sizes, COMPRESSIONS, strict=True))
    ]


def answer(query: str, file: Path, semantics: str = "servicex"):
    """Every bit of the answer, or the name of the error."""
    try:
        return describe(evaluate(qastle_text(query), file, "Events", semantics=semantics))
    except DeliveryError as error:
        return type(error).__name__


@slow
@given(dice=DICE)
def test_baskets_and_compression_do_not_show(dice, files, layouts):
    query = Maker(dice).query()
    expected = answer(query, files["baskets"])
    assert [answer(query, layout) for layout in layouts] == [expected] * len(layouts)


@slow
@given(dice=DICE, chunk_bytes=st.sampled_from((1, 500, 5_000)), threads=st.sampled_from((1, 3)))
@pytest.mark.parametrize("form", ["parquet", "root-file"])
def test_chunks_and_threads_do_not_change_a_byte(dice, chunk_bytes, threads, form, files, tmp_path, monkeypatch):
    monkeypatch.setattr("delivery.engine.stream.MIN_RANGE", 3)
    query = Maker(dice).query()
    text = qastle_text(query)
    whole = written(text, files["baskets"], tmp_path, form)
    assert written(text, files["baskets"], tmp_path, form, threads=threads, chunk_bytes=chunk_bytes) == whole


@slow
@given(dice=DICE)
@pytest.mark.parametrize("form", ["parquet", "root-file"])
def test_spelling_does_not_change_a_byte(dice, form, files, tmp_path):
    query = Maker(dice).query()
    nodes = qastle_text(query)
    methods = str(qastle.python_ast_to_text_ast(ast.parse(query.replace("DS", "EventDataset('bogus.root', 'Events')"))))
    calls = re.sub(r"\((?=[A-Z])", "(call ", nodes)
    files_written = [written(text, files["types"], tmp_path, form) for text in (nodes, methods, calls)]
    assert files_written == [files_written[0]] * 3


def written(text: str, file: Path, folder: Path, form, **how):
    """The bytes of the file, or the name of the error."""
    output = folder / "out"
    try:
        transform(TransformRequest(text, str(file), output, "Events", format=form, **how))
    except DeliveryError as error:
        return type(error).__name__
    return output.read_bytes()


@slow
@given(dice=DICE)
def test_two_selections_are_their_conjunction_in_strict(dice, files):
    maker = Maker(dice)
    first, second, columns = maker.flag(2), maker.flag(2), maker.columns()
    chained = f"DS.Where(lambda e: {first}).Where(lambda e: {second}).Select(lambda e: {columns})"
    joint = f"DS.Where(lambda e: ({first}) and ({second})).Select(lambda e: {columns})"
    rows = answer(chained, files["types"], "strict")
    assume(not isinstance(rows, str))
    assert answer(joint, files["types"], "strict") == rows


@slow
@given(dice=DICE, semantics=SEMANTICS)
def test_projection_commutes(dice, semantics, files):
    maker = Maker(dice)
    one, other, flag = maker.list("Jet", 2), maker.scalar(2), maker.flag(2)
    stream = f"DS.Where(lambda e: {flag})"
    both = f"{stream}.Select(lambda e: {{'one': {one}, 'other': {other}}})"
    assume(not isinstance(answer(both, files["types"], semantics), str))
    for name, value in (("one", one), ("other", other)):
        alone = answer(f"{stream}.Select(lambda e: {value})", files["types"], semantics)
        projected = answer(f"{both}.Select(lambda r: r.{name})", files["types"], semantics)
        assert projected == alone


@slow
@given(dice=DICE)
def test_selecting_before_or_after_projection_is_the_same_in_strict(dice, files):
    maker = Maker(dice)
    value, flag = maker.list("Muon", 2), maker.flag(2)
    before = answer(f"DS.Where(lambda e: {flag}).Select(lambda e: {value})", files["types"], "strict")
    assume(not isinstance(before, str))
    both = f"DS.Select(lambda e: {{'value': {value}, 'flag': {flag}}})"
    after = answer(f"{both}.Where(lambda r: r.flag).Select(lambda r: r.value)", files["types"], "strict")
    assert after == before


@slow
@given(dice=DICE, semantics=SEMANTICS)
def test_names_of_variables_do_not_matter(dice, semantics, files):
    query = Maker(dice).query()
    renamed = re.sub(r"\be(?=[:.])", "Event", query)
    assert answer(renamed, files["types"], semantics) == answer(query, files["types"], semantics)


@pytest.mark.parametrize("semantics", ["servicex", "strict"])
def test_several_files_are_one_after_the_other(files, semantics):
    text = qastle_text("DS.Where(lambda e: e.MET_pt > 20).Select(lambda e: {'a': e.Jet_pt, 'm': e.Muon_pt.Max()})")
    names = ("types", "empty", "one_event", "baskets")
    each = [evaluate(text, files[name], semantics=semantics) for name in names]
    together = evaluate(text, [files[name] for name in names], semantics=semantics)
    assert describe(together) == describe(ak.concatenate(each))
