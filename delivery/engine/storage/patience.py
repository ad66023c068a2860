"""How long one read of a remote input may take."""

from contextvars import ContextVar

READ_SECONDS: ContextVar[float] = ContextVar("READ_SECONDS", default=60.0)
"""Seconds without an answer after which a read fails; what opens a file decides, for as long as it is open."""
