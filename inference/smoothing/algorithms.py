"""Smoothing of the ratio of a variation to its nominal template.

353QH, twice: running medians of 3, 5 and 3 bins, parabolas through flat pieces, running means; the same again on what
is left of the input, added (J. Friedman, CERN 74-23, page 292; ROOT's TH1::Smooth; cabinetry's smoothing).

Grouping: neighbouring bins are merged until the statistical error of the nominal template is small, as TRExFitter
does; ratios of the groups are joined by straight lines.
"""

import itertools

import numpy as np

from inference.likelihood.specification import Floats

TOLERANCE = 0.08  # relative statistical error that ends a group


def smooth_353qh(values: Floats) -> Floats:
    """353QH, twice, of any curve, shape (bins,); less than three bins stay as they are.

    Where the input has no negative value, the result has none.
    """
    values = np.asarray(values, dtype=float)
    if len(values) < 3:
        return values.copy()
    once = _353qh(values)
    both = once + _353qh(values - once)
    return both if values.min() < 0 else np.maximum(both, 0.0)


def _353qh(values: Floats) -> Floats:
    medians = _medians(values, 3)
    # Tukey's rule: an end, its neighbour, and what a line through the next two gives
    for end, near, far in ((0, 1, 2), (-1, -2, -3)):
        medians[end] = np.median([3 * medians[near] - 2 * medians[far], values[end], medians[near]])
    fives = _medians(medians, 5)
    fives[1], fives[-2] = np.median(medians[:3]), np.median(medians[-3:])
    curved = _parabolas(_medians(fives, 3))
    smooth = curved.copy()
    smooth[1:-1] = 0.25 * curved[:-2] + 0.5 * curved[1:-1] + 0.25 * curved[2:]
    return smooth


def _medians(values: Floats, size: int) -> Floats:
    """Of each bin and its neighbours; the first and last ``size // 2`` bins stay."""
    result, half = values.copy(), size // 2
    if len(values) >= size:
        windows = np.lib.stride_tricks.sliding_window_view(values, size)
        result[half : len(values) - half] = np.median(windows, axis=1)
    return result


def _parabolas(values: Floats) -> Floats:
    """Three equal bins in a row that both neighbours exceed (or both fall short of) become part of a parabola."""
    curved = values.copy()
    for at in range(2, len(values) - 2):
        if values[at - 1] != values[at] or values[at] != values[at + 1]:
            continue
        left, right = values[at - 2] - values[at], values[at + 2] - values[at]
        if left * right <= 0:
            continue
        side = -1 if abs(right) > abs(left) else 1
        far, near = values[at - 2 * side], values[at + 2 * side]
        curved[at] = -0.5 * far + values[at] / 0.75 + near / 6
        curved[at + side] = 0.5 * (near - far) + values[at]
    return curved


def smooth_groups(ratio: Floats, nominal: Floats, errors: Floats, tolerance: float = TOLERANCE) -> Floats:
    """Ratios of groups of bins with a relative error below ``tolerance``, joined by straight lines between the groups'
    centres; shape (bins,) all.
    """
    groups = _groups(nominal, errors, tolerance)
    places = np.arange(len(ratio))
    weights = [nominal[group] / nominal[group].sum() for group in groups]
    centres = [float(weight @ places[group]) for weight, group in zip(weights, groups, strict=True)]
    means = [float(weight @ ratio[group]) for weight, group in zip(weights, groups, strict=True)]
    return np.interp(places, centres, means)


def _groups(nominal: Floats, errors: Floats, tolerance: float) -> list[slice]:
    """Runs of bins from the left; what is left at the end joins the last one."""
    ends = [0]
    for stop in range(1, len(nominal) + 1):
        total, error = nominal[ends[-1] : stop].sum(), np.sqrt((errors[ends[-1] : stop] ** 2).sum())
        if error <= tolerance * total:
            ends.append(stop)
    ends = [*ends[:-1], len(nominal)] if len(ends) > 1 else [0, len(nominal)]
    return [slice(first, last) for first, last in itertools.pairwise(ends)]
