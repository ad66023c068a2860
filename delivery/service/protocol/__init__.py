"""The ServiceX protocol: what the official client calls, and a few calls more.

Beyond ServiceX: retry of failed files, per-file states and logs, cancel-all for every caller; the submission takes
semantics, partial and priority.
"""

from delivery.service.protocol.routes import ERRORS, router

__all__ = ["ERRORS", "router"]
