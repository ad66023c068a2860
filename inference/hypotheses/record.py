"""The fits behind a result as plain values, and what went wrong on the way."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from inference.errors import FitFailed
from inference.hypotheses.results import Fitted
from inference.profiles.profile import Profile
from inference.profiles.roots import NoCrossing

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood, Observation
    from inference.likelihood.specification import Floats


class Record:
    """Profiles made for one result; what fails is written down and spoils nothing else.

    Attributes:
        place: of the parameter of interest.
        failures: in words.
    """

    def __init__(self, likelihood: "Likelihood", place: int, fixed: Mapping[str, float] | None) -> None:
        self.likelihood, self.place, self.fixed = likelihood, place, fixed
        self.failures: list[str] = []
        self._profiles: list[tuple[str, Profile]] = []

    def profile(self, data: str, seen: "Observation", start: "Floats | None") -> Profile:
        """A profile of some data; raises ``FitFailed``."""
        made = Profile(self.likelihood, seen, self.place, fixed=self.fixed, start=start)
        self._profiles.append((data, made))
        return made

    def attempt(self, what: str) -> "Attempt":
        """A context in which a fit that fails or a crossing that is not there ends the attempt and is written down."""
        return Attempt(what, self.likelihood.labels[self.place], self.failures)

    @property
    def fits(self) -> tuple[Fitted, ...]:
        """All fits of all profiles."""
        return tuple(each for data, made in self._profiles for each in fitted(made, data))

    @property
    def notes(self) -> tuple[str, ...]:
        """What the profiles did that was not asked for."""
        return tuple(f"{data}: {note}" for data, made in self._profiles for note in made.notes)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Writes to ``failures`` what an attempt ends with."""

    what: str
    label: str
    failures: list[str]

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        if isinstance(error, FitFailed):
            self.failures.append(f"{self.what}: {error}")
        elif isinstance(error, NoCrossing):
            self.failures.append(f"{self.what}: not reached up to {self.label} = {error.at:.3g}")
        return isinstance(error, FitFailed | NoCrossing)


def fitted(profile: Profile, data: str) -> tuple[Fitted, ...]:
    """The fits of a profile, the best fit first."""
    rows = [(None, profile.best), *sorted(profile.points.items())]
    return tuple(Fitted(data, held, point.mu, point.nll, point.minimum.certificate) for held, point in rows)
