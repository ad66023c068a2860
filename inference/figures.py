"""Figures of results, as matplotlib ``Figure`` objects; ``inference.canvas.save`` gives their bytes.

Numbers come in computed; nothing is fitted here. Every function takes the model for labels and does without one.
"""

from collections.abc import Sequence
from typing import Any

import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from inference.canvas import (
    DATA_COLOUR,
    DOWN,
    SAMPLE_COLOURS,
    UP,
    band,
    experiment_label,
    figure_of,
    label_margin,
    one_panel,
    ratio_axis,
    save,
    styled,
    two_panels,
)
from inference.likelihood.specification import Floats
from inference.model import Model
from inference.ranking import Ranking
from inference.results import FitResult
from inference.systematics import ShapeVariation
from inference.yields import RegionYield, Yields

__all__ = ["correlation", "data_mc", "ranking", "save", "shape"]


@styled
def correlation(
    result: FitResult, model: Model | None = None, *, threshold: float = 0.1, bin_gammas: bool = False
) -> Figure:
    """Correlation matrix of the parameters that have at least ``threshold`` (absolute) with another one shown."""
    full = result.correlation
    shown = np.array(_shown(result, bin_gammas), dtype=int)
    others = np.abs(full[np.ix_(shown, shown)]) - np.eye(len(shown))
    shown = shown[others.max(axis=1, initial=0.0) >= threshold]
    matrix, labels = full[np.ix_(shown, shown)], [result.labels[index] for index in shown]
    size, margin = max(0.6 * len(shown), 5.2 if model else 3.0), label_margin(labels)
    axes = one_panel(size, size, left=margin, bottom=0.75 * margin, right=1.3, top=0.45)
    image = axes.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r")
    for (row, column), value in np.ndenumerate(matrix):
        axes.text(
            column, row, f"{value:.2f}", ha="center", va="center", fontsize=10.5,
            color="white" if abs(value) > 0.6 else "black",
        )  # fmt: skip
    ticks = np.arange(len(shown))
    axes.set_xticks(ticks, labels, rotation=40, ha="right", rotation_mode="anchor")
    _rows(axes, ticks, labels)
    axes.tick_params(which="both", length=0)
    axes.xaxis.set_minor_locator(NullLocator())
    bar = axes.inset_axes((1 + 0.15 / size, 0, 0.25 / size, 1))
    figure_of(axes).colorbar(image, cax=bar, label="Correlation")
    experiment_label(axes, model)
    return figure_of(axes)


@styled
def ranking(ranked: Ranking, model: Model | None = None, *, largest: int = 20) -> Figure:
    """Impacts on the parameter of interest (upper axis) and pulls (lower axis) of the ``largest`` parameters."""
    impacts = ranked.impacts[:largest]
    labels = [impact.parameter for impact in impacts]
    rows = np.arange(len(impacts))[::-1].astype(float)
    axes = one_panel(6.5, 0.3 + 0.45 * len(impacts), left=label_margin(labels), bottom=1.3, right=0.3, top=1.3)
    bars = axes.twiny()
    _impact_bars(bars, ranked, rows)
    axes.errorbar(
        _shifts([impact.pull for impact in impacts]), rows,
        xerr=_shifts([impact.constraint for impact in impacts]),
        fmt="o", color="black", markersize=6, linewidth=1.6, label="pull",
    )  # fmt: skip
    for position in (-1, 0, 1):
        axes.axvline(position, color="grey", linewidth=1, linestyle=":")
    reach = [abs(impact.pull) + (impact.constraint or 0.0) for impact in impacts if impact.pull is not None]
    axes.set_xlim(-max(2.0, *reach, 0.0) * 1.03, max(2.0, *reach, 0.0) * 1.03)
    axes.set_ylim(-0.7, len(impacts) - 0.3)
    axes.set_xlabel(r"$(\hat{\theta} - \theta_0)\,/\,\Delta\theta$")
    axes.tick_params(top=False, which="both")
    bars.tick_params(bottom=False, which="both")
    # The pulls are drawn over the bars.
    axes.set_zorder(bars.get_zorder() + 1)
    axes.patch.set_visible(False)
    _rows(axes, rows, labels)
    (bar_handles, bar_names), (handles, names) = bars.get_legend_handles_labels(), axes.get_legend_handles_labels()
    figure = figure_of(axes)
    height = figure.get_figheight()
    figure.legend(
        bar_handles + handles, bar_names + names, loc="lower center", ncols=5, columnspacing=1.0, handletextpad=0.4,
    )  # fmt: skip
    if model:
        figure.text(0.02, 1 - 0.2 / height, model.experiment, weight="bold", fontsize="large", va="top")
        beside = 0.028 + 0.024 * len(model.experiment)
        figure.text(beside, 1 - 0.2 / height, model.label, style="italic", va="top")
    blinded = " (blinded)" if ranked.blinded else ""
    value = f"{ranked.poi} = {ranked.bestfit:.3f} $\\pm$ {ranked.uncertainty:.3f}{blinded}"
    figure.text(0.97, 1 - 0.2 / height, value, ha="right", va="top")
    return figure


@styled
def data_mc(yields: Yields, region: str, model: Model | None = None, *, log: bool = False) -> Figure:
    """Stacked prediction with its uncertainty band and the data, above their ratio.

    Data have Poisson uncertainties sqrt(n); hidden bins have no point. Bins have the model's edges, or are numbered
    without a model.
    """
    content = yields.region(region)
    edges, axis_label = region_axis(region, len(content.data), model)
    figure, main, below = two_panels(model)
    _stack(main, content, edges, model)
    total, sigma = np.array(content.prediction.values), np.array(content.prediction.uncertainties)
    band(main, edges, total, sigma, "Uncertainty")
    centres, data = 0.5 * (edges[1:] + edges[:-1]), _shifts(content.data)
    name = "Data" if model is None else model.data.label.capitalize()
    name += " (hidden)" if np.isnan(data).all() else ""
    main.errorbar(
        centres, data, yerr=np.sqrt(data), fmt="o", color=DATA_COLOUR, markersize=6, linewidth=1.4, label=name
    )
    handles, names = main.get_legend_handles_labels()
    # Data first, then the stack from its top downwards, then the band.
    order = [len(names) - 1, *range(len(names) - 1)]
    main.legend([handles[index] for index in order], [names[index] for index in order], loc="upper right")
    blinded = ", blinded" if yields.blinded else ""
    main.text(0.04, 0.95, f"{region}\n{yields.stage}{blinded}", transform=main.transAxes, va="top", linespacing=1.4)
    if log:
        main.set_yscale("log")
        lowest = min((value for value in total if value > 0), default=1.0)
        highest = float((total + sigma).max())
        main.set_ylim(0.05 * lowest, highest * (20 * highest / lowest) ** 0.7)
    else:
        main.set_ylim(0, 1.35 * float(np.nanmax([total + sigma, data + np.sqrt(data)])))
    main.set_ylabel(per_bin(edges, model, region))
    safe = np.where(total > 0, total, np.nan)
    band(below, edges, np.ones(len(total)), sigma / safe)
    below.errorbar(
        centres, data / safe, yerr=np.sqrt(data) / safe, fmt="o", color=DATA_COLOUR, markersize=6, linewidth=1.4
    )
    errors = np.abs(data / safe - 1) + np.sqrt(data) / safe
    ratio_axis(below, np.concatenate([sigma / safe, errors]), "Data / pred.")
    below.set_xlabel(axis_label)
    below.set_xlim(edges[0], edges[-1])
    return figure


@styled
def shape(variation: ShapeVariation, model: Model | None = None) -> Figure:
    """Nominal, up and down template of one systematic uncertainty, above their ratio to the nominal one."""
    nominal, statistical = np.array(variation.nominal), np.array(variation.statistical)
    edges, axis_label = region_axis(variation.region, len(nominal), model)
    figure, main, below = two_panels(model)
    band(main, edges, nominal, statistical, "Statistical unc.")
    main.stairs(nominal, edges, color="black", linewidth=2, label="Nominal")
    safe = np.where(nominal > 0, nominal, np.nan)
    sides = (("up", np.array(variation.up), UP, "-"), ("down", np.array(variation.down), DOWN, "--"))
    for side, values, colour, line in sides:
        change = values.sum() / nominal.sum() - 1
        main.stairs(
            values,
            edges,
            color=colour,
            linewidth=2,
            linestyle=line,
            label=f"{side} ({change:+.1%})",
        )
        below.stairs(values / safe, edges, color=colour, linewidth=2, linestyle=line, baseline=None)
    band(below, edges, np.ones(len(nominal)), statistical / safe)
    main.set_ylim(0, 1.4 * max(float(nominal.max()), *(float(values.max()) for _, values, _, _ in sides)))
    main.set_ylabel(per_bin(edges, model, variation.region))
    label = {sample.name: sample.label for sample in model.samples} if model else {}
    title = f"{variation.systematic}\n{label.get(variation.sample) or variation.sample}, {variation.region}"
    main.text(0.04, 0.95, title, transform=main.transAxes, va="top", linespacing=1.4)
    main.legend(loc="upper right")
    deviations = np.concatenate([values / safe - 1 for _, values, _, _ in sides])
    ratio_axis(below, deviations, "Var. / nominal")
    below.set_xlabel(axis_label)
    below.set_xlim(edges[0], edges[-1])
    return figure


def _stack(axes: Axes, content: RegionYield, edges: Floats, model: Model | None) -> None:
    """Samples as filled histograms, the first of the region on top of the stack."""
    label = {sample.name: sample.label or sample.name for sample in model.samples} if model else {}
    colour = dict(zip((sample.sample for sample in content.samples), SAMPLE_COLOURS, strict=False))
    upwards = content.samples[::-1]
    mplhep.histplot(
        [np.array(sample.values) for sample in upwards],
        bins=edges,
        stack=True,
        histtype="fill",
        yerr=False,
        color=[colour[sample.sample] for sample in upwards],
        label=[label.get(sample.sample, sample.sample) for sample in upwards],
        ax=axes,
    )


def _shown(result: FitResult, bin_gammas: bool) -> list[int]:
    """Positions of the free parameters; vectors of one parameter per bin, ``name[i]``, only when asked for."""
    return [
        index
        for index, label in enumerate(result.labels)
        if not result.fixed[index] and (bin_gammas or not label.endswith("]"))
    ]


def _shifts(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _rows(axes: Axes, positions: NDArray[Any], labels: Sequence[str]) -> None:
    axes.set_yticks(positions, labels)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="y", length=0)


def region_axis(region: str, bins: int, model: Model | None) -> tuple[Floats, str]:
    """Bin edges and axis label of a region."""
    for known in model.regions if model else ():
        if known.name == region and len(known.edges) == bins + 1:
            return np.array(known.edges, dtype=np.float64), known.axis_label
    return np.arange(0.5, bins + 1), "Bin"


def per_bin(edges: Floats, model: Model | None, region: str) -> str:
    """Label of the event axis: with the bin width where it is one for all."""
    widths = np.diff(edges)
    if model is None:
        return "Events"
    unit = next((known.unit for known in model.regions if known.name == region), "")
    return f"Events / {widths[0]:g} {unit}".rstrip() if np.allclose(widths, widths[0]) else "Events"


def _impact_bars(axes: Axes, ranked: Ranking, rows: Floats) -> None:
    """Post-fit impacts filled, pre-fit ones outlined, up and down in their colours."""
    limit = 0.0
    for side, sign, colour in (("up", "+", UP), ("down", "-", DOWN)):
        shown = ranked.impacts[: len(rows)]
        postfit = _shifts([getattr(impact, f"postfit_{side}") for impact in shown])
        prefit = _shifts([getattr(impact, f"prefit_{side}") for impact in shown])
        name = f"${sign}1\\sigma$"
        axes.barh(rows, prefit, 0.8, facecolor="none", edgecolor=colour, linewidth=1.3, label=f"pre-fit {name}")
        axes.barh(rows, postfit, 0.8, color=colour, alpha=0.75, linewidth=0, label=f"post-fit {name}")
        limit = max(limit, float(np.nanmax(np.abs(np.concatenate([postfit, prefit, [0.0]])))))
    limit = 1.15 * limit or 1.0
    axes.set_xlim(-limit, limit)
    axes.set_xlabel(f"Impact on {ranked.poi}", loc="center", labelpad=8)
