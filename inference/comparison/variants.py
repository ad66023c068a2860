"""A model beside another one: of a file, or itself without some of its systematics, or with parameters held."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from inference.comparison.compare import compare
from inference.comparison.results import Comparison
from inference.errors import FitFailed, InferenceError, UnknownParameter, nearest
from inference.fit import fit_likelihood
from inference.impacts.pulls import centres
from inference.results import FitResult

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood


def compare_with(
    likelihood: "Likelihood",
    *,
    other: Path | None = None,
    measurement: str | None = None,
    without: Sequence[str] = (),
    hold: Mapping[str, float] | None = None,
    this: str = "this",
    called: str | None = None,
    fit: FitResult | None = None,
    fixed: Mapping[str, float] | None = None,
) -> Comparison:
    """Compare a model with a second one.

    Args:
        likelihood: the first.
        other: file of the second one's workspace; the first model again if None.
        measurement: of the second, by name; its first if None.
        without: labels or patterns (``jes*``) of parameters that the second fit holds where their auxiliary
            measurements, or else their initial values, are: the result without these uncertainties.
        hold: parameters that the second fit holds, label → value.
        this: what to call the first.
        called: what to call the file of the second; by its name if None. What the second goes without is added.
        fit: of the first model; made if None.
        fixed: parameters that both fits hold, where they have them.

    Raises:
        InferenceError: the second would be the first.
        InvalidWorkspace: ``other`` is none.
        UnknownParameter: a label or pattern.
        FitFailed: the message says which of the two.
    """
    if other is None and not without and not hold:
        raise InferenceError("a comparison needs something to compare with: give other, without or hold")
    second = likelihood if other is None else _read(other, measurement)
    held = {**_held(second, without), **(hold or {})}
    shared = {label: value for label, value in (fixed or {}).items() if label in second.labels}
    names = this, _name(called or (other.stem if other else ""), without, hold or {})
    fits = fit or _fitted(likelihood, fixed or {}, names[0]), _fitted(second, {**shared, **held}, names[1])
    return compare(likelihood, second, names=names, fits=fits)


def _read(other: Path, measurement: str | None) -> "Likelihood":
    from inference.likelihood.model import Likelihood
    from inference.workspace import load_workspace

    return Likelihood(load_workspace(other), measurement)


def _fitted(likelihood: "Likelihood", held: Mapping[str, float], name: str) -> FitResult:
    try:
        return fit_likelihood(likelihood, held)
    except FitFailed as error:
        raise FitFailed(f"{name}: {error}") from error


def _held(likelihood: "Likelihood", patterns: Sequence[str]) -> dict[str, float]:
    """Where the parameters stand that are to be left out."""
    centre = centres(likelihood)
    at = np.where(np.isfinite(centre), centre, likelihood.init)
    held: dict[str, float] = {}
    for pattern in patterns:
        # a label with brackets is no pattern
        found = [label for label in likelihood.labels if label == pattern or fnmatchcase(label, pattern)]
        if not found:
            raise UnknownParameter(f"no parameter is named {pattern!r}; {nearest(pattern, likelihood.labels)}")
        held |= {label: float(at[likelihood.index(label)]) for label in found}
    return held


def _name(other: str, without: Sequence[str], hold: Mapping[str, float]) -> str:
    """What the second model is called: its file, and what it goes without."""
    parts = [other] if other else []
    parts += [f"without {_first(without)}"] if without else []
    parts += [f"{_first(list(hold))} held"] if hold else []
    return ", ".join(parts)


def _first(names: Sequence[str]) -> str:
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
