"""Several workspaces in one pipeline: smoothed, combined, blinded; what is fitted is said, only what changed runs."""

import json
import re
import shutil

import pytest
import yaml

import skimflow
from inference.combination.combine import combine
from inference.combination.correlation import load_map
from inference.documents import from_document
from inference.fit import FitSettings, fit
from inference.results import FitResult
from inference.smoothing.workspace import smooth_workspace
from skimflow.errors import PipelineError, UsageError
from skimflow.pipeline import parse_pipeline

FITTED = skimflow.Options(until="fit")
SMOOTHING = {"smooth": "353QH", "symmetrise": "two-sided"}
MINIMAL = "name: x\nsamples:\n  fileset: files.json\ninference:\n"


def workspace_of(analysis):
    return json.loads((analysis.folder / "report" / "workspace.json").read_text())


def later(workspace):
    """The same analysis of other events."""
    for each in (*workspace["channels"], *workspace["observations"]):
        each["name"] += " later"
    for channel in workspace["channels"]:
        for sample in channel["samples"]:
            for modifier in sample["modifiers"]:
                modifier["name"] += " later" if modifier["type"] == "staterror" else ""
    return workspace


def poi_of(result):
    return from_document(FitResult, result).value("ttbar_norm")


def ran(result):
    return {name: stage.ran for name, stage in result.stages.items() if stage.ran}


def test_what_is_fitted_is_the_workspace_that_is_named(analysis):
    """The smoothed one; the built one is fitted too, compared with it, and kept when the smoothing changes."""
    results = [
        "fit", {"smoothing": SMOOTHING, "as": "smooth"}, {"fit": {}, "of": "built", "as": "before"},
        {"comparison": {"other": "built"}, "as": "change"},
    ]  # fmt: skip
    analysis.change(inference={"results": results, "fitted": "smooth"})
    found = skimflow.run(analysis.pipeline, FITTED)
    assert found.notes == ("fitted is the workspace 'smooth': smoothing of 'built'",)
    plain = workspace_of(analysis)
    one, other = poi_of(found.results["fit"]), poi_of(found.results["before"])
    assert one == pytest.approx(fit(smooth_workspace(plain, **SMOOTHING).workspace).value("ttbar_norm"), rel=1e-9)
    assert other == pytest.approx(fit(plain).value("ttbar_norm"), rel=1e-9)
    compared = found.results["change"]
    assert (compared["first"]["name"], compared["second"]["name"]) == ("smooth", "built")
    [pair] = [each for each in compared["parameters"] if each["parameter"] == "ttbar_norm"]
    assert (pair["first"]["bestfit"], pair["second"]["bestfit"]) == pytest.approx((one[0], other[0]), rel=1e-9)
    results[1]["smoothing"] = {"symmetrise": "maximum"}
    analysis.change(inference={"results": results})
    waiting = skimflow.plan(analysis.pipeline)
    assert [unit.name for unit in waiting.units if not unit.hit] == ["workspace smooth"]
    assert waiting.waiting == ("fit",)
    again = skimflow.run(analysis.pipeline, FITTED)
    assert ran(again) == {"build": 1, "fit": 2}
    assert again.results["before"] == found.results["before"]


def test_files_count_by_their_content(analysis):
    """Of a combination and a map: moved nothing runs, changed what is made of them."""
    folder = analysis.folder
    (folder / "later.json").write_text(json.dumps(later(workspace_of(analysis))))
    (folder / "map.yml").write_text("parameters: {ttbar_norm: {inits: [1.0], bounds: [[0, 10]]}}\n")
    combination = {"others": {"second": "later.json"}, "correlation": "map.yml"}
    results = ["fit", {"combination": combination, "as": "both"}, {"fit": {}, "of": "both", "as": "together"}]
    analysis.change(inference={"results": results})
    found = skimflow.run(analysis.pipeline, FITTED)
    inputs = {"built": workspace_of(analysis), "second": json.loads((folder / "later.json").read_text())}
    expected = fit(combine(inputs, load_map(folder / "map.yml")).workspace).value("ttbar_norm")
    assert poi_of(found.results["together"]) == pytest.approx(expected, rel=1e-9)
    assert expected[1] < poi_of(found.results["fit"])[1]
    (folder / "elsewhere").mkdir()
    shutil.move(folder / "later.json", folder / "elsewhere" / "moved.json")
    combination["others"]["second"] = "elsewhere/moved.json"
    analysis.change(inference={"results": results})
    assert ran(skimflow.run(analysis.pipeline, FITTED)) == {}
    (folder / "map.yml").write_text("correlate: {luminosity: {built: Luminosity, second: Luminosity}}\n")
    again = skimflow.run(analysis.pipeline, FITTED)
    assert ran(again) == {"build": 1, "fit": 1}
    assert "luminosity" in again.results["together"]["labels"]


def numbers(text):
    """All numbers with four digits or more, as they are written and as what they are."""
    found = re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.]|,\d)", text)
    return [(one.replace(",", ""), float(one.replace(",", ""))) for one in found if sum(map(str.isdigit, one)) > 3]


def tells(text, secret):
    """Whether a number in the text is the secret, to as many digits as it has."""
    for written, value in numbers(text):
        decimals = len(written.partition("e")[0].partition(".")[2])
        if value == secret or ("e" not in written and abs(value - secret) <= 0.5000001 * 10**-decimals):
            return True
    return False


def secrets(results):
    """What a blinded analyst must not see: the parameter of interest, data, and what observed data alone say."""
    regions = results["yields"]["prefit"]["regions"]
    counts = [count for region in regions for count in region["data"]]
    return {
        "best fit": poi_of(results["fit"])[0],
        **{f"data {place}": count for place, count in enumerate(counts)},
        **{f"data of {region['region']}": sum(region["data"]) for region in regions},
        "limit": results["limit"]["observed"],
        "lower end": results["intervals"]["intervals"][0]["lower"]["value"],
        "upper end": results["intervals"]["intervals"][0]["upper"]["value"],
        "statistic": results["gof"]["statistics"][0]["value"],
    }


def test_a_blinded_pipeline_tells_neither_the_result_nor_the_data(analysis):
    """In no file that it writes and in nothing that it prints; unblinded, all is there again and nothing runs."""
    tools = ["impacts", "intervals", {"scan": {"points": 5}}, {"limit": {"points": 3}}, "significance", "gof"]
    files = [{"comparison": {"other": "later.json"}}]
    hiding = [{"blind-fit": {"phrase": "a herring", "scale": 5.0, "pois": ["Luminosity"]}}]
    (analysis.folder / "later.json").write_text(json.dumps(later(workspace_of(analysis))))
    analysis.change(inference={"results": ["fit", "ranking", "yields", *tools, *files]})
    seen = skimflow.run(analysis.pipeline, FITTED).results
    hidden = secrets(seen)
    assert [
        name for name, secret in hidden.items() if "data of" not in name and not tells(json.dumps(seen), secret)
    ] == []
    document = yaml.safe_load(analysis.pipeline.read_text())
    document["inference"] |= {"blind": True, "results": [*document["inference"]["results"], *hiding]}
    document["report"] = "blind"
    (analysis.folder / "blind.yml").write_text(yaml.safe_dump(document))
    done = analysis.command("run", "blind.yml")
    assert done.returncode == 0, done.stderr
    assert "ttbar_norm = 1.000 ± " in done.stdout
    assert "(blinded)" in done.stdout
    written = {path.name: path.read_text() for path in (analysis.folder / "blind").rglob("*") if path.suffix in
               {".json", ".csv", ".html"}}  # fmt: skip
    assert {"results.json", "index.html", "workspace-blinded.json", "parameters.csv"} <= written.keys()
    assert {"workspace.json", "histograms.root"} & written.keys() == set()
    written["index.html"] = re.sub(r'src="data:[^"]*"', "", written["index.html"])
    written |= {"output": done.stdout + done.stderr}
    leaks = [(file, name) for file, text in written.items() for name, secret in hidden.items() if tells(text, secret)]
    assert leaks == []
    results = json.loads(written["results.json"])["results"]
    shift = poi_of(results["blind-fit"])[0] - hidden["best fit"]
    assert 0.01 < abs(shift) < 5.0
    assert results["fit"]["blinded"] == ["ttbar_norm"]
    assert results["blind-fit"]["blinded"] == ["ttbar_norm", "Luminosity"]
    assert poi_of(results["blind-fit"])[1] == poi_of(seen["fit"])[1]
    assert results["ranking"]["blinded"]
    assert {count for region in results["yields"]["postfit"]["regions"] for count in region["data"]} == {None}
    with pytest.raises(UsageError, match="blind: false"):
        preserve(analysis.folder / "blind.yml")
    document["inference"] |= {"blind": False, "results": document["inference"]["results"][:-1]}
    (analysis.folder / "blind.yml").write_text(yaml.safe_dump(document))
    opened = skimflow.run(analysis.folder / "blind.yml", FITTED)
    assert ran(opened) == {}
    assert opened.results == seen


def preserve(pipeline):
    from skimflow.commands.preserve import preserve as command

    command.main([str(pipeline), "--output", str(pipeline.parent / "kept")], standalone_mode=False)


def test_a_held_parameter_of_interest_is_not_shown_with_an_offset(analysis):
    """Fits at several of its values would tell the likelihood, and with it the best one."""
    results = ["fit", {"blind-fit": {"phrase": "a herring", "scale": 5.0}}]
    analysis.change(inference={"results": results, "blind": {"ttbar_norm": 1.0}, "fixed": {"ttbar_norm": 0.9}})
    done = analysis.command("run", "tiny.yml", "--until", "fit")
    assert done.returncode == 2
    assert "ttbar_norm is held" in done.stderr


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("  results: [{limit: {}, of: smooth}]\n", 5, "'limit' is of 'smooth', which no result above it makes"),
        ("  results: [{fit: {}, as: other}]\n", 5, "needs 'of' and 'as'"),
        ("  results: [{ranking: {}, of: built}]\n", 5, "impacts"),
        ("  results: [{smoothing: {}, as: built}]\n", 5, "two results are named 'built'"),
        ("  results: [fit]\n  fitted: smooth\n", 6, "'smooth' is no workspace; workspaces: built"),
        ("  blind: maybe\n", 5, "blind"),
        ("  results: [{comparison: {others: x}}]\n", 5, "did you mean 'other'"),
    ],
)
def test_what_cannot_be_is_named_with_its_line(text, line, words):
    with pytest.raises(PipelineError) as caught:
        parse_pipeline(MINIMAL + text, "mine.yml")
    assert f"mine.yml:{line}:" in str(caught.value)
    assert words in str(caught.value)


def test_a_file_that_is_not_there_is_named_before_anything_runs(analysis):
    analysis.change(inference={"results": [{"reinterpretation": {"signals": "gone.json"}}]})
    with pytest.raises(PipelineError, match=r"signals: there is no file .*gone.json, and no workspace of that name"):
        skimflow.plan(analysis.pipeline)


def test_results_of_held_parameters_are_those_of_the_workspace(analysis):
    """`fixed` holds in fits of all workspaces."""
    results = ["fit", {"smoothing": SMOOTHING, "as": "smooth"}, {"fit": {}, "of": "smooth", "as": "smoothed"}]
    analysis.change(inference={"results": results, "fixed": {"Luminosity": 0.5}})
    found = skimflow.run(analysis.pipeline, FITTED)
    made = smooth_workspace(workspace_of(analysis), **SMOOTHING).workspace
    expected = fit(made, FitSettings(fixed={"Luminosity": 0.5})).value("ttbar_norm")
    assert poi_of(found.results["smoothed"]) == pytest.approx(expected, rel=1e-9)
