"""Queries by name, against the real ServiceX client."""

import json
import linecache
import os
import pickle
import subprocess
import sys
import textwrap

import pytest

import queries.ttbar
from queries.canonical import digest
from queries.errors import QueryError, QueryFunctionError, QueryNotFoundError, QuerySyntaxError
from queries.named import load
from queries.parser import parse
from queries.syntax import Constant, walk

FUNC_ADL = ("queries.ttbar:selected", "queries.ttbar:agc_published", "queries.ttbar:agc_published_ml")
RAW = ("queries.ttbar:agc_published_raw", "queries.ttbar:agc_published_raw_ml")
ADL = tuple(f"queries.adl:q{i}" for i in (1, 2, 3, 4))


@pytest.fixture(scope="module")
def client():
    from servicex import query

    return query


@pytest.mark.parametrize("name", FUNC_ADL + ADL)
def test_func_adl_text_is_what_the_client_sends(name, client, monkeypatch):
    ours = load(name)
    module = sys.modules[name.split(":")[0]]
    monkeypatch.setattr(module, "dataset", lambda tree: client.FuncADL_Uproot().FromTree(tree))
    theirs = load(name)
    assert ours == theirs
    assert ours.codegen == "uproot"
    assert ours.tree == "Events"
    assert ours.digest == digest(ours.text)


@pytest.mark.parametrize("name", RAW)
def test_raw_text_is_what_the_client_sends(name, client):
    function = getattr(queries.ttbar, name.split(":")[1])
    ours = load(name)
    assert ours.text == client.UprootRaw(function()).generate_selection_string()
    assert ours.codegen == "uproot-raw"
    assert ours.tree == "Events"


def test_every_query_has_a_digest_of_its_own():
    assert len({load(name).digest for name in FUNC_ADL + RAW + ADL}) == len(FUNC_ADL + RAW + ADL)


def test_a_query_crosses_processes():
    query = load("queries.ttbar:selected")
    assert pickle.loads(pickle.dumps(query)) == query


def test_loading_a_query_imports_nothing_slow():
    code = (
        "import sys; from queries import load; load('queries.ttbar:selected');"
        "print([m for m in ('servicex', 'uproot', 'awkward', 'numpy', 'qastle', 'lark') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


USER_FILE = """
    from helper import CUT
    from queries.dataset import dataset

    def stream():
        return dataset("mini").Where(lambda e: e.x > CUT).Select(lambda e: {"x": e.x, "y": e.y})

    def text():
        return "(Select (call EventDataset 'bogus.root' 'mini') 'unused')"

    def qastle():
        return "(Where (call EventDataset 'f' 'mini') (lambda (list q) (> (attr q 'x') 3)))"

    def raw():
        return [{"treename": "mini", "cut": None, "filter_name": ["a"]}]

    def raw_in_another_order():
        return [{"filter_name": ["a"], "treename": "mini"}]

    def raw_text():
        from servicex import query
        class Reordered(query.UprootRaw):
            def generate_selection_string(self):
                return '[{"filter_name": ["a"], "treename": "mini"}]'
        return Reordered({"treename": "mini"})

    def histograms():
        return [{"copy_histograms": "h"}, {"treename": ["a", "b"]}]

    def client():
        from servicex import query
        return query.FuncADL_Uproot().FromTree("mini").Where(lambda e: e.x > 3)

    def client_raw():
        from servicex import query
        return query.UprootRaw({"treename": "mini", "filter_name": ["a"]})

    def client_python():
        from servicex import query
        return query.PythonFunction().with_uproot_function(stream)

    def client_without_tree():
        from servicex import query
        return query.FuncADL_Uproot().Where(lambda e: e.x > 3)

    def captured():
        import enum
        import numpy as np
        cut, level = np.float64(2.5), enum.IntEnum("Level", {"TIGHT": 4}).TIGHT
        low, high = -1.5, float("inf")
        return dataset("t").Where(lambda e: e.x > cut and e.y == level and e.z > low and e.z < high)

    def captured_nan():
        cut = float("nan")
        return dataset("t").Where(lambda e: e.x > cut)

    def number():
        return 3

    def fails():
        raise ZeroDivisionError("on purpose")

    def keyword():
        return dataset("mini").Select("lambda e: f(e.x, k=1)")

    def unknown_key():
        return [{"treename": "mini", "filter_names": ["a"]}]

    def no_tree():
        return [{"cut": "a"}]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(textwrap.dedent(USER_FILE))
    (tmp_path / "helper.py").write_text("CUT = 3\n")
    return tmp_path


def test_a_users_own_functions(folder):
    stream = load("mine:stream", folder)
    assert stream.text == (
        "(call Select (call Where (call EventDataset 'bogus.root' 'mini') (lambda (list e) (> (attr e 'x') 3)))"
        " (lambda (list e) (dict (list 'x' 'y') (list (attr e 'x') (attr e 'y')))))"
    )
    assert stream.tree == "mini"
    assert load("mine:qastle", folder).digest == load("mine:client", folder).digest
    raw = load("mine:raw", folder)
    assert (raw.codegen, raw.tree, len(json.loads(raw.text)[0])) == ("uproot-raw", "mini", 8)
    assert raw.digest == load("mine:client_raw", folder).digest
    assert raw.digest == load("mine:raw_text", folder).digest == load("mine:raw_in_another_order", folder).digest
    assert load("mine:histograms", folder).tree is None


def test_captured_numbers_are_written_as_numbers(folder):
    node = parse(load("mine:captured", folder).text)
    numbers = [n.value for n in walk(node) if isinstance(n, Constant) and not isinstance(n.value, str)]
    assert numbers == [2.5, 4, 1.5, float("inf")]


def test_a_file_by_its_path(folder):
    by_module = load("mine:stream", folder)
    for name, base in ((f"{folder}/mine.py:stream", None), ("mine.py:stream", folder)):
        found = load(name, base)
        assert (found.text, found.digest) == (by_module.text, by_module.digest)


def test_an_edited_file_is_read_anew(folder, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    before = load("mine:stream", folder)
    changes = {"helper.py": ("CUT = 3", "CUT = 4"), "mine.py": ('"y": e.y', '"y": e.z')}
    for name, (old, new) in changes.items():  # same size and same time: kept bytecode would be taken for current
        file = folder / name
        times = file.stat()
        file.write_text(file.read_text().replace(old, new))
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    linecache.clearcache()  # by size and time as well, but func_adl's reading of the source is not under test here
    after = load("mine:stream", folder)
    assert after.text == before.text.replace(" 3)", " 4)").replace("(attr e 'y')", "(attr e 'z')")
    assert after.digest != before.digest
    assert not {"mine", "helper"} & set(sys.modules)
    assert str(folder) not in sys.path


def test_libraries_below_the_folder_stay_imported(folder):
    library = folder / ".venv" / "site-packages"
    library.mkdir(parents=True)
    (library / "a_library.py").write_text("")
    (folder / "user.py").write_text(
        f"import sys; sys.path.append({str(library)!r}); import a_library; sys.path.pop()\ndef q(): return 'e'\n"
    )
    load("user:q", folder)
    assert sys.modules.pop("a_library")


def test_a_package_in_the_folder(folder):
    (folder / "mypackage").mkdir()
    (folder / "mypackage" / "__init__.py").write_text("")
    (folder / "mypackage" / "inner.py").write_text((folder / "mine.py").read_text())
    assert load("mypackage.inner:stream", folder).text == load("mine:stream", folder).text


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("mine", QueryNotFoundError, "write module:function"),
        ("mine:", QueryNotFoundError, "write module:function"),
        ("mine:strem", QueryNotFoundError, "no function 'strem'; nearest: stream"),
        ("mime.py:stream", QueryNotFoundError, "nearest: mine.py"),
        ("queries.ttbr:selected", QueryNotFoundError, "no module 'queries.ttbr'; nearest: queries.ttbar"),
        ("no_such_module_anywhere:f", QueryNotFoundError, "no module 'no_such_module_anywhere'"),
        ("mine:number", QueryFunctionError, "returned int"),
        ("mine:fails", QueryFunctionError, "ZeroDivisionError: on purpose"),
        ("mine:text", QuerySyntaxError, "Select needs a lambda of 1 variable"),
        ("mine:keyword", QueryFunctionError, "k=1"),
        ("mine:captured_nan", QueryFunctionError, "nan"),
        ("mine:client_python", QueryFunctionError, "code generator 'python'"),
        ("mine:client_without_tree", QueryFunctionError, "FromTree"),
        ("mine:unknown_key", QueryFunctionError, "nearest: filter_name"),
        ("mine:no_tree", QueryFunctionError, "needs 'treename' or 'copy_histograms'"),
        ("broken:f", QueryFunctionError, "broken.py cannot be run: NameError"),
        ("needy:f", QueryFunctionError, "no_such_helper"),
    ],
)
def test_errors_name_what_is_wrong_and_near(folder, name, error, message):
    (folder / "broken.py").write_text("undefined\n")
    (folder / "needy.py").write_text("import no_such_helper\n")
    with pytest.raises(error) as caught:
        load(name, folder)
    assert message in str(caught.value)
    assert isinstance(caught.value, QueryError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
