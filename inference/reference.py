"""pyhf's model of a workspace: the reference implementation, and what cabinetry asks for."""

from collections.abc import Mapping
from typing import Any

from inference.errors import InvalidWorkspace
from inference.likelihood.interpolation import chosen_codes

# Keys of ours beside pyhf's.
EXTENSIONS, INTERPOLATION = "extensions", "interpolation"


def reference_model(workspace: Mapping[str, Any], measurement: str | None = None) -> tuple[Any, list[float]]:
    """pyhf's model, with the interpolation that the workspace asks for, and its data with the auxiliary measurements.

    Raises:
        InvalidWorkspace: against the schema, no such measurement, not a model, or one that pyhf has no words for.
    """
    import pyhf

    pyhf.set_backend("numpy")
    codes = _codes(workspace)
    try:
        parsed = pyhf.Workspace(
            {key: value for key, value in workspace.items() if key not in (EXTENSIONS, INTERPOLATION)}
        )
        model = parsed.model(measurement_name=measurement, modifier_settings=codes)
        return model, parsed.data(model)
    except (pyhf.exceptions.InvalidSpecification, pyhf.exceptions.InvalidMeasurement) as error:
        raise InvalidWorkspace(f"no model in the workspace: {error or error.__cause__}") from error
    except (pyhf.exceptions.InvalidModel, KeyError, ValueError) as error:
        raise InvalidWorkspace(f"no model in the workspace: {type(error).__name__}: {error}") from error


def _codes(workspace: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Interpolation codes as pyhf takes them; where the workspace says nothing those of pyhf and cabinetry."""
    if workspace.get(EXTENSIONS):
        raise InvalidWorkspace(
            f"pyhf has no words for the key {EXTENSIONS!r}: use inference.likelihood's Likelihood, or "
            "inference.extensions.workspaces.detach for the part of the model that pyhf has words for"
        )
    codes = chosen_codes(workspace)
    if codes["normsys"] == "combine":
        raise InvalidWorkspace(
            f'pyhf has no normsys as {INTERPOLATION!r} asks for it ("combine", that of CMS Combine): use '
            "inference.likelihood's Likelihood, or choose code1 or code4, which is another model"
        )
    return {kind: {"interpcode": code} for kind, code in codes.items()}
