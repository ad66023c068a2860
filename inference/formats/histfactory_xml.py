"""HistFactory's XML with its ROOT files, out and in through pyhf, and what does not survive the way.

ROOT's own program `hist2workspace` reads what is written here. Sources: ROOT's HistFactorySchema.dtd; pyhf's `readxml`
and `writexml`.
"""

import itertools
import re
import shutil
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inference.formats.errors import InvalidDocument, NotExpressible
from inference.likelihood.parameters import ParameterSet
from inference.likelihood.specification import specification

ENTRY = "FitConfig"
FOLDER = "config"
NORMAL_STATISTICS = '<StatErrorConfig RelErrorThreshold="0" ConstraintType="Gaussian" />'  # as pyhf has them
PRECISION = 1e-12  # uncertainties are written relative to contents

Workspace = dict[str, Any]


def write_xml(workspace: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """Write FitConfig.xml, config/ and data.root into a folder; paths in them are relative to it.

    Returns:
        What is lost: names of staterrors, and settings of parameters that HistFactory's XML has no place for, one
        sentence each.

    Raises:
        InvalidWorkspace: it is no workspace.
        NotExpressible: what would come back is another model.
    """
    renamed = _staterrors_by_channel(workspace)
    with tempfile.TemporaryDirectory(prefix="skimflow-xml-") as place:
        made = Path(place)
        _write(_plain(renamed), made)
        again, _ = read_xml(made / f"{ENTRY}.xml", made)
        lost = tuple(
            sentence
            for each in renamed["measurements"]
            for sentence in _lost(renamed, again, each["name"], len(renamed["measurements"]) > 1)
        )
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(made, folder, dirs_exist_ok=True)
    return (*_new_names(workspace, renamed), *lost)


def read_xml(path: Path, base: Path | None = None) -> tuple[Workspace, tuple[str, ...]]:
    """Read a top-level XML file (a ``Combination``).

    Args:
        path: of the file.
        base: folder that the paths in it are relative to; else the file's own, the one above, or the current one,
            whichever has its inputs.

    Returns:
        The workspace, and what of the files pyhf takes otherwise than ROOT, one sentence each.

    Raises:
        InvalidDocument: a file is not there or not as it must be.
    """
    from pyhf import exceptions, readxml

    top = _parsed(path)
    if top.tag != "Combination":
        raise InvalidDocument(f"{path}: a <{top.tag}>; give the file whose root is <Combination>")
    inputs = [str(each.text).strip() for each in top.findall("Input")]
    base = base or _base(path, inputs)
    remarks = tuple(sentence for each in inputs for sentence in _remarks(_parsed(base / each)))
    try:
        return dict(readxml.parse(path, base)), remarks
    except exceptions.InvalidSpecification as error:
        raise InvalidDocument(f"{path}: no valid workspace: {error}") from error
    except (KeyError, RuntimeError, OSError, ValueError, TypeError, NotImplementedError, ET.ParseError) as error:
        raise InvalidDocument(f"{path}: {type(error).__name__}: {error}") from error
    finally:
        readxml.clear_filecache()


def _parsed(path: Path) -> ET.Element:
    try:
        return ET.parse(path).getroot()  # noqa: S314 (expat refuses entities that explode, and fetches none)
    except OSError as error:
        raise InvalidDocument(f"cannot read {path}: {error.strerror}") from error
    except ET.ParseError as error:
        raise InvalidDocument(f"{path} is no XML: {error}") from error


def _base(path: Path, inputs: list[str]) -> Path:
    folders = (path.parent, path.parent.parent, Path.cwd())
    for folder in folders:
        if all((folder / each).is_file() for each in inputs):
            return folder
    raise InvalidDocument(
        f"{path} names {', '.join(inputs)}, not all of them in {' or '.join(str(each) for each in folders)}; "
        "say where they are relative to"
    )


def _remarks(channel: ET.Element) -> Iterator[str]:
    """What pyhf reads without a word and takes otherwise than ROOT does."""
    name = channel.get("Name")
    statistics = channel.find("StatErrorConfig")
    active = any(each.get("Activate") == "True" for each in channel.iter("StatError"))
    if active and (statistics is None or statistics.get("ConstraintType", "Poisson") == "Poisson"):
        yield f"{name}: ROOT constrains MC statistics by Poisson, a workspace of pyhf by normal distributions"
    if active and statistics is not None and float(statistics.get("RelErrorThreshold", 0.05)) > 0:
        yield f"{name}: ROOT holds MC statistics below RelErrorThreshold, here all are free"
    for each in channel.iter("ShapeSys"):
        if each.get("ConstraintType", "Gaussian") != "Poisson":
            yield f"{name}: shapesys {each.get('Name')!r} has a Poisson constraint here, in ROOT a normal one"


def _plain(workspace: Mapping[str, Any]) -> Workspace:
    """Without what pyhf cannot write: settings of parameters of bins, or of none; the luminosity's error relative."""
    plain: Workspace = {key: workspace[key] for key in ("channels", "observations", "measurements", "version")}
    known = {each.name: each for each in specification(workspace).histfactory}
    plain["measurements"] = [
        {
            **each,
            "config": {
                **each["config"],
                "parameters": [
                    _relative(setting) if setting["name"] == "lumi" else setting
                    for setting in each["config"].get("parameters", ())
                    if setting["name"] in known and known[setting["name"]].scalar
                ],
            },
        }
        for each in workspace["measurements"]
    ]
    return plain


def _relative(setting: Mapping[str, Any]) -> dict[str, Any]:
    return {**setting, "sigmas": [setting["sigmas"][0] / setting["auxdata"][0]]}


def _staterrors_by_channel(workspace: Mapping[str, Any]) -> Workspace:
    """With the names that StatError elements have, which carry none."""
    for key in ("extensions", "interpolation"):
        if workspace.get(key):
            raise NotExpressible(f"HistFactory's XML has no place for the workspace's {key}")
    if not workspace.get("observations"):
        raise NotExpressible("the workspace has no observations; HistFactory's XML needs data")
    channels = []
    for channel in workspace["channels"]:
        own = {each["name"] for each in _modifiers(channel) if each["type"] == "staterror"}
        if len(own) > 1:
            raise NotExpressible(
                f"channel {channel['name']!r} has the staterrors {', '.join(sorted(own))}; in HistFactory's XML a "
                "channel has one"
            )
        samples = [
            {
                **sample,
                "modifiers": [
                    {**each, "name": f"staterror_{channel['name']}"} if each["type"] == "staterror" else each
                    for each in sample["modifiers"]
                ],
            }
            for sample in channel["samples"]
        ]
        channels.append({**channel, "samples": samples})
    return {**workspace, "channels": channels, "measurements": _settings_renamed(workspace, channels)}


def _settings_renamed(workspace: Mapping[str, Any], channels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Measurements whose settings follow the staterrors' new names.

    Raises NotExpressible for one that becomes several and has settings for each of its bins.
    """
    names: dict[str, list[str]] = {}
    for old, new in dict.fromkeys(_name_pairs(workspace, channels)):
        names.setdefault(old, []).append(new)
    measurements = []
    for each in workspace["measurements"]:
        settings: list[dict[str, Any]] = []
        for setting in each["config"].get("parameters", ()):
            follow = names.get(setting["name"], [setting["name"]])
            if len(follow) > 1 and setting.keys() - {"name", "fixed"}:
                raise NotExpressible(
                    f"{setting['name']!r} becomes {', '.join(follow)} in HistFactory's XML: settings cannot follow; "
                    "name it after each channel"
                )
            settings += [{**setting, "name": name} for name in follow]
        measurements.append({**each, "config": {**each["config"], "parameters": settings}})
    return measurements


def _new_names(workspace: Mapping[str, Any], renamed: Workspace) -> Iterator[str]:
    """Of the staterrors: they are other parameters for whoever names them."""
    for old, new in dict.fromkeys(_name_pairs(workspace, renamed["channels"])):
        if old != new:
            yield f"the staterror {old!r} of channel {new.removeprefix('staterror_')!r} becomes {new!r}"


def _name_pairs(workspace: Mapping[str, Any], channels: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Name before and after of each modifier."""
    for before, after in zip(workspace["channels"], channels, strict=True):
        for old, new in zip(_modifiers(before), _modifiers(after), strict=True):
            yield old["name"], new["name"]


def _modifiers(channel: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return itertools.chain.from_iterable(sample["modifiers"] for sample in channel["samples"])


def _write(workspace: Workspace, place: Path) -> None:
    from pyhf import writexml

    (place / FOLDER).mkdir()
    try:
        top = writexml.writexml(workspace, place / FOLDER, place, ENTRY)
    except (KeyError, TypeError, ValueError) as error:
        raise NotExpressible(f"pyhf cannot write the workspace: {type(error).__name__}: {error}") from error
    (place / f"{ENTRY}.xml").write_bytes(top)
    for path in (*place.glob("*.xml"), *(place / FOLDER).glob("*.xml")):
        text = path.read_text(encoding="utf-8").replace(f"{place}/", "")
        if "<StatError " in text:
            text = re.sub(r"(<Data [^>]*/>)", rf"\1\n  {NORMAL_STATISTICS}", text, count=1)
        path.write_text(text, encoding="utf-8")


def _lost(one: Workspace, other: Workspace, measurement: str, several: bool) -> Iterator[str]:
    """Settings that did not come back; raises NotExpressible where the model is another one."""
    before = {each.name: each for each in specification(one, measurement).parameters}
    after = {each.name: each for each in specification(other, measurement).parameters}
    where = f" in measurement {measurement!r}" if several else ""
    for name, made in before.items():
        again = after.get(name)
        if again is None or not _same_constraint(made, again):
            raise NotExpressible(f"the constraint of {name!r}{where} does not survive HistFactory's XML")
        for what, attributes in (
            ("starting values", ("init",)),
            ("bounds", ("lower", "upper")),
            ("what is held", ("fixed",)),
        ):
            if any(not _close(getattr(made, each), getattr(again, each)) for each in attributes):
                yield f"{what} of {name!r}{where} are lost: they will be {_said(again, attributes)}"


def _same_constraint(one: ParameterSet, other: ParameterSet) -> bool:
    return (
        one.constraint == other.constraint and _close(one.auxdata, other.auxdata) and _close(one.widths, other.widths)
    )


def _close(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return len(one) == len(other) and bool(np.allclose(one, other, rtol=PRECISION, atol=0))


def _said(made: ParameterSet, attributes: tuple[str, ...]) -> str:
    return ", ".join(f"{getattr(made, each)[0]:g}" for each in attributes)
