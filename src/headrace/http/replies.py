"""Whole replies: JSON bodies and errors with the headers that help a client decide."""

from __future__ import annotations

import math

from headrace.domain.errors import HeadraceError
from headrace.http.sink import Headers

REPEAT_IS_USELESS = frozenset(
    {"upstream_auth_failed", "upstream_quota_exhausted", "upstream_tls", "request_over_limit"}
)
JSON_HEADERS: Headers = (("content-type", "application/json"),)


def error_headers(error: HeadraceError) -> Headers:
    """Return the headers of an error reply: when to try again, or that it is of no use."""
    headers = JSON_HEADERS
    if error.retry_after_seconds is not None:
        headers += (("retry-after", str(math.ceil(error.retry_after_seconds))),)
    elif error.status == 503:
        headers += (("retry-after", "2"),)
    elif error.status == 429:
        headers += (("retry-after", "1"),)
    if error.status in (402, 409) or error.code in REPEAT_IS_USELESS:
        headers += (("x-should-retry", "false"),)
    if error.status == 401:
        headers += (("www-authenticate", "Bearer"),)
    return headers
