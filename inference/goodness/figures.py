"""Figure of a goodness-of-fit test."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inference.canvas import UP, experiment_label, new_figure, styled
from inference.goodness.goodness import Goodness, Statistic
from inference.goodness.tables import WORDS
from inference.likelihood.specification import Floats
from inference.model import Model

BINS = 40


@styled
def toys(result: Goodness, model: Model | None = None, *, name: str | None = None) -> Figure:
    """Distribution of a statistic over toys, those beyond the observed value filled, and what χ² expects of it.

    Of the statistic with that name, the first one if None.
    """
    statistic = result.statistics[0] if name is None else result.statistic(name)
    figure = new_figure(8, 6.6)
    axes = figure.add_axes((0.13, 0.13, 0.84, 0.8))
    values = np.array(statistic.toys)
    highest = 1.08 * max(float(values.max(initial=0.0)), statistic.value)
    if statistic.degrees_of_freedom is not None:  # most of the χ² distribution is in sight
        highest = max(highest, statistic.degrees_of_freedom + 4 * np.sqrt(2 * statistic.degrees_of_freedom))
    edges = np.linspace(min(float(values.min(initial=0.0)), 0.0), highest or 1.0, BINS + 1)
    if len(values):
        _histogram(axes, values, edges, statistic.value)
    if statistic.degrees_of_freedom is not None:
        _expectation(axes, statistic, edges, len(values))
    axes.axvline(statistic.value, color=UP, linewidth=2, label=f"Observed {statistic.value:.4g}")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])
    axes.set_xlabel(WORDS[statistic.name])
    axes.set_ylabel("Toys" if len(values) else "Probability density")
    axes.legend(loc="upper right", title=_p_values(statistic), alignment="left")
    experiment_label(axes, model)
    return figure


def _histogram(axes: Axes, values: Floats, edges: Floats, observed: float) -> None:
    counts, _ = np.histogram(values, edges)
    beyond, _ = np.histogram(values[values >= observed], edges)
    axes.stairs(counts, edges, color="black", linewidth=1.6, label=f"{len(values)} toys")
    axes.stairs(beyond, edges, fill=True, color="#5790fc", alpha=0.6, linewidth=0)


def _expectation(axes: Axes, statistic: Statistic, edges: Floats, count: int) -> None:
    from scipy.stats import chi2

    fine = np.linspace(edges[0], edges[-1], 400)
    scale = count * (edges[1] - edges[0]) if count else 1.0
    density = scale * chi2.pdf(fine, statistic.degrees_of_freedom)
    label = f"$\\chi^2$, {statistic.degrees_of_freedom} d.o.f."
    axes.plot(fine[np.isfinite(density)], density[np.isfinite(density)], color="grey", linestyle="--", label=label)


def _p_values(statistic: Statistic) -> str:
    lines = []
    if statistic.p_toys is not None and statistic.p_toys.toys:
        lines.append(f"p = {statistic.p_toys.value:.3g} $\\pm$ {statistic.p_toys.error:.2g} (toys)")
    if statistic.p_asymptotic is not None:
        lines.append(f"p = {statistic.p_asymptotic:.3g} ($\\chi^2$)")
    return "\n".join(lines)
