"""Figures of limits on many signals: row by row, along one of their values, or as contours in a plane of two."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from inference.canvas import label_margin, new_figure, one_panel, styled
from inference.hypotheses.figures import INNER, OUTER, draw_bands
from inference.hypotheses.tables import title
from inference.reinterpretation.errors import InvalidSignal
from inference.reinterpretation.results import Reinterpretation, SignalLimit

OBSERVED = "#bd1f01"
FEWEST = 4
ROWS = 60


def overview(result: Reinterpretation) -> Figure:
    """Exclusion contours in the first two of the labelled values, or limits along the only one, else row by row."""
    try:
        if len(result.labels) > 1:
            return exclusion(result)
        if result.labels:
            return limit_curve(result)
    except InvalidSignal:  # too few signals for that
        pass
    return limit_summary(result)


@styled
def limit_summary(result: Reinterpretation) -> Figure:
    """Observed and expected limits with their bands, one row for each signal, against strength 1.

    At most ``ROWS`` signals, the first ones.
    """
    shown = [each for each in result.signals if each.observed is not None or None not in each.expected][:ROWS]
    axes = one_panel(
        6.0,
        max(0.3 * len(shown), 1.5),
        left=label_margin([each.name for each in shown]),
        bottom=0.9,
        right=0.3,
        top=1.0,
    )
    rows = np.arange(len(shown))[::-1]
    for row, each in zip(rows, shown, strict=True):
        _row(axes, float(row), each)
    axes.axvline(1.0, color=OBSERVED, linewidth=1.4)
    axes.set_xscale("log")
    axes.set_yticks(rows, [each.name for each in shown], fontsize="x-small")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.7, len(shown) - 0.3)
    axes.set_xlabel(f"{title(result.level, result.method)} upper limit on {result.poi}")
    legend = [
        Line2D([], [], color="black", marker="o", linestyle="none", label="Observed"),
        Line2D([], [], color="black", linestyle="--", label="Expected"),
        Patch(color=INNER, label=r"$\pm 1\sigma$"),
        Patch(color=OUTER, label=r"$\pm 2\sigma$"),
    ]
    axes.legend(handles=legend, ncols=4, loc="lower left", bbox_to_anchor=(-0.02, 1.0), columnspacing=0.9)
    return axes.figure  # type: ignore[return-value]


def _row(axes: Axes, row: float, each: SignalLimit) -> None:
    for left, right, colour in ((0, 4, OUTER), (1, 3, INNER)):
        low, high = each.expected[left], each.expected[right]
        if low is not None and high is not None:
            axes.fill_betweenx([row - 0.38, row + 0.38], low, high, color=colour, linewidth=0)
    if each.expected[2] is not None:
        axes.plot([each.expected[2]] * 2, [row - 0.38, row + 0.38], color="black", linestyle="--", linewidth=1.4)
    if each.observed is not None:
        axes.plot([each.observed], [row], color="black", marker="o", markersize=5)


@styled
def exclusion(result: Reinterpretation, axes_of: tuple[int, int] = (0, 1)) -> Figure:
    """Where strength 1 is excluded, in the plane of two of the signals' values.

    Contours of limit 1, observed and expected, interpolated linearly in the logarithm of the limit between signals
    (Delaunay triangles); the band is that of the expected contour at ±1 σ.

    Args:
        axes_of: which values stand along x and y.

    Raises:
        InvalidSignal: fewer than four signals with limits, not numbers, or all on a line.
    """
    first, second = axes_of
    rows = np.array(_rows(result.signals, axes_of), dtype=float)
    if len(rows) < FEWEST:
        raise InvalidSignal(f"an exclusion contour needs {FEWEST} signals with limits and two values, not {len(rows)}")
    (x, y), limits = rows[:, :2].T, np.log(rows[:, 2:])
    figure = new_figure(8, 6.6)
    axes = figure.add_axes((0.14, 0.13, 0.83, 0.8))
    try:
        # excluded at −1 σ, less what is excluded even at +1 σ
        axes.tricontourf(x, y, limits[:, 2], [-np.inf, 0.0], colors=[OUTER])
        axes.tricontourf(x, y, limits[:, 4], [-np.inf, 0.0], colors=["white"])
    except (RuntimeError, ValueError) as error:
        raise InvalidSignal(f"no contour: {error}; choose signals that span a plane") from error
    axes.tricontour(x, y, limits[:, 3], [0.0], colors="black", linestyles="--", linewidths=1.6)
    axes.tricontour(x, y, limits[:, 0], [0.0], colors=OBSERVED, linewidths=2)
    axes.plot(x, y, color="#9c9ca1", marker=".", markersize=3, linestyle="none")
    labels = result.labels or [f"value {index + 1}" for index in range(max(axes_of) + 1)]
    axes.set_xlabel(labels[first])
    axes.set_ylabel(labels[second])
    legend = [
        Line2D([], [], color=OBSERVED, linewidth=2, label="Observed"),
        Line2D([], [], color="black", linestyle="--", label="Expected"),
        Patch(color=OUTER, label=r"Expected $\pm 1\sigma$"),
    ]
    axes.legend(handles=legend, loc="upper left")
    axes.set_title(f"{title(result.level, result.method)} exclusion at {result.poi} = 1", loc="left", fontsize="small")
    return figure


@styled
def limit_curve(result: Reinterpretation, along: int = 0) -> Figure:
    """Limits against one of the signals' values, with the expected bands and strength 1.

    Args:
        along: which value.

    Raises:
        InvalidSignal: fewer than two signals with limits, values that are no numbers, or two signals of one value.
    """
    rows = np.array(_rows(result.signals, (along,)), dtype=float)
    if len(rows) < 2 or len(set(rows[:, 0])) < len(rows):
        raise InvalidSignal(
            f"a curve needs signals with limits at two values at least, one at each; there are {len(rows)}"
        )
    rows = rows[np.argsort(rows[:, 0])]
    axes = new_figure(8, 6.6).add_axes((0.14, 0.13, 0.83, 0.8))
    draw_bands(axes, rows[:, 0], rows[:, 2:])
    axes.plot(rows[:, 0], rows[:, 1], color="black", marker="o", markersize=4, linewidth=1.6, label="Observed")
    axes.axhline(1.0, color=OBSERVED, linewidth=1.4)
    axes.set_yscale("log")
    axes.set_xlim(rows[0, 0], rows[-1, 0])
    axes.set_xlabel(result.labels[along] if result.labels else f"value {along + 1}")
    axes.set_ylabel(f"{title(result.level, result.method)} upper limit on {result.poi}")
    axes.legend(loc="best")
    return axes.figure  # type: ignore[return-value]


def _rows(signals: Sequence[SignalLimit], chosen: Sequence[int]) -> list[tuple[float, ...]]:
    """Chosen values, the observed limit and the five expected ones, of signals that have them all."""
    rows = []
    for each in signals:
        limits = (each.observed, *each.expected)
        if None in limits or len(each.values) <= max(chosen):
            continue
        at = [each.values[index] for index in chosen]
        if all(isinstance(value, int | float) for value in at):
            rows.append((*at, *limits))
    return rows  # type: ignore[return-value]
