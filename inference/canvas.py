"""What all figures share: style, label, saving. Object-oriented matplotlib alone, no pyplot state.

mplhep and matplotlib are slow to import, so that this module is imported only where something is drawn.
"""

import functools
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from inference.likelihood.specification import Floats
from inference.model import Model

# CMS conventions for a figure of some 8 inches, and what makes the bytes the same each time.
STYLE: Any = dict(mplhep.style.CMS) | {
    "font.size": 17,
    "axes.linewidth": 1.4,
    "xtick.major.size": 8,
    "xtick.minor.size": 4,
    "ytick.major.size": 8,
    "ytick.minor.size": 4,
    "svg.hashsalt": "skimflow",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}
DATA_COLOUR = "black"
UP, DOWN = "#e42536", "#5790fc"
# Petroff's ten colours, in the order recommended by CMS.
SAMPLE_COLOURS = (
    "#5790fc", "#f89c20", "#e42536", "#964a8b", "#9c9ca1",
    "#7a21dd", "#3f90da", "#bd1f01", "#94a4a2", "#832db6",
)  # fmt: skip

P = ParamSpec("P")
R = TypeVar("R")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function under ``STYLE``, leaving matplotlib's own settings as they were."""

    @functools.wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapped


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches, with a canvas of its own."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def one_panel(width: float, height: float, *, left: float, bottom: float, right: float, top: float) -> Axes:
    """Axes of a figure of their own: size of the axes and margins around them, in inches.

    Margins are given rather than found by a layout engine: labels are placed relative to axes that stay where they
    are, and drawing is three times as fast.
    """
    whole, tall = left + width + right, bottom + height + top
    return new_figure(whole, tall).add_axes((left / whole, bottom / tall, width / whole, height / tall))


def figure_of(axes: Axes) -> Figure:
    """The figure that the axes were made on."""
    figure = axes.figure
    assert isinstance(figure, Figure)  # noqa: S101 - nothing is drawn on parts of figures here
    return figure


def label_margin(labels: Sequence[str]) -> float:
    """Inches that the longest of the labels needs beside an axis."""
    return 0.3 + 0.115 * max((len(label) for label in labels), default=0)


@styled
def save(figure: Figure, stem: str, kinds: Sequence[str] = ("svg", "pdf", "png")) -> dict[str, bytes]:
    """Bytes of a figure as ``{stem}.svg``, ``{stem}.pdf`` and ``{stem}.png``; the same each time.

    Each kind takes some 0.4 s: ask for those that are wanted.
    """
    metadata: Mapping[str, dict[str, Any]] = {
        "svg": {"Date": None, "Creator": "skimflow"},
        "pdf": {"CreationDate": None, "ModDate": None, "Producer": None, "Creator": "skimflow"},
        "png": {"Software": None},
    }
    result = {}
    for kind in kinds:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=110, metadata=metadata[kind])
        result[f"{stem}.{kind}"] = buffer.getvalue()
    return result


def experiment_label(axes: Axes, model: Model | None) -> None:
    """Experiment and status on the left above the axes, luminosity and energy on the right."""
    if model is None:
        return
    luminosity = "" if model.luminosity is None else f"{model.luminosity:g} $\\mathrm{{fb}}^{{-1}}$"
    energy = "" if model.energy is None else f"({model.energy:g} TeV)"
    mplhep.label.exp_label(
        exp=model.experiment, text=model.label, data=True, rlabel=f"{luminosity} {energy}".strip(), loc=0, ax=axes
    )


def two_panels(model: Model | None) -> tuple[Figure, Axes, Axes]:
    """A figure with a main panel above a ratio panel of the same axis."""
    figure = new_figure(8, 8)
    below = figure.add_axes((0.14, 0.1, 0.83, 0.2))
    main = figure.add_axes((0.14, 0.325, 0.83, 0.62), sharex=below)
    main.tick_params(labelbottom=False)
    experiment_label(main, model)
    return figure, main, below


def ratio_axis(axes: Axes, deviations: Floats, label: str) -> None:
    """Centre a ratio panel on 1 with a tick on each side, wide enough for ``deviations`` from 1, at most ±1.2."""
    finite = np.abs(deviations[np.isfinite(deviations)])
    largest = float(finite.max()) if finite.size else 0.0
    tick = next((tick for tick in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if 1.05 * largest < 1.4 * tick), 1.0)
    half = 1.2 if tick == 1.0 else 1.4 * tick
    axes.set_ylim(1 - half, 1 + half)
    axes.set_yticks([1 - tick, 1, 1 + tick], [f"{1 - tick:g}", "1", f"{1 + tick:g}"])
    axes.set_ylabel(label, loc="center", fontsize="small")
    axes.axhline(1.0, color="black", linewidth=1, linestyle="--")


def band(axes: Axes, edges: Floats, centre: Floats, half: Floats, label: str | None = None) -> None:
    """Hatched band of centre ± half per bin."""
    axes.stairs(
        centre + half, edges, baseline=centre - half, fill=True,
        facecolor="none", edgecolor="#555555", hatch="////", linewidth=0, label=label,
    )  # fmt: skip
