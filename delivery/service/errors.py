"""What the service answers when it does not do what was asked: an HTTP status and a sentence.

Every error body is ``{"message": …}``; the official client reads nothing else.
"""

from typing import ClassVar

from delivery.errors import DeliveryError


class ServiceError(DeliveryError):
    """Base of the service's own errors; `status` is the HTTP status of the answer."""

    status: ClassVar[int] = 500
    retry_after: float | None = None


class BadRequest(ServiceError):
    """What was sent cannot be run; the sentence says what would be right."""

    status = 400


class NotSignedIn(ServiceError):
    """No token, or one that is expired, revoked or not ours."""

    status = 401


class NotAllowed(ServiceError):
    """Another user's, or only an admin's."""

    status = 403


class NotThere(ServiceError):
    """No such request, dataset, file or object."""

    status = 404


class Conflict(ServiceError):
    """The request's state does not allow it."""

    status = 409


class TooMany(ServiceError):
    """A quota or rate limit is used up; `retry_after` seconds may help."""

    status = 429

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(ServiceError):
    """Not now: the database, the store or the workers cannot be reached."""

    status = 503
