"""Words of one line of a datacard to what they mean."""

import math
import re
from typing import Literal

from inference.formats.datacards.card import Parameter, RateParameter, ShapeRule, Size, Statistics
from inference.formats.datacards.errors import refuse

# Those that may have κ down and κ up.
SIDED = ("lnN", "lnU")


def shape_rule(place: str, words: list[str]) -> ShapeRule:
    """``shapes process channel file histogram [histogram_with_systematics]``."""
    if len(words) == 4 and words[3] == "FAKE":
        return ShapeRule(words[1], words[2], None, "", None, place)
    if len(words) not in (5, 6):
        raise refuse(place, "a line is `shapes process channel file histogram [histogram_with_systematics]`")
    return ShapeRule(words[1], words[2], words[3], words[4], words[5] if len(words) == 6 else None, place)


def size(place: str, kind: str, entry: str) -> Size:
    """Empty where the line does not act: dashes, 0, or a κ of 1."""
    if set(entry) == {"-"}:
        return ()
    numbers = tuple(number(place, part) for part in entry.split("/"))
    if len(numbers) > 1 and kind not in SIDED and not kind.endswith("?"):
        raise refuse(place, f"{entry!r}: only lnN and lnU have κ down and κ up")
    negative = min(numbers) < 0 or (len(numbers) == 2 and min(numbers) == 0)
    if len(numbers) > 2 or (negative and kind != "trG"):
        raise refuse(place, f"{entry!r} must be a positive number, or κdown/κup, or -")
    return () if numbers == (0.0,) or (numbers == (1.0,) and kind in SIDED) else numbers


def rate_parameter(place: str, words: list[str]) -> RateParameter:
    """``name rateParam bin process value [min,max]`` or ``… (formula) parameters``."""
    if len(words) < 5:
        raise refuse(place, "a line is `name rateParam bin process value [min,max]` or `… (formula) parameters`")
    name, _, bin_, process, what, *rest = words
    try:
        value = float(what)
    except ValueError:
        if re.search(r"(?<!:):(?!:)", what):  # file.root:workspace, not TMath::Exp
            raise refuse(place, f"{what}: functions from a RooFit workspace cannot be read; write a formula") from None
        arguments = tuple(name for name in ",".join(rest).split(",") if name)
        return RateParameter(name, bin_, process, None, None, what, arguments, place)
    limits = bounds(place, rest[0]) if rest else None
    if limits and not limits[0] <= value <= limits[1]:
        raise refuse(place, f"{value:g} is not within its range {rest[0]}")
    return RateParameter(name, bin_, process, value, limits, None, (), place)


def constrained(place: str, words: list[str]) -> Parameter:
    """``name param mean width [min,max]``."""
    name, _, *rest = words
    if len(rest) < 2:
        raise refuse(place, "a line is `name param mean width [min,max]`")
    if re.fullmatch(r"-[^/]+/\+.+", rest[1]):
        raise refuse(place, f"{rest[1]}: a constraint with two widths is not supported; give one")
    width = number(place, rest[1])
    if width <= 0:
        raise refuse(place, f"the width {rest[1]} must be positive")
    return Parameter(name, number(place, rest[0]), width, bounds(place, rest[2]) if len(rest) > 2 else None, place)


def external(place: str, words: list[str]) -> tuple[Parameter, bool]:
    """``name extArg value [min,max]`` or ``[const]``; and whether it is held."""
    name, _, *rest = words
    if not rest:
        raise refuse(place, "a line is `name extArg value [min,max]` or `name extArg value [const]`")
    if ":" in rest[0]:
        raise refuse(place, f"{rest[0]}: objects of a RooFit workspace cannot be read; give a value")
    held = rest[1:] == ["[const]"]
    limits = bounds(place, rest[1]) if len(rest) > 1 and not held else None
    return Parameter(name, number(place, rest[0]), None, limits, place), held


def statistics(place: str, words: list[str]) -> Statistics:
    """``bin autoMCStats threshold [include-signal] [hist-mode]``."""
    numbers = [number(place, word) for word in words[2:]]
    if not 1 <= len(numbers) <= 3:
        raise refuse(place, "a line is `bin autoMCStats threshold [include-signal] [hist-mode]`")
    threshold, signal, mode = (*numbers, *(0.0, 1.0)[len(numbers) - 1 :])
    if mode not in (1.0, 2.0):
        raise refuse(place, f"hist-mode is 1 or 2, not {mode:g}")
    return Statistics(threshold, bool(signal), int(mode))


def group(place: str, words: list[str], there: bool) -> tuple[str, ...]:
    """Members of ``name group = nuisance …``, or ``+=``."""
    sign: Literal["=", "+="] | str = words[2] if len(words) > 2 else ""
    if sign not in ("=", "+="):
        raise refuse(place, "a line is `name group = nuisance nuisance …`, or += to add to it")
    if sign == "=" and there:
        raise refuse(place, f"the group {words[0]!r} is there already; += adds to it")
    if sign == "+=" and not there:
        raise refuse(place, f"there is no group {words[0]!r} yet to add to; = begins one")
    return tuple(words[3:])


def bounds(place: str, word: str) -> tuple[float, float]:
    """``[min,max]``."""
    match = re.fullmatch(r"\[([^,]+),([^,]+)\]", word)
    if not match:
        raise refuse(place, f"{word!r} is no range such as [0,5], without spaces")
    low, high = (number(place, part) for part in match.groups())
    if not low < high:
        raise refuse(place, f"the range {word} is empty")
    return low, high


def whole(word: str) -> bool:
    """Whether a word is a whole number."""
    return re.fullmatch(r"[+-]?\d+", word) is not None


def number(place: str, word: str) -> float:
    """Raises where it is none, or not a finite one."""
    try:
        value = float(word)
    except ValueError:
        raise refuse(place, f"{word!r} is no number") from None
    if not math.isfinite(value):
        raise refuse(place, f"{word!r} is no finite number")
    return value
