"""Figures of limits and significances."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

from inference.canvas import DOWN, UP, experiment_label, figure_of, new_figure, styled
from inference.hypotheses.results import Significance, UpperLimit
from inference.likelihood.specification import Floats
from inference.model import Model

# The band's conventional green and yellow, for 68 % and 95 % of outcomes.
INNER, OUTER = "#00cc00", "#ffcc00"


@styled
def brazil(limit: UpperLimit, model: Model | None = None) -> Figure:
    """CLs (or CLsb) against the parameter of interest, with the expected bands and the limits.

    Needs a limit made with ``points``.
    """
    figure = new_figure(8, 6.6)
    axes = figure.add_axes((0.13, 0.13, 0.84, 0.81))
    mu = np.array([test.mu for test in limit.tests])
    is_cls = limit.method == "CLs"
    band = np.array([test.expected if is_cls else test.expected_clsb for test in limit.tests]).reshape(-1, 5)
    observed = np.array([test.cls if is_cls else test.clsb for test in limit.tests])
    draw_bands(axes, mu, band)
    axes.plot(mu, observed, color="black", marker="o", markersize=4, linewidth=1.6, label="Observed")
    alpha = 1 - limit.level
    axes.axhline(alpha, color="#e42536", linewidth=1.6, label=f"{limit.method} = {alpha:.3g}")
    for value, line in ((limit.observed, "-"), (limit.expected[2], "--")):
        if value is not None:
            axes.plot([value, value], [0, alpha], color="#e42536", linewidth=1.4, linestyle=line)
    axes.set_xlim(mu.min(initial=0.0), mu.max(initial=1.0))
    axes.set_ylim(0, 1.05 if is_cls else 1.05 * max(0.5, float(band.max(initial=0.5))))
    axes.set_xlabel(limit.poi)
    axes.set_ylabel(limit.method)
    axes.legend(loc="upper right", title=_words(limit), alignment="left")
    experiment_label(axes, model)
    return figure


@styled
def discovery(result: Significance, model: Model | None = None) -> Figure:
    """The significance of the data among those that the background alone gives, and those with the signal.

    Both are normal distributions of width 1 in the asymptotic limit (arXiv:1007.1727); the coloured tail is p.
    """
    axes = new_figure(8, 6.6).add_axes((0.13, 0.13, 0.84, 0.81))
    known = [each for each in (result.z, result.expected_z) if each is not None]
    z = np.linspace(-3.0, max([0.0, *known]) + 3.5, 600)
    lowest = max(0.2 * float(norm.pdf(max([3.0, *known]))), 1e-300)  # where floats end, so does the axis
    axes.plot(z, norm.pdf(z), color=DOWN, linewidth=1.8, label="Background")
    if result.expected_z is not None:
        label = f"{result.poi} = {result.signal:.4g}: {result.expected_z:.3g} expected"
        axes.plot(z, norm.pdf(z - result.expected_z), color=UP, linewidth=1.8, linestyle="--", label=label)
    told = ""
    if result.z is not None and result.p_value is not None:
        tail = z[z >= result.z]
        axes.fill_between(tail, lowest, np.maximum(norm.pdf(tail), lowest), color=DOWN, alpha=0.35, linewidth=0)
        axes.vlines(result.z, lowest, 0.8, color="black", linewidth=2, label=f"Observed {result.z:.3g}")
        told = f"p = {result.p_value:.3g}"
    axes.set_yscale("log")
    axes.set_ylim(lowest, 0.4 * (0.4 / lowest) ** 0.6)
    axes.set_xlim(z[0], z[-1])
    axes.set_xlabel("Significance Z")
    axes.set_ylabel("Probability density")
    axes.legend(loc="upper right", title=told, alignment="left")
    experiment_label(axes, model)
    return figure_of(axes)


def draw_bands(axes: Axes, x: Floats, band: Floats) -> None:
    """Expected values (n, 5) at −2 … +2 σ with both bands."""
    axes.fill_between(x, band[:, 0], band[:, 4], color=OUTER, linewidth=0, label=r"Expected $\pm 2\sigma$")
    axes.fill_between(x, band[:, 1], band[:, 3], color=INNER, linewidth=0, label=r"Expected $\pm 1\sigma$")
    axes.plot(x, band[:, 2], color="black", linestyle="--", linewidth=1.6, label="Expected")


def _words(limit: UpperLimit) -> str:
    values = [("observed", limit.observed), ("expected", limit.expected[2])]
    told = [f"{name} {'none' if value is None else format(value, '.4g')}" for name, value in values]
    return f"{100 * limit.level:.4g}% upper limit:\n{', '.join(told)}"
