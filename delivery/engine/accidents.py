"""Warnings of answers that rest on an accident: lists that meet item by item and need not be equally long."""

from collections.abc import Iterable

from delivery.errors import location

_SHOWN_NAMES = 4


class Accidents:
    """Where such lists meet in a query, and which columns they are made of; one warning for each place."""

    def __init__(self) -> None:
        self._columns: dict[tuple[str, int], set[str]] = {}

    def add(self, text: str, start: int, columns: Iterable[str]) -> None:
        """Lists of these columns meet at this place of the text."""
        self._columns.setdefault((text, start), set()).update(columns)

    def sentences(self, advice: str = "") -> tuple[str, ...]:
        """The warnings in the order of their places, each with the advice at its end."""
        places = sorted(self._columns.items(), key=lambda place: place[0][1])
        return tuple(
            f"query {location(text, (start, start)) or '1:1'}: lists that need not be equally long meet item by item "
            f"({', '.join(sorted(names)[:_SHOWN_NAMES])}); the answer depends on their lengths being equal by accident"
            + advice
            for (text, start), names in places
        )
