"""Owns checking that every kept decision belongs to a request and says of it what the request's row says."""

from __future__ import annotations

import msgspec

from headrace.domain.audit import Findings
from headrace.drivers.stores.audit_books import Rows

DECISIONS = """
SELECT decision.request_id, decision.router, decision.received_at_micros, decision.body,
    request.received_at_micros, request.route
FROM decision LEFT JOIN request ON request.request_id = decision.request_id ORDER BY decision.request_id
"""


class _Told(msgspec.Struct):
    router: str
    route: str | None


_TOLD = msgspec.json.Decoder(_Told)


def audit_decisions(rows: Rows, findings: Findings) -> None:
    """Compare each decision with its request; one that was forgotten is nothing amiss."""
    for request_id, router, received, body, known, route in rows(DECISIONS, ()):
        findings.count("decisions")
        if known is None:
            findings.compare("decision.rows", f"{request_id} (no such request)", 1, 0)
            continue
        told = _TOLD.decode(body)
        findings.compare("decision.received_at_micros", request_id, received, known)
        findings.compare("decision.router", request_id, router, told.router)
        findings.compare("decision.route", request_id, told.route, route)
