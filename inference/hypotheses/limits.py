"""Upper limits, observed and expected, and tests of given values.

The expected limits need one function alone, √q_A(μ) of the Asimov data, which is nearly a straight line; the observed
one is where log CLs crosses log α. Both are solved by Newton's method, whose slopes come with the fits (envelope
theorem), so that each limit needs some three of them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from inference.errors import FitFailed, InvalidWorkspace
from inference.hypotheses.asymptotic import Asymptotic
from inference.hypotheses.record import Attempt
from inference.hypotheses.results import HypothesisTest, HypothesisTests, UpperLimit
from inference.hypotheses.statistic import BAND, Method, Statistic, expected_root
from inference.profiles.places import place_of
from inference.profiles.profile import RESTARTS, settled

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood
    from inference.results import FitResult

# Values for a figure reach so far beyond the largest limit.
BEYOND = 1.15
FARTHEST_BELOW = 40.0
# In standard deviations.
NEXT_TO_ZERO = 1e-3


def hypothesis_tests(
    likelihood: "Likelihood",
    *,
    mu: Sequence[float] = (1.0,),
    poi: str | None = None,
    statistic: Statistic = "qtilde",
    fixed: Mapping[str, float] | None = None,
    fit: "FitResult | None" = None,
) -> HypothesisTests:
    """CLs, CLsb and CLb of given values, observed and expected.

    Args:
        mu: values of the parameter of interest, 0 or above.
        poi: its label; the workspace's if None.
        statistic: "qtilde" (best fit at 0 or above) or "q".
        fixed: parameters to hold, label → value.
        fit: the nominal fit, if there is one, to start from.

    Raises:
        UnknownParameter: no such parameter, or it is held.
        FitFailed: the fits that all values need did not end in certified minima.
    """
    shared = Asymptotic(likelihood, poi=poi, statistic=statistic, fixed=fixed, fit=fit)
    values = sorted({float(value) for value in mu})
    _settled(shared, values)
    tests, failures = _tests(shared, values)
    return HypothesisTests(shared.poi, shared.data.best.mu, tests, shared.fits, failures, shared.notes)


def upper_limit(
    likelihood: "Likelihood",
    *,
    poi: str | None = None,
    level: float = 0.95,
    method: Method = "CLs",
    statistic: Statistic = "qtilde",
    fixed: Mapping[str, float] | None = None,
    fit: "FitResult | None" = None,
    points: int = 0,
) -> UpperLimit:
    """Upper limit at a confidence level, observed and for data at −2 … +2 σ of the background.

    Args:
        poi: label of the parameter of interest; the workspace's if None.
        level: between 0 and 1.
        method: "CLs", or "CLsb" for a limit without protection against downward fluctuations.
        statistic: "qtilde" (best fit at 0 or above) or "q".
        fixed: parameters to hold, label → value.
        fit: the nominal fit, if there is one, to start from.
        points: number of evenly spaced values to test besides, from 0 to just beyond the largest limit, for a figure.

    Raises:
        UnknownParameter: no such parameter, or it is held.
        InvalidWorkspace: no observations, or a level outside 0 to 1.
    """
    if not 0 < level < 1:
        raise InvalidWorkspace(f"the confidence level {level:g} is not between 0 and 1, such as 0.95")
    label = likelihood.labels[place_of(likelihood, poi, fixed)]
    try:
        shared = Asymptotic(likelihood, poi=label, statistic=statistic, fixed=fixed, fit=fit)
    except FitFailed as error:
        return UpperLimit(label, level, method, statistic, None, (None,) * 5, None, None, (), (), (str(error),))
    for _ in range(RESTARTS):
        search = _Search(shared, 1 - level, method)
        expected = tuple(search.expected(point) for point in BAND)
        observed = search.observed(expected[2])
        found = [limit for limit in (observed, *expected) if limit is not None]
        highest = BEYOND * max(found, default=1.0)
        values = [highest * step / (points - 1) for step in range(points)] if points > 1 else []
        if not shared.settle([1.0, *values]):
            break
    one, failures = _tests(shared, [1.0])
    tests, untested = _tests(shared, values)
    return UpperLimit(
        poi=label,
        level=level,
        method=method,
        statistic=statistic,
        observed=observed,
        expected=expected,  # type: ignore[arg-type]
        bestfit=shared.data.best.mu,
        test_of_one=one[0] if one else None,
        tests=tests,
        fits=shared.fits,
        failures=(*search.failures, *failures, *untested),
        notes=(*shared.notes, *_beyond_bound(likelihood, label, found)),
    )


def _settled(shared: Asymptotic, values: Sequence[float]) -> None:
    """Until nothing is found any more that is lower."""
    for _ in range(RESTARTS):
        if not shared.settle(values):
            break


def _tests(shared: Asymptotic, values: Sequence[float]) -> tuple[tuple[HypothesisTest, ...], tuple[str, ...]]:
    tests, failures = [], []
    for value in values:
        try:
            tests.append(shared.test(value))
        except FitFailed as error:
            failures.append(str(error))
    return tuple(tests), tuple(failures)


class _Search:
    """Looks for the limits one by one; what goes wrong with one is written down and spoils no other."""

    def __init__(self, shared: Asymptotic, alpha: float, method: Method) -> None:
        self.shared, self.alpha, self.method = shared, alpha, method
        self.failures: list[str] = []
        # the last crossing of √q_A: where it was, and how high
        self.last: tuple[float, float] | None = None

    def expected(self, point: int) -> float | None:
        target = expected_root(point, self.alpha, self.method)
        what = f"expected limit at {point:+d} σ" if point else "expected limit"
        if target <= 0:
            self.failures.append(f"{what}: such data exclude even {self.shared.poi} = 0 by CLsb; CLs does not")
            return None

        def remaining(mu: float) -> tuple[float, float]:
            q, slope = self.shared.q_asimov(mu)
            root = math.sqrt(q)
            return target - root, -slope / (2 * root) if root > 0 else 0.0

        with Attempt(what, self.shared.poi, self.failures):
            found = settled(remaining, 0.0, self._guess(target), [self.shared.asimov])
            self.last = found, target
            return found
        return None

    def observed(self, median: float | None) -> float | None:
        shared, best = self.shared, self.shared.data.best.mu
        goal = math.log(self.alpha)

        def excess(mu: float) -> tuple[float, float]:
            value, slope = shared.log_p(mu, self.method)
            return value - goal, slope

        # Below the best fit q is 0 and CLsb a half, so that nothing is excluded there at usual levels.
        low = max(best, 0.0) if self.alpha < 0.5 else 0.0
        with Attempt("observed limit", shared.poi, self.failures):
            # not at 0 itself, where q̃ of a deficit has a jump
            if self.method == "CLs" or excess(NEXT_TO_ZERO * self._width(median))[0] > 0:
                return settled(excess, low, self._gaussian(median, low), [shared.data, shared.asimov])
            self.failures.append(f"observed limit: the data exclude even {shared.poi} = 0 by CLsb; CLs does not")
        return None

    def _gaussian(self, median: float | None, low: float) -> float:
        """The limit of a Gaussian measurement of the best fit: μ̂ + σ Φ⁻¹(1 − αΦ(μ̂/σ)), and above ``low``."""
        best, width = self.shared.data.best.mu, self._width(median)
        alpha = self.alpha * (0.5 * math.erfc(-best / width / math.sqrt(2)) if self.method == "CLs" else 1.0)
        # min: where μ̂ is so far below 0 that α Φ is 0
        return max(best + width * min(expected_root(0, alpha, "CLsb"), FARTHEST_BELOW), low + 0.1 * width)

    def _width(self, median: float | None) -> float:
        """Standard deviation of the best fit, by the expected limit where there is one."""
        if median is None:
            return self.shared.width() or 1.0
        return median / expected_root(0, self.alpha, self.method)

    def _guess(self, root: float) -> float:
        """Where √q_A would be ``root`` if it were a straight line through 0."""
        if self.last is not None:
            mu, height = self.last
            return mu * root / height
        width = self.shared.width()
        if width is not None:
            return width * root
        return max(0.1 * float(self.shared.data.likelihood.upper[self.shared.data.poi]), 1.0)


def _beyond_bound(likelihood: "Likelihood", label: str, limits: Sequence[float]) -> tuple[str, ...]:
    bound = float(likelihood.upper[likelihood.index(label)])
    count = sum(limit > bound for limit in limits)
    return (f"{count} of the limits lie beyond the bound {bound:g} of {label}",) if count else ()
