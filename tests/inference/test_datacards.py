"""Datacards of CMS Combine: values, minima and intervals against its formulas written out; a published limit."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize

sys.path.insert(0, str(Path(__file__).parent))
from combine_reference import Example

from inference.formats.datacards.build import read_datacard
from inference.likelihood.interpolation import chosen_codes
from inference.likelihood.model import Likelihood

SEEDS = st.integers(0, 2**32 - 1)
SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def likelihood(workspace):
    return Likelihood(workspace, **chosen_codes(workspace))


def kappa(rng):
    one, other = rng.uniform(0.8, 1.4, 2)
    return f"{one:.4f}" if rng.random() < 0.4 else f"{one:.4f}/{other:.4f}"


def counting_example(seed):
    rng = np.random.default_rng(seed)
    identifiers = {"sig": 0, "qq": 1, "gg": 2}
    templates = {}
    for bin_ in ("a", "b"):
        for process in identifiers:
            templates[bin_, process] = (rng.uniform(1, 20, 1), np.zeros(1))
        templates[bin_, "data_obs"] = (rng.poisson(30, 1).astype(float), np.zeros(1))
    cells = [cell for cell in templates if cell[1] != "data_obs"]
    count = int(rng.integers(0, 20))
    alpha = {("a", "gg"): templates["a", "gg"][0][0] / max(count, 1)}
    lines = [
        ("lumi", "lnN", None, {cell: f"{rng.uniform(1.01, 1.2):.4f}" for cell in cells}),
        ("xs", "lnN", None, {cell: kappa(rng) for cell in cells if cell[1] != "sig"}),
        ("sideband", "gmN", count, {cell: f"{value:.17g}" for cell, value in alpha.items()}),
    ]
    return Example(identifiers, templates, lines, counting=True)


def shape_example(seed, threshold=10.0):
    """Two bins of the card, 4 bins each; well and badly populated ones."""
    rng = np.random.default_rng(seed)
    identifiers = {"sig": -1, "bkg": 1, "fake": 2}
    templates, varied = {}, {}
    for bin_ in ("b1", "b2"):
        total = np.zeros(4)
        for process, size in (("sig", 5), ("bkg", 40), ("fake", 8)):
            values = rng.uniform(0.5, 1.5, 4) * size
            errors = values * rng.uniform(0.02, 0.6, 4) * (rng.random(4) > 0.2)
            templates[bin_, process] = (values, errors)
            total += values
        templates[bin_, "data_obs"] = (rng.poisson(total).astype(float), np.zeros(4))
    cells = [cell for cell in templates if cell[1] != "data_obs"]
    for name in ("jes", "scale"):
        for cell in cells:
            values = templates[cell][0]
            varied[(*cell, name)] = tuple(values * rng.uniform(0.8, 1.25, 4) * rng.uniform(0.9, 1.1) for _ in "ud")
    lines = [
        ("lumi", "lnN", None, dict.fromkeys(cells, "1.025")),
        ("xs", "lnN", None, {cell: kappa(rng) for cell in cells if cell[1] == "bkg"}),
        ("jes", "shape", None, dict.fromkeys(cells, "1")),
        ("scale", "shape", None, {cell: "1" for cell in cells if cell[1] != "fake"}),
    ]
    return Example(identifiers, templates, lines, varied, [("fakes", "*", "fake", "1 [0,5]")], threshold=threshold)


def somewhere(made, rng):
    spread = np.where(made.init == 0, 1.0, 0.2)
    point = made.init + spread * rng.normal(size=len(made.init))
    return np.where(
        made.constant, made.init, np.clip(point, np.maximum(made.lower, 0.05 - 9 * (made.init == 0)), made.upper)
    )


def differences(example, folder, seed, points=4):
    """−log L of both at random points, the first one subtracted."""
    made = likelihood(read_datacard(example.write(folder)).workspace)
    rng = np.random.default_rng(seed)
    where = [somewhere(made, rng) for _ in range(points)]
    ours = np.asarray([made.nll(point) for point in where])
    theirs = np.asarray([example.nll(dict(zip(made.labels, point, strict=True))) for point in where])
    return ours - ours[0], theirs - theirs[0]


@SLOW
@given(SEEDS)
def test_values_of_counting_cards(tmp_path, seed):
    ours, theirs = differences(counting_example(seed), tmp_path, seed)
    assert ours == pytest.approx(theirs, rel=1e-10, abs=1e-9)


@SLOW
@given(SEEDS)
def test_values_of_cards_with_shapes(tmp_path, seed):
    ours, theirs = differences(shape_example(seed), tmp_path, seed)
    assert ours == pytest.approx(theirs, rel=1e-10, abs=1e-9)
