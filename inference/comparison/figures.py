"""A comparison drawn: both fits side by side."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from inference.canvas import DOWN, UP, label_margin, new_figure, styled
from inference.comparison.results import Comparison, ParameterPair
from inference.likelihood.specification import Floats

INNER, OUTER = "#c3e6b8", "#fff3b0"
# Inches: height of a row, width of a panel, space between panels, margins.
ROW, PANEL, GAP, BOTTOM, TOP, RIGHT = 0.42, 5.5, 1.0, 1.3, 0.2, 0.25
# Attribute, colour, marker, and where in its row.
STYLES = (("first", DOWN, "o", 0.16), ("second", UP, "s", -0.16))


@styled
def parameters(found: Comparison, *, bin_gammas: bool = False) -> Figure:
    """Free parameters relative to the first fit, and below them pulls and constraints of the constrained ones."""
    pairs = [pair for pair in found.parameters if bin_gammas or not pair.parameter.endswith("]")]
    constrained = [pair for pair in pairs if any(side and side.pull is not None for side in (pair.first, pair.second))]
    free = [pair for pair in pairs if pair not in constrained and pair.first and pair.first.bestfit]
    panels = [each for each in ((free, _draw_ratios), (constrained, _draw_pulls)) if each[0]]
    left = label_margin([pair.parameter for chosen, _ in panels for pair in chosen])
    heights = [ROW * len(chosen) + 0.3 for chosen, _ in panels]
    width, height = left + PANEL + RIGHT, BOTTOM + sum(heights) + GAP * (len(panels) - 1) + TOP
    figure, top = new_figure(width, height), height - TOP
    for (chosen, draw), tall in zip(panels, heights, strict=True):
        axes = figure.add_axes((left / width, (top - tall) / height, PANEL / width, tall / height))
        rows = np.arange(len(chosen))[::-1].astype(float)
        axes.set_ylim(-0.65, len(chosen) - 0.35)
        axes.set_yticks(rows, [pair.parameter for pair in chosen])
        axes.yaxis.set_minor_locator(NullLocator())
        draw(axes, rows, chosen, found)
        top -= tall + GAP
    if panels:
        handles, names = figure.axes[-1].get_legend_handles_labels()
        figure.legend(handles, names, loc="lower right", ncols=2, fontsize="small")
    return figure


def _draw_pulls(axes: Axes, rows: Floats, pairs: Sequence[ParameterPair], found: Comparison) -> None:
    axes.axvspan(-2, 2, color=OUTER, linewidth=0)
    axes.axvspan(-1, 1, color=INNER, linewidth=0)
    _points(axes, rows, pairs, found, "pull", "constraint", np.ones(len(pairs)), 0.0, 2.3)
    axes.set_xlabel(r"$(\hat{\theta} - \theta_0)\,/\,\Delta\theta$", loc="center")


def _draw_ratios(axes: Axes, rows: Floats, pairs: Sequence[ParameterPair], found: Comparison) -> None:
    unit = np.array([pair.first.bestfit if pair.first else 1.0 for pair in pairs])
    _points(axes, rows, pairs, found, "bestfit", "uncertainty", unit, 1.0, 0.02)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel(f"best fit / best fit of {found.first.name}", loc="center", fontsize="small")


def _points(
    axes: Axes,
    rows: Floats,
    pairs: Sequence[ParameterPair],
    found: Comparison,
    value: str,
    error: str,
    unit: Floats,
    centre: float,
    reach: float,
) -> None:
    """Both fits' values over ``unit``, the axis as wide on both sides of ``centre``."""
    axes.axvline(centre, color="black", linewidth=1, linestyle=":")
    for side, colour, marker, offset in STYLES:
        x, half = (_numbers(pairs, side, name) / unit for name in (value, error))
        name = getattr(found, side).name
        axes.errorbar(
            x, rows + offset, xerr=np.abs(half), fmt=marker, color=colour, markersize=5, linewidth=1.5, label=name
        )
        reach = max(reach, float(np.nanmax(np.append(np.abs(x - centre) + np.abs(half), 0.0))))
    axes.set_xlim(centre - 1.05 * reach, centre + 1.05 * reach)


def _numbers(pairs: Sequence[ParameterPair], side: str, name: str) -> Floats:
    values = [getattr(getattr(pair, side), name, None) for pair in pairs]
    return np.array([np.nan if value is None else value for value in values], dtype=float)
