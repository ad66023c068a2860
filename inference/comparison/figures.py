"""A comparison drawn: both fits side by side."""

from collections.abc import Sequence
from typing import NamedTuple

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


class Style(NamedTuple):
    """How one of the two is drawn, and where in its row."""

    colour: str
    marker: str
    offset: float


STYLES = {"first": Style(DOWN, "o", 0.16), "second": Style(UP, "s", -0.16)}


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
    reach = 2.3
    for side, style in STYLES.items():
        x, half = _numbers(pairs, side, "pull"), _numbers(pairs, side, "constraint")
        reach = max(reach, _points(axes, x, half, rows, getattr(found, side).name, style))
    _centred(axes, 0.0, reach)
    axes.set_xlabel(r"$(\hat{\theta} - \theta_0)\,/\,\Delta\theta$", loc="center")


def _draw_ratios(axes: Axes, rows: Floats, pairs: Sequence[ParameterPair], found: Comparison) -> None:
    unit, reach = _numbers(pairs, "first", "bestfit"), 0.02
    for side, style in STYLES.items():
        x, half = _numbers(pairs, side, "bestfit") / unit, _numbers(pairs, side, "uncertainty") / np.abs(unit)
        reach = max(reach, _points(axes, x, half, rows, getattr(found, side).name, style, centre=1.0))
    _centred(axes, 1.0, reach)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel(f"best fit / best fit of {found.first.name}", loc="center", fontsize="small")


def _points(
    axes: Axes, x: Floats, half: Floats, rows: Floats, name: str, style: Style, *, centre: float = 0.0
) -> float:
    """Draw one fit's values; how far they reach from ``centre``."""
    axes.errorbar(
        x, rows + style.offset, xerr=half, fmt=style.marker, color=style.colour, markersize=5, linewidth=1.5, label=name
    )
    return float(np.nanmax(np.append(np.abs(x - centre) + half, 0.0)))


def _centred(axes: Axes, centre: float, reach: float) -> None:
    axes.axvline(centre, color="black", linewidth=1, linestyle=":")
    axes.set_xlim(centre - 1.05 * reach, centre + 1.05 * reach)


def _numbers(pairs: Sequence[ParameterPair], side: str, name: str) -> Floats:
    values = [getattr(getattr(pair, side), name, None) for pair in pairs]
    return np.array([np.nan if value is None else value for value in values], dtype=float)
