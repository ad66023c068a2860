"""The digest of analysis code: changes of meaning change it, changes of looks do not."""

from pathlib import Path

import pytest

from skimflow.code import code_digest, sources
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


@pytest.mark.parametrize("target", ["nowhere.py:process", "no_such_module:f", "processing.nothing:f"])
def test_missing_code_is_named(target: str, tmp_path: Path) -> None:
    with pytest.raises(CodeNotFound, match=target.partition(":")[0]):
        code_digest(target, base=tmp_path)


def test_broken_code_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("x = 1\ndef f(:\n")
    with pytest.raises(CodeNotFound, match=r"broken\.py:2"):
        code_digest("broken.py", base=tmp_path)
