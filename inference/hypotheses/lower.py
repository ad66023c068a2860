"""Lower limits: values too small to be believed, given a signal that is seen.

The mirror image of qμ (0 where the best fit is below μ) excludes what lies too far below the best fit: the limit is
where √q is the quantile Φ⁻¹ of the confidence level. There is no background hypothesis, hence no CLs.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from inference.errors import InvalidWorkspace
from inference.hypotheses.record import Record
from inference.hypotheses.results import LowerLimit
from inference.hypotheses.statistic import BAND
from inference.profiles.places import place_of
from inference.profiles.profile import Profile, settled
from inference.profiles.roots import NoCrossing

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood
    from inference.results import FitResult


def lower_limit(
    likelihood: "Likelihood",
    *,
    poi: str | None = None,
    level: float = 0.95,
    signal: float = 1.0,
    fixed: Mapping[str, float] | None = None,
    fit: "FitResult | None" = None,
) -> LowerLimit:
    """Lower limit at a confidence level, observed and for data at −2 … +2 σ of a signal.

    Args:
        poi: label of the parameter of interest; the workspace's if None.
        level: between 0.5 and 1.
        signal: value of the parameter of interest that the expected limits assume.
        fixed: parameters to hold, label → value.
        fit: the nominal fit, if there is one, to start from.

    Raises:
        UnknownParameter: no such parameter, or it is held.
        InvalidWorkspace: no observations, or a level outside 0.5 to 1.
    """
    from inference.toys.generate import asimov

    if not 0.5 < level < 1:
        raise InvalidWorkspace(f"the confidence level {level:g} is not between 0.5 and 1, such as 0.95")
    record = Record(likelihood, place_of(likelihood, poi, fixed), fixed)
    data: Profile | None = None
    observed: float | None = None
    expected: list[float | None] = [None] * len(BAND)
    target = float(ndtri(level))
    with record.attempt("observed limit"):
        data = record.profile("observed", likelihood.observed, None if fit is None else np.asarray(fit.bestfit))
        observed = _below(data, target)
    with record.attempt("expected limits"):
        if data is not None:
            assumed = data.at(signal).minimum.parameters
            made = record.profile(f"Asimov, {signal:g}", asimov(likelihood, assumed), assumed)
            for place, point in enumerate(BAND):
                with record.attempt(f"expected limit at {point:+d} σ"):
                    expected[place] = _below(made, target - point)
    return LowerLimit(
        poi=likelihood.labels[record.place],
        level=level,
        observed=observed,
        signal=signal,
        expected=tuple(expected),  # type: ignore[arg-type]
        bestfit=None if data is None else data.best.mu,
        fits=record.fits,
        failures=tuple(record.failures),
        notes=record.notes,
    )


def _below(profile: Profile, target: float) -> float:
    """Where √q is ``target`` below the best fit, or minus it above.

    Raises:
        NoCrossing: the lower bound of the parameter is not excluded.
        FitFailed: a fit on the way.
    """
    best, side = profile.best, -1.0 if target > 0 else 1.0
    bound = float(profile.likelihood.lower[profile.poi])

    def at(distance: float) -> float:
        return max(best.mu + side * distance, bound)

    def remaining(distance: float) -> tuple[float, float]:
        mu = at(distance)
        point = profile.at(mu)
        root = math.sqrt(max(2 * (point.nll - best.nll), 0.0))
        if mu == bound and root < abs(target):
            raise NoCrossing(bound)
        return abs(target) - root, -side * point.slope / root if root > 0 else 0.0

    width = best.curvature**-0.5 if best.curvature > 0 else 1.0
    return best.mu + side * settled(remaining, 0.0, width * max(abs(target), 1e-3), [profile], at)
