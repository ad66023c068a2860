"""The closed registry of operators, and what a workspace's list of extensions makes of its parameters."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from inference.errors import nearest
from inference.extensions.correlation import Correlation
from inference.extensions.errors import InvalidExtension
from inference.extensions.formulas import FormulaDocument
from inference.extensions.functions import Function
from inference.extensions.morphing import Eft
from inference.extensions.norms import Errors, Logarithms
from inference.extensions.parts import Extension
from inference.extensions.unfold import Unfold
from inference.extensions.vectors import Abcd, Vector
from inference.likelihood.parameters import ParameterSet, configured
from inference.likelihood.specification import Channel

Document = Annotated[
    Vector | Correlation | Unfold | Eft | FormulaDocument | Abcd | Errors | Logarithms | Function,
    Field(discriminator="operator"),
]
_ADAPTER: TypeAdapter[Any] = TypeAdapter(Document)


@dataclass(frozen=True, slots=True)
class Extended:
    """Parameters of a model with extensions.

    Attributes:
        parameters: of the fit: HistFactory's without those that are set, then those that are introduced.
        histfactory: HistFactory's, without constraints where they are set.
        extensions: the documents.
    """

    parameters: tuple[ParameterSet, ...]
    histfactory: tuple[ParameterSet, ...]
    extensions: tuple[Extension, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """Parameters behind each name, and 1 for each label of a single one."""
        sets = (*self.histfactory, *self.parameters)
        return {label: 1 for made in sets for label in made.labels} | {made.name: made.size for made in sets}


def read(documents: Any) -> tuple[Extension, ...]:
    """The list under a workspace's key ``extensions``: JSON, or documents already made.

    Raises:
        InvalidExtension: names the extension and the place in it.
    """
    if not isinstance(documents, Sequence) or isinstance(documents, str):
        raise InvalidExtension("'extensions' must be a list of documents")
    made = tuple(_document(raw, place) for place, raw in enumerate(documents))
    for name, count in Counter(each.name for each in made).items():
        if count > 1:
            raise InvalidExtension(f"two extensions have the name {name!r}")
    return made


def _document(raw: Any, place: int) -> Extension:
    if isinstance(raw, Extension):
        return raw
    where = f"extensions[{place}]"
    if isinstance(raw, Mapping) and raw.get("operator") == "callable":
        raise InvalidExtension(f"{where}: a Python function cannot come from a document: attach it in Python")
    try:
        made: Extension = _ADAPTER.validate_json(_json(raw, where))
    except ValidationError as error:
        first = error.errors()[0]
        # the second step is the operator, which the document names itself
        steps = [str(step) for step in first["loc"][1:]]
        name = raw.get("name") if isinstance(raw, Mapping) else None
        at = ".".join([f"{where} ({name})" if name else where, *steps])
        raise InvalidExtension(f"{at}: {str(first['msg']).removeprefix('Value error, ')}") from error
    return made


def _json(raw: Any, where: str) -> str:
    import json

    try:
        return json.dumps(raw)
    except (TypeError, ValueError) as error:
        raise InvalidExtension(f"{where}: no JSON: {error}") from error


def extend(
    histfactory: Sequence[ParameterSet],
    extensions: tuple[Extension, ...],
    settings: Iterable[Mapping[str, Any]] = (),
) -> Extended:
    """Parameters of HistFactory and extensions together.

    Args:
        settings: the measurement's ``parameters``, which may set those that are introduced too.

    Raises:
        InvalidExtension: an extension does not fit the workspace or another one.
    """
    own = {made.name: made for made in histfactory}
    changed = _changed(own, extensions)
    chosen = {setting["name"]: setting for setting in settings}
    introduced: dict[str, ParameterSet] = {}
    for each in extensions:
        for parameter in each.introduces:
            made = parameter.parameter_set()
            if made.name in own:
                raise _invalid(each, f"the workspace has a parameter {made.name!r} already: give another name")
            if introduced.setdefault(made.name, made) != made:
                raise _invalid(
                    each, f"another extension defines {made.name!r} otherwise: define it alike, or rename it"
                )
    made_parameters = (
        *(made for made in histfactory if made.name not in changed),
        *(configured(made, chosen.get(name, {})) for name, made in introduced.items()),
    )
    freed = tuple(_freed(made) if made.name in changed else made for made in histfactory)
    result = Extended(made_parameters, freed, extensions)
    _check_reads(result, changed)
    _check_correlations(result)
    return result


def check_noises(extensions: Iterable[Extension], channels: Sequence[Channel]) -> None:
    """Raise ``InvalidExtension`` where errors in quadrature are not those of a channel that is there."""
    known, taken = {channel.name: channel for channel in channels}, dict[str, str]()
    for each in extensions:
        if each.noise is None:
            continue
        name, scaled, errors = each.noise
        if name not in known:
            raise _invalid(each, f"there is no channel {name!r}; {nearest(name, known)}")
        if name in taken:
            raise _invalid(each, f"{taken[name]!r} has errors of channel {name!r} already: put them into one")
        taken[name] = each.name
        samples = {sample.name: sample for sample in known[name].samples}
        for sample in (scaled, *errors):
            if sample not in samples:
                raise _invalid(each, f"channel {name!r} has no sample {sample!r}; {nearest(sample, samples)}")
        others = [
            f"{made['type']} {made['name']!r}" for made in samples[scaled].modifiers if made["type"] != "staterror"
        ]
        if others:
            raise _invalid(each, f"sample {scaled!r} may have a staterror alone, not {', '.join(others)}")
        for sample, row in errors.items():
            if len(row) != known[name].bins:
                raise _invalid(each, f"{len(row)} errors of {sample!r}, channel {name!r} has {known[name].bins} bins")


def _changed(own: Mapping[str, ParameterSet], extensions: Iterable[Extension]) -> dict[str, str]:
    """Names that are set, and by which extension."""
    changed: dict[str, str] = {}
    for each in extensions:
        for name in each.changes:
            if name not in own:
                raise _invalid(each, f"it sets {name!r}, which no modifier has; {nearest(name, own)}")
            if name in changed:
                raise _invalid(each, f"it sets {name!r}, which {changed[name]!r} sets already")
            if own[name].per_bin and own[name].constraint != "free":
                raise _invalid(each, f"it sets {name!r}, a statistical uncertainty: set normfactors or shapefactors")
            changed[name] = each.name
    return changed


def _freed(made: ParameterSet) -> ParameterSet:
    return replace(made, constraint="free", auxdata=(), widths=())


def _check_reads(made: Extended, changed: Mapping[str, str]) -> None:
    known = {each.name for each in made.parameters} | {label for each in made.parameters for label in each.labels}
    for each in made.extensions:
        for name in each.names:
            if name in changed:
                raise _invalid(each, f"it reads {name!r}, which {changed[name]!r} sets: read what that one reads")
            if name not in known:
                raise _invalid(each, f"there is no parameter {name!r}; {nearest(name, known)}")
        try:
            each.program(made.sizes)
        except ValueError as error:
            raise _invalid(each, str(error)) from error


def _check_correlations(made: Extended) -> None:
    constraints = {label: each.constraint for each in made.parameters for label in each.labels}
    tied: dict[str, str] = {}
    for each in made.extensions:
        for label in each.of if isinstance(each, Correlation) else ():
            if constraints.get(label) != "normal":
                kind = "a Poisson constraint" if constraints.get(label) == "poisson" else "no constraint"
                raise _invalid(each, f"{label!r} has {kind}: parameters with a normal one can be correlated")
            if label in tied:
                raise _invalid(each, f"{label!r} is in {tied[label]!r} already: put both matrices into one")
            tied[label] = each.name


def _invalid(extension: Extension, reason: str) -> InvalidExtension:
    return InvalidExtension(f"extension {extension.name!r} ({extension.operator}): {reason}")
