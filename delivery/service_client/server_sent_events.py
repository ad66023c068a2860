"""Server-sent events, as the HTML standard defines their text (section 9.2.6)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name (``message`` if the server gives none), its data, and the id to go on from after it."""

    name: str
    data: str
    last_id: str


def events(lines: Iterable[str]) -> Iterator[Event]:
    """The events in the lines of a stream (without line ends). One that the stream breaks off in is left out."""
    name, data, last_id = "", list[str](), ""
    for line in lines:
        if not line:
            if data:
                yield Event(name or "message", "\n".join(data), last_id)
            name, data = "", []
            continue
        field, _, value = line.partition(":")  # a comment has an empty field
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id" and "\0" not in value:
            last_id = value
