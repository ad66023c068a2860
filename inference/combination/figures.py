"""What became of the inputs' parameters, as a picture."""

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from inference.canvas import DOWN, experiment_label, figure_of, label_margin, one_panel, styled
from inference.combination.combine import Combination
from inference.model import Model

MOST = 60  # rows
PRIVATE = "#c8c8cc"
WIDTH = 2.2  # inches of an input


@styled
def correlation(combination: Combination, model: Model | None = None) -> Figure:
    """The inputs that have each parameter: coloured where several share it, with its name there if that is another."""
    inputs = list(dict.fromkeys(name for each in combination.parameters for name, _ in each.members))
    rows = sorted(combination.parameters, key=lambda each: -len(each.members))
    shown = rows[:MOST]
    names = [each.name for each in shown]
    left, height = label_margin(names), 0.36 * len(shown)
    axes = one_panel(WIDTH * len(inputs), height, left=left, bottom=0.75, right=0.25, top=0.6)
    for row, each in enumerate(shown):
        colour = DOWN if len(each.members) > 1 else PRIVATE
        for name, old in each.members:
            axes.barh(row, 0.94, left=inputs.index(name) - 0.47, height=0.8, color=colour, linewidth=0)
            if old != each.name:
                axes.text(inputs.index(name), row, old, ha="center", va="center", fontsize="x-small")
    axes.set_xlim(-0.5, len(inputs) - 0.5)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xticks(range(len(inputs)), inputs)
    axes.set_yticks(range(len(shown)), names)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.tick_params(which="both", length=0)
    more = f", {len(rows) - len(shown)} more not shown" if len(rows) > len(shown) else ""
    axes.set_xlabel(f"Shared: {sum(len(each.members) > 1 for each in rows)} of {len(rows)} parameters{more}")
    experiment_label(axes, model)
    return figure_of(axes)
