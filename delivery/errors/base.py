"""The base of all errors of `delivery`, and their form for programs."""

from collections.abc import Mapping
from typing import Any, ClassVar

from delivery.errors.excerpts import Span, excerpt, marked, position
from delivery.urls import without_secrets


class DeliveryError(Exception):
    """Base of everything that `delivery` raises.

    ``transient`` says whether the same request may succeed when it is tried again (network, busy service), ``hint``
    what to do, ``file`` which input (or output) it is about, ``span`` the place in the query ``text``.
    """

    transient: ClassVar[bool] = False
    hint: str = ""
    file: str | None = None
    text: str = ""
    span: Span | None = None

    def sentence(self) -> str:
        """What was wrong, in one sentence without what to do."""
        return ", ".join(str(part) for part in self.args)

    def suggestions(self) -> Mapping[str, tuple[str, ...]]:
        """For each name that is not known, the names that may have been meant."""
        return {}

    def details(self) -> str:
        """More lines for people, each begun by a newline."""
        return ""

    def __str__(self) -> str:
        what = f"{self.sentence()}; {self.hint}" if self.hint else self.sentence()
        return what + self.details() + excerpt(self.text, self.span)


def to_json(error: BaseException) -> dict[str, Any]:
    """An error as a JSON document, for services and for ``--json``.

    Keys, all always there:

    - ``type``: name of the error's class.
    - ``message``: what was wrong, one line.
    - ``detail``: the whole text that people see, with line breaks.
    - ``file``: path or URL (without secrets) of the file it is about, or null.
    - ``span``: place in the query, or null: ``start`` and ``end`` (excluded) in characters (Unicode code points) of the
      query's text, ``line`` and ``column`` of its start, both from 1.
    - ``excerpt``: the query's line around the place and below it a line with carets, or null.
    - ``near``: object from each unknown name to the list of names that may have been meant.
    - ``hint``: what to do, or null.
    - ``transient``: whether the same request may succeed when it is tried again.

    Works for every exception, `queries.errors.QuerySyntaxError` included; nothing in it is a token or a password.
    """
    place = _place(error)
    text, span = place if place is not None else ("", None)
    ours = isinstance(error, DeliveryError)
    sentence = error.sentence() if isinstance(error, DeliveryError) else str(getattr(error, "reason", error))
    near = error.suggestions() if isinstance(error, DeliveryError) else {}
    return {
        "type": type(error).__name__,
        "message": without_secrets(" ".join(sentence.split())) or type(error).__name__,
        "detail": str(error) if ours else without_secrets(str(error)),
        "file": getattr(error, "file", None) if ours else None,
        "span": _span(text, span),
        "excerpt": marked(text, span) if span else None,
        "near": {name: list(names) for name, names in near.items()},
        "hint": (error.hint or None) if isinstance(error, DeliveryError) else None,
        "transient": isinstance(error, DeliveryError) and error.transient,
    }


def _place(error: BaseException) -> tuple[str, Span] | None:
    """Text and span of an error of ours or of `queries`, None where there is no place."""
    text, span = getattr(error, "text", None), getattr(error, "span", None)
    start, end = getattr(error, "start", None), getattr(error, "end", None)
    if span is None and isinstance(start, int) and isinstance(end, int):
        span = (start, end)
    return (text, span) if isinstance(text, str) and text and isinstance(span, tuple) else None


def _span(text: str, span: Span | None) -> dict[str, int] | None:
    if span is None:
        return None
    line, column = position(text, span)
    return {"start": span[0], "end": span[1], "line": line, "column": column}
