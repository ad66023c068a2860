"""A workspace whose data do not tell the parameters of interest: bins with signal hold what is expected instead.

The parameters of interest are held at given values, all others are fitted to the bins without signal and to the
auxiliary measurements; what the model then expects takes the place of the data in the bins with signal (the Asimov data
of a background-like fit, doi:10.1140/epjc/s10052-011-1554-0). So whatever is computed of that workspace is blind:
limits, scans, goodness of fit and toys show what is to be expected, and no parameter of interest is measured.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.blinding import signal_bins
from inference.errors import FitFailed, UnknownParameter
from inference.likelihood.specification import Floats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inference.likelihood.model import Likelihood


@dataclass(frozen=True, slots=True)
class HiddenBins:
    """Which bins of a channel are hidden."""

    channel: str
    bins: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Hidden:
    """A blind workspace.

    Attributes:
        workspace: pyhf's JSON, decoded; its observations are the data only where bins are not hidden.
        at: parameters of interest and the values that the hidden bins are filled at.
        channels: all of the workspace.
    """

    workspace: dict[str, Any]
    at: tuple[tuple[str, float], ...]
    channels: tuple[HiddenBins, ...]

    @property
    def sentence(self) -> str:
        """What is hidden, in words."""
        bins = [hidden for channel in self.channels for hidden in channel.bins]
        values = ", ".join(f"{label} = {value:g}" for label, value in self.at)
        return (
            f"blinded: the data of {sum(bins)} of {len(bins)} bins are hidden, and replaced by what is expected with "
            f"{values}; all results are expectations"
        )


def hide(
    workspace: Mapping[str, Any],
    *,
    at: Mapping[str, float] | None = None,
    measurement: str | None = None,
    fixed: Mapping[str, float] | None = None,
) -> Hidden:
    """Hide the data of every bin that a parameter of interest changes; of all bins where it changes none.

    Args:
        workspace: pyhf's JSON, decoded; it stays as it is.
        at: parameters of interest by label, and the values to fill hidden bins at; the workspace's own one at its
            initial value if None or empty.
        measurement: by name; the first if None.
        fixed: parameters that all fits hold, label → value.

    Raises:
        UnknownParameter: no such label, none of interest, or a value beyond its bounds.
        FitFailed: the bins that are left cannot be fitted.
    """
    from inference.likelihood.model import Likelihood

    likelihood = Likelihood(workspace, measurement)
    chosen = _chosen(likelihood, at or {})
    hidden = signal_bins(likelihood, list(chosen))
    if not hidden.any():
        hidden = np.ones(likelihood.bins, dtype=bool)
    expected = likelihood.expected(_parameters(likelihood, hidden, {**(fixed or {}), **chosen}))
    data = np.where(hidden, expected, likelihood.observed.main)
    channels, observations, start = [], {}, 0
    for channel in likelihood.specification.channels:
        inside = slice(start, start := start + channel.bins)
        channels.append(HiddenBins(channel.name, tuple(hidden[inside].tolist())))
        observations[channel.name] = data[inside].tolist()
    made = json.loads(json.dumps(workspace))
    made["observations"] = [{"name": name, "data": values} for name, values in observations.items()]
    return Hidden(made, tuple(chosen.items()), tuple(channels))


def _chosen(likelihood: "Likelihood", at: Mapping[str, float]) -> dict[str, float]:
    if not at:
        if likelihood.poi is None:
            raise UnknownParameter("the workspace names no parameter of interest: say which are to be blinded")
        return {likelihood.poi: float(likelihood.init[likelihood.index(likelihood.poi)])}
    for label, value in at.items():
        place = likelihood.index(label)
        low, high = likelihood.lower[place], likelihood.upper[place]
        if not low <= value <= high:
            raise UnknownParameter(f"{label} cannot be hidden at {value:g}: its bounds are {low:g} and {high:g}")
    return {label: float(value) for label, value in at.items()}


def _parameters(likelihood: "Likelihood", hidden: "NDArray[np.bool_]", held: Mapping[str, float]) -> Floats:
    """All parameters where the bins that are not hidden, and the auxiliary measurements, want them."""
    seen = likelihood.observed
    visible = likelihood.observation(np.where(hidden, 0.0, seen.main), seen.auxiliary, np.where(hidden, 0.0, seen.mask))
    begin, free = likelihood.init.copy(), ~likelihood.constant & ~_without_effect(likelihood, hidden)
    for label, value in held.items():
        begin[likelihood.index(label)], free[likelihood.index(label)] = value, False
    minimum = likelihood.search(visible, begin, free)
    if not minimum.certificate.converged:
        raise FitFailed(f"the bins that are not hidden cannot be fitted: {minimum.certificate.reason}")
    return minimum.parameters


def _without_effect(likelihood: "Likelihood", hidden: "NDArray[np.bool_]") -> "NDArray[np.bool_]":
    """Free parameters without a constraint that change hidden bins alone: nothing says where they are."""
    from inference.propagation import along

    loose = np.isnan(likelihood.widths)
    rows = np.eye(len(likelihood.labels))[loose]
    acting = np.zeros(len(likelihood.labels), dtype=bool)
    if loose.any():
        acting[loose] = np.asarray(along(likelihood, likelihood.init, rows))[:, ~hidden].any(axis=1)
    return loose & ~acting
