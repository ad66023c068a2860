"""A model in any format that is read, to any that is written; what a file holds is seen from its content."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from inference.formats.errors import InvalidDocument, NotExpressible

Kind = Literal["pyhf", "hs3", "xml", "datacard"]
Written = Literal["pyhf", "hs3", "xml"]

NAMES: Mapping[Kind, str] = {
    "pyhf": "pyhf JSON",
    "hs3": "HS3",
    "xml": "HistFactory XML with ROOT files",
    "datacard": "a datacard of CMS Combine",
}
# First words of a datacard's lines.
CARD_WORDS = {"imax", "jmax", "kmax", "shapes", "bin", "process", "rate", "observation", "autoMCStats"}
SEEN = 1_000_000  # characters of a text that decide


@dataclass(frozen=True, slots=True)
class Model:
    """A workspace in pyhf's JSON, decoded, the format that it came in, and what changed on the way, in sentences."""

    workspace: dict[str, Any]
    kind: Kind
    remarks: tuple[str, ...] = ()


def kind_of(path: Path) -> Kind:
    """What a file holds.

    Raises:
        InvalidDocument: it cannot be read, or holds none of the formats; the message says what it looks like.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(SEEN)
    except IsADirectoryError as error:
        raise InvalidDocument(
            f"{path} is a folder; give its top-level XML file, or a file of another format"
        ) from error
    except OSError as error:
        raise InvalidDocument(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidDocument(f"{path} is no text; models are JSON, XML or datacards") from error
    start = text.lstrip()
    if start.startswith("<"):
        return "xml"
    if start.startswith("{"):
        return _kind_of_json(path)
    words = {line.split()[0] for line in text.splitlines() if line.split()}
    if len(words & CARD_WORDS) > 1:
        return "datacard"
    raise InvalidDocument(f"{path} is none of {', '.join(NAMES.values())}; it begins {start[:40]!r}")


def _kind_of_json(path: Path) -> Kind:
    document = _json(path)
    if {"channels", "measurements"} <= document.keys():
        return "pyhf"
    if "distributions" in document and "likelihoods" in document:
        return "hs3"
    if "patches" in document:
        raise InvalidDocument(f"{path} is a PatchSet of pyhf: apply it to its workspace (skimflow reinterpret)")
    raise InvalidDocument(
        f"{path} is JSON, but no model: pyhf's has channels and measurements, HS3 distributions and likelihoods; "
        f"this one has {', '.join(list(document)[:6])}"
    )


def read_model(
    path: Path,
    *,
    base: Path | None = None,
    part: str | None = None,
    mass: float = 120.0,
) -> Model:
    """Read a model in any format.

    Args:
        path: of the file.
        base: XML: the folder that its paths are relative to.
        part: HS3: one of its analyses.
        mass: datacards: what $MASS stands for.

    Raises:
        InvalidDocument: what is wrong and where.
        InvalidWorkspace: what came out is no workspace.
    """
    kind = kind_of(path)
    if part is not None and kind != "hs3":
        raise InvalidDocument(f"{path} is {NAMES[kind]}; only HS3 has analyses to choose from")
    if kind == "datacard":
        from inference.formats.datacards.build import read_datacard

        card = read_datacard(path, mass=mass)
        return Model(card.workspace, kind, card.notes)
    if kind == "xml":
        from inference.formats.histfactory_xml import read_xml

        workspace, remarks = read_xml(path, base)
        return Model(workspace, kind, remarks)
    if kind == "hs3":
        from inference.formats.hs3_reader import from_hs3

        return Model(from_hs3(_json(path), part), kind)
    from inference.workspace import load_workspace

    return Model(load_workspace(path), kind)


def write_model(model: Model, path: Path, kind: Written) -> tuple[str, ...]:
    """Write a model: a JSON file, or for XML a folder. Returns what is lost or other readers may not know.

    Raises:
        NotExpressible: the format has no words for something in it.
    """
    if kind == "xml":
        from inference.formats.histfactory_xml import write_xml

        return write_xml(model.workspace, path)
    from inference.workspace import workspace_bytes

    if kind == "pyhf":
        path.write_bytes(workspace_bytes(model.workspace))
        return _beyond(model.workspace, "pyhf")
    from inference.formats.hs3_writer import to_hs3

    path.write_bytes(workspace_bytes(to_hs3(model.workspace)))
    return _beyond(model.workspace, "hs3")


def default_kind(source: Kind, path: Path) -> Written:
    """What is meant where nothing is said: a folder is XML; a file is pyhf JSON, or HS3 where that is the source."""
    if not path.suffix or path.is_dir():
        return "xml"
    if path.suffix == ".json":
        return "hs3" if source == "pyhf" else "pyhf"
    raise NotExpressible(f"{path}: write NAME.json, or a folder for XML; or choose of {', '.join(get_args(Written))}")


def _beyond(workspace: Mapping[str, Any], kind: Written) -> tuple[str, ...]:
    """What only we know of a workspace."""
    found = []
    if workspace.get("extensions"):
        where = "misc.skimflow" if kind == "hs3" else "the key extensions"
        found.append(f"extensions are kept under {where}; other programs do not know them and see another model")
    if kind == "pyhf" and workspace.get("interpolation"):
        codes = ", ".join(f"{kind}: {code}" for kind, code in workspace["interpolation"].items())
        found.append(f"interpolation ({codes}) stands under a key that pyhf does not read: tell it so there")
    return tuple(found)


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidDocument(f"{path} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidDocument(f"{path} is JSON, but a {type(document).__name__}; a model is an object")
    return document
