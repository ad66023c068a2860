"""What can go wrong when an analysis is preserved."""

from inference.errors import InferenceError


class InvalidSubmission(InferenceError):
    """HEPData would refuse it; the message says what and why."""
