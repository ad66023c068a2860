"""What the S3 side answers instead of an object: a code that S3 clients know, its HTTP status, and a sentence."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from delivery.service.errors import ServiceError

STATUS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "AccessDenied": 403,
        "AuthorizationHeaderMalformed": 400,
        "AuthorizationQueryParametersError": 400,
        "ExpiredToken": 400,
        "InternalError": 500,
        "InvalidAccessKeyId": 403,
        "InvalidArgument": 400,
        "InvalidRange": 416,
        "InvalidRequest": 400,
        "KeyTooLongError": 400,
        "MethodNotAllowed": 405,
        "NoSuchBucket": 404,
        "NoSuchKey": 404,
        "NotImplemented": 501,
        "PreconditionFailed": 412,
        "RequestTimeTooSkewed": 403,
        "SignatureDoesNotMatch": 403,
        "SlowDown": 503,
        "XAmzContentSHA256Mismatch": 400,
    }
)
"""S3's error codes that occur here, with their HTTP status (Amazon S3 API reference, "Error responses")."""

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class S3Error(ServiceError):
    """An S3 error answer. `code` is one of `STATUS`; `headers` go with the answer."""

    def __init__(
        self, code: str, message: str, headers: Mapping[str, str] = _NO_HEADERS, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.code = code
        self.headers = headers
        self.status = STATUS[code]  # type: ignore[misc]
