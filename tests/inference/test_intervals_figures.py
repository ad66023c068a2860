"""Figures of intervals, scans, contours and goodness of fit show the numbers of the results."""

import numpy as np
import pytest

from inference.canvas import save
from inference.goodness import figures as goodness_figures
from inference.goodness.goodness import Goodness, Statistic
from inference.intervals import figures
from inference.intervals.contours import Contour, ContourPoint, Contours
from inference.intervals.minos import Interval, Intervals, Side
from inference.intervals.scan import PlaneScan, Scan
from inference.toys.fractions import Fraction


def drawn(figure):
    """The figure's first axes, and its bytes."""
    assert save(figure, "x", ("png",))["x.png"].startswith(b"\x89PNG")
    return figure.axes[0]


def line(axes, label):
    [found] = [each for each in axes.lines if each.get_label() == label]
    return np.asarray(found.get_xydata())


def test_a_scan_shows_its_points_but_those_that_failed():
    scan = Scan("mu", 1.0, 0.5, (0.0, 1.0, 2.0, 3.0), (4.2, 0.0, None, 14.0), ("mu = 2: no",), 10.0, None)
    axes = drawn(figures.scan(scan))
    assert line(axes, "Profiled").tolist() == [[0.0, 4.2], [1.0, 0.0], [3.0, 14.0]]
    parabola = line(axes, "Hessian's parabola")
    assert parabola[:, 1] == pytest.approx(((parabola[:, 0] - 1.0) / 0.5) ** 2)
    assert axes.get_xlabel() == "mu"
    assert {1.0, 4.0, 9.0} <= {float(each.get_ydata()[0]) for each in axes.lines if len(each.get_ydata()) == 2}


def test_a_plane_shows_contours_and_best_fit():
    plane = PlaneScan(
        ("a", "b"), (1.0, 2.0), (1.0, 1.0), (0.0, 1.0), (1.0, 2.0), ((5.0, 4.0), (3.0, None)), (), 1.0, None
    )
    points = tuple(ContourPoint(x, y, "crossing") for x, y in ((0.0, 1.0), (1.0, 3.0), (2.0, 1.0), (0.0, 1.0)))
    contours = Contours(("a", "b"), (1.0, 2.0), (Contour(0.95, 5.99, points, ()),), 1.0, None)
    for figure in (figures.plane(plane, contours), figures.contours(contours)):
        axes = drawn(figure)
        assert line(axes, "95%").tolist() == [[0.0, 1.0], [1.0, 3.0], [2.0, 1.0], [0.0, 1.0]]
        assert line(axes, "Best fit").tolist() == [[1.0, 2.0]]
    colours = drawn(figures.plane(plane)).collections[0].get_array()
    assert np.ma.getmaskarray(colours).sum() == 1
    assert colours.compressed().tolist() == [5.0, 3.0, 4.0]


def test_intervals_show_ends_and_numbers():
    lower, upper = Side("bound", 0.0, 0.3, "", 2), Side("crossing", 1.5, 1.0, "", 3)
    failed = Side("failed", None, None, "no", 9)
    result = Intervals(
        1.0, 0.6827, 3.0, (Interval("mu", 0.5, 0.9, lower, upper), Interval("nu", 0.0, 1.0, failed, upper)), None
    )
    axes = drawn(figures.intervals(result))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["mu", "nu"]
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["$0.5_{-0.5}^{+1}$", "$0_{?}^{+1.5}$"]


def test_toys_are_shown_with_the_observed_value():
    toys = tuple(np.random.default_rng(0).chisquare(4, 500).tolist())
    beyond = Fraction.of(sum(value >= 6.0 for value in toys), 500)
    saturated = Statistic("saturated", 6.0, 4, 0.199, beyond, (), toys)
    result = Goodness((saturated,), 1.0, 500, 0, ())
    axes = drawn(goodness_figures.toys(result))
    filled = next(each for each in axes.patches if each.get_fill())
    assert sum(filled.get_data().values) == beyond.count
    assert axes.get_legend().get_texts()[0].get_text() == "500 toys"
    assert "p = 0.199" in axes.get_legend().get_title().get_text()
    # without toys the expectation alone
    alone = Goodness((Statistic("saturated", 6.0, 4, 0.199, None, (), ()),), 1.0, 0, 0, ())
    assert drawn(goodness_figures.toys(alone)).get_ylabel() == "Probability density"
