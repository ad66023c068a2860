"""Figures of toys: pulls, test statistics, and the belt of a Feldman-Cousins interval."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from scipy.stats import chi2, norm

from inference.canvas import DOWN, UP, experiment_label, figure_of, label_margin, new_figure, one_panel, styled
from inference.hypotheses.figures import draw_bands
from inference.likelihood.specification import Floats
from inference.model import Model
from inference.toys.discovery import ToySignificance
from inference.toys.exclusion import ToyTest
from inference.toys.feldman_cousins import FeldmanCousins
from inference.toys.fractions import Histogram
from inference.toys.limits import ToyLimit
from inference.toys.study import Pulls, ToyStudy


def study(result: ToyStudy, model: Model | None = None) -> Figure:
    """Pulls of all parameters, or the distribution where there is one parameter only."""
    return distribution(result.pulls[0], model) if len(result.pulls) == 1 else pulls(result, model)


@styled
def pulls(result: ToyStudy, model: Model | None = None) -> Figure:
    """Mean and width of each parameter's pulls: a point with the mean's error, on a bar of ± one width."""
    shown = [each for each in result.pulls if each.mean is not None and each.width is not None]
    labels = [each.parameter for each in shown]
    axes = one_panel(5.5, 0.6 + 0.38 * len(shown), left=label_margin(labels), bottom=0.85, right=0.25, top=0.45)
    rows = np.arange(len(shown))[::-1]
    axes.axvspan(-1, 1, color="#c3e6b8", linewidth=0)
    axes.axvline(0, color="black", linewidth=1, linestyle=":")
    means = np.array([each.mean.value for each in shown if each.mean])
    errors = np.array([each.mean.error for each in shown if each.mean])
    widths = np.array([each.width.value for each in shown if each.width])
    axes.barh(rows, 2 * widths, left=means - widths, height=0.42, color=DOWN, alpha=0.45, linewidth=0)
    axes.errorbar(means, rows, xerr=errors, fmt="o", color="black", markersize=5, linewidth=1.6)
    axes.set_xlim(-2, 2)
    axes.set_ylim(-0.7, len(shown) - 0.3)
    axes.set_yticks(rows, labels)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="y", which="both", length=0)
    axes.set_xlabel(f"Pull of {result.count} toys: mean $\\pm$ width")
    experiment_label(axes, model)
    return figure_of(axes)


@styled
def distribution(result: Pulls, model: Model | None = None) -> Figure:
    """Pulls of one parameter beside the standard normal distribution."""
    axes = new_figure(8, 6.6).add_axes((0.13, 0.13, 0.84, 0.8))
    edges, counts = np.array(result.pulls.edges), np.array(result.pulls.counts)
    centres = 0.5 * (edges[1:] + edges[:-1])
    axes.errorbar(centres, counts, np.sqrt(counts), fmt="o", color="black", markersize=5, label=f"{result.toys} toys")
    fine = np.linspace(edges[0], edges[-1], 400)
    scale = result.toys * (edges[1] - edges[0])
    axes.plot(fine, scale * norm.pdf(fine), color=UP, linewidth=1.8, label="Standard normal")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.35 * max(float(counts.max()), scale * float(norm.pdf(0))) or 1.0)
    axes.set_xlabel(f"Pull of {result.parameter}")
    axes.set_ylabel("Toys")
    told = ""
    if result.mean is not None and result.width is not None:
        mean, width = result.mean, result.width
        told = f"mean {mean.value:.3f} $\\pm$ {mean.error:.3f}\nwidth {width.value:.3f} $\\pm$ {width.error:.3f}"
    axes.legend(loc="upper right", title=told, alignment="left")
    experiment_label(axes, model)
    return figure_of(axes)


@styled
def statistic(result: ToyTest, model: Model | None = None) -> Figure:
    """Test statistic of toys of both hypotheses, and of the data."""
    axes = new_figure(8, 6.6).add_axes((0.13, 0.13, 0.84, 0.8))
    name = r"\tilde{q}" if result.statistic == "qtilde" else "q"
    _stairs(axes, result.background, DOWN, "Background")
    _stairs(axes, result.signal, UP, f"{result.poi} = {result.mu:.4g}")
    _observed(axes, result.q)
    cls = "" if result.cls is None else f"\n$CL_s$ = {result.cls.value:.3g} $\\pm$ {result.cls.error:.2g}"
    told = f"$CL_{{s+b}}$ = {result.clsb.value:.3g}, $CL_b$ = {result.clb.value:.3g}{cls}"
    _logarithmic(axes, f"${name}$({result.poi} = {result.mu:.4g})", told)
    experiment_label(axes, model)
    return figure_of(axes)


@styled
def significance(result: ToySignificance, model: Model | None = None) -> Figure:
    """q0 of toys of the background, and with a signal if there are any; of the data; and what asymptotics expect."""
    axes = new_figure(8, 6.6).add_axes((0.13, 0.13, 0.84, 0.8))
    if result.background_q0 is not None:
        _stairs(axes, result.background_q0, DOWN, "Background")
        edges = np.array(result.background_q0.edges)
        expected = 0.5 * sum(result.background_q0.counts) * np.diff(chi2.cdf(edges, 1))
        axes.stairs(expected, edges, color="black", linestyle="--", linewidth=1.4, label=r"$\frac{1}{2}\chi^2_1$")
    if result.signal_q0 is not None:
        _stairs(axes, result.signal_q0, UP, f"{result.poi} = {result.signal:.4g}")
    if result.q0 is not None:
        _observed(axes, result.q0)
    told = ""
    if result.observed is not None:
        found = result.observed
        z = f"Z > {found.z_low:.3g}" if found.z is None and found.z_low is not None else f"Z = {found.z or 0:.3g}"
        told = f"p = {found.p_value.value:.3g} $\\pm$ {found.p_value.error:.2g}, {z}"
    _logarithmic(axes, "$q_0$", told)
    experiment_label(axes, model)
    return figure_of(axes)


@styled
def belt(result: FeldmanCousins, model: Model | None = None) -> Figure:
    """Test statistic of the data against what the toys allow at each value, and the interval between the crossings."""
    axes = new_figure(8, 6.6).add_axes((0.13, 0.13, 0.84, 0.8))
    mu, t, critical = (np.array([getattr(point, name) for point in result.points]) for name in ("mu", "t", "critical"))
    if result.lower.value is not None and result.upper.value is not None:
        axes.axvspan(result.lower.value, result.upper.value, color="#c3e6b8", linewidth=0)
    axes.plot(mu, critical, color=DOWN, marker="s", markersize=5, linewidth=1.4, label="Critical value of toys")
    wilks = float(chi2.ppf(result.level, 1))
    axes.axhline(wilks, color="grey", linestyle="--", linewidth=1.2, label=f"$\\chi^2_1$: {wilks:.3g}")
    axes.plot(mu, t, color="black", marker="o", markersize=5, linewidth=1.6, label="Data")
    axes.set_xlim(mu.min(initial=0.0), mu.max(initial=1.0))
    axes.set_ylim(0, 2.4 * max(float(critical.max(initial=0.0)), wilks))
    axes.set_xlabel(result.poi)
    axes.set_ylabel(r"$-2\,\log\,L(\mu)/L(\hat{\mu})$")
    ends = [f"{end.value:.4g}" if end.value is not None else "none" for end in (result.lower, result.upper)]
    axes.legend(loc="upper center", title=f"{100 * result.level:.4g}%: [{ends[0]}, {ends[1]}]", alignment="left")
    experiment_label(axes, model)
    return figure_of(axes)


@styled
def limit(result: ToyLimit, model: Model | None = None) -> Figure:
    """CLs (or CLsb) of toys against the parameter of interest, with the expected bands of CLs."""
    axes = new_figure(8, 6.6).add_axes((0.13, 0.13, 0.84, 0.8))
    tests = [test for test in result.tests if test.cls is not None and None not in test.expected]
    mu = np.array([test.mu for test in tests])
    alpha, is_cls = 1 - result.level, result.method == "CLs"
    if is_cls and tests:
        band = np.array([[each.value for each in test.expected if each is not None] for test in tests])
        draw_bands(axes, mu, band)
    value = np.array([(test.cls.value if is_cls else test.clsb.value) for test in tests if test.cls is not None])
    error = np.array([(test.cls.error if is_cls else test.clsb.error) for test in tests if test.cls is not None])
    axes.errorbar(mu, value, error, color="black", marker="o", markersize=4, linewidth=1.4, label="Observed")
    axes.axhline(alpha, color=UP, linewidth=1.6, label=f"{result.method} = {alpha:.3g}")
    axes.set_xlim(mu.min(initial=0.0), mu.max(initial=1.0))
    axes.set_ylim(0, 1.05 if is_cls else 1.05 * float(value.max(initial=0.5)))
    axes.set_xlabel(result.poi)
    axes.set_ylabel(result.method)
    axes.legend(loc="upper right")
    experiment_label(axes, model)
    return figure_of(axes)


def _stairs(axes: Axes, values: Histogram, colour: str, label: str) -> None:
    axes.stairs(_floored(values), values.edges, color=colour, linewidth=1.8, label=label, baseline=0.5)


def _floored(values: Histogram) -> Floats:
    """Empty bins at the foot of a logarithmic axis."""
    return np.asarray(np.maximum(values.counts, 0.5))


def _observed(axes: Axes, value: float) -> None:
    axes.axvline(value, color="black", linewidth=2, label=f"Observed {value:.4g}")


def _logarithmic(axes: Axes, label: str, told: str) -> None:
    axes.set_yscale("log")
    axes.set_ylim(0.5, axes.get_ylim()[1] ** 1.5)
    axes.set_xlim(left=0)
    axes.set_xlabel(label)
    axes.set_ylabel("Toys")
    axes.legend(loc="upper right", title=told, alignment="left")
