"""What can go wrong with toys."""

from inference.errors import InferenceError


class InvalidToys(InferenceError):
    """Toys were asked for that the model cannot throw, or settings of them make no sense."""
