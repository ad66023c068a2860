"""Histograms in: read them, know their variances, rebin them.

Two layouts of JSON are read, both flat mappings of the AGC's names (``4j1b_ttbar``, ``4j1b_ttbar_ME_var``, …):

* UHI JSON, ``{name: uhi histogram}``, as the processing stage writes it, with variances;
* the AGC's reference files, ``{name: {"edges": n+1 numbers, "contents": n+2 numbers with flow}}``. They carry no
  variances. A sample of equal event weights w has contents k·w with whole k, and variance k·w² = contents·w, so
  the variances are rebuilt from w, which is the greatest common divisor of the contents.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hist
import numpy as np
from boost_histogram.serialization import from_uhi
from numpy.typing import NDArray
from uhi.io.json import object_hook

from inference.errors import InvalidHistograms

Histograms = dict[str, hist.Hist[Any]]
Floats = NDArray[np.float64]

REBUILT = "rebuilt as contents x event weight"
POISSON = "contents, taken as counts"


def load_histograms(source: Path | str | Mapping[str, Any]) -> Histograms:
    """Read one-dimensional weighted histograms by name.

    Args:
        source: path of a JSON file, or its decoded content, in either layout; a mapping of ``hist.Hist`` is
            taken as it is.

    Returns:
        Weight-storage histograms with flow bins, sorted by name. Each one's ``metadata`` says in ``"variances"``
        where its variances come from, and in ``"event_weight"`` the weight when they were rebuilt.

    Raises:
        InvalidHistograms: not JSON, neither layout, or not one-dimensional.
    """
    origin = str(source) if isinstance(source, Path | str) else "the given mapping"
    document = _read(Path(source)) if isinstance(source, Path | str) else dict(source)
    if not document:
        raise InvalidHistograms(f"{origin} holds no histogram")
    if all(isinstance(entry, hist.Hist) for entry in document.values()):
        return {name: document[name] for name in sorted(document)}
    if all(isinstance(entry, Mapping) and {"edges", "contents"} <= entry.keys() for entry in document.values()):
        return _from_reference(document, origin)
    return {name: _from_uhi(name, document[name], origin) for name in sorted(document)}


def rebin(histogram: hist.Hist[Any], edges: Sequence[float]) -> tuple[Floats, Floats]:
    """Merge bins into those between ``edges``; what lies outside, flow bins included, is left out.

    Returns:
        Values and variances, each of shape (len(edges) - 1,).

    Raises:
        InvalidHistograms: one of ``edges`` is no bin edge of the histogram.
    """
    own = np.asarray(histogram.axes[0].edges, dtype=float)
    at = [int(np.argmin(np.abs(own - edge))) for edge in edges]
    if not np.allclose(own[at], edges, rtol=0.0, atol=1e-9 * float(np.ptp(own))):
        odd = [edge for edge, index in zip(edges, at, strict=True) if not np.isclose(own[index], edge)]
        raise InvalidHistograms(f"{odd} are no bin edges of the histogram, which has {own.tolist()}")
    values, variances = (
        np.add.reduceat(np.append(np.asarray(contents, dtype=float), 0.0), at)[:-1]
        for contents in (histogram.values(), histogram.variances())
    )
    return values, variances


def common_weight(contents: Floats) -> float | None:
    """Event weight w such that every content is a whole multiple of w, or None where there is none.

    Euclid's algorithm on floating-point numbers, smallest contents first: sums of equal float64 weights are whole
    multiples to about 1e-14 relative.
    """
    values = np.sort(contents[contents > 0])
    if not values.size:
        return None
    divisor = float(values[0])
    for value in values:
        larger, smaller = float(value), divisor
        while smaller > 1e-9 * value:
            larger, smaller = smaller, abs(larger - smaller * round(larger / smaller))
        # The remainders' rounding grows along the chain; the value itself has none.
        divisor = float(value) / round(float(value) / larger)
    counts = np.round(values / divisor)
    weight = float(values.sum() / counts.sum())
    return weight if np.abs(values / weight - counts).max() < 1e-3 and counts.max() < 1e9 else None


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"), object_hook=object_hook)
    except OSError as error:
        raise InvalidHistograms(f"cannot read histograms from {path}: {error.strerror}") from error
    except ValueError as error:
        raise InvalidHistograms(f"{path} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidHistograms(f"{path} holds a JSON {type(document).__name__}, not a mapping of names to histograms")
    return document


def _from_uhi(name: str, entry: Any, origin: str) -> hist.Hist[Any]:
    try:
        histogram = hist.Hist(from_uhi(object_hook(dict(entry))))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidHistograms(
            f"{name} in {origin} is neither a UHI histogram nor the AGC's edges and contents: {error}"
        ) from error
    if histogram.ndim != 1:
        raise InvalidHistograms(f"{name} in {origin} has {histogram.ndim} axes, templates have one")
    if histogram.storage_type is not hist.storage.Weight:
        kind = histogram.storage_type.__name__
        raise InvalidHistograms(
            f"{name} in {origin} has {kind} storage: fill it with Weight storage, for its variances"
        )
    return histogram


def _from_reference(document: Mapping[str, Any], origin: str) -> Histograms:
    contents = {name: np.asarray(entry["contents"], dtype=float) for name, entry in document.items()}
    weights = _weights(contents)
    result: Histograms = {}
    for name in sorted(document):
        edges, values = np.asarray(document[name]["edges"], dtype=float), contents[name]
        if len(values) != len(edges) + 1:
            raise InvalidHistograms(
                f"{name} in {origin} has {len(edges)} edges and {len(values)} contents: "
                f"contents with both flow bins must be {len(edges) + 1}"
            )
        histogram: hist.Hist[Any] = hist.Hist(hist.axis.Variable(edges), storage=hist.storage.Weight())
        weight = weights.get(_sample_of(name))
        view: Any = histogram.view(flow=True)
        view.value, view.variance = values, values * (1.0 if weight is None else weight)
        histogram.metadata = (
            {"variances": POISSON} if weight is None else {"variances": REBUILT, "event_weight": weight}
        )
        result[name] = histogram
    return result


def _weights(contents: Mapping[str, Floats]) -> dict[str, float]:
    """Event weight per sample and variation, over all regions.

    Variations with weights that differ from event to event (b-tag) have no common weight: they take that of the
    sample whose name begins theirs, which is its mean to the size of the variation.
    """
    grouped = {
        sample: np.concatenate([contents[name] for name in names])
        for sample, names in itertools.groupby(sorted(contents, key=_sample_of), key=_sample_of)
    }
    found = {sample: weight for sample, values in grouped.items() if (weight := common_weight(values))}
    for sample in grouped.keys() - found.keys():
        roots = [root for root in found if sample.startswith(f"{root}_")]
        if roots:
            found[sample] = found[min(roots, key=len)]
    return found


def _sample_of(name: str) -> str:
    return name.partition("_")[2]
