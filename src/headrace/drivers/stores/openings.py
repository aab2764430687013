"""Owns what an opening becomes in the tables; taking its bound from the scopes is balances.py's."""

from __future__ import annotations

import msgspec

from headrace.domain.books import Opening
from headrace.domain.plan import Excluded
from headrace.domain.price import PriceVersion
from headrace.drivers.stores import sql
from headrace.drivers.stores.decision_rows import decision_row
from headrace.drivers.stores.sqlite import Cursor
from headrace.wire.price_json import rates_text, variants_text

Row = tuple[str | int, ...]


def request_row(opening: Opening) -> Row:
    """Return the parameters of ADD_REQUEST."""
    request = opening.request
    return (
        request.request_id,
        request.operation,
        request.account,
        request.key_id,
        request.key_name,
        request.requested_model,
        int(request.stream),
        request.route or "",
        request.received_at_micros,
        msgspec.json.encode(request.tags).decode() if request.tags else "",
        excluded_text(request.excluded) if request.excluded else "",
    )


def attempt_row(opening: Opening, epoch: int) -> Row:
    """Return the parameters of ADD_ATTEMPT."""
    bound = opening.bound
    return (
        opening.attempt_id,
        opening.request.request_id,
        opening.turn_index,
        opening.attempt_index,
        opening.parent_attempt_id or "",
        epoch,
        opening.model_id,
        opening.provider,
        opening.deployment or "",
        opening.identity,
        opening.price.id,
        bound.input_tokens,
        bound.output_tokens,
        bound.amount_nano,
        bound.input_estimate,
        scopes_text(opening.scopes),
        opening.at_micros,
    )


def scopes_text(scopes: tuple[str, ...]) -> str:
    """Return scopes as the tables keep them: a JSON list in the order in which they were taken."""
    return msgspec.json.encode(scopes).decode()


def excluded_text(excluded: tuple[Excluded, ...]) -> str:
    """Return what a plan left out as the tables keep it: a JSON list of objects, each once."""
    return msgspec.json.encode(list(dict.fromkeys(excluded))).decode()


def write_price(cursor: Cursor, price: PriceVersion) -> None:
    """Write a price version unless it is there."""
    rates, variants = rates_text(price.rates_pico), variants_text(price) or ""
    named = (price.id, price.provider, price.model_id, price.effective, price.source)
    cursor.execute(sql.ADD_PRICE, (*named, rates, price.markup_ppm, variants))


def write_opening(cursor: Cursor, opening: Opening, epoch: int) -> None:
    """Write one opening's rows; its price version is there already."""
    cursor.execute(sql.ADD_REQUEST, request_row(opening))
    request = opening.request
    if request.decision is not None:
        cursor.execute(sql.ADD_DECISION, decision_row(request, request.decision))
    cursor.execute(sql.ADD_ATTEMPT, attempt_row(opening, epoch))
    cursor.execute(sql.ADD_HOLD, (opening.attempt_id,))
