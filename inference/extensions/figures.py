"""Figures of unfolded spectra and Wilson coefficients."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inference.canvas import DOWN, UP, experiment_label, new_figure, ratio_axis, styled
from inference.extensions.lcurve import LCurve
from inference.extensions.unfolding import Unfolding
from inference.extensions.valleys import Piece
from inference.extensions.wilson import Coefficient, EftFit
from inference.likelihood.specification import Floats
from inference.model import Model

RISE = r"$-2\,\Delta\,\log L$"
LEVELS = ((1.0, "68%", "#607641"), (3.841458820694124, "95%", "#f5bb54"))
MOST_NUMBERS = 12  # bins up to which a correlation matrix shows its numbers


@styled
def spectrum(result: Unfolding, model: Model | None = None, variable: str = "") -> Figure:
    """Unfolded density with the truth and their ratio; beside it the correlations and, if scanned, the L-curve."""
    figure = new_figure(15.5, 8)
    main = figure.add_axes((0.075, 0.325, 0.45, 0.615))
    below = figure.add_axes((0.075, 0.1, 0.45, 0.2), sharex=main)
    main.tick_params(labelbottom=False)
    experiment_label(main, model)
    _densities(result, main, below)
    below.set_xlabel(variable or result.extension)
    curve = result.curve
    matrix = figure.add_axes((0.6, 0.1, 0.34, 0.84) if curve is None else (0.62, 0.47, 0.24, 0.47))
    _correlation(result, matrix, numbers=curve is None)
    if curve is not None:
        _curve(curve, figure.add_axes((0.62, 0.1, 0.335, 0.27)))
    return figure


def _densities(result: Unfolding, main: Axes, below: Axes) -> None:
    edges = np.asarray(result.edges)
    centres, widths = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    truth, yields = np.asarray(result.truth), np.asarray(result.yields)
    sigma, bias = np.asarray(result.uncertainties), np.asarray(result.bias)
    main.stairs(truth / widths, edges, color=DOWN, linewidth=2, label="Truth")
    bars: dict[str, Any] = {"xerr": 0.5 * widths, "color": "black", "marker": "o", "linestyle": "none", "markersize": 6}
    main.errorbar(centres, yields / widths, sigma / widths, label=_method(result), **bars)
    positive = np.concatenate([truth, yields]).min() > 0
    highest = max((yields + sigma).max(), truth.max())
    if positive and (yields / widths).max() > 50 * (yields / widths).min():
        main.set_yscale("log")
    else:
        main.set_ylim(min(0.0, float(((yields - sigma) / widths).min())), 1.35 * float((highest / widths).max()))
    main.set_xlim(edges[0], edges[-1])
    main.set_ylabel("Events / bin width")
    main.legend(loc="upper right")
    safe = np.where(truth > 0, truth, np.inf)
    below.errorbar(centres, yields / safe, sigma / safe, **bars)
    if result.tau > 0:
        below.stairs(
            (yields + bias) / safe, edges, baseline=yields / safe, fill=True, color=UP, alpha=0.35, label="Bias"
        )
        below.legend(loc="upper left", fontsize="x-small")
    ratio_axis(below, np.concatenate([(yields + sigma) / safe - 1, (yields - sigma) / safe - 1]), "Unfolded / truth")


def _method(result: Unfolding) -> str:
    if result.regularisation == "none" or result.tau == 0:
        return "Unfolded"
    return f"Unfolded, {result.regularisation}, $\\tau$ = {result.tau:.3g}"


def _correlation(result: Unfolding, axes: Axes, *, numbers: bool) -> None:
    values: Floats = result.correlation
    image = axes.imshow(values, vmin=-1, vmax=1, cmap="RdBu_r", origin="lower")
    count = len(values)
    if numbers and count <= MOST_NUMBERS:
        for (row, column), value in np.ndenumerate(values):
            axes.text(
                column, row, f"{value:.2f}", ha="center", va="center", fontsize=11,
                color="white" if abs(value) > 0.6 else "black",
            )  # fmt: skip
    step = max(1, count // 10)
    axes.set_xticks(range(0, count, step))
    axes.set_yticks(range(0, count, step))
    axes.tick_params(which="both", length=0)
    axes.minorticks_off()
    axes.set_xlabel("Generated bin")
    axes.set_ylabel("Generated bin")
    bar = axes.inset_axes((1.03, 0, 0.05, 1))
    axes.get_figure().colorbar(image, cax=bar, label="Correlation")  # type: ignore[union-attr]


def _curve(curve: LCurve, axes: Axes) -> None:
    x, y, taus = np.asarray(curve.x), np.asarray(curve.y), np.log10(curve.taus)
    axes.plot(x, y, color="black", linewidth=1.6)
    at = np.log10(curve.tau)
    axes.plot(np.interp(at, taus, x), np.interp(at, taus, y), color=UP, marker="P", markersize=11, linestyle="none",
              label=f"Corner, $\\tau$ = {curve.tau:.3g}")  # fmt: skip
    axes.set_xlabel(r"$\log_{10}\,\chi^2_A$", fontsize="small")
    axes.set_ylabel(r"$\log_{10}\,|L(x-b)|^2$", fontsize="small")
    axes.legend(loc="upper right", fontsize="small")


@styled
def coefficients(result: EftFit, model: Model | None = None) -> Figure:
    """Profile of each coefficient with its intervals, up to three in a row."""
    count = len(result.coefficients)
    columns, rows = min(count, 3), -(-count // 3)
    width, height = 6.4 * columns + 0.4, 5.2 * rows + 0.4
    figure = new_figure(width, height)
    for place, each in enumerate(result.coefficients):
        row, column = divmod(place, 3)
        left, bottom = (0.95 + 6.4 * column) / width, (height - 5.2 * (row + 1) + 0.35) / height
        axes = figure.add_axes((left, bottom, 5.3 / width, 4.1 / height))
        _coefficient(each, [valley.values[place] for valley in result.minima], axes)
        if place == 0:
            experiment_label(axes, model)
    return figure


def _coefficient(each: Coefficient, minima: list[float], axes: Axes) -> None:
    values = np.asarray(each.values)
    rises = np.asarray([np.nan if rise is None else rise for rise in each.twice_rises])
    axes.set_ylim(0, 10)
    axes.set_xlim(values[0], values[-1])
    for (level, label, colour), pieces in zip(LEVELS, (each.at_68, each.at_95), strict=True):
        axes.axhline(level, color="grey", linewidth=1, linestyle=":")
        for place, piece in enumerate(pieces):
            low, high = _ends(piece, values)
            axes.plot(
                [low, high], [level, level], color=colour, linewidth=6, alpha=0.8, solid_capstyle="butt",
                label=label if place == 0 else None,
            )  # fmt: skip
    axes.plot(values, rises, color="black", linewidth=1.8)
    axes.plot(each.bestfit, 0, color=UP, marker="P", markersize=11, linestyle="none", clip_on=False, zorder=5)
    for other in minima[1:]:
        axes.axvline(other, color=DOWN, linewidth=1, linestyle="--")
    axes.axvline(0, color="black", linewidth=1)
    axes.set_xlabel(each.label)
    axes.set_ylabel(RISE)
    axes.legend(loc="upper center", ncols=2, frameon=True, framealpha=0.9, facecolor="white", edgecolor="none")


def _ends(piece: Piece, values: Floats) -> tuple[float, float]:
    low = float(values[0]) if piece.lower is None else piece.lower
    return low, float(values[-1]) if piece.upper is None else piece.upper
