"""The histograms that leave this room: normalised, one-dimensional, under the AGC's flat names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processing.errors import ProcessingError
from processing.filesets import LUMINOSITY_PB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hist import Hist

    from processing.chunks import ChunkResult
    from processing.filesets import Sample

    Histogram = Hist[Any]

NOMINAL = "nominal"


def flat_name(region: str, process: str, variation: str) -> str:
    """``region_process[_variation]``; the nominal histogram has no suffix."""
    return f"{region}_{process}" + ("" if variation == NOMINAL else f"_{variation}")


def normalise(sample: Sample, result: ChunkResult, nevts: int) -> dict[str, Histogram]:
    """Scale a sample's histograms to its cross-section.

    Args:
        sample: gives process and cross-section in pb.
        result: sum of the sample's chunks, filled with unit weight.
        nevts: generated events that the result stands for; the weight is cross-section × luminosity / nevts.

    Returns:
        flat name → histogram over ``observable``; values are scaled by the weight, variances by its square.

    Raises:
        ProcessingError: ``nevts`` is not positive.
    """
    if nevts <= 0:
        raise ProcessingError(f"{sample.name} stands for {nevts} generated events, so that it has no weight")
    weight = sample.cross_section * LUMINOSITY_PB / nevts
    flat: dict[str, Histogram] = {}
    for region, histogram in sorted(result.histograms.items()):
        for variation in histogram.axes["variation"]:
            name = flat_name(region, sample.process, variation)
            one: Any = histogram[variation, :]
            flat[name] = one * weight
    return flat


def merge(by_sample: Mapping[str, Mapping[str, Histogram]]) -> dict[str, Histogram]:
    """All samples' histograms in one mapping by flat name.

    Raises:
        ProcessingError: two samples give a histogram of one name, as variation ``pt_res_up`` of a process would with
            the systematic variation of its nominal sample.
    """
    merged: dict[str, Histogram] = {}
    origin: dict[str, str] = {}
    for sample, histograms in by_sample.items():
        for name in histograms:
            if name in origin:
                raise ProcessingError(
                    f"samples {origin[name]} and {sample} both give a histogram {name!r}; rename the variation or the "
                    "process of one of them in the fileset"
                )
            origin[name] = sample
        merged |= histograms
    return merged


def to_uhi_json(histograms: Mapping[str, Histogram]) -> bytes:
    """Histograms by name as one JSON document in the UHI serialisation, names sorted."""
    from uhi.io.json import default

    return json.dumps(dict(histograms), default=default, sort_keys=True, separators=(",", ":")).encode()


def from_uhi_json(text: bytes | str) -> dict[str, Histogram]:
    """Inverse of ``to_uhi_json``; the numbers are the same to the last bit.

    Raises:
        ProcessingError: the text is not a JSON object of UHI histograms.
    """
    from hist import Hist
    from uhi.io.json import object_hook

    try:
        document = json.loads(text, object_hook=object_hook)
        return {name: Hist(histogram) for name, histogram in document.items()}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ProcessingError(f"not a JSON object of UHI histograms by name: {error}") from error


def write_root(histograms: Mapping[str, Histogram], path: str | Path) -> Path:
    """Write the histograms as TH1D with the AGC's names; the file is replaced whole or not at all."""
    import uproot

    path = Path(path)
    unfinished = path.with_name(f".{path.name}.unfinished")
    with uproot.recreate(unfinished) as file:
        for name in sorted(histograms):
            file[name] = histograms[name]
    return unfinished.replace(path)
