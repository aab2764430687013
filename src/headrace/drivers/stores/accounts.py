"""Owns booking transfers and reading balances; a prepaid balance is a scope whose limit is what was paid in."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.domain.budget import balance_scope
from headrace.domain.errors import Conflict
from headrace.domain.money import MAX_NANO, format_nano
from headrace.domain.transfer import ADJUSTMENTS, CASH, Balance, Entry, Transfer, TransferKind
from headrace.drivers.stores import sql
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.sqlite import Cursor

ADD = """
INSERT INTO ledger_entry
    (line, kind, line_kind, debit, credit, quantity, price_pico, amount_nano, at_micros, note, reference)
VALUES (0, ?, ?, ?, ?, 1, 0, ?, ?, ?, ?)
"""
BOOKED = "SELECT 1 FROM ledger_entry WHERE reference = ?"
LIST = """
SELECT entry_id, kind, line_kind, debit, credit, amount_nano, at_micros, note, reference
FROM ledger_entry WHERE run_id IS NULL AND (debit = ? OR credit = ?)
ORDER BY entry_id DESC LIMIT ?
"""


class SqlAccounts:
    """Transfers as entries of the ledger; a balance's scope moves in the same commit."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def post(self, transfer: Transfer) -> Balance:
        """Book a transfer and move the balance's limit with it; returns the balance.

        Raises Conflict when its reference was booked already, and when the limit would leave its range.
        """

        def write(cursor: Cursor) -> Balance:
            if cursor.execute(BOOKED, (transfer.reference,)).fetchone() is not None:
                raise Conflict(
                    f'A transfer with the reference "{transfer.reference}" is booked already; nothing was booked now.',
                    code="transfer_booked",
                    param="reference",
                )
            balance = _moved(cursor, transfer)
            self._database.figures.balances.forget()
            return balance

        return await self._database.write(write)

    async def balances(self, scopes: Sequence[str]) -> tuple[Balance, ...]:
        """Return the scopes that exist, in the order asked."""
        found = await self._database.read(lambda cursor: [_read(cursor, scope) for scope in scopes])
        return tuple(each for each in found if each is not None)

    async def transfers(self, account: str, limit: int) -> tuple[Entry, ...]:
        """Return the newest transfers of an account first."""
        name = _receivable(account)
        rows = await self._database.read(lambda cursor: cursor.execute(LIST, (name, name, limit)).fetchall())
        return tuple(Entry(*row) for row in rows)


def _moved(cursor: Cursor, transfer: Transfer) -> Balance:
    scope = balance_scope(transfer.account)
    before = _read(cursor, scope) or Balance(scope, 0, 0, 0)
    limit = (before.limit_nano or 0) + transfer.amount_nano
    if not 0 <= limit <= MAX_NANO:
        raise Conflict(
            f'The team "{transfer.account}" has paid in ${format_nano(before.limit_nano or 0)} in all, which cannot'
            f" change by {format_nano(transfer.amount_nano)}: it stays from 0 to {format_nano(MAX_NANO)}.",
            code="balance_out_of_range",
            param="amount_usd",
        )
    other = CASH if transfer.kind is TransferKind.TOP_UP else ADJUSTMENTS
    debit, credit = other, _receivable(transfer.account)
    if transfer.amount_nano < 0:
        debit, credit = credit, debit
    amount, kind = abs(transfer.amount_nano), transfer.kind.value
    cursor.execute(ADD, (kind, kind, debit, credit, amount, transfer.at_micros, transfer.note, transfer.reference))
    cursor.execute(sql.SET_LIMIT, (scope, limit, 0, 0))
    return Balance(scope, limit, before.held_nano, before.spent_nano)


def _read(cursor: Cursor, scope: str) -> Balance | None:
    row = cursor.execute(sql.READ_BALANCE, (scope,)).fetchone()
    return None if row is None else Balance(scope, *row)


def _receivable(account: str) -> str:
    return f"receivable:{account}"
