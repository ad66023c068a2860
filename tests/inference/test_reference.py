"""pyhf's model of a workspace: with the interpolation that was chosen, and refusals that say what to do."""

import pyhf
import pytest

from inference.errors import InvalidWorkspace
from inference.reference import reference_model

pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")


def workspace(**more):
    """One bin with a norm and a shape that are not symmetric."""
    modifiers = [
        {"name": "mu", "type": "normfactor", "data": None},
        {"name": "norm", "type": "normsys", "data": {"hi": 1.2, "lo": 0.9}},
        {"name": "shape", "type": "histosys", "data": {"hi_data": [12.0], "lo_data": [9.0]}},
    ]
    sample = {"name": "s", "data": [10.0], "modifiers": modifiers}
    return {
        "channels": [{"name": "c", "samples": [sample]}],
        "observations": [{"name": "c", "data": [11.0]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    } | more


def at_half(model):
    """Expected events with both nuisances at ½."""
    return float(model.expected_actualdata([{"mu": 1.0}.get(name, 0.5) for name in model.config.par_order])[0])


def test_the_interpolation_is_what_the_workspace_says():
    """By hand: 1.2^½ and 10 + ½ · 2 with codes 1 and 0; pyhf's own answer with its defaults."""
    model, data = reference_model(workspace(interpolation={"normsys": "code1", "histosys": "code0"}))
    assert at_half(model) == pytest.approx(1.2**0.5 * 11, rel=1e-12)
    assert data[0] == 11
    parsed = pyhf.Workspace(workspace())
    settings = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}
    theirs = at_half(parsed.model(modifier_settings=settings))
    assert at_half(reference_model(workspace(extensions=[]))[0]) == theirs


def test_what_pyhf_has_no_words_for_is_named_with_a_way_out():
    extension = {"operator": "formula", "name": "f", "formulas": {"mu": "1"}}
    with pytest.raises(InvalidWorkspace, match=r"no words for the key 'extensions': use .*Likelihood, or .*detach"):
        reference_model(workspace(extensions=[extension]))
    with pytest.raises(InvalidWorkspace, match=r"no normsys as 'interpolation' asks .*combine.* choose code1 or code4"):
        reference_model(workspace(interpolation={"normsys": "combine"}))
    with pytest.raises(InvalidWorkspace, match="histosys has no interpolation 'code7'"):
        reference_model(workspace(interpolation={"histosys": "code7"}))
