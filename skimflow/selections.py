"""The selection of a transform, as people give it on the command line, to the text that the engine takes."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from textwrap import dedent

from skimflow.errors import UsageError

_QUERY_FUNCTION = re.compile(r"[\w./-]+:[A-Za-z_]\w*")
_LONGEST_PATH = 4096
_BEGINS = {"uproot": "(", "uproot-raw": "[{", "python": ""}
"""The characters one of which every selection of a codegen begins with; of none for those that are not looked at."""


def selection_text(given: str, codegen: str) -> str:
    """The selection that ``given`` means: a file's content, a query function's text, or ``given`` itself.

    A query function is named ``module:function`` or ``file.py:function``. For codegen ``python``, source is put into
    base64, as ServiceX wants it; what is base64 already stays.

    Raises UsageError for a file that is not there or is no text, and what `queries.named.load` raises.
    """
    file = _file(given)
    text = given if file is None else _content(file)
    if codegen == "python":
        return _encoded(text)
    if file is None and _QUERY_FUNCTION.fullmatch(given):
        return _of_function(given, codegen)
    if file is None and not given.lstrip().startswith(tuple(_BEGINS[codegen])):
        raise UsageError(
            f"--selection {given!r} is no file and no {codegen} selection (one begins with {_BEGINS[codegen][0]})"
        )
    return text


def _file(given: str) -> Path | None:
    if len(given) > _LONGEST_PATH or "\n" in given or "\0" in given:
        return None
    try:
        return Path(given) if Path(given).is_file() else None
    except OSError:  # a name longer than the system takes
        return None


def _content(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--selection: cannot read {file}: {error}") from error


def _of_function(name: str, codegen: str) -> str:
    from queries.named import load

    query = load(name, Path.cwd())
    if query.codegen != codegen:
        raise UsageError(f"{name} is a query for codegen {query.codegen}: add --codegen {query.codegen}")
    return query.text


def _encoded(text: str) -> str:
    compact = "".join(text.split())
    try:
        base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError):
        return base64.b64encode(dedent(text).encode()).decode("ascii")
    return compact
