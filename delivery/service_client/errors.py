"""What a service may answer besides what was asked for."""

from delivery.errors import EndpointUnreachable, RequestFailed


class Busy(EndpointUnreachable):
    """The service answers, and cannot do it now; ``retry_after`` seconds may help (None: it does not say)."""

    def __init__(self, url: str, reason: str, retry_after: float | None = None) -> None:
        super().__init__(url, reason)
        self.args = (self.url, reason, retry_after)
        self.retry_after = retry_after


class RequestRefused(RequestFailed):
    """The service will not do it as it was asked; its sentence says what would be right."""


class NoSuchRequest(RequestFailed):
    """The service knows no such request, file or result."""


class ResultDamaged(RequestFailed):
    """What came is not what the service's record of the result says."""


class NotOurService(RequestFailed):
    """What answers is a ServiceX of another kind: it pushes no events."""

    hint = "use its official client: `servicex deliver`, or `endpoint: servicex` in a pipeline"
