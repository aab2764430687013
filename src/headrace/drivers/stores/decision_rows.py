"""Owns how a router's decision lies in its row: JSON, and the prompt's features beside it."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from headrace.domain.books import RequestStart
from headrace.domain.routing import Decision
from headrace.drivers.stores.sqlite import Cursor

DECISION_COLUMNS = 5
GET = "SELECT body, features FROM decision WHERE request_id = ?"
# Rows outlive versions: a field that is new in Decision needs a default.
_DECISION = msgspec.json.Decoder(Decision)


def decision_row(request: RequestStart, decision: Decision) -> tuple[str | int | bytes, ...]:
    """Return the parameters of ADD_DECISION."""
    body = msgspec.json.encode(replace(decision, features=b"")).decode()
    return request.request_id, decision.router, request.received_at_micros, body, decision.features


def read_decision(body: str, features: bytes) -> Decision:
    """Return the decision of a row."""
    return replace(_DECISION.decode(body), features=bytes(features))


def decision_in(cursor: Cursor, request_id: str) -> Decision | None:
    """Return what a router decided for a request; None where none was asked, or where it is forgotten."""
    row = cursor.execute(GET, (request_id,)).fetchone()
    return None if row is None else read_decision(row[0], row[1])
