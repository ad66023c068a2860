"""A variation before and after."""

import numpy as np
from matplotlib.figure import Figure

from inference.canvas import DOWN, UP, band, ratio_axis, styled, two_panels
from inference.figures import per_bin, region_axis
from inference.model import Model
from inference.smoothing.workspace import Comparison


@styled
def comparison(compared: Comparison, model: Model | None = None) -> Figure:
    """Up and down templates over the nominal one, with its statistical error: before (dashed) and after (full)."""
    nominal, statistical = np.array(compared.nominal), np.array(compared.statistical)
    edges, axis_label = region_axis(compared.channel, len(nominal), model)
    figure, main, below = two_panels(model)
    if statistical.any():
        band(main, edges, nominal, statistical, "Statistical unc.")
    main.stairs(nominal, edges, color="black", linewidth=2, label="Nominal")
    safe = np.where(nominal > 0, nominal, np.nan)
    seen = [nominal]
    for when, line, width in (("before", "--", 1.5), ("after", "-", 2.5)):
        for side, colour in (("up", UP), ("down", DOWN)):
            values = np.array(getattr(compared, f"{side}_{when}"))
            change = values.sum() / nominal.sum() - 1
            label = f"{side}, {when} ({change:+.1%})"
            main.stairs(values, edges, color=colour, linewidth=width, linestyle=line, label=label)
            below.stairs(values / safe, edges, color=colour, linewidth=width, linestyle=line, baseline=None)
            seen.append(values)
    if statistical.any():
        band(below, edges, np.ones(len(nominal)), statistical / safe)
    main.set_ylim(0, 1.5 * max(float(values.max()) for values in seen))
    main.set_ylabel(per_bin(edges, model, compared.channel))
    sample = {each.name: each.label for each in model.samples}.get(compared.sample) if model else None
    title = f"{compared.systematic}\n{sample or compared.sample}, {compared.channel}"
    main.text(0.04, 0.95, title, transform=main.transAxes, va="top", linespacing=1.4)
    main.legend(loc="upper right", fontsize="small")
    ratio_axis(below, np.concatenate([values / safe - 1 for values in seen]), "Var. / nominal")
    below.set_xlabel(axis_label)
    below.set_xlim(edges[0], edges[-1])
    return figure
