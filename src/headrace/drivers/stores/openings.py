"""Owns what an opening becomes in the tables: its rows, and taking its bound from every scope or from none."""

from __future__ import annotations

import msgspec

from headrace.domain.books import Opening, Refused
from headrace.domain.price import PriceVersion
from headrace.drivers.stores import sql
from headrace.drivers.stores.sqlite import Cursor

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
    )


def attempt_row(opening: Opening, epoch: int, scopes: str) -> Row:
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
        scopes,
        opening.at_micros,
    )


def hold_row(opening: Opening, epoch: int, scopes: str) -> Row:
    """Return the parameters of ADD_HOLD."""
    account = opening.request.account
    return opening.attempt_id, epoch, account, opening.provider, scopes, opening.bound.amount_nano


def scopes_text(scopes: tuple[str, ...]) -> str:
    """Return scopes as the tables keep them: a JSON list in the order in which they were taken."""
    return msgspec.json.encode(scopes).decode()


def write_price(cursor: Cursor, price: PriceVersion) -> None:
    """Write a price version unless it is there."""
    rates = msgspec.json.encode({name.value: pico for name, pico in price.rates_pico.items()}).decode()
    values = (price.id, price.provider, price.model_id, price.effective, price.source, rates, price.markup_ppm)
    cursor.execute(sql.ADD_PRICE, values)


def write_opening(cursor: Cursor, opening: Opening, epoch: int) -> None:
    """Write one opening's rows; its price version is there already."""
    scopes = scopes_text(opening.scopes)
    cursor.execute(sql.ADD_REQUEST, request_row(opening))
    cursor.execute(sql.ADD_TURN, (opening.request.request_id, opening.turn_index, opening.at_micros))
    cursor.execute(sql.ADD_ATTEMPT, attempt_row(opening, epoch, scopes))
    cursor.execute(sql.ADD_HOLD, hold_row(opening, epoch, scopes))


def take_scopes(cursor: Cursor, opening: Opening) -> Refused | None:
    """Take the bound from every scope in order; at the first that does not allow it, give back what was taken."""
    amount = opening.bound.amount_nano
    for position, scope in enumerate(opening.scopes):
        cursor.execute(sql.TAKE, (amount, scope, amount))
        refused = _take_new_scope(cursor, scope, amount) if cursor.rowcount != 1 else None
        if refused is not None:
            for taken in opening.scopes[:position]:
                cursor.execute(sql.RELEASE, (amount, 0, taken))
            return refused
    return None


def _take_new_scope(cursor: Cursor, scope: str, amount: int) -> Refused | None:
    cursor.execute(sql.ADD_SCOPE, (scope, -1, 0, 0))
    if cursor.rowcount == 1:
        cursor.execute(sql.TAKE, (amount, scope, amount))
        return None
    limit, held, spent = cursor.execute(sql.READ_BALANCE, (scope,)).fetchone()
    return Refused(scope, limit, max(0, limit - held - spent))
