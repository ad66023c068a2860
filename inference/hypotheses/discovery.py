"""Significance of a discovery: how unlikely the background alone makes data like these."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from inference.hypotheses.record import Record
from inference.hypotheses.results import Significance
from inference.hypotheses.statistic import BAND, discovery, discovery_p_value
from inference.profiles.places import place_of
from inference.profiles.profile import Profile

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood
    from inference.results import FitResult


def significance(
    likelihood: "Likelihood",
    *,
    poi: str | None = None,
    signal: float = 1.0,
    fixed: Mapping[str, float] | None = None,
    fit: "FitResult | None" = None,
) -> Significance:
    """Discovery significance of a positive signal, observed and expected.

    Args:
        poi: label of the parameter of interest; the workspace's if None.
        signal: its value in the Asimov data that the expected significance is of.
        fixed: parameters to hold, label → value.
        fit: the nominal fit, if there is one, to start from.

    Raises:
        UnknownParameter: no such parameter, or it is held.
        InvalidWorkspace: no observations.
    """
    from inference.toys.generate import asimov

    record = Record(likelihood, place_of(likelihood, poi, fixed), fixed)
    observed: Profile | None = None
    seen = expected = None
    with record.attempt("observed"):
        observed = record.profile("observed", likelihood.observed, None if fit is None else np.asarray(fit.bestfit))
        seen = _q0(observed)
    with record.attempt("expected"):
        if observed is not None:
            assumed = observed.at(signal).minimum.parameters
            expected = _q0(record.profile(f"Asimov, {signal:g}", asimov(likelihood, assumed), assumed))
    return Significance(
        poi=likelihood.labels[record.place],
        bestfit=None if observed is None else observed.best.mu,
        q0=seen,
        p_value=None if seen is None else float(discovery_p_value(seen)),
        z=None if seen is None else float(np.sqrt(seen)),
        signal=signal,
        expected_p_value=None if expected is None else float(discovery_p_value(expected)),
        expected_z=None if expected is None else float(np.sqrt(expected)),
        expected_band=None if expected is None else tuple(float(np.sqrt(expected) + point) for point in BAND),  # type: ignore[arg-type]
        fits=record.fits,
        failures=tuple(record.failures),
        notes=(*record.notes, *_away_from_zero(likelihood, record.place)),
    )


def _away_from_zero(likelihood: "Likelihood", place: int) -> tuple[str, ...]:
    """What the best fit may not be, where 0 is beyond a bound."""
    low, high = float(likelihood.lower[place]), float(likelihood.upper[place])
    if low <= 0 <= high:
        return ()
    label = likelihood.labels[place]
    return (f"0 is not within the bounds {low:g} and {high:g} of {label}, between which the best fit is looked for",)


def _q0(profile: Profile) -> float:
    profile.at(0.0)
    profile.settle(0.0)
    return float(discovery(profile.at(0.0).nll, profile.best.mu, profile.best.nll))
