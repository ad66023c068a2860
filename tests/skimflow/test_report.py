"""The report: one page that needs nothing else, and every number traced to the store."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import skimflow
from artifacts.store import Store

pytestmark = pytest.mark.xdist_group("analysis")


class Page(HTMLParser):
    """Links, sources and text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.sources += [str(given[name]) for name in ("src", "srcset", "data", "poster") if name in given]
        self.links += [str(given["href"])] if "href" in given else []
        self.anchors |= {str(given["id"])} if "id" in given else set()

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def folder(finished: Any) -> Path:
    return finished.folder / "report"


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page(folder / "index.html")


def results(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "results.json").read_text())["results"])


def test_the_page_needs_nothing_from_elsewhere(page, folder):
    assert len(page.sources) > 10
    assert all(source.startswith("data:image/") for source in page.sources)
    assert {"script", "link", "iframe", "object"} & set(page.tags) == set()
    text = re.sub(r'src="data:[^"]*"', "", (folder / "index.html").read_text())
    assert re.findall(r"(?:https?:)?//[\w.]+", text) == []
    assert "@import" not in text
    assert "url(" not in text


def test_every_link_leads_somewhere(page, folder):
    assert len(page.links) > 10
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.anchors
        else:
            assert (folder / link).is_file(), link
            assert (folder / link).stat().st_size > 0


def test_figures_are_what_their_names_say(folder):
    magic = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}
    files = sorted((folder / "figures").iterdir())
    assert {file.suffix for file in files} == set(magic)
    for file in files:
        assert file.read_bytes().startswith(magic[file.suffix]), file.name
    for region in ("4j1b-CR", "4j2b-SR"):
        for stage in ("prefit", "postfit"):
            assert (folder / "figures" / f"{region}_{stage}.pdf").is_file()


def test_the_page_says_the_result(page, folder):
    fit = results(folder)["fit"]
    index = fit["labels"].index("ttbar_norm")
    assert f"{fit['bestfit'][index]:.3f} ± {fit['uncertainties'][index]:.3f}" in page.text
    for label in fit["labels"]:
        assert label in page.text


def test_names_and_notes_are_text(analysis, page):
    assert "tiny <script>alert(1)</script>" in page.text
    document = analysis.fileset()
    document["wjets"]["nominal"]["files"].append({"path": "gone<b>&.root", "nevts": 1})
    analysis.write_fileset(document)
    result = skimflow.run(analysis.pipeline, skimflow.Options(allow_missing=50))
    assert {name: summary.ran for name, summary in result.stages.items() if summary.ran} == {}
    noted = Page(analysis.folder / "report" / "index.html")
    assert "1 of 7 files failed (14.3 %, allowed 50 %)" in noted.text
    assert "gone<b>&.root" in noted.text
    assert "script" not in noted.tags


def test_the_cutflow_is_in_the_order_of_the_selection(page):
    head = re.search(r"Region 4j2b\s*sample\s*(.*?)\s*ttbar__", page.text, flags=re.DOTALL)
    assert head is not None
    assert re.findall(r"all|exactly_1l|atleast_4j|atleast_2b", head[1]) == [
        "all",
        "exactly_1l",
        "atleast_4j",
        "atleast_2b",
    ]


def test_every_number_is_traced_to_the_input_files(finished, folder, page):
    store = Store.open(finished.store)
    units = json.loads((folder / "run.json").read_text())["units"]
    for name, unit in units.items():
        entry = store.get(unit["key"])
        assert entry is not None, name
        assert {key: blob.digest for key, blob in entry.blobs.items()} == unit["blobs"]
        assert unit["key"][:16] in page.text
    fit, build = units["fit/fit"], units["build/workspace"]
    assert fit["parts"]["workspace"] == build["blobs"]["workspace.json"]
    process = units["process/histograms"]
    assert build["parts"]["histograms"] == process["blobs"]["histograms.json"]
    delivered = {unit["blobs"]["events.root"] for name, unit in units.items() if name.startswith("deliver/")}
    used = {file[0] for sample in process["parts"]["samples"].values() for file in sample["files"]}
    assert used == delivered
    import hashlib

    inputs = {
        hashlib.sha256(Path(file["path"]).read_bytes()).hexdigest()
        for variations in finished.fileset().values()
        for sample in variations.values()
        for file in sample["files"]
    }
    assert {unit["parts"]["input"]["digest"] for name, unit in units.items() if name.startswith("deliver/")} == inputs


def test_a_damaged_figure_is_drawn_again(analysis):
    before = json.loads((analysis.folder / "report" / "run.json").read_text())["units"]["figures/fit"]
    path = analysis.blob(before["blobs"]["pulls.svg"])
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-100])
    result = skimflow.run(analysis.pipeline)
    assert result.stages["figures"].ran == 1
    after = json.loads((analysis.folder / "report" / "run.json").read_text())["units"]["figures/fit"]
    assert after == before
