"""What all inference with toys shares: where toys are thrown, how many, and the test statistics of their fits."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from artifacts.store import Store
from inference.likelihood.specification import Floats
from inference.toys.campaign import Campaign, carry_out
from inference.toys.fits import ToyFits
from inference.toys.generate import Method as Ensemble

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood


@dataclass(slots=True)
class Ensembles:
    """Throws and fits toys of one likelihood, and counts what it cost.

    Attributes:
        poi: label of the parameter of interest, the only one whose fits are kept.
        seed: of the whole study, non-negative: the same seed gives the same numbers. Each ensemble has a stream of its
            own within it.
        store, workers: as `campaign.carry_out`.
        progress: called with toys done of the ensemble at work and all of its toys.
        fixed: parameters that every fit holds, label → value.
        search: whether fits look for lower minima in every toy, as the fit of the data does; models whose shapes bend
            much have several, and take several times as long.
        ensemble: "frequentist" toys draw data and auxiliary measurements where the data want the parameters; "prior"
            ones draw the constrained parameters from their constraints and leave the auxiliary measurements (hybrid:
            R. D. Cousins, V. L. Highland, NIM A 320 (1992) 331).
        thrown: toys so far.
        failures: what went wrong, with the number of toys; the first reason of each ensemble.
    """

    likelihood: "Likelihood"
    poi: str
    seed: int
    store: Store | None = None
    workers: int | Executor = 1
    progress: Callable[[int, int], None] | None = None
    fixed: Mapping[str, float] = field(default_factory=dict)
    search: bool = True
    ensemble: Ensemble = "frequentist"
    thrown: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is unusual about the toys."""
        hybrid = "hybrid toys: constrained nuisances are drawn from their constraints, auxiliary measurements stay"
        return (hybrid,) if self.ensemble == "prior" else ()

    def fits(
        self, parameters: Floats, held: Mapping[str, float], *, stream: int, count: int, first: int = 0
    ) -> dict[str, ToyFits]:
        """Fits of toys thrown at ``parameters``: "free", and each of ``held`` with the parameter of interest there."""
        variants = {"free": self.fixed, **{name: {**self.fixed, self.poi: value} for name, value in held.items()}}
        campaign = Campaign(
            parameters,
            count,
            (self.seed, stream),
            first=first,
            variants=variants,
            keep=(self.poi,),
            method=self.ensemble,
            search=self.search,
        )
        found = carry_out(self.likelihood, campaign, store=self.store, workers=self.workers, progress=self.progress)
        self.thrown += count
        for name, fits in found.items():
            bad = np.flatnonzero(~fits.converged)
            if len(bad):
                where = f"{self.poi} = {held[name]:.6g} held" if name in held else "all free"
                self.failures.append(f"{len(bad)} of {count} toys, {where}: {fits.reasons[bad[0]]}")
        return found


def rise(held: ToyFits, free: ToyFits) -> Floats:
    """2 Δ log L from the best fit to where a parameter is held, shape (toys,), NaN where a fit failed."""
    good = held.converged & free.converged
    return np.where(good, np.maximum(2 * (held.nll - free.nll), 0.0), np.nan)
