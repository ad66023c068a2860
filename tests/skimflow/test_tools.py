"""Tools of the inference stage as results of a pipeline: asked for, kept, tabulated, drawn, refused with reasons."""

import json
import re

import pytest
import yaml

from inference.documents import from_document
from skimflow.errors import PipelineError
from skimflow.tools import TOOLS, load
from skimflow.wanted import setting_names, typed_settings, wanted

# Settings that make each tool quick, and those without which it has nothing to do.
SETTINGS = {
    "contours": {"parameters": ["ttbar_norm", "Luminosity"], "points": 8},
    "scan": {"points": 5},
    "scan-2d": {"parameters": ["ttbar_norm", "Luminosity"], "points": [3, 3]},
    "limit": {"points": 3},
    "gof": {"statistics": ["saturated"]},
    "toys": {"toys": 20},
    "limit-by-toys": {"toys": 20},
    "significance-by-toys": {"toys": 20},
    "feldman-cousins": {"toys": 100, "level": 0.68},
    "blind-fit": {"phrase": "a herring", "scale": 5.0},
    "comparison": {"without": ["Jet*"]},
    "smoothing": {"smooth": "353QH", "prune_norm": 0.002},
    "combination": {"others": {"later": "later.json"}},
    "reinterpretation": {"signals": "signals.json", "labels": ["mass"]},
}
EXTENDED = ("unfold", "eft")


def write_others(analysis):
    """A second workspace and signals, made of the first run's workspace, for results that name files."""
    workspace = json.loads((analysis.folder / "report" / "workspace.json").read_text())
    channel = workspace["channels"][0]
    data = [3.0] * len(channel["samples"][0]["data"])
    signals = [
        {"name": f"signal_{mass}", "values": [mass], "channels": {channel["name"]: {"data": data}}} for mass in (1, 2)
    ]
    (analysis.folder / "signals.json").write_text(json.dumps({"signals": signals}))
    for each in (*workspace["channels"], *workspace["observations"]):
        each["name"] += " later"
    for each in workspace["channels"]:
        for sample in each["samples"]:
            for modifier in sample["modifiers"]:
                modifier["name"] += " later" if modifier["type"] == "staterror" else ""
    (analysis.folder / "later.json").write_text(json.dumps(workspace))


def entry(kind):
    return {kind: SETTINGS[kind]} if kind in SETTINGS else kind


@pytest.mark.parametrize("kind", TOOLS)
def test_what_a_tool_names_is_there(kind):
    tool = TOOLS[kind]
    for target in (tool.function, tool.result, tool.tables, *([tool.figure] if tool.figure else [])):
        assert callable(load(target))
    assert set(tool.settings) <= set(setting_names(tool))
    typed_settings(load(tool.function), kind, tool.settings)


def test_every_tool_is_a_result_that_is_kept(analysis):
    """One run computes and draws them all, the next one none."""
    plain = [kind for kind in TOOLS if kind not in EXTENDED]
    write_others(analysis)
    analysis.change(
        inference={"results": ["fit", *map(entry, plain), {"limit": {"level": 0.9, "points": 0}, "as": "limit_90"}]},
    )
    done = analysis.command("run", "tiny.yml", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    for kind in plain:
        tool = TOOLS[kind]
        result = from_document(load(tool.result), document["results"][kind])
        made = load(tool.tables)(result)
        tables = [made] if hasattr(made, "rows") else list(made)
        assert any(table.rows for table in tables)
        assert (analysis.folder / "report" / "tables" / f"{kind}.csv").is_file()
        drawn = list((analysis.folder / "report" / "figures").glob(f"{kind}-*.png" if tool.each else f"{kind}.svg"))
        assert bool(drawn) == (tool.figure is not None)
    for name in ("smoothing", "combination"):
        assert json.loads((analysis.folder / "report" / f"workspace-{name}.json").read_text())["channels"]
        assert document["results"][name]["workspace"] == {}
    limits = document["results"]
    assert limits["limit_90"]["observed"] < limits["limit"]["observed"]
    page = (analysis.folder / "report" / "index.html").read_text()
    assert re.search('id="results"', page)
    again = json.loads(analysis.command("run", "tiny.yml", "--json").stdout)
    assert {one["stage"]: one["ran"] for one in again["stages"]}["fit"] == 0
    assert again["results"] == document["results"]


def test_extensions_of_the_model_are_part_of_the_workspace(analysis):
    """ttbar_norm as a function of a Wilson coefficient, which becomes the parameter of interest."""
    morphing = {
        "operator": "eft", "name": "morphing", "parameters": [{"name": "c", "bounds": [-3, 3]}], "sets": ["ttbar_norm"],
        "basis": [[0], [1], [-1]], "yields": [[1.0], [1.3], [0.8]],
    }  # fmt: skip
    (analysis.folder / "extensions.yml").write_text(yaml.safe_dump({"extensions": [morphing], "poi": "c"}))
    analysis.change(inference={"extensions": "extensions.yml", "results": ["fit", {"eft": {"points": 9}}, "yields"]})
    done = analysis.command("run", "tiny.yml", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)["results"]
    (c,) = document["eft"]["coefficients"]
    plain = json.loads((analysis.folder / "first.json").read_text())["results"]["fit"]
    norm = plain["bestfit"][plain["labels"].index("ttbar_norm")]
    assert 1 + 0.25 * c["bestfit"] + 0.05 * c["bestfit"] ** 2 == pytest.approx(norm, abs=1e-5)
    (analysis.folder / "extensions.yml").write_text("operator: eft")
    refused = analysis.command("run", "tiny.yml")
    assert refused.returncode == 2
    assert "must be a list of documents" in refused.stderr


def test_a_setting_of_another_type_is_named():
    one = wanted({"limit": {"level": "high"}})
    with pytest.raises(PipelineError, match=r"limit: level: Input should be a valid number.*'high'"):
        typed_settings(load(TOOLS["limit"].function), "limit", one.settings)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"limit": {"poy": "mu"}}, "no setting 'poy'; did you mean 'poi'"),
        ({"limit": [1]}, "must be a mapping"),
        ({"limit": {}, "scan": {}}, "one kind of result"),
        ("limits", "did you mean 'limit'"),
        ({"fit": {"poi": "mu"}}, "'fit' has no setting 'poi'; settings: none"),
        ("scan-2d", "'scan-2d' needs the setting 'parameters'"),
        ({"reinterpretation": {"level": 0.9}}, "'reinterpretation' needs the setting 'signals'"),
    ],
)
def test_what_is_no_result_is_refused(given, words):
    with pytest.raises(ValueError, match=words):
        wanted(given)
