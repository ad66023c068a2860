"""What can go wrong between histograms and results.

Each error carries one finished message, so that it survives pickling on its way back from a worker.
"""

import difflib
from collections.abc import Iterable


class InferenceError(Exception):
    """Base of every error of this package."""


class InvalidHistograms(InferenceError):
    """The histograms cannot be read or do not fit together."""


class MissingTemplate(InferenceError):
    """A histogram that the model asks for is not among those given."""


class InvalidModel(InferenceError):
    """The model file says something that it may not say."""


class InvalidWorkspace(InferenceError):
    """The workspace breaks pyhf's schema or cannot be made into a likelihood."""


class UnknownParameter(InferenceError):
    """A parameter was named that the workspace does not have."""


class FitFailed(InferenceError):
    """There is no minimum with a clean certificate, or no covariance at it; the message says why."""


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """Sentence that names the known names nearest to ``name``, or all of them where none is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=count, cutoff=0.5)
    if near:
        return f"nearest: {', '.join(near)}"
    return f"known: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}" if names else "none is known"
