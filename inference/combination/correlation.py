"""The correlation map: which parameters of several workspaces are one, as a YAML or JSON file says it."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inference.combination.errors import InvalidMap


class CorrelationMap(BaseModel):
    """What belongs together.

    Inputs are called by the names that they were given, parameters by the names of the workspaces (a vector of
    parameters, such as a shapefactor, goes as a whole).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("combination", description="of the measurement that is made")
    poi: str | None = Field(None, description="by its new name; not needed where the inputs have the same")
    default: Literal["shared", "private"] = Field(
        "shared", description="what parameters of the same name are that the map does not mention"
    )
    correlate: dict[str, dict[str, str]] = Field({}, description="new name -> input -> name in that input")
    channels: dict[str, dict[str, str]] = Field({}, description="input -> channel -> new name")
    measurements: dict[str, str] = Field({}, description="input -> measurement, where it is not the first")
    parameters: dict[str, dict[str, Any]] = Field(
        {}, description="new name -> settings as in a measurement of pyhf (inits, bounds, fixed, auxdata, sigmas)"
    )


def load_map(path: Path) -> CorrelationMap:
    """Read a map.

    Raises:
        InvalidMap: unreadable, no YAML, or against the model; the message says where.
    """
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidMap(f"cannot read the correlation map {path}: {error}") from error
    except yaml.YAMLError as error:
        raise InvalidMap(f"{path} is neither YAML nor JSON: {error}") from error
    try:
        return CorrelationMap.model_validate(document or {})
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        known = ", ".join(CorrelationMap.model_fields)
        raise InvalidMap(f"{path}: {'; '.join(faults)} (a map has: {known})") from error
