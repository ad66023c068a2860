"""Parameters of a HistFactory workspace: which there are, where they start, what holds them.

The rules are those of the HistFactory specification (CERN-OPEN-2012-016) as pyhf 0.7 reads them, order included, so
that a vector of parameters means the same to both.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from inference.errors import InvalidWorkspace

Constraint = Literal["free", "normal", "poisson"]

# pyhf goes through the types in this order, and parameters are numbered as they are met.
TYPES = ("histosys", "lumi", "normfactor", "normsys", "shapefactor", "shapesys", "staterror")


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """One name of the workspace: a scalar, or one parameter for each bin.

    Attributes:
        init, lower, upper, fixed: one for each parameter.
        constraint: "free", "normal" or "poisson".
        auxdata: what the auxiliary measurement saw; empty if free.
        widths: the normal's standard deviations, or the factor of a Poisson's rate; empty if free.
    """

    name: str
    scalar: bool
    init: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    fixed: tuple[bool, ...]
    constraint: Constraint = "free"
    auxdata: tuple[float, ...] = ()
    widths: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """Number of parameters."""
        return len(self.init)

    @property
    def per_bin(self) -> bool:
        """Whether each of its parameters scales bins, not samples."""
        return not self.scalar

    @property
    def labels(self) -> tuple[str, ...]:
        """``name``, or ``name[i]``."""
        return (self.name,) if self.scalar else tuple(f"{self.name}[{index}]" for index in range(self.size))


@dataclass(frozen=True, slots=True)
class Use:
    """A modifier where it stands: in a sample of a channel."""

    channel: str
    sample: str
    modifier: Mapping[str, Any]
    nominal: Sequence[float]

    @property
    def place(self) -> str:
        """For messages."""
        return (
            f"modifier {self.modifier['name']!r} ({self.modifier['type']}) of sample {self.sample!r} "
            f"in channel {self.channel!r}"
        )


def parameter_sets(uses: Sequence[Use], settings: Iterable[Mapping[str, Any]]) -> tuple[ParameterSet, ...]:
    """All parameters, in pyhf's order.

    Args:
        uses: the modifiers, channels and samples sorted by name.
        settings: the measurement's ``parameters``.

    Raises:
        InvalidWorkspace: a name is used for two kinds of parameter, or a setting does not fit.
    """
    found: dict[str, ParameterSet] = {}
    for kind in TYPES:
        for made in _of_kind(kind, [use for use in uses if use.modifier["type"] == kind]):
            present = found.setdefault(made.name, made)
            if present != made:
                raise InvalidWorkspace(
                    f"the name {made.name!r} stands for parameters of two kinds, one of them {kind}: "
                    "give each its own name"
                )
    chosen: dict[str, Mapping[str, Any]] = {}
    for setting in settings:
        if setting["name"] in chosen:
            raise InvalidWorkspace(f"the measurement sets the parameter {setting['name']!r} twice")
        chosen[setting["name"]] = setting
    return tuple(configured(made, chosen.get(name, {})) for name, made in found.items())


def _of_kind(kind: str, uses: Sequence[Use]) -> Iterator[ParameterSet]:
    by_name: dict[str, list[Use]] = {}
    for use in uses:
        by_name.setdefault(use.modifier["name"], []).append(use)
    for name in sorted(by_name) if kind == "staterror" else by_name:
        yield _MAKERS[kind](name, by_name[name])


def _alpha(name: str, _: Sequence[Use]) -> ParameterSet:
    return ParameterSet(name, True, (0.0,), (-5.0,), (5.0,), (False,), "normal", (0.0,), (1.0,))


def _normfactor(name: str, _: Sequence[Use]) -> ParameterSet:
    return ParameterSet(name, True, (1.0,), (0.0,), (10.0,), (False,))


def _lumi(name: str, _: Sequence[Use]) -> ParameterSet:
    # Without values: the measurement has to give them.
    nan = (math.nan,)
    return ParameterSet(name, True, nan, nan, nan, (False,), "normal", nan, nan)


def _shapefactor(name: str, uses: Sequence[Use]) -> ParameterSet:
    size = max(len(use.nominal) for use in uses)
    return ParameterSet(name, False, (1.0,) * size, (0.0,) * size, (10.0,) * size, (False,) * size)


def _shapesys(name: str, uses: Sequence[Use]) -> ParameterSet:
    if len(uses) > 1:
        raise InvalidWorkspace(f"{uses[1].place} has the name of another one: a shapesys belongs to one sample")
    [use] = uses
    pairs = list(zip(use.nominal, use.modifier["data"], strict=True))
    valid = [value > 0 and error > 0 for value, error in pairs]
    factors = tuple(value**2 / error**2 if ok else 1.0 for ok, (value, error) in zip(valid, pairs, strict=True))
    return _gammas(name, [not ok for ok in valid], "poisson", factors, factors)


def _staterror(name: str, uses: Sequence[Use]) -> ParameterSet:
    sigmas: list[float] = []
    by_channel: dict[str, list[Use]] = {}
    for use in uses:
        by_channel.setdefault(use.channel, []).append(use)
    for members in by_channel.values():
        for index in range(len(members[0].nominal)):
            total = math.fsum(use.nominal[index] for use in members)
            squares = math.fsum((use.modifier["data"][index] / total) ** 2 for use in members) if total > 0 else 0.0
            sigmas.append(math.sqrt(squares))
    fixed = [sigma == 0 for sigma in sigmas]
    return _gammas(name, fixed, "normal", (1.0,) * len(sigmas), tuple(sigma or 1.0 for sigma in sigmas))


def _gammas(
    name: str, fixed: Sequence[bool], constraint: Constraint, auxdata: tuple[float, ...], widths: tuple[float, ...]
) -> ParameterSet:
    size = len(fixed)
    return ParameterSet(
        name, False, (1.0,) * size, (1e-10,) * size, (10.0,) * size, tuple(fixed), constraint, auxdata, widths
    )


_MAKERS = {
    "histosys": _alpha,
    "normsys": _alpha,
    "lumi": _lumi,
    "normfactor": _normfactor,
    "shapefactor": _shapefactor,
    "shapesys": _shapesys,
    "staterror": _staterror,
}


def configured(made: ParameterSet, setting: Mapping[str, Any]) -> ParameterSet:
    """With what the measurement says of it; raises ``InvalidWorkspace`` where that does not fit."""

    def given(key: str, default: tuple[float, ...]) -> tuple[float, ...]:
        values = tuple(float(value) for value in setting.get(key, default))
        if len(values) != made.size:
            raise InvalidWorkspace(
                f"the measurement gives {len(values)} {key} for {made.name!r}, which has {made.size} parameters"
            )
        return values

    bounds = setting.get("bounds", list(zip(made.lower, made.upper, strict=True)))
    if len(bounds) != made.size:
        raise InvalidWorkspace(
            f"the measurement gives {len(bounds)} bounds for {made.name!r}, which has {made.size} parameters"
        )
    fixed = (bool(setting["fixed"]),) * made.size if "fixed" in setting else made.fixed
    result = replace(
        made,
        init=given("inits", made.init),
        lower=tuple(float(pair[0]) for pair in bounds),
        upper=tuple(float(pair[1]) for pair in bounds),
        fixed=fixed,
        auxdata=given("auxdata", made.auxdata) if made.constraint != "free" else (),
        widths=given("factors" if made.constraint == "poisson" else "sigmas", made.widths)
        if made.constraint != "free"
        else (),
    )
    _check(result, luminosity=math.isnan(made.init[0]))
    return result


def _check(made: ParameterSet, *, luminosity: bool) -> None:
    numbers = (*made.init, *made.lower, *made.upper, *made.auxdata, *made.widths)
    if any(map(math.isnan, numbers)):
        missing = (
            "must give inits, bounds, auxdata and sigmas of the luminosity" if luminosity else "gives no numbers for"
        )
        raise InvalidWorkspace(f"the measurement {missing} {made.name!r}")
    if any(low > high for low, high in zip(made.lower, made.upper, strict=True)):
        raise InvalidWorkspace(f"the measurement gives {made.name!r} bounds of which the lower is above the upper")
    if not all(0 < width < math.inf for width in made.widths):
        what = "factors" if made.constraint == "poisson" else "sigmas"
        raise InvalidWorkspace(f"the measurement gives {made.name!r} {what} that are not finite numbers above 0")
