"""Figures of scans, contours and intervals."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from inference.canvas import UP, experiment_label, figure_of, label_margin, new_figure, one_panel, styled
from inference.intervals.contours import Contours
from inference.intervals.minos import Interval, Intervals
from inference.intervals.scan import PlaneScan, Scan
from inference.likelihood.specification import Floats
from inference.model import Model

RISE = r"$-2\,\Delta\,\log L$"
LINES = ("-", "--", ":", "-.")


@styled
def scan(result: Scan, model: Model | None = None) -> Figure:
    """Profiled likelihood of one parameter, with the Hessian's parabola and the heights of 1 and 2 σ."""
    axes = new_figure(8, 6.6).add_axes((0.13, 0.13, 0.84, 0.8))
    values, rises = np.array(result.values), _numbers(result.twice_rises)
    highest = max(4.6, min(float(np.nanmax(rises, initial=0.0)), 12.0))
    for sigma in (1, 2, 3):
        if sigma**2 < highest:
            axes.axhline(sigma**2, color="grey", linewidth=1, linestyle=":")
            axes.annotate(
                f"{sigma}$\\sigma$", (1, sigma**2), (-6, 3), xycoords=("axes fraction", "data"),
                textcoords="offset points", ha="right", color="grey", fontsize="small",
            )  # fmt: skip
    if result.uncertainty > 0:
        fine = np.linspace(values[0], values[-1], 201)
        parabola = ((fine - result.bestfit) / result.uncertainty) ** 2
        axes.plot(fine, parabola, color=UP, linewidth=1.4, linestyle="--", label="Hessian's parabola")
    good = np.isfinite(rises)
    axes.plot(values[good], rises[good], color="black", linewidth=1.8, marker="o", markersize=3.5, label="Profiled")
    axes.axvline(result.bestfit, color="black", linewidth=1, linestyle=":")
    axes.set_xlim(values[0], values[-1])
    axes.set_ylim(0, highest)
    axes.set_xlabel(result.parameter)
    axes.set_ylabel(RISE)
    axes.legend(loc="upper center")
    experiment_label(axes, model)
    return figure_of(axes)


@styled
def plane(scanned: PlaneScan | None, exact: Contours | None = None, model: Model | None = None) -> Figure:
    """Profiled likelihood of two parameters as colours, the exact contours, or both; and the best fit.

    Without exact contours those of 68 % and 95 % are interpolated between the points.
    """
    either = scanned or exact
    if either is None:
        raise ValueError("a plane shows a scan, contours, or both")
    axes = new_figure(8.4, 6.9).add_axes((0.14, 0.13, 0.69, 0.8))
    if scanned is not None:
        rises = np.ma.masked_invalid(np.stack([_numbers(row) for row in scanned.twice_rises]))
        highest = min(float(rises.max()), 20.0)
        image = axes.pcolormesh(
            scanned.first, scanned.second, rises.T, cmap="viridis_r", vmin=0, vmax=highest, shading="nearest",
            rasterized=True,
        )  # fmt: skip
        if exact is None:
            heights, styles = [2.2957, 5.9915], LINES[:2]
            axes.contour(scanned.first, scanned.second, rises.T, heights, colors="black", linestyles=styles)
        bar = axes.inset_axes((1.03, 0, 0.04, 1))
        figure_of(axes).colorbar(image, cax=bar, label=RISE, extend="max" if rises.max() > highest else "neither")
    for each, line in zip(exact.contours if exact else (), LINES, strict=False):
        points = np.array([(point.first, point.second) for point in each.points]).reshape(-1, 2)
        axes.plot(
            points[:, 0], points[:, 1], color="black", linewidth=1.8, linestyle=line,
            label=f"{100 * each.confidence:.3g}%",
        )  # fmt: skip
    axes.plot(*either.bestfit, color=UP, marker="P", markersize=11, linestyle="none", label="Best fit", zorder=5)
    axes.set_xlabel(either.parameters[0])
    axes.set_ylabel(either.parameters[1])
    axes.legend(loc="best", facecolor="white", framealpha=0.75, frameon=scanned is not None)
    experiment_label(axes, model)
    return figure_of(axes)


def contours(result: Contours, model: Model | None = None) -> Figure:
    """The exact contours and the best fit."""
    return plane(None, result, model)


@styled
def intervals(result: Intervals, model: Model | None = None) -> Figure:
    """Best fit and profiled interval of each parameter, the Hessian's beside it; hollow ends are bounds."""
    labels = [each.parameter for each in result.intervals]
    rows = np.arange(len(labels))[::-1]
    axes = one_panel(6, 0.5 + 0.42 * len(labels), left=label_margin(labels), bottom=0.9, right=2.2, top=0.7)
    for row, each in zip(rows, result.intervals, strict=True):
        _bar(axes, row, each, result.sigma)
    axes.set_ylim(-0.7, len(labels) - 0.3)
    axes.set_yticks(rows, labels)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("Value")
    title = f"Profiled {100 * result.confidence:.3g}% intervals (grey: Hessian)"
    axes.set_title(title, loc="left", fontsize="small", pad=26 if model else 6)
    experiment_label(axes, model)
    return figure_of(axes)


def _bar(axes: Axes, row: float, each: Interval, sigma: float) -> None:
    """One parameter, and its numbers on the right."""
    half = sigma * each.uncertainty
    axes.plot([each.bestfit - half, each.bestfit + half], [row - 0.22] * 2, color="#9c9ca1", linewidth=3)
    for side in (each.lower, each.upper):
        if side.value is not None:
            axes.plot([each.bestfit, side.value], [row, row], color="black", linewidth=1.8)
            face = "white" if side.status == "bound" else "black"
            axes.plot(
                side.value, row, marker="o" if side.status == "bound" else "|", color="black", markerfacecolor=face,
                markersize=7,
            )  # fmt: skip
    axes.plot(each.bestfit, row, marker="o", color="black", markersize=6)
    down, up = ("?" if error is None else f"{error:+.3g}" for error in each.errors)
    text = f"${each.bestfit:.4g}_{{{down}}}^{{{up}}}$"
    axes.annotate(text, (1, row), (10, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center")


def _numbers(values: "tuple[float | None, ...]") -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=float)
