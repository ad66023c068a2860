"""Pulls beside impacts, as experiments show them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from inference.canvas import DOWN, UP, experiment_label, label_margin, new_figure, styled
from inference.impacts.pulls import Pulls, pulls_of
from inference.impacts.results import Impact, Impacts, Ranking
from inference.likelihood.specification import Floats
from inference.model import Model
from inference.results import FitResult

# Inches: height of a row, width of the panel of pulls and of each panel of impacts, margins.
ROW, PULLS, PANEL, GAP, BOTTOM, TOP, RIGHT = 0.36, 3.2, 3.2, 0.2, 1.25, 0.6, 0.2
INNER, OUTER = "#c3e6b8", "#fff3b0"


@styled
def impacts(result: Impacts, *, largest: int = 30) -> Figure:
    """Pulls on the left, impacts on each parameter of interest to their right, of the ``largest`` parameters.

    The order is that of the largest share in the uncertainty of any parameter of interest. Filled bars are post-fit
    (or global) impacts, outlined ones pre-fit.
    """
    order = _order(result.rankings)[:largest]
    labels = [_short(name, 40) for name in order]
    panels = len(result.rankings)
    left = label_margin(labels)
    width = left + PULLS + panels * (GAP + PANEL) + RIGHT
    height = BOTTOM + ROW * len(order) + 0.3 + TOP
    figure = new_figure(width, height)
    rows = np.arange(len(order))[::-1].astype(float)

    def panel(start: float, size: float) -> Axes:
        inside = height - BOTTOM - TOP
        axes = figure.add_axes((start / width, BOTTOM / height, size / width, inside / height))
        axes.set_ylim(-0.65, len(order) - 0.35)
        axes.set_yticks(rows, [])
        axes.yaxis.set_minor_locator(NullLocator())
        return axes

    first = panel(left, PULLS)
    first.set_yticks(rows, labels)
    known = {one.parameter: one for ranking in result.rankings for one in ranking.impacts}
    _pull_panel(first, rows, [known[name].pull for name in order], [known[name].constraint for name in order])
    for index, ranking in enumerate(result.rankings):
        _impact_panel(panel(left + PULLS + GAP + index * (PANEL + GAP), PANEL), ranking, order, rows)
    handles, names = figure.axes[1].get_legend_handles_labels()
    figure.legend(handles, names, loc="lower right", ncols=4, fontsize="small", columnspacing=1.0, borderpad=0.2)
    return figure


@styled
def pulls(result: Pulls, model: Model | None = None, *, bin_gammas: bool = False) -> Figure:
    """Pull and constraint of each parameter, with the normalised pull as an open diamond.

    Args:
        model: for the experiment's label.
        bin_gammas: show the parameters of single bins too, ``name[i]``.
    """
    shown = [one for one in result.pulls if bin_gammas or not one.parameter.endswith("]")]
    labels = [one.parameter for one in shown]
    left, top = label_margin(labels), 0.15 if model is None else 0.45
    width, height = left + 5.5 + RIGHT, BOTTOM + ROW * len(labels) + 0.3 + top
    figure = new_figure(width, height)
    axes = figure.add_axes((left / width, BOTTOM / height, 5.5 / width, 1 - (BOTTOM + top) / height))
    experiment_label(axes, model)
    rows = np.arange(len(labels))[::-1].astype(float)
    axes.set_ylim(-0.65, len(labels) - 0.35)
    axes.set_yticks(rows, labels)
    axes.yaxis.set_minor_locator(NullLocator())
    _pull_panel(axes, rows, [one.pull for one in shown], [one.constraint for one in shown])
    normalised = _numbers([one.normalised for one in shown])
    axes.plot(normalised, rows, "D", markersize=6, markerfacecolor="none", color=UP, label="normalised pull")
    reach = np.nanmax(np.abs(np.append(normalised, 2.4)))
    if reach > axes.get_xlim()[1] - 0.2:
        axes.set_xlim(-reach - 0.5, reach + 0.5)
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="lower right", ncols=2, fontsize="small")
    return figure


def fitted(result: FitResult, model: Model | None = None) -> Figure:
    """Pulls of a fit."""
    return pulls(pulls_of(result), model)


def _pull_panel(axes: Axes, rows: Floats, pull: Sequence[float | None], constraint: Sequence[float | None]) -> None:
    """Points with bars in units of the pre-fit width, over the bands of one and two standard deviations."""
    centre, half = _numbers(pull), _numbers(constraint)
    axes.axvspan(-2, 2, color=OUTER, linewidth=0)
    axes.axvspan(-1, 1, color=INNER, linewidth=0)
    axes.axvline(0, color="black", linewidth=1, linestyle=":")
    axes.errorbar(centre, rows, xerr=half, fmt="o", color="black", markersize=5, linewidth=1.5, label="pull")
    reach = float(np.nanmax(np.append(np.abs(centre) + half, 2.3)))
    axes.set_xlim(-1.05 * reach, 1.05 * reach)
    axes.set_xlabel(r"$(\hat{\theta} - \theta_0)\,/\,\Delta\theta$", loc="center")


def _impact_panel(axes: Axes, ranking: Ranking, order: Sequence[str], rows: Floats) -> None:
    known = {one.parameter: one for one in ranking.impacts}
    chosen = [known.get(name) for name in order]
    reach = 0.0
    for side, sign, colour in (("up", "+", UP), ("down", "-", DOWN)):
        after, before = (_side(chosen, f"{stage}_{side}") for stage in ("postfit", "prefit"))
        word = "global" if ranking.method == "global" else "post-fit"
        axes.barh(rows, after, 0.72, color=colour, alpha=0.75, linewidth=0, label=f"{word} ${sign}1\\sigma$")
        if np.isfinite(before).any():
            axes.barh(
                rows, before, 0.72, facecolor="none", edgecolor=colour, linewidth=1.2, label=f"pre-fit ${sign}1\\sigma$"
            )
        reach = max(reach, float(np.nanmax(np.abs(np.concatenate([after, before, [0.0]])))))
    axes.axvline(0, color="black", linewidth=1, linestyle=":")
    reach = 1.15 * reach or 1.0
    axes.set_xlim(-reach, reach)
    axes.xaxis.set_major_locator(MaxNLocator(4, symmetric=True))
    name = _short(ranking.poi, 24)
    axes.set_xlabel(f"Impact on {name}", loc="center", fontsize="medium" if len(name) <= 14 else "small")
    blinded = " (blinded)" if ranking.blinded else ""
    axes.set_title(f"{ranking.bestfit:.3g} $\\pm$ {ranking.uncertainty:.2g}{blinded}", fontsize="small")


def _order(rankings: Sequence[Ranking]) -> list[str]:
    """Names, the largest impact in units of the uncertainty first."""
    size: dict[str, float] = {}
    for ranking in rankings:
        for one in ranking.impacts:
            share = one.size / ranking.uncertainty if ranking.uncertainty else 0.0
            size[one.parameter] = max(size.get(one.parameter, 0.0), share)
    return sorted(size, key=lambda name: (-size[name], name))


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _side(chosen: Sequence[Impact | None], side: str) -> Floats:
    return _numbers([None if one is None else getattr(one, side) for one in chosen])


def _numbers(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=float)
