"""What can be wrong with the settings."""

from inference.errors import InferenceError


class InvalidSmoothing(InferenceError):
    """A threshold out of range, or systematics that the workspace does not have."""
