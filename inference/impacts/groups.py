"""Groups of parameters, given by names, patterns or types of modifier."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from inference.errors import UnknownParameter, nearest

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood

TYPE = "type:"


def members(
    likelihood: "Likelihood", groups: Mapping[str, Sequence[str]], among: Sequence[int]
) -> dict[str, tuple[int, ...]]:
    """Places of each group's parameters, of those ``among`` which to choose.

    Args:
        groups: by name, patterns: a label, a name with ``*`` and ``?`` as in a shell, or ``type:`` and a type of
            modifier (``type:staterror``).
        among: places of the parameters that may be members.

    Raises:
        UnknownParameter: a pattern fits no parameter of the model.
    """
    return {name: _matching(likelihood, patterns, among) for name, patterns in groups.items()}


def of_single_bins(likelihood: "Likelihood") -> set[int]:
    """Places of the constrained parameters for each bin: staterror and shapesys."""
    offsets = likelihood.specification.offsets
    return {
        offsets[made.name] + index
        for made in likelihood.specification.parameters
        if made.per_bin and made.constraint != "free"
        for index in range(made.size)
    }


def _matching(likelihood: "Likelihood", patterns: Sequence[str], among: Sequence[int]) -> tuple[int, ...]:
    names = [made.name for made in likelihood.specification.parameters for _ in made.init]
    types = _types(likelihood)
    chosen: set[int] = set()
    for pattern in patterns:
        found = {
            place
            for place, (label, name) in enumerate(zip(likelihood.labels, names, strict=True))
            if _fits(pattern, label, name, types.get(name, set()))
        }
        if not found:
            known = {*names, *(f"{TYPE}{kind}" for kinds in types.values() for kind in kinds)}
            raise UnknownParameter(f"no parameter is {pattern!r}; {nearest(pattern, known)}")
        chosen |= found
    return tuple(place for place in among if place in chosen)


def _fits(pattern: str, label: str, name: str, types: set[str]) -> bool:
    if pattern.startswith(TYPE):
        return pattern.removeprefix(TYPE) in types
    # Brackets belong to labels: they are no set of characters.
    return pattern == label or fnmatchcase(name, pattern.replace("[", "[[]"))


def _types(likelihood: "Likelihood") -> dict[str, set[str]]:
    """Types of the modifiers of each name."""
    found: dict[str, set[str]] = {}
    for channel in likelihood.specification.channels:
        for sample in channel.samples:
            for modifier in sample.modifiers:
                found.setdefault(modifier["name"], set()).add(modifier["type"])
    return found
