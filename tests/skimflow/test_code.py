"""The digest of analysis code: changes of meaning change it, changes of looks do not."""

import shutil
from pathlib import Path

import pytest

from skimflow.code import check_defined, code_digest, sources
from skimflow.errors import CodeNotFound

SOURCE = '''"""A processor."""
from helper import cut


def process(events):
    """Select."""
    return events[events.pt > cut]
'''


@pytest.fixture
def analysis(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "helper.py").write_text("cut = 30\n")
    return tmp_path


def test_looks_do_not_count(analysis: Path) -> None:
    before = code_digest("mine.py:process", base=analysis)
    looks = SOURCE.replace("A processor.", "Another text.").replace("    return", "    # why\n\n    return")
    (analysis / "mine.py").write_text(looks)
    assert code_digest("mine.py:process", base=analysis) == before


@pytest.mark.parametrize(("file", "old", "new"), [("mine.py", ">", ">="), ("helper.py", "30", "25")])
def test_meaning_counts_in_the_file_and_in_what_it_imports(analysis: Path, file: str, old: str, new: str) -> None:
    before = code_digest("mine.py:process", base=analysis)
    path = analysis / file
    path.write_text(path.read_text().replace(old, new))
    assert code_digest("mine.py:process", base=analysis) != before


def test_own_rooms_are_followed_and_libraries_are_not() -> None:
    names = {path.name for path in sources("processing.ttbar:TtbarProcessor")}
    assert {"ttbar.py", "objects.py"} <= names
    assert all("site-packages" not in str(path) for path in sources("processing.ttbar:TtbarProcessor"))


def test_data_that_the_code_names_counts(analysis: Path) -> None:
    (analysis / "mine.py").write_text('FILE = "weights.json"\n')
    (analysis / "corrections").mkdir()
    weights = analysis / "corrections" / "weights.json"
    weights.write_text("1")
    before = code_digest("mine.py", base=analysis)
    weights.write_text("2")
    assert code_digest("mine.py", base=analysis) != before


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A user's package beside the pipeline: relative and absolute imports, a sub-package, data, a library."""
    folder = tmp_path / "mypkg"
    (folder / "tools").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "tools" / "__init__.py").write_text("LEVEL = 1\n")
    (folder / "tools" / "deep.py").write_text("cut = 1\n")
    (folder / "helpers.py").write_text("value = 1\n")
    (folder / "near.py").write_text("value = 1\n")
    (folder / "sf.json.gz").write_bytes(b"1")
    (folder / "proc.py").write_text(
        "import numpy\nfrom mypkg.helpers import value\nfrom . import near\nfrom .tools.deep import cut\n"
        "FILE = 'sf.json.gz'\n"
    )
    return folder


@pytest.mark.parametrize("file", ["helpers.py", "near.py", "tools/deep.py", "tools/__init__.py", "sf.json.gz"])
def test_every_file_of_a_users_package_counts(package: Path, file: str) -> None:
    before = code_digest("mypkg/proc.py:P", base=package.parent)
    (package / file).write_bytes(b"changed = 2\n")
    assert code_digest("mypkg/proc.py:P", base=package.parent) != before


def test_a_package_in_another_folder_has_the_same_digest(package: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "a" / "b"
    shutil.copytree(package, elsewhere / "mypkg")
    assert code_digest("mypkg/proc.py:P", base=elsewhere) == code_digest("mypkg/proc.py:P", base=package.parent)


def test_version_of_a_users_library_counts(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_digest("mypkg/proc.py:P", base=package.parent)
    monkeypatch.setattr("skimflow.code._version", lambda module: f"newer {module}")
    assert code_digest("mypkg/proc.py:P", base=package.parent) != before


@pytest.mark.parametrize("target", ["nowhere.py:process", "no_such_module:f", "processing.nothing:f"])
def test_missing_code_is_named(target: str, tmp_path: Path) -> None:
    with pytest.raises(CodeNotFound, match=target.partition(":")[0]):
        code_digest(target, base=tmp_path)


def test_broken_code_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("x = 1\ndef f(:\n")
    with pytest.raises(CodeNotFound, match=r"broken\.py:2"):
        code_digest("broken.py", base=tmp_path)


@pytest.mark.parametrize("target", ["mine.py:proces", "mine.py", "helper.py:process"])
def test_a_name_that_the_source_does_not_give_is_told(target: str, analysis: Path) -> None:
    check_defined("mine.py:process", analysis)
    with pytest.raises(CodeNotFound, match=target.rpartition(":")[2]):
        check_defined(target, analysis)


def test_neighbours_of_an_installed_package_are_libraries(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = package.parent
    (site / "library.py").write_text("value = 1\n")
    (package / "proc.py").write_text("import library\nfrom mypkg.helpers import value\n")
    assert site / "library.py" in sources("mypkg/proc.py:P", site)
    monkeypatch.setattr("skimflow.code.INSTALLED", frozenset({site}))
    found = sources("mypkg/proc.py:P", site)
    assert site / "library.py" not in found
    assert package / "helpers.py" in found


def test_our_code_leads_to_no_library_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "processing").mkdir()
    (tmp_path / "processing" / "__init__.py").write_text("")
    (tmp_path / "processing" / "ours.py").write_text("import numpy\nfrom processing import other\n")
    (tmp_path / "processing" / "other.py").write_text("")
    (tmp_path / "numpy.py").write_text("")
    monkeypatch.setattr("skimflow.code.ROOT", tmp_path)
    names = {path.name for path in sources("processing/ours.py:x", tmp_path)}
    assert names == {"__init__.py", "ours.py", "other.py"}
