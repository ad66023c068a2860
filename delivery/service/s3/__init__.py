"""Results over the S3 protocol: read-only, one bucket per request, keys that open that bucket alone.

The application adds `Gateway` as a middleware, for a signed call may have any path, and includes `router`.
"""

from delivery.service.s3.gateway import Gateway
from delivery.service.s3.routes import router

__all__ = ["Gateway", "router"]
