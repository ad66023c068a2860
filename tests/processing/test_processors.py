"""Processors by name: from modules, and from a user's own files, which travel to the workers by value."""

import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest

from processing.errors import UnknownProcessor
from processing.processors import load_processor
from processing.ttbar import TtbarProcessor

MINE = """
from coffea.processor import ProcessorABC
from helper import answer

class Mine(ProcessorABC):
    def process(self, events):
        return answer()

    def postprocess(self, accumulator):
        return accumulator
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "my_processor.py").write_text(MINE)
    (tmp_path / "helper.py").write_text("def answer():\n    return 41\n")
    return tmp_path / "my_processor.py"


def test_module() -> None:
    assert isinstance(load_processor("processing.ttbar:TtbarProcessor"), TtbarProcessor)


def test_file_is_run_anew_after_an_edit(mine: Path) -> None:
    assert load_processor(f"{mine}:Mine").process(None) == 41
    (mine.parent / "helper.py").write_text("def answer():\n    return 42 + 0\n")
    assert load_processor(f"{mine}:Mine").process(None) == 42


def test_file_travels_to_a_process_that_does_not_have_it(mine: Path) -> None:
    pickled = cloudpickle.dumps(load_processor(f"{mine}:Mine"))
    mine.unlink()
    (mine.parent / "helper.py").unlink()
    code = "import sys, pickle; print(pickle.loads(sys.stdin.buffer.read()).process(None))"
    done = subprocess.run([sys.executable, "-c", code], input=pickled, capture_output=True, check=True, cwd="/")
    assert done.stdout.strip() == b"41"


def test_package_travels_whole_past_an_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for answer, where in ((41, "worker"), (42, "client")):
        package = tmp_path / where / "my_package"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "proc.py").write_text(MINE.replace("from helper", "from my_package.helper"))
        (package / "helper.py").write_text(f"def answer():\n    return {answer}\n")
    monkeypatch.syspath_prepend(str(tmp_path / "client"))
    pickled = cloudpickle.dumps(load_processor("my_package.proc:Mine"))
    code = "import sys, pickle, my_package.proc; print(pickle.loads(sys.stdin.buffer.read()).process(None))"
    worker = {"PYTHONPATH": str(tmp_path / "worker")}
    done = subprocess.run([sys.executable, "-c", code], input=pickled, capture_output=True, check=True, env=worker)
    assert done.stdout.strip() == b"42"


def test_what_workers_must_have_in_the_same_version_travels_by_name() -> None:
    load_processor("processing.ttbar:TtbarProcessor")
    load_processor("coffea.processor.test_items:NanoTestProcessor")
    assert not {"processing", "coffea"} & cloudpickle.list_registry_pickle_by_value()


@pytest.mark.parametrize(
    "name", ["processing.ttbar:No", "nowhere:X", "no_colon", "absent.py:X", "processing.chunks:Chunk"]
)
def test_what_is_no_processor_is_named(name: str) -> None:
    with pytest.raises(UnknownProcessor, match=name.partition(":")[0]):
        load_processor(name)


def test_what_cannot_travel_is_named(mine: Path) -> None:
    (mine.parent / "helper.py").write_text(
        "import threading\nlock = threading.Lock()\ndef answer():\n    with lock:\n        return 41\n"
    )
    with pytest.raises(UnknownProcessor, match=r"sent to workers .*lock"):
        load_processor(f"{mine}:Mine")


def test_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def f(:\n")
    with pytest.raises(UnknownProcessor, match="broken"):
        load_processor(f"{tmp_path / 'broken.py'}:X")
