"""What impacts are, as plain values."""

from dataclasses import dataclass
from typing import Literal

from inference.errors import UnknownParameter, nearest

Method = Literal["refit", "covariance", "global"]


@dataclass(frozen=True, slots=True)
class Impact:
    """Shifts of a parameter of interest under one nuisance parameter; None where there is none or a refit failed.

    ``pull`` is (best fit − auxiliary measurement) / pre-fit width, ``constraint`` post-fit uncertainty / pre-fit
    width; both None for a parameter without constraint. With the method "global" the post-fit shifts are those under
    ±1σ of the auxiliary measurement.
    """

    parameter: str
    bestfit: float
    uncertainty: float
    pull: float | None
    constraint: float | None
    postfit_up: float | None
    postfit_down: float | None
    prefit_up: float | None
    prefit_down: float | None
    failures: tuple[str, ...] = ()

    @property
    def size(self) -> float:
        """Largest post-fit shift, the order of the ranking."""
        return max((abs(shift) for shift in (self.postfit_up, self.postfit_down) if shift is not None), default=0.0)


@dataclass(frozen=True, slots=True)
class GroupImpact:
    """Share of several parameters together in the uncertainty of the parameter of interest.

    Attributes:
        parameters: labels of the group's members.
        impact: sqrt(σ² − ``remaining``²); with the method "global" the root of the members' summed squares.
        remaining: the uncertainty with the group held at its best fit.
    """

    group: str
    parameters: tuple[str, ...]
    impact: float
    remaining: float


@dataclass(frozen=True, slots=True)
class Split:
    """The uncertainty in parts whose squares add up to its square.

    Attributes:
        statistical: what is left with all constrained parameters held: of the data alone.
        mc_statistical: what goes when the constrained parameters of single bins (staterror, shapesys) are held.
        systematic: what goes when all other constrained parameters are held besides.

    With the method "global" these are the shifts under the fluctuations of the counts of all bins, of the auxiliary
    measurements of single bins, and of all others.
    """

    statistical: float
    mc_statistical: float
    systematic: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """Impacts on ``poi``, the largest post-fit one first. ``blinded``: the best fit is not the true one."""

    poi: str
    bestfit: float
    uncertainty: float
    impacts: tuple[Impact, ...]
    method: Method = "refit"
    groups: tuple[GroupImpact, ...] = ()
    split: Split | None = None
    blinded: bool = False


@dataclass(frozen=True, slots=True)
class Impacts:
    """One ranking for each parameter of interest, of the same fit and the same refits."""

    rankings: tuple[Ranking, ...]

    def of(self, poi: str) -> Ranking:
        """The ranking of this parameter of interest; raises ``UnknownParameter``."""
        for each in self.rankings:
            if each.poi == poi:
                return each
        raise UnknownParameter(f"no impacts on {poi!r}; {nearest(poi, (each.poi for each in self.rankings))}")
