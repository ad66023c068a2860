"""What tests and limits share: the profiles of the data and of the background's Asimov data, each fitted once."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from inference.errors import FitFailed
from inference.hypotheses.record import fitted
from inference.hypotheses.results import Fitted, HypothesisTest
from inference.hypotheses.statistic import (
    Method,
    Statistic,
    expected_p_values,
    log_p_value,
    p_values,
    separation,
    upper,
)
from inference.profiles.places import place_of, with_bounds
from inference.profiles.profile import LOWER, WIDEST, Point, Profile

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood
    from inference.results import FitResult

# Share of the parameter's range below which a standard deviation is rounding too, as where nothing is expected.
NARROWEST = 1e-12


class Asymptotic:
    """Test statistics of one parameter of interest, against the hypothesis that it is 0.

    Attributes:
        poi: label of the parameter.
        data, asimov: their profiles.
    """

    def __init__(
        self,
        likelihood: "Likelihood",
        *,
        poi: str | None = None,
        statistic: Statistic = "qtilde",
        fixed: Mapping[str, float] | None = None,
        fit: "FitResult | None" = None,
    ) -> None:
        """Make the fits that every value of the parameter needs.

        Raises:
            UnknownParameter: no such parameter, or it is held.
            FitFailed: one of these fits did not end in a certified minimum.
        """
        from inference.toys.generate import asimov

        place = place_of(likelihood, poi, fixed)
        self.poi, self.statistic = likelihood.labels[place], statistic
        self._notes: list[str] = []
        bounded = self._bounded(likelihood, place)
        start = None if fit is None else np.asarray(fit.bestfit)
        self.data = Profile(bounded, likelihood.observed, place, fixed=fixed, start=start)
        self.data.at(0.0)
        self.data.settle(0.0)

        def expected_of(background: Point) -> Profile:
            found = background.minimum.parameters
            return Profile(bounded, asimov(likelihood, found), place, fixed=fixed, start=found)

        self._expected_of, self._background = expected_of, self.data.at(0.0)
        self.asimov = expected_of(self._background)

    def _bounded(self, likelihood: "Likelihood", place: int) -> "Likelihood":
        """With the bounds that the statistic asks for: from 0 on, or with room below 0."""
        low, high = float(likelihood.lower[place]), float(likelihood.upper[place])
        if self.statistic == "q" and low >= 0:
            room = -max(abs(high), 1.0)
            self._notes.append(f"{self.poi} may be negative in the best fit of q: bound {low:g} moved to {room:g}")
            return with_bounds(likelihood, place, room, high)
        if self.statistic == "qtilde" and low > 0:
            self._notes.append(f"{self.poi} may be anything from 0 on in the best fit: bound {low:g} moved to 0")
        if self.statistic == "qtilde" and low != 0:
            return with_bounds(likelihood, place, 0.0, max(high, 1.0))
        return likelihood

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done that was not asked for."""
        return (*self._notes, *self.data.notes, *(f"Asimov data: {note}" for note in self.asimov.notes))

    def settle(self, values: Sequence[float]) -> bool:
        """Look for lower minima at these values, and at all points in the valleys of the others; whether one was found.

        What has no certificate says so when it is asked for.
        """
        profiles, lower = (self.data, self.asimov), False
        for profile in profiles:
            for mu in (mu for mu in values if mu >= 0):
                with suppress(FitFailed):
                    profile.at(mu)
                    lower |= profile.settle(mu)
            lower |= profile.agree()
        if self.data.at(0.0).nll < self._background.nll - LOWER:  # the Asimov data were those of a higher minimum
            self._background, lower = self.data.at(0.0), True
            self.asimov = self._expected_of(self._background)
        return lower

    def q(self, mu: float) -> tuple[float, float]:
        """Test statistic of the data and its slope along μ."""
        return _statistic(self.data, mu)

    def q_asimov(self, mu: float) -> tuple[float, float]:
        """Of the Asimov data."""
        return _statistic(self.asimov, mu)

    def log_p(self, mu: float, method: Method) -> tuple[float, float]:
        """log CLs or log CLsb of the data, and its slope along μ."""
        return log_p_value(*self.q(mu), *self.q_asimov(mu), self.statistic, method)

    def width(self) -> float | None:
        """Standard deviation of the parameter of interest under the background, where the Asimov data tell it."""
        curvature, bound = self.asimov.best.curvature, float(self.asimov.likelihood.upper[self.asimov.poi])
        width = float(curvature**-0.5) if np.isfinite(curvature) and curvature > 0 else np.inf
        scale = max(abs(bound), 1.0)
        return width if NARROWEST * scale < width < WIDEST * scale else None  # else the curvature is rounding

    def test(self, mu: float) -> HypothesisTest:
        """All p-values at μ; raises ``FitFailed``."""
        if not (mu >= 0 and np.isfinite(mu)):
            raise FitFailed(f"{self.poi} = {mu:g} cannot be tested against 0: give a value of 0 or above")
        for profile in (self.data, self.asimov):
            profile.at(mu)
            profile.settle(mu)
        q, q_asimov = self.q(mu)[0], self.q_asimov(mu)[0]
        observed = p_values(separation(q, q_asimov, self.statistic), q_asimov)
        band = expected_p_values(q_asimov)
        return HypothesisTest(
            poi=self.poi,
            mu=float(mu),
            statistic=self.statistic,
            q=q,
            q_asimov=q_asimov,
            clsb=float(observed.clsb),
            clb=float(observed.clb),
            cls=float(observed.cls),
            expected=tuple(float(point.cls) for point in band),  # type: ignore[arg-type]
            expected_clsb=tuple(float(point.clsb) for point in band),  # type: ignore[arg-type]
        )

    @property
    def fits(self) -> tuple[Fitted, ...]:
        """All fits so far, those of the data first."""
        return (*fitted(self.data, "observed"), *fitted(self.asimov, "Asimov, 0"))


def _statistic(profile: Profile, mu: float) -> tuple[float, float]:
    point = profile.at(mu)
    best = profile.best
    q = float(upper(mu, point.nll, best.mu, best.nll))
    return q, 2.0 * point.slope if q > 0 else 0.0
