"""The pipeline file: what is analysed, where it runs and which results are wanted.

A pipeline is YAML, checked against the models below. Every error names the file, the line, what was found there and
what would be right. Relative paths are relative to the pipeline file.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from skimflow.errors import PipelineError
from skimflow.wanted import BUILT, RESULTS, Wanted, check_fitted, check_together, wanted

Stage = Literal["deliver", "process", "build", "fit", "report"]
STAGES: tuple[Stage, ...] = ("deliver", "process", "build", "fit", "report")


class Section(BaseModel):
    """A part of the pipeline file: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Simulation(Section):
    """Demonstration events, made where they are missing (`skimflow simulate`)."""

    events_per_file: Annotated[int, Field(gt=0)] = 100_000
    files_per_sample: Annotated[int, Field(gt=0)] = 2
    seed: Annotated[int, Field(ge=0)] = 1


class Samples(Section):
    """The input files: a fileset in the AGC's JSON layout, or events simulated into `folder`."""

    fileset: Path | None = Field(None, description="JSON file: process -> variation -> nevts_total, files")
    simulate: Simulation | None = Field(None, description="make demonstration events instead")
    folder: Path = Field(Path("events"), description="where simulated events are kept")
    files_per_sample: Annotated[int, Field(gt=0)] | None = Field(
        None, description="use the first N files of each sample (default: all)"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Samples:
        if (self.fileset is None) == (self.simulate is None):
            raise ValueError("give either 'fileset' or 'simulate'")
        return self


class Delivery(Section):
    """How columns are brought: by the engine here, by a ServiceX service, or not at all (raw files)."""

    endpoint: Literal["local", "servicex", "raw"] = "local"
    backend: str | None = Field(None, description="servicex: name in the client's configuration file, or URL")
    format: Literal["root-file"] = "root-file"
    allow_missing: Annotated[float, Field(ge=0, lt=100)] = Field(
        0.0, description="percentage of files that may fail; the result then says so"
    )


class Cluster(Section):
    """Where tasks run: processes of this machine, a Dask scheduler, or this very process."""

    kind: Literal["local", "iterative", "address", "coffea-casa", "gateway", "htcondor", "slurm"] = "local"
    workers: Annotated[int, Field(gt=0)] | None = Field(None, description="workers to start (default: cores)")
    address: str | None = Field(None, description="of the scheduler (kind address) or gateway")

    @model_validator(mode="after")
    def _address_given(self) -> Cluster:
        if self.kind == "address" and self.address is None:
            raise ValueError("kind 'address' needs 'address', as tcp://host:8786")
        if self.kind not in {"address", "gateway"} and self.address is not None:
            raise ValueError(f"kind '{self.kind}' takes no 'address'; kind 'address' does")
        return self


class Processing(Section):
    """The coffea stage."""

    processor: str = "processing.ttbar:TtbarProcessor"
    chunk_events: Annotated[int, Field(gt=0)] = 100_000


class Inference(Section):
    """The statistical model and what is wanted of it."""

    model: Path = Field(Path("ttbar"), description="model file, or the name of a model in the package")
    results: Annotated[tuple[str | dict[str, Any], ...], Field(min_length=1)] = Field(
        RESULTS,
        description="kinds of results, as limit, or with settings, as {limit: {poi: mu}, as: limit_mu, of: smooth}",
    )
    fitted: str = Field(BUILT, description="the workspace that is fitted: built, or a result that makes one")
    blind: bool | dict[str, float] = Field(
        False, description="hide the data of bins with signal: true, or {NAME: value to fill them at}; false unblinds"
    )
    fixed: dict[str, float] = Field({}, description="parameters to hold in the fit, by name")
    extensions: Path | None = Field(None, description="YAML or JSON file: list of extensions of the model")

    @field_validator("results")
    @classmethod
    def _known(cls, results: tuple[str | dict[str, Any], ...]) -> tuple[str | dict[str, Any], ...]:
        check_together([wanted(entry) for entry in results])
        return results

    @field_validator("fitted")
    @classmethod
    def _made(cls, fitted: str, info: ValidationInfo) -> str:
        check_fitted([wanted(entry) for entry in info.data.get("results", ())], fitted)
        return fitted

    @property
    def blinded(self) -> dict[str, float] | None:
        """Parameters of interest to hide, with the values to fill hidden bins at; None in the open."""
        if self.blind is False:
            return None
        return {} if self.blind is True else dict(self.blind)

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        """The results, each with its settings and name."""
        return tuple(wanted(entry) for entry in self.results)


class Pipeline(Section):
    """A whole analysis, from samples to results."""

    name: str
    samples: Samples
    query: str = Field("queries.ttbar:selected", description="module:function, or file.py:function")
    delivery: Delivery = Delivery()
    cluster: Cluster = Cluster()
    processing: Processing = Processing()
    inference: Inference = Inference()
    store: str | None = Field(None, description="folder, memory:// or s3://bucket/prefix")
    report: Path = Field(Path("report"), description="folder of the report")


def packaged_pipeline() -> Path:
    """Path of the pipeline file of the AGC measurement that comes with the package."""
    return Path(__file__).parent / "pipelines" / "ttbar.yml"


def load_pipeline(path: Path) -> Pipeline:
    """Read and check a pipeline file.

    Raises:
        PipelineError: the file is absent, no YAML, or breaks the schema; the message lists every fault with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PipelineError(f"cannot read the pipeline file {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path} is not a text file; a pipeline file is YAML (see skimflow init)") from error
    return parse_pipeline(text, str(path))


def parse_pipeline(text: str, where: str = "pipeline") -> Pipeline:
    """Check the text of a pipeline file; `where` names it in errors (raises `PipelineError`)."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
        repeated = _repeated_key(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PipelineError(f"{where}:{line}: not YAML: {error.problem or error}") from error
    except yaml.YAMLError as error:
        raise PipelineError(f"{where}: not YAML: {error}") from error
    if repeated is not None:
        raise PipelineError(f"{where}:{repeated.start_mark.line + 1}: '{repeated.value}' is given twice")
    if not isinstance(document, dict):
        raise PipelineError(f"{where}:1: a pipeline is a mapping with 'name' and 'samples'; `skimflow init` writes one")
    try:
        return Pipeline.model_validate(document)
    except ValidationError as error:
        faults = [f"{where}:{_line(node, fault['loc'])}: {_sentence(dict(fault))}" for fault in error.errors()]
        raise PipelineError("\n".join(faults)) from error


def load_extensions(base: Path, pipeline: Pipeline) -> dict[str, Any]:
    """What the file of `inference.extensions` says: `extensions`, a list of documents, and `poi`.

    Raises:
        PipelineError: it cannot be read, or is something else.
    """
    if pipeline.inference.extensions is None:
        return {"extensions": [], "poi": None}
    path = base / pipeline.inference.extensions
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PipelineError(f"inference.extensions: cannot read {path}: {error}") from error
    documents = document.get("extensions") if isinstance(document, dict) else document
    if not (isinstance(documents, list) and all(isinstance(each, dict) for each in documents)):
        raise PipelineError(
            f"inference.extensions: {path} must be a list of documents (docs/extensions.md), "
            "or {extensions: [...], poi: NAME} where the parameter of interest is a new one"
        )
    return {"extensions": documents, "poi": document.get("poi") if isinstance(document, dict) else None}


def _repeated_key(node: yaml.Node | None) -> yaml.ScalarNode | None:
    """The first key that its mapping already has: YAML would take the last value without a word."""
    if not isinstance(node, yaml.CollectionNode):
        return None
    seen: set[str] = set()
    for item in node.value:
        key, value = item if isinstance(item, tuple) else (None, item)
        if isinstance(key, yaml.ScalarNode) and key.value in seen:
            return key
        seen |= {key.value} if key is not None else set()
        if (found := _repeated_key(value)) is not None:
            return found
    return None


def _line(node: yaml.Node | None, location: tuple[int | str, ...]) -> int:
    """Line (from 1) of the deepest part of `location` that is in the file."""
    line = 1
    for step in location:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == str(step)]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _sentence(fault: dict[str, Any]) -> str:
    """One fault in words, with what is allowed."""
    path = ".".join(str(step) for step in fault["loc"])
    if fault["type"] == "extra_forbidden":
        allowed = list(_section(fault["loc"][:-1]).model_fields)
        near = difflib.get_close_matches(str(fault["loc"][-1]), allowed, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        return f"unknown key '{path}'; {hint}allowed: {', '.join(allowed)}"
    said = {
        "missing": "is missing",
        "literal_error": f"is {fault['input']!r}; allowed: {fault.get('ctx', {}).get('expected')}",
        "tuple_type": f"is {fault['input']!r}; it must be a list, as [{fault['input']}]",
        "too_short": "is empty",
    }
    if fault["type"] in said:
        return f"'{path}' {said[fault['type']]}"
    if fault["input"] is None:
        return f"'{path}' has no value; give one, or take the line out"
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"'{path}': {message}" + ("" if isinstance(fault["input"], dict) else f" (got {fault['input']!r})")


def _section(location: tuple[int | str, ...]) -> type[BaseModel]:
    """The model that describes the part of the file at `location`."""
    model: type[BaseModel] = Pipeline
    for step in location:
        annotation = model.model_fields[str(step)].annotation
        choices = [annotation, *getattr(annotation, "__args__", ())]
        model = next(one for one in choices if isinstance(one, type) and issubclass(one, BaseModel))
    return model


def json_schema() -> dict[str, Any]:
    """JSON schema of the pipeline file, for editors (`skimflow init --schema`)."""
    return Pipeline.model_json_schema()
