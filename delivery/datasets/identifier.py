"""Dataset identifiers (DIDs), read as pure code: ``scheme://name?files=N&get=all|available``.

The form is ServiceX's: https://servicex-frontend.readthedocs.io (Specifying data sources); ``glob://`` is ours.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from delivery.datasets.errors import DatasetError
from delivery.errors import nearest

DEFAULT_SCHEME: Final = "rucio"
SCHEMES: Final = ("rucio", "cernopendata", "xrootd", "glob")

_DID = re.compile(
    r"(?:(?P<scheme>\w+)://)?(?P<name>.*?)(?:\?(?P<options>(?:files|get)=\w*(?:&(?:files|get)=\w*)*))?", re.DOTALL
)
_XROOTD = re.compile(r"x?roots?://[^/?#*]+/.+", re.DOTALL)
_RUCIO = re.compile(r"[^\s:/?#]+:[^\s:?#]+/?")


@dataclass(frozen=True, slots=True)
class Identifier:
    """A dataset's name in its scheme.

    files: only so many, the first; None: all.
    get: "all" wants every file, one that cannot be read now is an error; "available" leaves such files out.
    """

    scheme: str
    name: str
    files: int | None = None
    get: Literal["all", "available"] = "all"

    @property
    def dataset(self) -> str:
        """The identifier of the whole dataset, in one spelling: what its files are kept under."""
        return f"{self.scheme}://{self.name}" + ("?get=available" if self.get == "available" else "")


def parse(did: str) -> Identifier:
    """Read an identifier; one without a scheme is Rucio's, as in ServiceX.

    Raises DatasetError (bad_name) that says what is wrong and what would be right.
    """
    found = _DID.fullmatch(did)
    if found is None:
        raise _bad(f"{did[:200]!r} is no dataset identifier, such as rucio://scope:name")
    scheme, name = found["scheme"] or DEFAULT_SCHEME, found["name"]
    if scheme not in SCHEMES:
        near = nearest(scheme, SCHEMES)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise _bad(f"DID scheme is not supported: {scheme[:200]}; there are {', '.join(SCHEMES)}{hint}")
    files, get = _options(found["options"] or "")
    return Identifier(scheme, _name(scheme, name), files, get)


def _options(text: str) -> tuple[int | None, Literal["all", "available"]]:
    """``files`` and ``get``, the last of each."""
    options = dict(option.split("=", 1) for option in text.split("&")) if text else {}
    files, get = options.get("files"), options.get("get", "all")
    if files is not None and not re.fullmatch("[1-9][0-9]{0,8}", files, re.ASCII):
        raise _bad(f"files={files[:50]} of the did is no number of files, such as ?files=10")
    if get not in ("all", "available"):
        raise _bad(f"get={get[:50]} of the did must be get=all or get=available")
    return None if files is None else int(files), "available" if get == "available" else "all"


def _name(scheme: str, name: str) -> str:
    """The name, if it can be one in its scheme."""
    shown = repr(name[:200])
    if not name:
        raise _bad(f"the did names no dataset after {scheme}://")
    if scheme == "cernopendata" and not re.fullmatch("[1-9][0-9]{0,11}", name, re.ASCII):
        raise _bad(f"{shown} is no number of a CERN Open Data record; right is cernopendata://1507")
    if scheme == "xrootd" and not _XROOTD.fullmatch(name):
        raise _bad(f"{shown} is no XRootD URL; right is xrootd://root://host//folder/*.root")
    if scheme == "rucio" and not _RUCIO.fullmatch(name):
        raise _bad(f"{shown} is no Rucio name with its scope; right is rucio://scope:name")
    if scheme == "glob" and not name.startswith("/"):
        raise _bad(f"{shown} is no absolute path; right is glob:///folder/run*/*.root")
    return name.rstrip("/") if scheme == "rucio" else name


def _bad(reason: str) -> DatasetError:
    return DatasetError("bad_name", reason)
