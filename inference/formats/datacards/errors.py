"""What can be wrong with a datacard, said with file and line."""

from inference.formats.errors import InvalidDocument


class DatacardError(InvalidDocument):
    """The card breaks its format, asks for what a workspace cannot say, or names templates that are not there."""


def refuse(place: str, problem: str) -> DatacardError:
    """The error of a problem at a place, ``file, line number``."""
    return DatacardError(f"{place}: {problem}")
