"""From histograms and a model to a pyhf workspace, through cabinetry."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boost_histogram as bh
import hist
import numpy as np

from inference.errors import InvalidHistograms, InvalidWorkspace, MissingTemplate, nearest
from inference.model import Data, Model, Region, Sample, Systematic, load_model
from inference.templates import Floats, rebin

Workspace = dict[str, Any]
# Keys of a workspace that are our own: what the likelihood reads beside pyhf's.
OWN_KEYS = ("extensions", "interpolation")
Histograms = Mapping[str, hist.Hist[Any]]


def build(histograms: Histograms, model: Model | Mapping[str, Any] | Path | str = "ttbar") -> Workspace:
    """Build the workspace of a model: templates rebinned, symmetrised and split by cabinetry, checked by pyhf.

    Args:
        histograms: weighted histograms by name, see ``inference.templates.load_histograms``.
        model: model or where to load it from, see ``inference.model.load_model``.

    Returns:
        A plain pyhf workspace (JSON types only, version 1.0.0). The same input gives the same content, and
        ``workspace_bytes`` gives it the same bytes.

    Raises:
        InvalidModel, MissingTemplate, InvalidHistograms, InvalidWorkspace.
    """
    import cabinetry

    model = load_model(model)
    router = cabinetry.route.Router()

    def template(region: Any, sample: Any, systematic: Any, direction: str | None) -> Any:
        return _template(histograms, model, region["Name"], sample["Name"], systematic.get("Name"), direction)

    router.register_template_builder()(template)
    with tempfile.TemporaryDirectory(prefix="skimflow-templates-") as folder:
        config = _cabinetry_config(model, folder)
        cabinetry.configuration.validate(config)
        cabinetry.templates.build(config, router=router)
        cabinetry.templates.postprocess(config)
        workspace = cabinetry.workspace.build(config, with_validation=False)
    plain: Workspace = json.loads(json.dumps(workspace))
    validate(plain)
    return plain


def load_workspace(source: Mapping[str, Any] | Path | str) -> Workspace:
    """Read and check a pyhf workspace from a JSON file or its decoded content.

    Raises:
        InvalidWorkspace: unreadable, not JSON, or against pyhf's schema.
    """
    if isinstance(source, Mapping):
        workspace = dict(source)
    else:
        try:
            workspace = json.loads(Path(source).read_text(encoding="utf-8"))
        except OSError as error:
            raise InvalidWorkspace(f"cannot read the workspace {source}: {error.strerror}") from error
        except ValueError as error:
            raise InvalidWorkspace(f"{source} is no JSON: {error}") from error
    validate(workspace)
    return workspace


def workspace_bytes(workspace: Mapping[str, Any]) -> bytes:
    """UTF-8 JSON with sorted keys: equal workspaces have equal bytes.

    Raises:
        NotSerialisable: an extension is a Python function.
    """
    from inference.extensions.workspaces import plain

    return (json.dumps(plain(workspace), sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def validate(workspace: Any) -> None:
    """Check a workspace against pyhf's schema, which does not know the keys that are our own.

    Raises:
        InvalidWorkspace: with the place in the document and what the schema wants there.
    """
    import pyhf

    if not isinstance(workspace, Mapping):
        raise InvalidWorkspace(f"no pyhf workspace: it must be a JSON object with channels, not {_words(workspace)}")
    workspace = {key: value for key, value in workspace.items() if key not in OWN_KEYS}
    try:
        pyhf.Workspace(workspace)
    except pyhf.exceptions.InvalidSpecification as error:
        cause = error.__cause__ or error
        raise InvalidWorkspace(f"no valid pyhf workspace: {str(error) or cause}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidWorkspace(f"no valid pyhf workspace: {type(error).__name__}: {error}") from error


def _words(value: Any) -> str:
    return "a list" if isinstance(value, list) else repr(value)[:40]


def pseudodata(histograms: Histograms, region: Region, data: Data) -> Floats:
    """The data of one region, shape (bins,): the terms of the model's recipe, rebinned and summed."""
    terms = (
        term.factor * _rebinned(histograms, region, f"{region.histogram}_{term.histogram}")[0] for term in data.terms
    )
    return np.asarray(sum(terms))


def _template(
    histograms: Histograms,
    model: Model,
    region_name: str,
    sample_name: str,
    systematic_name: str | None,
    direction: str | None,
) -> bh.Histogram[Any]:
    """The histogram that cabinetry asks for: nominal, one side of a variation, or the data."""
    region = next(region for region in model.regions if region.name == region_name)
    if sample_name == model.data.name:
        values = variances = pseudodata(histograms, region, model.data)
    else:
        sample = next(sample for sample in model.samples if sample.name == sample_name)
        name = f"{region.histogram}_{sample.histogram}"
        if direction is not None:
            systematic = next(item for item in model.systematics if item.name == systematic_name)
            name += f"_{systematic.up if direction == 'Up' else systematic.down}"
        values, variances = _rebinned(histograms, region, name)
        if not (np.isfinite(values).all() and values.sum() > 0):
            raise InvalidHistograms(
                f"template {name} has no positive finite yield between {region.edges[0]:g} and "
                f"{region.edges[-1]:g}: it needs events in region {region.name!r}, or take the sample out of the model"
            )
    histogram = bh.Histogram(bh.axis.Variable(list(region.edges)), storage=bh.storage.Weight())
    histogram[...] = np.stack([values, variances], axis=-1)
    return histogram


def _rebinned(histograms: Histograms, region: Region, name: str) -> tuple[Floats, Floats]:
    if name not in histograms:
        raise MissingTemplate(
            f"region {region.name!r} needs the histogram {name!r}, which is not there; {nearest(name, histograms)}"
        )
    try:
        return rebin(histograms[name], region.edges)
    except InvalidHistograms as error:
        raise InvalidHistograms(f"{name}: {error}") from error


def _cabinetry_config(model: Model, folder: str) -> dict[str, Any]:
    """The model in cabinetry's words. Paths are required by its schema and unused: the router gives templates."""
    return {
        "General": {
            "Measurement": model.measurement,
            "POI": model.poi,
            "HistogramFolder": folder,
            "InputPath": "unused",
        },
        "Regions": [{"Name": region.name, "Variable": region.variable} for region in model.regions],
        "Samples": [
            {"Name": model.data.name, "Data": True},
            *({"Name": sample.name} for sample in model.samples),
        ],
        "Systematics": [_cabinetry_systematic(systematic, model.samples) for systematic in model.systematics],
        "NormFactors": [
            {
                "Name": factor.name,
                "Samples": list(factor.samples),
                "Nominal": factor.nominal,
                "Bounds": list(factor.bounds),
            }
            for factor in model.norm_factors
        ],
    }


def _cabinetry_systematic(systematic: Systematic, samples: tuple[Sample, ...]) -> dict[str, Any]:
    common = {
        "Name": systematic.name,
        "Samples": list(systematic.samples) or [sample.name for sample in samples],
    }
    if systematic.normalization is not None:
        size = systematic.normalization
        return common | {"Type": "Normalization", "Up": {"Normalization": size}, "Down": {"Normalization": -size}}
    down = {"Symmetrize": True} if systematic.symmetrized else {"VariationPath": systematic.down}
    return common | {"Type": "NormPlusShape", "Up": {"VariationPath": systematic.up}, "Down": down}
