"""What can go wrong with an extension."""

from inference.errors import InferenceError, InvalidWorkspace


class InvalidExtension(InvalidWorkspace):
    """An extension's document says something that it may not say, or does not fit its workspace."""


class NotSerialisable(InferenceError):
    """A workspace cannot be written, since one of its extensions is Python code."""
