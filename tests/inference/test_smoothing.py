"""Templates smoothed, symmetrised and pruned: against cabinetry's algorithm, ROOT's rules and numbers by hand."""

import copy

import numpy as np
import pytest
from cabinetry.smooth import smooth_353qh_twice
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inference.smoothing.algorithms import smooth_353qh, smooth_groups
from inference.smoothing.errors import InvalidSmoothing
from inference.smoothing.workspace import smooth_workspace

# Whole numbers make flat pieces, ties and ends that take each branch.
CURVES = st.integers(3, 30).flatmap(
    lambda size: arrays(float, size, elements=st.one_of(st.integers(-3, 9).map(float), st.floats(0, 100)))
)


@given(CURVES)
def test_353qh_is_cabinetrys(values):
    assert smooth_353qh(values) == pytest.approx(smooth_353qh_twice(values.copy()), rel=1e-12, abs=1e-10)


def test_353qh_by_hand():
    """A spike is no neighbour's median: it goes. Lines stay as they are, two bins too."""
    assert smooth_353qh(np.asarray([1.0, 1.0, 1.0, 9.0, 1.0, 1.0, 1.0])).tolist() == [1.0] * 7
    line = np.arange(8.0)
    assert smooth_353qh(line) == pytest.approx(line)
    assert smooth_353qh(np.asarray([3.0, 1.0])).tolist() == [3.0, 1.0]


def test_groups_by_hand():
    """Errors of 10 % a bin: pairs have 7.1 %, so that the ratios are means of pairs, joined by lines."""
    ratio, nominal = np.asarray([1.0, 1.2, 1.3, 1.5, 1.1]), np.full(5, 100.0)
    smooth = smooth_groups(ratio, nominal, np.full(5, 10.0), tolerance=0.08)
    # centres 0.5 (mean 1.1) and 3 (bins 2 to 4: the last one joins, mean 1.3)
    assert smooth == pytest.approx([1.1, 1.1 + 0.2 * 0.5 / 2.5, 1.1 + 0.2 * 1.5 / 2.5, 1.3, 1.3])
    assert smooth_groups(ratio, nominal, np.full(5, 90.0), tolerance=0.08) == pytest.approx([1.22] * 5)
    assert smooth_groups(ratio, nominal, np.zeros(5), tolerance=0.08) == pytest.approx(ratio)


def workspace(*modifiers, data=(10.0, 20.0, 30.0, 40.0)):
    sample = {"name": "s", "data": list(data), "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]}
    sample["modifiers"] += modifiers
    return {
        "channels": [{"name": "c", "samples": [sample]}],
        "observations": [{"name": "c", "data": list(data)}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": [{"name": "jes", "inits": [0.1]}]}}],
        "version": "1.0.0",
    }


def histosys(up, down, name="jes"):
    return {"name": name, "type": "histosys", "data": {"hi_data": list(up), "lo_data": list(down)}}


def normsys(up, down, name="jes"):
    return {"name": name, "type": "normsys", "data": {"hi": up, "lo": down}}


def of(result, name="jes"):
    modifiers = result.workspace["channels"][0]["samples"][0]["modifiers"]
    return {each["type"]: each["data"] for each in modifiers if each["name"] == name}


def test_smoothing_keeps_the_integrals():
    up, down = [12.0, 18.0, 33.0, 47.0], [9.0, 23.0, 29.0, 35.0]
    result = smooth_workspace(workspace(histosys(up, down)), smooth="353QH")
    made, nominal = of(result)["histosys"], np.asarray([10.0, 20.0, 30.0, 40.0])
    for side, values in (("hi_data", up), ("lo_data", down)):
        curve = smooth_353qh_twice(np.asarray(values) / nominal) * nominal
        assert made[side] == pytest.approx(curve * sum(values) / curve.sum())
    [change] = result.changes
    assert (change.step, change.reason, change.systematic) == ("smoothed", "353QH, twice", "jes")
    assert result.comparisons[0].up_before == tuple(up)
    assert result.comparisons[0].up_after == tuple(made["hi_data"])


@pytest.mark.parametrize(
    ("mode", "up", "down", "high", "low"),
    [
        ("two-sided", [11.5, 20.0], [8.5, 20.0], 1.08, 0.92),  # half of 12 − 9 and of 22 − 22
        ("maximum", [12.0, 22.0], [8.0, 18.0], 1.1, 0.9),
        ("up-only", [12.0, 22.0], [8.0, 18.0], 1.1, 0.9),
        ("down-only", [11.0, 18.0], [9.0, 22.0], 1.06, 0.94),
        ("one-sided", [12.0, 22.0], [9.0, 22.0], 1.1, 0.94),  # both sides are there: nothing to mirror
    ],
)
def test_symmetries_by_hand(mode, up, down, high, low):
    given_ = workspace(histosys([12.0, 22.0], [9.0, 22.0]), normsys(1.1, 0.94), data=(10.0, 20.0))
    made = of(smooth_workspace(given_, symmetrise=mode))
    assert made["histosys"]["hi_data"] == pytest.approx(up)
    assert made["histosys"]["lo_data"] == pytest.approx(down)
    assert made["normsys"] == pytest.approx({"hi": high, "lo": low})


@pytest.mark.parametrize("sides", [([12.0, 17.0], [10.0, 20.0]), ([10.0, 20.0], [8.0, 23.0])])
def test_one_side_is_mirrored(sides):
    made = of(smooth_workspace(workspace(histosys(*sides), data=(10.0, 20.0)), symmetrise="one-sided"))
    assert made["histosys"]["hi_data"] == pytest.approx([12.0, 17.0])
    assert made["histosys"]["lo_data"] == pytest.approx([8.0, 23.0])


def test_pruning_by_hand():
    """Up is 1.004 times the nominal with bins 1 % off the mean: norm 0.4 %, shape 1 %."""
    up, down = [10.04 * 1.01, 20.08 * 0.995], [10.0, 20.0]
    given_ = workspace(histosys(up, down), data=(10.0, 20.0))
    shape = smooth_workspace(given_, prune_norm=0.005)
    assert of(shape)["histosys"]["hi_data"] == pytest.approx([10.1, 19.9])
    assert [(each.step, each.reason) for each in shape.changes] == [("norm pruned", "+0.40% and +0.00%, below 0.005")]
    norm = smooth_workspace(given_, prune_shape=0.02)
    assert of(norm) == {"normsys": pytest.approx({"hi": 1.004, "lo": 1.0})}
    assert norm.changes[0].reason == "bins differ by 1.00% at most, below 0.02"
    neither = smooth_workspace(given_, prune_norm=0.005, prune_shape=0.02)
    assert of(neither) == {}
    assert neither.gone == ("jes",)
    assert neither.workspace["measurements"][0]["config"]["parameters"] == []
    assert [each.step for each in neither.changes] == ["shape pruned", "norm pruned"]
    assert smooth_workspace(given_, prune_norm=0.003, prune_shape=0.005).changes == ()


def test_what_an_extension_uses_is_not_pruned():
    given_ = workspace(normsys(1.001, 0.999), normsys(1.001, 0.999, "jer"))
    given_["extensions"] = [{"operator": "formula", "name": "twice", "formulas": {"mu": "1 + 'jes'"}}]
    assert smooth_workspace(given_, prune_norm=0.01).gone == ("jer",)


def test_only_some_systematics_and_settings_that_are_refused():
    given_ = workspace(normsys(1.001, 0.999), normsys(1.001, 0.999, "jer"))
    before = copy.deepcopy(given_)
    result = smooth_workspace(given_, prune_norm=0.01, only=["jer"])
    assert result.gone == ("jer",)
    assert given_ == before
    for settings, message in (
        ({"only": ["jex"]}, "no systematic is named 'jex'; nearest: jes, jer"),
        ({"prune_norm": 5}, "a threshold of 5 for the norm"),
        ({"smooth": "353"}, "there is no '353'; nearest: 353QH"),
        ({"symmetrise": "both"}, "there is no 'both'"),
    ):
        with pytest.raises(InvalidSmoothing, match=message):
            smooth_workspace(given_, **settings)
