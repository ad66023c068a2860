"""Combination of workspaces: against pyhf's own, against the sum of the parts, and clashes in words."""

import json
import sys
from pathlib import Path

import numpy as np
import pyhf
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).parent))
from counting_workspaces import counting
from random_workspaces import random_workspace

from inference.combination.combine import combine
from inference.combination.correlation import CorrelationMap, load_map
from inference.combination.errors import Clash, InvalidMap
from inference.likelihood.model import Likelihood
from inference.likelihood.specification import specification
from skimflow.commands.combine import combine as command


def value(workspace, point):
    """pyhf's −log L of the observed data at a point by label; and the labels."""
    pyhf.set_backend("numpy")
    parsed = pyhf.Workspace(workspace)
    model = parsed.model()
    return -float(model.logpdf([point[label] for label in model.config.par_names], parsed.data(model))[0])


def test_the_result_is_pyhfs_where_pyhf_can_do_it():
    one, other = counting("A"), counting("B")
    theirs = pyhf.Workspace.combine(pyhf.Workspace(one), pyhf.Workspace(other), join="outer")
    ours = combine({"first": one, "second": other}, CorrelationMap(name="m")).workspace
    assert pyhf.Workspace.sorted(pyhf.Workspace(ours)) == pyhf.Workspace.sorted(theirs)


def test_minus_log_l_is_the_sum_of_the_parts_with_shared_constraints_once():
    one, other = counting("A"), counting("B", poi="mu_B")
    chosen = CorrelationMap(correlate={"mu": {"a": "mu", "b": "mu_B"}}, poi="mu")
    whole = combine({"a": one, "b": other}, chosen).workspace
    labels = specification(whole).labels
    point = dict(zip(labels, np.random.default_rng(1).normal(1, 0.1, len(labels)).tolist(), strict=True))
    parts = value(one, point) + value(other, {**point, "mu_B": point["mu"]})
    # what both parts count: one measurement of the luminosity, one of the energy scale
    shared = -norm.logpdf(1.0, point["lumi"], 0.02) - norm.logpdf(0.0, point["jes"], 1.0)
    assert value(whole, point) == pytest.approx(parts - shared, rel=1e-13)


def test_private_parameters_make_the_parts_independent():
    one, other = counting("A"), counting("B")
    one["channels"][0]["samples"][1]["modifiers"].pop(0)  # pyhf has one luminosity
    chosen = CorrelationMap(default="private", correlate={"mu": {"a": "mu", "b": "mu"}})
    found = combine({"a": one, "b": other}, chosen)
    labels = specification(found.workspace).labels
    assert set(labels) >= {"mu", "lumi", "jes_a", "jes_b"}
    point = dict(zip(labels, np.random.default_rng(2).normal(1, 0.1, len(labels)).tolist(), strict=True))
    part = [value(each, {**point, "jes": point[f"jes_{name}"]}) for name, each in (("a", one), ("b", other))]
    assert value(found.workspace, point) == pytest.approx(sum(part), rel=1e-13)
    members = {each.name: each.members for each in found.parameters}
    assert members["mu"] == (("a", "mu"), ("b", "mu"))
    assert members["jes_b"] == (("b", "jes"),)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_generated_workspaces_combine_to_the_sum(first, second):
    inputs = {"a": random_workspace(first), "b": random_workspace(second)}
    channels = {"b": {each["name"]: f"b_{each['name']}" for each in inputs["b"]["channels"]}}
    correlated = {name: {"a": name, "b": name} for name in ("mu", "lumi")}
    found = combine(inputs, CorrelationMap(default="private", channels=channels, correlate=correlated))
    rng = np.random.default_rng(first)
    made = specification(found.workspace)
    start = made.joined("init")
    moved = np.where(made.joined("fixed") > 0, start, start + 0.05 * rng.normal(size=len(start)))
    point = dict(zip(made.labels, moved.tolist(), strict=True))
    new = {(name, old): each.name for each in found.parameters for name, old in each.members}
    parts = 0.0
    for name, each in inputs.items():
        own = {}
        for label in specification(each).labels:
            base, bracket, index = label.partition("[")
            own[label] = point[new[name, base] + bracket + index]
        with np.errstate(all="ignore"):
            parts += value(each, own)
    parts += norm.logpdf(1.0, point["lumi"], 0.03)  # counted in both
    with np.errstate(all="ignore"):
        whole = value(found.workspace, point)
    if np.isfinite(parts):
        assert whole == pytest.approx(parts, rel=1e-12)
    else:
        assert not np.isfinite(whole)


@pytest.mark.parametrize(
    ("inputs", "chosen", "words"),
    [
        ((counting(), counting()), {}, "channel 'SR' is in 'a' and in 'b': events must not count twice"),
        ((counting("A"), counting("B", lumi=0.03)), {}, "of 'lumi' differ: 0.02 in 'a', 0.03"),
        ((counting("A"), counting("B", poi="x")), {}, "the parameters of interest differ: 'mu' in 'a', 'x' in 'b'"),
        (
            (counting("A"), counting("B")),
            {"correlate": {"new": {"a": "jes", "b": "mu"}}},
            "'new' has a normal constraint in 'a' and a free one in 'b'",
        ),
        (
            (counting("A"), counting("B", interpolation={"normsys": "code1"})),
            {},
            "'a' and 'b' interpolate of their own",
        ),
    ],
)  # fmt: skip
def test_clashes_are_explained(inputs, chosen, words):
    with pytest.raises(Clash, match=words):
        combine(dict(zip("ab", inputs, strict=True)), CorrelationMap(**chosen))


def test_settings_in_the_map_settle_a_clash():
    setting = {"inits": [1.0], "auxdata": [1.0], "sigmas": [0.025], "bounds": [[0.5, 1.5]]}
    inputs = {"a": counting("A"), "b": counting("B", lumi=0.03)}
    made = specification(combine(inputs, CorrelationMap(parameters={"lumi": setting})).workspace)
    [lumi] = [each for each in made.parameters if each.name == "lumi"]
    assert lumi.widths == (0.025,)


def test_a_name_of_the_map_is_that_of_its_members_only():
    """b's own mu is not asked to be a's mu_SIG."""
    inputs = {"a": counting("A", poi="mu_SIG"), "b": counting("B", poi="mu")}
    found = combine(inputs, CorrelationMap(correlate={"mu": {"a": "mu_SIG"}}, poi="mu"))
    assert {each.name for each in found.parameters} >= {"mu", "mu_b"}


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"correlate": {"l": {"a": "lumy"}}}, "'lumy' of 'a' as 'l'; nearest: lumi"),
        ({"correlate": {"l": {"c": "lumi"}}}, "an input 'c'; known: a, b"),
        ({"correlate": {"l": {"a": "lumi"}, "k": {"a": "lumi"}}}, "two names: 'l' and 'k'"),
        ({"channels": {"a": {"CR": "x"}}}, "renames channel 'CR' of 'a'; known: A"),
        ({"poi": "nu"}, "poi 'nu' is in no input; nearest: mu"),
        ({"parameters": {"lumo": {}}}, "settings of 'lumo', which no input has; nearest: lumi"),
    ],
)
def test_a_map_that_names_what_is_not_there(chosen, words):
    with pytest.raises(InvalidMap, match=words):
        combine({"a": counting("A"), "b": counting("B")}, CorrelationMap(**chosen))


def test_a_map_is_yaml_or_json(tmp_path):
    path = tmp_path / "map.yml"
    path.write_text("poi: mu\ncorrelate:\n  mu: {a: mu_SIG, b: mu}\n")
    assert load_map(path).correlate == {"mu": {"a": "mu_SIG", "b": "mu"}}
    path.write_text(json.dumps({"poy": "mu"}))
    with pytest.raises(InvalidMap, match=r"poy: Extra inputs are not permitted \(a map has: name, poi"):
        load_map(path)
    path.write_text("{")
    with pytest.raises(InvalidMap, match="neither YAML nor JSON"):
        load_map(path)


def test_one_luminosity_is_all_that_pyhf_has():
    with pytest.raises(Clash, match="the luminosity of 'a' would be 'lumi_a', but pyhf has one luminosity"):
        combine({"a": counting("A"), "b": counting("B")}, CorrelationMap(default="private"))


def test_extensions_come_along_under_the_new_names():
    """The workspaces' own extensions: labels and formulas follow, and the value is the sum of the parts'."""
    correlated = {
        "operator": "correlation",
        "name": "scales",
        "of": ["jes", "tune"],
        "matrix": [[1.0, 0.3], [0.3, 1.0]],
    }
    squared = {"operator": "formula", "name": "signal", "formulas": {"mu": "coupling**2 * exp(0.1 * jes)"}}
    squared["parameters"] = [{"name": "coupling", "init": 1.0, "bounds": [0.0, 3.0]}]
    inputs = {"a": counting("A", extensions=[correlated, squared]), "b": counting("B", extensions=[correlated])}
    for each in inputs.values():
        tune = {"name": "tune", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}
        each["channels"][0]["samples"][0]["modifiers"].append(tune)
    inputs["a"]["measurements"][0]["config"]["poi"] = "coupling"
    chosen = CorrelationMap(default="private", poi="coupling", correlate={"lumi": {"a": "lumi", "b": "lumi"}})
    whole = combine(inputs, chosen).workspace
    assert [(each["name"], each.get("of")) for each in whole["extensions"]] == [
        ("scales_a", ["jes_a", "tune_a"]),
        ("signal", None),
        ("scales_b", ["jes_b", "tune_b"]),
    ]
    assert whole["extensions"][1]["formulas"] == {"mu_a": "coupling ** 2 * exp(0.1 * jes_a)"}
    assert {"mu_b", "coupling", "jes_a", "jes_b"} <= set(specification(whole).labels)
    together = Likelihood(whole)
    point = together.init + 0.05 * np.random.default_rng(4).normal(size=len(together.init))
    known = dict(zip(together.labels, point.tolist(), strict=True))
    parts = norm.logpdf(1.0, known["lumi"], 0.02)  # the luminosity's constraint, counted in both
    for name, each in inputs.items():
        part = Likelihood(each)
        own = [known.get(label, known.get(f"{label}_{name}")) for label in part.labels]
        parts += part.nll(np.asarray(own))
    assert together.nll(point) == pytest.approx(parts, rel=1e-12)


def test_the_figure_has_shared_parameters_first_and_their_other_names():
    from inference.combination.figures import correlation

    chosen = CorrelationMap(poi="mu", correlate={"mu": {"a": "mu_a", "b": "mu_b"}})
    found = combine({"a": counting("A", poi="mu_a"), "b": counting("B", poi="mu_b")}, chosen)
    [axes] = correlation(found).axes
    names = [each.get_text() for each in axes.get_yticklabels()]
    shared = {each.name for each in found.parameters if len(each.members) == 2}
    assert set(names[: len(shared)]) == shared
    assert "mu" in shared
    assert {"mu_a", "mu_b"} <= {text.get_text() for text in axes.texts}
    assert len(axes.patches) == sum(len(each.members) for each in found.parameters)


def test_the_command_writes_the_workspace_and_says_what_became_of_the_parameters(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.json").write_text(json.dumps(counting(name.upper(), poi=f"mu_{name}")))
    (tmp_path / "map.yml").write_text("poi: mu\ncorrelate:\n  mu: {a: mu_a, second: mu_b}\n")
    a, b = f"{tmp_path}/a.json", f"second={tmp_path}/b.json"
    asked = [a, b, "--map", f"{tmp_path}/map.yml"]
    done = CliRunner().invoke(command, [*asked, "--output", f"{tmp_path}/c.json"], catch_exceptions=False)
    assert done.exit_code == 0
    assert ["mu", "mu_a", "mu_b"] in [line.split() for line in done.output.splitlines()]
    whole = json.loads((tmp_path / "c.json").read_text())
    assert specification(whole).poi == "mu"
    drawn = CliRunner().invoke(command, [*asked, "--figure", f"{tmp_path}/c.svg"])
    assert json.loads(drawn.output) == whole
    assert (tmp_path / "c.svg").read_bytes().startswith(b"<?xml")
    told = json.loads(CliRunner().invoke(command, [*asked, "--json"]).output)
    assert {"name": "mu", "members": [["a", "mu_a"], ["second", "mu_b"]]} in told["parameters"]
    twice = CliRunner().invoke(command, [a, a])
    assert twice.exit_code == 2
    assert "two of them are called 'a': say NAME=FILE" in twice.output
