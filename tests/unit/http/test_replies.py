"""The headers of error replies."""

import pytest

from headrace.domain.errors import (
    Conflict,
    HeadraceError,
    InvalidRequest,
    MeteringUnavailable,
    Overloaded,
    PaymentRequired,
    SlowRequest,
    Unauthenticated,
    UpstreamAuthFailed,
    UpstreamRateLimited,
    UpstreamUnavailable,
)
from headrace.http.replies import error_headers


@pytest.mark.parametrize(
    ("error", "more"),
    [
        (InvalidRequest("x"), {}),
        (UpstreamRateLimited("x", retry_after_seconds=0.2), {"retry-after": "1"}),
        (UpstreamRateLimited("x", retry_after_seconds=7.0), {"retry-after": "7"}),
        (UpstreamRateLimited("x", retry_after_seconds=0.0), {"retry-after": "0"}),
        (UpstreamRateLimited("x"), {"retry-after": "1"}),
        (UpstreamAuthFailed("x"), {"x-should-retry": "false"}),
        (UpstreamUnavailable("x"), {}),
        (SlowRequest("x"), {}),
        (Overloaded("x", retry_after_seconds=1), {"retry-after": "1"}),
        (MeteringUnavailable("x"), {"retry-after": "2"}),
        (MeteringUnavailable("x", retry_after_seconds=4), {"retry-after": "4"}),
        (PaymentRequired("x"), {"x-should-retry": "false"}),
        (Conflict("x"), {"x-should-retry": "false"}),
        (Unauthenticated("x"), {"www-authenticate": "Bearer"}),
    ],
)
def test_what_helps_a_client_decide(error: HeadraceError, more: dict[str, str]) -> None:
    assert dict(error_headers(error)) == {"content-type": "application/json", **more}
