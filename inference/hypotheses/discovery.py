"""Significance of a discovery: how unlikely the background alone makes data like these."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.errors import FitFailed
from inference.hypotheses.asymptotic import fitted
from inference.hypotheses.profile import Profile, place_of
from inference.hypotheses.results import Fitted, Significance
from inference.hypotheses.statistic import BAND, discovery, discovery_p_value

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

    place = place_of(likelihood, poi, fixed)
    search = _Search(likelihood, place, fixed)
    start = None if fit is None else np.asarray(fit.bestfit)
    observed = search.profile("observed", likelihood.observed, start)
    seen = search.q0("observed significance", observed)
    expected = None
    if observed is not None:
        try:
            assumed = observed.at(signal).minimum.parameters
            made = search.profile(f"Asimov, {signal:g}", asimov(likelihood, assumed), assumed)
            expected = search.q0("expected significance", made)
        except FitFailed as error:
            search.failures.append(f"expected significance: {error}")
    fits, notes = search.closed()
    return Significance(
        poi=likelihood.labels[place],
        bestfit=None if observed is None else observed.best.mu,
        q0=seen,
        p_value=None if seen is None else float(discovery_p_value(seen)),
        z=None if seen is None else float(np.sqrt(seen)),
        signal=signal,
        expected_p_value=None if expected is None else float(discovery_p_value(expected)),
        expected_z=None if expected is None else float(np.sqrt(expected)),
        expected_band=None if expected is None else tuple(float(np.sqrt(expected) + point) for point in BAND),  # type: ignore[arg-type]
        fits=fits,
        failures=tuple(search.failures),
        notes=notes,
    )


class _Search:
    """Makes the profiles and writes down what went wrong."""

    def __init__(self, likelihood: "Likelihood", place: int, fixed: Mapping[str, float] | None) -> None:
        self.likelihood, self.place, self.fixed = likelihood, place, fixed
        self.failures: list[str] = []
        self.profiles: list[tuple[str, Profile]] = []

    def profile(self, data: str, seen: Any, start: Any) -> Profile | None:
        try:
            made = Profile(self.likelihood, seen, self.place, fixed=self.fixed, start=start)
        except FitFailed as error:
            self.failures.append(f"{data}: {error}")
            return None
        self.profiles.append((data, made))
        return made

    def q0(self, what: str, profile: Profile | None) -> float | None:
        if profile is None:
            return None
        try:
            at_zero = profile.at(0.0)
        except FitFailed as error:
            self.failures.append(f"{what}: {error}")
            return None
        return float(discovery(at_zero.nll, profile.best.mu, profile.best.nll))

    def closed(self) -> tuple[tuple[Fitted, ...], tuple[str, ...]]:
        fits = tuple(each for data, made in self.profiles for each in fitted(made, data))
        return fits, tuple(f"{data}: {note}" for data, made in self.profiles for note in made.notes)
