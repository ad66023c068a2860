"""Where a download may lead: a service asks at every hop, for a redirection may lead to its own network."""

from collections.abc import Callable
from contextvars import ContextVar

Guard = Callable[[str, str, str | None], None]
"""Of a hop's scheme, its host, and the address it was connected to (None: not yet); raises PermissionError."""

GUARD: ContextVar[Guard | None] = ContextVar("GUARD", default=None)
"""What is asked; what opens a file decides, for as long as it is open. None: a person's own reads go everywhere."""
