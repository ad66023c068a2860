"""HS3 out and in: the same model for us, for pyhf, and for pyhs3 in an environment of its own."""

import json
import sys
from pathlib import Path

import numpy as np
import pyhf
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
import hs3_cases
from peer_answers import answer
from random_workspaces import random_workspace

from inference.formats.errors import InvalidDocument, NotExpressible
from inference.formats.hs3_reader import from_hs3
from inference.formats.hs3_writer import to_hs3
from inference.likelihood.specification import specification

NAMES = [*(f"generated {seed}" for seed in hs3_cases.GENERATED), "agc", "sbottom"]


@pytest.fixture(scope="module")
def workspaces(shared_data):
    return hs3_cases.workspaces(shared_data)


def there_and_back(workspace):
    return from_hs3(json.loads(json.dumps(to_hs3(workspace), allow_nan=False)))


def assert_same_model(one, other):
    """All that a likelihood is made from: contents, modifiers, parameters with bounds and constraints, data."""
    first, second = specification(one), specification(other)
    assert first.parameters == second.parameters
    assert first.poi == second.poi
    assert np.array_equal(first.observed, second.observed)
    for channel, again in zip(first.channels, second.channels, strict=True):
        assert channel.name == again.name
        for sample, twin in zip(channel.samples, again.samples, strict=True):
            assert (sample.name, sample.nominal.tolist()) == (twin.name, twin.nominal.tolist())
            assert sample.modifiers == twin.modifiers


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
@example(3)
def test_generated_workspaces_come_back_the_same(seed):
    workspace = random_workspace(seed)
    assert_same_model(workspace, there_and_back(workspace))


@pytest.mark.parametrize("name", ["agc", "sbottom"])
def test_real_workspaces_come_back_the_same_for_pyhf(workspaces, name):
    again = there_and_back(workspaces[name])
    assert_same_model(workspaces[name], again)
    (case, before), (_, after) = (hs3_cases.case(each, 1) for each in (workspaces[name], again))
    assert after == pytest.approx(before, rel=1e-14)
    assert len(case["points"]) == hs3_cases.POINTS


@pytest.mark.parametrize("name", NAMES)
def test_pyhs3_finds_the_likelihood_of_pyhf(workspaces, name):
    case, values = hs3_cases.case(workspaces[name], NAMES.index(name))
    found = answer("pyhs3", name, case)
    assert found == pytest.approx(values, rel=1e-12)


def small(*modifiers, parameters=(), data=(10.0, 20.0), **more):
    sample = {"name": "s", "data": list(data), "modifiers": list(modifiers)}
    return {
        "channels": [{"name": "c", "samples": [sample]}],
        "observations": [{"name": "c", "data": [11.0, 21.0]}],
        "measurements": [{"name": "m", "config": {"poi": "", "parameters": list(parameters)}}],
        "version": "1.0.0",
        **more,
    }


FREE = {"name": "mu", "type": "normfactor", "data": None}
SHIFT = {"name": "a", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}
ERRORS = {"name": "stat", "type": "staterror", "data": [1.0, 2.0]}


def test_a_staterror_of_one_sample_is_one_in_all_readers_spellings():
    document = to_hs3(small(ERRORS))
    [channel] = [each for each in document["distributions"] if each["type"] == "histfactory_dist"]
    assert channel["samples"][0]["data"]["errors"] == [1.0, 2.0]
    assert channel["samples"][0]["modifiers"] == [
        {
            "name": "stat",
            "type": "staterror",
            "parameters": ["gamma_stat_0", "gamma_stat_1"],
            "data": {"uncertainties": [1.0, 2.0]},
            "constraint": "Gauss",
            "constraint_type": "Gauss",
        }
    ]


def test_several_measurements_are_several_analyses():
    workspace = small(FREE, {"name": "lumi", "type": "lumi", "data": None})
    lumi = {"name": "lumi", "inits": [1.0], "auxdata": [1.0], "bounds": [[0.5, 1.5]]}
    workspace["measurements"] = [
        {"name": "run 2", "config": {"poi": "mu", "parameters": [{**lumi, "sigmas": [0.02]}]}},
        {
            "name": "run 3",
            "config": {"poi": "mu", "parameters": [{**lumi, "sigmas": [0.01]}, {"name": "mu", "fixed": True}]},
        },
    ]
    again = there_and_back(workspace)
    for name in ("run 2", "run 3"):
        assert specification(again, name).parameters == specification(workspace, name).parameters
    only = from_hs3(to_hs3(workspace), "run 3")
    assert [each["name"] for each in only["measurements"]] == ["run 3"]


def test_interpolations_and_extensions_are_kept():
    correlated = {"operator": "correlation", "name": "r", "of": ["a", "b"], "matrix": [[1.0, 0.5], [0.5, 1.0]]}
    workspace = small(SHIFT, {**SHIFT, "name": "b"}, interpolation={"normsys": "code1"}, extensions=[correlated])
    again = there_and_back(workspace)
    assert again["interpolation"] == {"normsys": "code1"}
    assert again["extensions"] == [correlated]


def test_parameters_that_extensions_introduce_come_back():
    squared = {"operator": "formula", "name": "f", "formulas": {"mu": "c**2"}}
    squared["parameters"] = [{"name": "c", "init": 1.0, "bounds": [0.0, 3.0]}]
    workspace = small(FREE, SHIFT, parameters=[{"name": "c", "inits": [2.0]}], extensions=[squared])
    workspace["measurements"][0]["config"]["poi"] = "c"
    again = there_and_back(workspace)
    assert specification(again).parameters == specification(workspace).parameters
    assert specification(again).poi == "c"


def test_names_that_root_leaves_out():
    document = standard_example()
    for sample in document["distributions"][0]["samples"]:
        sample.pop("name")
    shift = document["distributions"][0]["samples"][0]["modifiers"][2]
    shift["name"] = shift.pop("parameter")
    workspace = from_hs3(document)
    assert [each["name"] for each in workspace["channels"][0]["samples"]] == ["sample0", "sample1"]
    assert "alpha_my_normalization_systematic_1" in specification(workspace).labels


def test_what_hs3_cannot_say():
    moved = small(SHIFT, parameters=[{"name": "a", "auxdata": [0.3]}])
    with pytest.raises(NotExpressible, match=r"'a' auxdata \[0.3\] and sigmas \[1.0\]; in HS3"):
        to_hs3(moved)
    with pytest.raises(NotExpressible, match="no name for the interpolation 'combine'"):
        to_hs3(small(SHIFT, interpolation={"normsys": "combine"}))
    with pytest.raises(NotExpressible, match="no observations"):
        to_hs3(small(SHIFT, observations=[]))


def standard_example():
    """The HistFactory channel of the standard's own text, with names and data that it leaves open."""
    signal = {
        "name": "mySignal",
        "data": {"contents": [0.5, 0.7], "errors": [0.1, 0.1]},
        "modifiers": [
            {"parameter": "Lumi", "type": "normfactor"},
            {"parameter": "mu_signal_strength", "type": "normfactor"},
            {
                "constraint": "Gauss",
                "data": {"hi": 1.1, "lo": 0.9},
                "parameter": "my_normalization_systematic_1",
                "type": "normsys",
            },
            {"constraint": "Gauss", "type": "staterror", "parameters": ["gamma_stat_1", "gamma_stat_2"]},
            {
                "constraint": "Gauss",
                "type": "histosys",
                "data": {"hi": {"contents": [0.6, 0.8]}, "lo": {"contents": [0.4, 0.6]}},
                "parameter": "my_correlated_shape_systematic_1",
            },
        ],
    }
    background = {
        "name": "myBackground",
        "data": {"contents": [5.0, 6.0], "errors": [0.5, 0.3]},
        "modifiers": [{"constraint": "Gauss", "type": "staterror", "parameters": ["gamma_stat_1", "gamma_stat_2"]}],
    }
    axis = {"max": 1.0, "min": 0.0, "name": "myRegion", "nbins": 2}
    return {
        "metadata": {"hs3_version": "0.2.0"},
        "distributions": [
            {"name": "myChannel1", "type": "histfactory_dist", "axes": [axis], "samples": [signal, background]},
            {"name": "lumi_constraint", "type": "gaussian_dist", "x": "nom_Lumi", "mean": "Lumi", "sigma": 0.02},
        ],
        "data": [{"name": "observed", "type": "binned", "contents": [6.0, 7.0], "axes": [axis]}],
        "likelihoods": [
            {
                "name": "main",
                "distributions": ["myChannel1"],
                "data": ["observed"],
                "aux_distributions": ["lumi_constraint"],
            }
        ],
        "domains": [
            {"name": "default_domain", "type": "product_domain", "axes": [{"name": "Lumi", "min": 0.9, "max": 1.1}]}
        ],
        "parameter_points": [{"name": "default_values", "parameters": [{"name": "nom_Lumi", "value": 1.0}]}],
        "analyses": [
            {
                "name": "analysis1",
                "likelihood": "main",
                "parameters_of_interest": ["mu_signal_strength"],
                "domain": "default_domain",
                "init": "default_values",
            }
        ],
    }


def test_a_document_as_the_standard_has_it():
    """MC statistics of all samples in one constraint, from the errors of their data; the luminosity is pyhf's lumi."""
    workspace = from_hs3(standard_example())
    pyhf.set_backend("numpy")
    parsed = pyhf.Workspace(workspace)
    model = parsed.model()
    assert model.config.poi_name == "mu_signal_strength"
    made = {each.name: each for each in specification(workspace).parameters}
    assert made["lumi"].widths == (0.02,)
    assert (made["lumi"].lower, made["lumi"].upper) == ((0.9,), (1.1,))
    [stat] = [each for each in made.values() if each.size == 2]
    assert stat.widths == pytest.approx((np.hypot(0.1, 0.5) / 5.5, np.hypot(0.1, 0.3) / 6.7), rel=1e-14)


def changed(path, value):
    """The standard's example with something else at a place."""
    document = standard_example()
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return document


MODIFIERS = ("distributions", 0, "samples", 0, "modifiers")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (changed((*MODIFIERS, 2, "constraint"), "LogNormal"), "a Gaussian of width 1 and by nothing else"),
        (changed((*MODIFIERS, 3, "constraint"), "Poisson"), "no Poisson constraint of parameters that several samples"),
        (changed((*MODIFIERS, 3, "parameters"), ["g"]), "1 parameters for 2 bins"),
        (changed((*MODIFIERS, 2, "interpolation"), "poly6"), "interpolation 'poly6' is none of pyhf's for it"),
        (changed((*MODIFIERS, 2, "type"), "custom"), "pyhf has no such type"),
        (changed(("distributions", 1, "type"), "landau_dist"), "lumi_constraint' .landau_dist. is neither a channel"),
        (changed(("data", 0, "type"), "unbinned"), "data 'observed' of 'myChannel1' are unbinned"),
        (changed(("likelihoods", 0, "data"), ["observer"]), "no 'observer' among the data; nearest: observed"),
        (changed(("likelihoods",), []), "no 'main' among the likelihoods"),
        (changed(("analyses",), [{}]), "no HS3 document: KeyError: 'name'"),
        ({}, "neither analyses nor likelihoods"),
    ],
)
def test_a_document_that_pyhf_cannot_say(document, words):
    with pytest.raises(InvalidDocument, match=words):
        from_hs3(document)


def test_one_of_several_data_sets_has_to_be_chosen():
    """As ROOT exports them: one analysis for what was observed, one for the Asimov data."""
    document = standard_example()
    document["data"].append({**document["data"][0], "name": "asimov", "contents": [5.5, 6.7]})
    document["likelihoods"].append({**document["likelihoods"][0], "name": "expected", "data": ["asimov"]})
    document["analyses"].append({**document["analyses"][0], "name": "analysis2", "likelihood": "expected"})
    with pytest.raises(InvalidDocument, match=r"'analysis1' and 'analysis2' have other data.*choose one"):
        from_hs3(document)
    assert from_hs3(document, "analysis2")["observations"][0]["data"] == [5.5, 6.7]


def test_a_wrong_analysis_is_named():
    with pytest.raises(InvalidDocument, match="no analysis 'analysis2'; nearest: analysis1"):
        from_hs3(standard_example(), "analysis2")
