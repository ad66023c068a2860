"""What can go wrong when workspaces are combined."""

from inference.errors import InferenceError


class InvalidMap(InferenceError):
    """The correlation map names what is not there, or says something that it may not say."""


class Clash(InferenceError):
    """The workspaces contradict each other; the message says in what and what would settle it."""
