"""The README's commands do what it says, in the order in which it says it."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from shell import Shell

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line.split("#")[0].split() for line in README.splitlines() if line.startswith("    ")]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="the README needs make")


def test_it_is_short():
    assert len(README.splitlines()) <= 45


def test_its_links_lead_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_make_is_asked_for_what_there_is():
    targets = [words for words in COMMANDS if words[0] == "make"]
    assert targets == [["make", "demo"], ["make", "test"]]
    for words, expected in zip(targets, ("skimflow demo", "python -m pytest"), strict=True):
        done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=True)
        assert expected in done.stdout


def test_every_other_line_runs(tmp_path, small_model):
    lines = [words for words in COMMANDS if words[0] != "make"]
    assert lines[0] == ["source", ".venv/bin/activate"]
    said = {}
    with Shell(tmp_path) as shell:
        for words in lines[1:]:
            assert words[0] in ("skimflow", "curl")
            line = shlex.join(words)
            said[words[1]] = shell.serve(line) if words[1] == "serve" else shell.run(line).stdout
            if words[1] == "init":
                make_small(tmp_path / words[2], small_model)
        said["page"] = page_of_the_request(shell.url)
        (python,) = re.findall(r"`(import skimflow;[^`]*)`", README)
        code = "import json; " + python.replace('result.results["fit"]', 'print(json.dumps(result.results["fit"]))')
        assert "print" in code
        assert "ttbar_norm" in json.loads(shell.run([sys.executable, "-c", code]).stdout)["labels"]
    assert "never computed" in said["plan"] or "waits" in said["plan"]
    assert "ttbar_norm = " in said["run"]
    assert (tmp_path / "report" / "index.html").is_file()
    assert "identical, bit for bit" in said["check"]
    for stage in ("deliver", "process", "build", "fit"):
        assert stage in said["cache"]
    assert "✗" not in said["doctor"]
    assert "Complete: 1 of 1 files" in said["submit"]
    assert [path.name for path in (tmp_path / "skim").iterdir()] == ["0000-ttbar__nominal_0.root.parquet"]
    assert "ttbar__nominal_0.root" in said["page"]
    assert yaml.safe_load((tmp_path / "servicex.yaml").read_text())["api_endpoints"][0]["endpoint"] == shell.url


def page_of_the_request(url: str) -> str:
    """What a browser shows of the request that was made: it is the only one, and linked from the first page."""
    link = r'href="(/[^"]*[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"'
    with httpx.Client(base_url=url, headers={"Accept": "text/html"}, follow_redirects=True) as browser:
        (place,) = set(re.findall(link, browser.get("/").text))
        return browser.get(place).text


def make_small(pipeline: Path, model: dict[str, object]) -> None:
    """Fewer events, bins and figures: the commands are tried here, not the physics."""
    (pipeline.parent / "small.yml").write_text(yaml.safe_dump(model))
    text = pipeline.read_text()
    for name, value in (
        ("events_per_file", "1500"),
        ("files_per_sample", "1"),
        ("kind", "iterative"),
        ("model", "small.yml"),
    ):
        text, count = re.subn(rf"^(  {name}|    {name}): \S+", rf"\1: {value}", text, flags=re.MULTILINE)
        assert count == 1, name
    pipeline.write_text(text)
