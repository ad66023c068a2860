"""The selection of a transform: what people give on the command line as the engine's text, and its cuts for people."""

from __future__ import annotations

import base64
import binascii
import re
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from textwrap import dedent

from skimflow.errors import UsageError

_QUERY_FUNCTION = re.compile(r"[\w./-]+:[A-Za-z_]\w*")
_FILE_NAME = re.compile(r"[\w./-]+\.\w+")
_LONGEST_PATH = 4096
CUT_TEXT = 100
"""Characters of a cut in one line."""
_FORMS = {
    "uproot": "qastle text, which begins with '(', or module:function for a query in Python",
    "uproot-raw": "JSON text, which begins with '[', or module:function",
    "python": "the source of run_query, or a file that holds it",
}
"""How a selection for a codegen may be given."""
_BEGINS = {"(": "uproot", "[": "uproot-raw", "{": "uproot-raw"}
"""First character of a selection -> the codegen that it is for."""


def selection_text(given: str, codegen: str) -> str:
    """The selection that ``given`` means: a file's content, a query function's text, or ``given`` itself.

    A query function is named ``module:function`` or ``file.py:function``. For codegen ``python``, source is put into
    base64, as ServiceX wants it; what is base64 already stays. For a codegen that is not ours, a file's content or the
    text as it is.

    Raises UsageError for a file that is not there or is no text, and what `queries.named.load` raises.
    """
    file = _file(given)
    text = given if file is None else _content(file)
    if codegen not in _FORMS:
        return text
    if codegen == "python":
        if file is None and _FILE_NAME.fullmatch(given):
            raise _no_selection(given, codegen)
        return _encoded(text)
    if file is None and _QUERY_FUNCTION.fullmatch(given):
        return _of_function(given, codegen)
    _check_form(given, file, text, codegen)
    return text


def _check_form(given: str, file: Path | None, text: str, codegen: str) -> None:
    """Raise UsageError for what is no selection at all, or one for another codegen; the engine says the rest."""
    if file is not None and file.suffix == ".py":
        raise UsageError(f"--selection {given} is Python: name its query function too, {given}:FUNCTION")
    meant = _BEGINS.get(text.lstrip()[:1])
    if meant not in (None, codegen):
        raise UsageError(f"--selection is a selection for codegen {meant}: add --codegen {meant}")
    if file is None and meant is None:
        raise _no_selection(given, codegen)


def _no_selection(given: str, codegen: str) -> UsageError:
    near: list[str] = []
    with suppress(OSError):  # no folder, or a name longer than the system takes
        near = get_close_matches(Path(given).name, [path.name for path in Path(given).parent.iterdir()], n=3)
    hint = f"; near: {', '.join(near)}" if near else ""
    return UsageError(f"--selection {given!r} is no file and no {codegen} selection{hint}; give {_FORMS[codegen]}")


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


def cut_text(text: str) -> str:
    """The beginning of a cut of a cutflow, in one line of at most `CUT_TEXT` characters."""
    line = python_text(text)
    return line if len(line) <= CUT_TEXT else line[: CUT_TEXT - 1] + "…"


def python_text(text: str) -> str:
    """A cut as people write it; one that is no qastle (of uproot-raw) as it is."""
    from queries.errors import QueryError
    from queries.parser import parse
    from queries.python_form import to_python

    with suppress(QueryError):
        text = to_python(parse(text))
    return " ".join(text.split())
