"""What can go wrong with new signals."""

from inference.errors import InferenceError


class InvalidSignal(InferenceError):
    """A signal cannot be read or does not fit the workspace."""
