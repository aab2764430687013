"""The one tree of errors; rendering them to a caller's dialect is wire/errors.py's.

HeadraceError
├── CallerError            the request, its credential, its rights or its budget
│   ├── InvalidRequest         400   ├── BodyTooLarge       413
│   ├── Unauthenticated        401   ├── UnsupportedMedia   415
│   ├── PaymentRequired        402   ├── WrongHost          421
│   ├── Forbidden              403   ├── MethodNotAllowed   405
│   ├── NotFound               404   ├── Conflict           409
│   ├── SlowRequest            408   ├── HeadersTooLarge    431
│   └── Unprocessable          422   └── RateLimited        429
├── UpstreamError          the provider or engine that was asked
│   ├── UpstreamRefused        400   (it named the caller's request as the fault)
│   ├── UpstreamAuthFailed     502   ├── UpstreamTimeout    504
│   ├── UpstreamRateLimited    429   ├── UpstreamTruncated  502
│   ├── UpstreamUnavailable    502   ├── UpstreamProtocol   502
│   ├── UpstreamQuota          502   ├── UpstreamStalled    504
│   ├── UpstreamTls            502   ├── UpstreamResting    503
│   └── UpstreamNonconforming  502
└── PlatformError          Headrace itself
    ├── MeteringUnavailable    503   ├── EngineFailed       503
    ├── ShuttingDown           503   ├── InternalError      500
    ├── Overloaded             503   ├── DriverUnusable     503
    ├── DeploymentAsleep       503
    └── OperatorError          (the command line: exit status, no HTTP)
        ├── ConfigInvalid      ├── HomeUnusable
        ├── StoreUnusable      └── AddressInUse
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, TypeAlias

Fault: TypeAlias = Literal["caller", "upstream", "platform"]
Scalar: TypeAlias = str | int | bool | None


class HeadraceError(Exception):
    """A failure with a stable code, a status, a fault and a message that may be shown to the caller.

    `detail` is private: it goes to the log, never to the caller. `extra` holds public fields beside the message. `told`
    are headers of its reply that say who was asked and what a router decided, set by who knows it.
    """

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal_error"
    fault: ClassVar[Fault] = "platform"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        detail: str | None = None,
        retry_after_seconds: float | None = None,
        extra: Mapping[str, Scalar] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code if code is not None else self.default_code
        self.param = param
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds
        self.extra: Mapping[str, Scalar] = extra if extra is not None else {}
        self.told: tuple[tuple[str, str], ...] = ()


class CallerError(HeadraceError):
    """The caller's request, credential, rights or budget is the reason."""

    status = 400
    default_code = "invalid_request"
    fault = "caller"


class InvalidRequest(CallerError):
    """The request is malformed or asks for what cannot be expressed."""


class Unauthenticated(CallerError):
    """No credential, or one that is unknown, malformed or revoked."""

    status = 401
    default_code = "invalid_api_key"


class PaymentRequired(CallerError):
    """The price is unknown or the money does not suffice."""

    status = 402
    default_code = "insufficient_quota"


class Forbidden(CallerError):
    """The credential is good but does not reach this."""

    status = 403
    default_code = "forbidden"


class NotFound(CallerError):
    """Nothing of that name, or nothing that this caller may see."""

    status = 404
    default_code = "not_found"


class MethodNotAllowed(CallerError):
    """The path exists but not with this method."""

    status = 405
    default_code = "method_not_allowed"


class Conflict(CallerError):
    """The request contradicts the present state."""

    status = 409
    default_code = "conflict"


class BodyTooLarge(CallerError):
    """The request body passes the limit."""

    status = 413
    default_code = "body_too_large"


class UnsupportedMedia(CallerError):
    """The content type or encoding of the body is not accepted."""

    status = 415
    default_code = "unsupported_content_type"


class WrongHost(CallerError):
    """The Host header names a host that this listener does not serve."""

    status = 421
    default_code = "wrong_host"


class Unprocessable(CallerError):
    """The request is well formed, but contradicts an earlier one that it says it repeats."""

    status = 422
    default_code = "unprocessable"


class RateLimited(CallerError):
    """The caller, its team, the model or the platform has a limit that the request does not fit under now."""

    status = 429
    default_code = "rate_limit_exceeded"
    retryable = True


class SlowRequest(CallerError):
    """The request did not come within its time."""

    status = 408
    default_code = "request_timeout"


class HeadersTooLarge(CallerError):
    """The head of the request passes the limit."""

    status = 431
    default_code = "headers_too_large"


class UpstreamError(HeadraceError):
    """The provider or engine that was asked is the reason."""

    status = 502
    default_code = "upstream_error"
    fault = "upstream"
    retryable = True


class UpstreamRefused(UpstreamError):
    """The upstream understood the request and says that it is wrong."""

    status = 400
    default_code = "upstream_refused"
    fault = "caller"
    retryable = False


class UpstreamAuthFailed(UpstreamError):
    """The upstream refused the operator's credential; never the caller's fault."""

    default_code = "upstream_auth_failed"


class UpstreamQuota(UpstreamError):
    """The operator's account at the upstream is out of money or quota."""

    default_code = "upstream_quota_exhausted"


class UpstreamRateLimited(UpstreamError):
    """The upstream asks to slow down."""

    status = 429
    default_code = "upstream_rate_limited"


class UpstreamUnavailable(UpstreamError):
    """The upstream could not be reached or failed by itself."""

    default_code = "upstream_unavailable"


class UpstreamResting(UpstreamError):
    """Every upstream that could serve the request failed lately and is left alone for a while."""

    status = 503
    default_code = "upstream_resting"


class UpstreamTls(UpstreamError):
    """The upstream's TLS certificate was not acceptable."""

    default_code = "upstream_tls"


class UpstreamTimeout(UpstreamError):
    """The upstream did not answer in time."""

    status = 504
    default_code = "upstream_timeout"


class UpstreamStalled(UpstreamError):
    """The upstream stopped sending in the middle of its answer."""

    status = 504
    default_code = "upstream_stalled"


class UpstreamTruncated(UpstreamError):
    """The upstream's answer ended without its dialect's terminator."""

    default_code = "upstream_truncated"


class UpstreamProtocol(UpstreamError):
    """The upstream's answer was not valid in its dialect."""

    default_code = "upstream_protocol"


class UpstreamNonconforming(UpstreamError):
    """The model's answer is whole, but has not the form that was asked for."""

    default_code = "structured_output_invalid"


class PlatformError(HeadraceError):
    """Headrace itself is the reason."""


class InternalError(PlatformError):
    """A defect in Headrace."""


class MeteringUnavailable(PlatformError):
    """The ledger cannot take a hold, so nothing was sent."""

    status = 503
    default_code = "metering_unavailable"
    retryable = True


class EngineFailed(PlatformError):
    """A local engine could not be started or died before it answered."""

    status = 503
    default_code = "engine_unavailable"
    retryable = True


class DeploymentAsleep(PlatformError):
    """The deployment has no replica now, and its requests do not wait for one."""

    status = 503
    default_code = "deployment_asleep"
    retryable = True


class DriverUnusable(PlatformError):
    """A compute driver lacks what it needs; the message says what to install or set."""

    status = 503
    default_code = "driver_unusable"


class ShuttingDown(PlatformError):
    """The server is draining and takes no new requests."""

    status = 503
    default_code = "shutting_down"
    retryable = True


class Overloaded(PlatformError):
    """More is asked of the process at once than it takes on."""

    status = 503
    default_code = "overloaded"
    retryable = True


class OperatorError(PlatformError):
    """The operator's command cannot go on; carries what to do and an exit status."""

    exit_status: ClassVar[int] = 1
    default_code = "operator_error"


class ConfigInvalid(OperatorError):
    """A configuration or catalog file is wrong; the message names file, line and fix."""

    exit_status = 2
    default_code = "config_invalid"


class HomeUnusable(OperatorError):
    """The home cannot be written, is in use, or was written by a newer version."""

    exit_status = 3
    default_code = "home_unusable"


class StoreUnusable(OperatorError):
    """The database file is corrupt or cannot be opened."""

    exit_status = 4
    default_code = "store_unusable"


class AddressInUse(OperatorError):
    """The listening address is taken."""

    exit_status = 5
    default_code = "address_in_use"
