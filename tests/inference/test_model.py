"""The model file: what is in the AGC's, and what is said of a wrong one."""

import copy
from importlib.resources import files

import pytest
import yaml

from inference.errors import InvalidModel
from inference.model import load_model


@pytest.fixture
def document():
    return copy.deepcopy(yaml.safe_load((files("inference") / "models" / "ttbar.yml").read_text()))


def test_the_agcs_model():
    model = load_model("ttbar")
    assert [region.name for region in model.regions] == ["4j1b CR", "4j2b SR"]
    assert len(model.systematics) == 11
    assert model.poi == "ttbar_norm"
    assert model.norm_factors[0].bounds == (0, 10)
    assert [systematic.normalization for systematic in model.systematics][-1] == 0.03
    assert [systematic.name for systematic in model.systematics if systematic.symmetrized] == [
        "ME variation", "PS variation", "Jet energy scale", "Jet energy resolution",
    ]  # fmt: skip


def test_the_previous_task_is_an_option(document):
    document["data"]["recipe"] = "v1.4"
    assert [term.histogram for term in load_model(document).data.terms][-1] == "single_top_t_chan"


def test_a_path_and_a_model_are_taken_too(tmp_path, document):
    path = tmp_path / "mine.yml"
    path.write_text(yaml.safe_dump(document))
    model = load_model(path)
    assert model == load_model("ttbar") == load_model(model)


def change(document, where, value):
    *path, last = where
    for step in path:
        document = document[step]
    if value is None:
        del document[last]
    else:
        document[last] = value


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("poi",), "ttbar_nrm", "poi: 'ttbar_nrm' is not known; allowed: ttbar_norm"),
        (("data", "recipe"), "v3", r"data.recipe: 'v3' is not known; allowed: v2, v1.4"),
        (("samples", 0, "histo"), "x", r"samples\[0\].histo: unknown key; nearest: histogram; allowed: name"),
        (("systematics", 0, "samples"), ["top"], "samples of 'ME variation': 'top' is not known; allowed: ttbar, W"),
        (("systematics", 0, "down"), None, "give either up and down"),
        (("systematics", 0, "normalization"), 0.1, "give either up and down"),
        (("systematics", 10, "normalization"), -0.1, r"systematics\[10\].normalization: .*greater than 0 .*-0.1"),
        (("regions", 0, "edges"), [110, 100], "must rise"),
        (("regions",), [], r"regions: .*at least 1 item"),
        (("measurement",), None, "measurement: Field required"),
        (("samples", 1, "name"), "ttbar", "'ttbar' is used twice"),
        (("samples", 1, "name"), "a/b", r"samples\[1\].name"),
    ],
)
def test_a_wrong_key_is_named_with_what_is_allowed(document, where, value, message):
    change(document, where, value)
    with pytest.raises(InvalidModel, match=message):
        load_model(document)


def test_an_unreadable_model_names_those_of_the_package(tmp_path):
    with pytest.raises(InvalidModel, match="models of this package: ttbar"):
        load_model("ttbarr")
    path = tmp_path / "bad.yml"
    path.write_text("a: [")
    with pytest.raises(InvalidModel, match="is no YAML"):
        load_model(path)
