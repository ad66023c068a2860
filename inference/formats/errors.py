"""What can go wrong between formats."""

from inference.errors import InferenceError


class InvalidDocument(InferenceError):
    """The document is not what its format asks for, or holds something that no workspace of pyhf can say."""


class NotExpressible(InferenceError):
    """The workspace holds something that the other format has no words for."""
