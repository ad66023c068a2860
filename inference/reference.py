"""pyhf's model of a workspace: the reference implementation, and what cabinetry asks for."""

from collections.abc import Mapping
from typing import Any

from inference.errors import InvalidWorkspace

# cabinetry's and pyhf's defaults, written out since they decide the numbers.
INTERPOLATION = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}


def reference_model(workspace: Mapping[str, Any], measurement: str | None = None) -> tuple[Any, list[float]]:
    """pyhf's model and its data with the auxiliary measurements.

    Raises:
        InvalidWorkspace: against the schema, no such measurement, or not a model.
    """
    import pyhf

    pyhf.set_backend("numpy")
    try:
        parsed = pyhf.Workspace(workspace)
        model = parsed.model(measurement_name=measurement, modifier_settings=INTERPOLATION)
        return model, parsed.data(model)
    except (pyhf.exceptions.InvalidSpecification, pyhf.exceptions.InvalidMeasurement) as error:
        raise InvalidWorkspace(f"no model in the workspace: {error or error.__cause__}") from error
    except (pyhf.exceptions.InvalidModel, KeyError, ValueError) as error:
        raise InvalidWorkspace(f"no model in the workspace: {type(error).__name__}: {error}") from error
