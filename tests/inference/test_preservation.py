"""What is left for HEPData, REANA and RECAST, as their own validators judge it."""

import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
import preservation_cases as cases
from peer_answers import answer

from inference.preservation.errors import InvalidSubmission
from inference.preservation.hepdata import Record, Resource, write_submission
from inference.preservation.specifications import reana, yadage_workflow
from inference.tables import Table


@pytest.fixture(scope="module")
def submission(tmp_path_factory):
    return cases.submission(tmp_path_factory.mktemp("hepdata"), b"{}\n")


def test_hepdatas_validator_accepts_the_submission(submission):
    said = answer("hepdata", "submission", cases.shown(submission))
    assert said["exit"] == 0
    tables = [path.name for path in submission if path.suffix == ".yaml"]
    assert [line.split()[0] for line in said["output"][1:]] == tables
    assert all("is valid HEPData" in line for line in said["output"][1:])


def test_a_submission_says_what_hepdata_shows(submission):
    documents = cases.shown(submission)
    whole, parameters, correlation, limits, region = documents["submission.yaml"]
    [model] = whole["additional_resources"]
    assert (model["location"], model["type"]) == ("workspace.json", "HistFactory")
    assert parameters["keywords"][0] == {"name": "cmenergies", "values": [13000.0]}
    pictures = [(each["location"], each["description"]) for each in parameters["additional_resources"]]
    assert pictures == [("pulls.png", "Image file"), ("thumb_pulls.png", "Thumbnail image file")]
    assert limits["additional_resources"] == parameters["additional_resources"]
    [table] = documents[parameters["data_file"]]
    assert table["independent_variables"][0]["values"][0] == {"value": "mu"}
    assert table["dependent_variables"][0]["values"][0] == {"value": 1.1, "errors": [{"symerror": 0.2}]}
    assert table["dependent_variables"][0]["values"][2] == {"value": 1.0}  # held: HEPData refuses uncertainties of zero
    [table] = documents[correlation["data_file"]]
    assert [each["header"]["name"] for each in table["independent_variables"]] == [
        "first parameter",
        "second parameter",
    ]
    # 0.018 / (0.2 · 0.9)
    assert table["dependent_variables"][0]["values"][1]["value"] == pytest.approx(0.1, rel=1e-12)
    [table] = documents[limits["data_file"]]
    assert [each["header"]["name"] for each in table["dependent_variables"]] == ["observed", "expected"]
    assert table["independent_variables"][0]["header"] == {"name": "quantity"}
    observed, expected = (each["values"] for each in table["dependent_variables"])
    assert observed == [{"value": 1.2, "errors": [{"symerror": 0.1}]}, {"value": "-"}]
    assert expected[1] == {"value": 2.0, "errors": [{"symerror": 0.3}]}
    [table] = documents[region["data_file"]]
    assert table["independent_variables"] == [
        {
            "header": {"name": "$m_{bjj}$", "units": "GeV"},
            "values": [{"low": 100.0, "high": 200.0}, {"low": 200.0, "high": 400.0}],
        }
    ]
    assert table["dependent_variables"][-1] == {
        "header": {"name": "data"},
        "values": [{"value": 12.0}, {"value": 21.0}],
    }


def test_what_hepdata_would_refuse(tmp_path):
    table = Record(Table("One", ("a", "b"), (("x", 1.0),)), "d", {})
    with pytest.raises(InvalidSubmission, match="two tables are called 'One'"):
        write_submission(tmp_path, [table, table], [], comment="c")
    with pytest.raises(InvalidSubmission, match=r"two files of the submission are called 'one\.yaml'"):
        write_submission(tmp_path, [table], [Resource("one.yaml", b"", "d")], comment="c")
    with pytest.raises(InvalidSubmission, match="no keyword 'energy'; it has cmenergies, observables"):
        write_submission(tmp_path, [table], [], comment="c", keywords={"energy": ["13"]})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["reana.yaml", "reana-recast.yaml"])
def test_reanas_client_accepts_the_specifications(name, tmp_path):
    said = answer("reana", name, cases.workflows(tmp_path))
    assert said["exit"] == 0
    judged = [line.strip() for line in said["output"] if line.startswith("  ->")]
    assert len(judged) == 4
    assert all(line.startswith("-> SUCCESS") for line in judged)


def test_yadage_accepts_the_workflow_of_recast(tmp_path):
    said = answer("reana", "specs/workflow.yml", cases.workflows(tmp_path))
    assert said == {"exit": 0, "output": ["workflow validates against schema"]}


def test_files_with_blanks_are_quoted(tmp_path):
    [measurement, _] = yadage_workflow(cases.PRESERVED)["stages"]
    assert (
        "cp -r --parents 'my pipeline.yml' fileset.json my_query.py events {analysis}"
        in (measurement["scheduler"]["step"]["process"]["cmd"])
    )
    steps = reana(cases.PRESERVED)["workflow"]["specification"]["steps"]
    assert steps[0]["commands"] == ['skimflow run "${pipeline}" --until deliver --report report --quiet']
    assert [each["name"] for each in steps] == ["deliver", "process", "build", "fit", "report"]


def test_recast_knows_what_to_give_and_what_comes(tmp_path):
    cases.workflows(tmp_path)
    entry = yaml.safe_load((tmp_path / "recast.yml").read_text())
    assert entry["example_inputs"]["default"]["initdata"] == {"pipeline": "my pipeline.yml", "signal": "signal.json"}
    workflow = yaml.safe_load((tmp_path / "specs" / entry["spec"]["workflow"]).read_text())
    stage, _, file = entry["results"][0]["relpath"].partition("/")
    [limits] = [each for each in workflow["stages"] if each["name"] == stage]
    assert limits["scheduler"]["parameters"]["limits"] == "{workdir}/" + file
