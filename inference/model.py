"""The statistical model in a file: regions, samples, pseudo-data and systematic uncertainties.

``models/ttbar.yml`` in this package is the AGC's. Users write their own the same way.
"""

import itertools
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inference.errors import InvalidModel, nearest

SYMMETRIZE = "symmetrize"
# No slash: cabinetry makes file names of these.
Name = Annotated[str, Field(min_length=1, pattern=r"^[^/]+$")]


class Part(BaseModel):
    """Base of the model's parts: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Region(Part):
    """One channel of the fit: first token of its histograms' names, and the bin edges to merge them into."""

    name: Name
    histogram: Name
    variable: Name
    unit: str = ""
    edges: Annotated[tuple[float, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _edges_rise(self) -> "Region":
        if any(low >= high for low, high in itertools.pairwise(self.edges)):
            raise ValueError(f"edges of region {self.name!r} must rise: {list(self.edges)}")
        return self

    @property
    def axis_label(self) -> str:
        """Variable with its unit in brackets."""
        return f"{self.variable} [{self.unit}]" if self.unit else self.variable


class Sample(Part):
    """One simulated process; ``histogram`` is its name in the histograms, ``label`` in the figures."""

    name: Name
    histogram: Name
    label: str = ""


class Term(Part):
    """One summand of the pseudo-data: histogram without its region, times a factor."""

    histogram: Name
    factor: float = 1.0


class Data(Part):
    """What stands for data: the recipe named by ``recipe``; one term of factor 1 is a histogram of real data."""

    name: Name
    label: str = "data"
    recipe: Name
    recipes: Annotated[dict[Name, Annotated[tuple[Term, ...], Field(min_length=1)]], Field(min_length=1)]

    @property
    def terms(self) -> tuple[Term, ...]:
        """Summands of the recipe in use."""
        return self.recipes[self.recipe]


class NormFactor(Part):
    """A free normalisation of some samples."""

    name: Name
    samples: Annotated[tuple[Name, ...], Field(min_length=1)]
    nominal: float = 1.0
    bounds: tuple[float, float]


class Systematic(Part):
    """A systematic uncertainty: shape and normalisation (``up``, ``down``) or ``normalization`` alone.

    ``samples`` empty means all.
    """

    name: Name
    samples: tuple[Name, ...] = ()
    up: Name | None = None
    down: Name | None = None
    normalization: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "Systematic":
        shape = self.up is not None and self.down is not None
        if shape == (self.normalization is not None) or (self.up is None) != (self.down is None):
            raise ValueError(
                f"give either up and down (a variation's name, or '{SYMMETRIZE}' for down), or normalization"
            )
        return self

    @property
    def symmetrized(self) -> bool:
        """Whether the downward template mirrors the upward one."""
        return self.down == SYMMETRIZE


class Model(Part):
    """The whole statistical model; see ``models/ttbar.yml`` for every key."""

    measurement: Name
    poi: Name
    experiment: str = ""
    label: str = ""
    luminosity: Annotated[float, Field(gt=0)] | None = None
    energy: Annotated[float, Field(gt=0)] | None = None
    regions: Annotated[tuple[Region, ...], Field(min_length=1)]
    samples: Annotated[tuple[Sample, ...], Field(min_length=1)]
    data: Data
    norm_factors: Annotated[tuple[NormFactor, ...], Field(min_length=1)]
    systematics: tuple[Systematic, ...] = ()

    @model_validator(mode="after")
    def _names_agree(self) -> "Model":
        samples = [sample.name for sample in self.samples]
        _unique("regions", (region.name for region in self.regions))
        _unique("samples", [*samples, self.data.name])
        factors, systematics = self.norm_factors, self.systematics
        _unique("parameters", [*(part.name for part in factors), *(part.name for part in systematics)])
        _known("poi", [self.poi], [factor.name for factor in self.norm_factors])
        _known("data.recipe", [self.data.recipe], self.data.recipes)
        for factor in self.norm_factors:
            _known(f"samples of {factor.name!r}", factor.samples, samples)
        for systematic in self.systematics:
            _known(f"samples of {systematic.name!r}", systematic.samples, samples)
        return self


def load_model(source: Model | Mapping[str, Any] | Path | str = "ttbar") -> Model:
    """Read and check a model.

    Args:
        source: a path, the name of a model of this package (``"ttbar"``), or the decoded content.

    Raises:
        InvalidModel: unreadable, not YAML, or a key is wrong; the message names each key and what it may be.
    """
    if isinstance(source, Model):
        return source
    origin, document = ("the given model", source) if isinstance(source, Mapping) else _read(source)
    try:
        return Model.model_validate(document)
    except ValidationError as error:
        lines = [_sentence(detail) for detail in error.errors()]
        raise InvalidModel(f"{origin} is not valid:\n" + "\n".join(f"  {line}" for line in lines)) from error


def _read(source: Path | str) -> tuple[str, Any]:
    packaged = files("inference") / "models" / f"{source}.yml"
    place = packaged if isinstance(source, str) and packaged.is_file() else Path(source)
    try:
        return str(source), yaml.safe_load(place.read_text(encoding="utf-8"))
    except OSError as error:
        shipped = (Path(item.name).stem for item in (files("inference") / "models").iterdir())
        raise InvalidModel(
            f"cannot read the model {source}: {error.strerror}; models of this package: {', '.join(sorted(shipped))}"
        ) from error
    except yaml.YAMLError as error:
        raise InvalidModel(f"{source} is no YAML: {error}") from error


def _sentence(detail: Any) -> str:
    """One pydantic error as a sentence: the key, what is wrong, what is allowed."""
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]).lstrip(".")
    if detail["type"] == "extra_forbidden":
        allowed = _fields_at(detail["loc"])
        return f"{where}: unknown key; {nearest(str(detail['loc'][-1]), allowed)}; allowed: {', '.join(allowed)}"
    message = str(detail["msg"]).removeprefix("Value error, ")
    given = "" if detail["type"] in {"missing", "value_error"} else f" (given {detail['input']!r})"
    return f"{where}: {message}{given}" if where else f"{message}{given}"


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    """Keys allowed in the mapping that holds the last element of ``location``."""
    parts: dict[str, type[Part]] = {
        "regions": Region, "samples": Sample, "data": Data, "recipes": Term,
        "norm_factors": NormFactor, "systematics": Systematic,
    }  # fmt: skip
    holder = next((parts[key] for key in reversed(location[:-1]) if isinstance(key, str) and key in parts), Model)
    return list(holder.model_fields)


def _unique(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what}: the name {name!r} is used twice")
        seen.add(name)


def _known(what: str, names: Iterable[str], allowed: Iterable[str]) -> None:
    allowed = list(allowed)
    for name in names:
        if name not in allowed:
            raise ValueError(f"{what}: {name!r} is not known; allowed: {', '.join(allowed)}")
