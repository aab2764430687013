"""Owns deriving receipts, holds, balances and limits from the append-only rows; sums by the hour are audit_usage.py's.

Everything is read row by row in the order of the primary keys, so memory grows with scopes and prices only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from headrace.domain.audit import Findings
from headrace.domain.budget import BALANCE_PREFIX, Budget, BudgetMode, Window, budget_of
from headrace.domain.price import PriceVersion, price_lines
from headrace.domain.transfer import ADJUSTMENTS, CASH, TransferKind
from headrace.domain.usage import Usage
from headrace.drivers.stores.audit_replicas import audit_replicas
from headrace.drivers.stores.recovery import read_price
from headrace.services.price_versions import rates_digest
from headrace.wire.usage_json import read_quantities

Value: TypeAlias = "str | int"
Row: TypeAlias = "tuple[Any, ...]"
Rows: TypeAlias = Callable[[str, Sequence[Value]], Iterator[Row]]
"""Runs a statement on a cursor of its own and yields what it finds; several are read at once."""
Report: TypeAlias = Callable[[int], None]

ROWS_BETWEEN_REPORTS = 10_000
DIGEST_DIGITS = 8
RECEIVABLE = "receivable:"
ATTEMPTS = """
SELECT attempt.attempt_id, attempt.price_version, attempt.bound_nano, attempt.scopes, attempt.held_at_micros,
    hold.attempt_id, resolution.outcome, resolution.input_fresh, resolution.input_cache_read,
    resolution.input_cache_write_5m, resolution.input_cache_write_1h, resolution.output_text,
    resolution.output_reasoning, resolution.usage_more, waiver.attempt_id
FROM attempt
LEFT JOIN hold ON hold.attempt_id = attempt.attempt_id
LEFT JOIN resolution ON resolution.attempt_id = attempt.attempt_id
LEFT JOIN waiver ON waiver.attempt_id = attempt.attempt_id
ORDER BY attempt.attempt_id
"""
LINES = """
SELECT line.attempt_id, line.line, line.line_kind, line.quantity, line.price_pico, line.cost_nano, line.charge_nano
FROM settled_line AS line JOIN attempt ON attempt.attempt_id = line.attempt_id
ORDER BY line.attempt_id, line.line
"""
PRICES = """
SELECT price_version, provider, model_id, effective, source, rates_pico, markup_ppm, variants FROM price_version
"""
TRANSFERS = """
SELECT entry_id, kind, debit, credit, quantity, price_pico, amount_nano, reverses
FROM ledger_entry WHERE run_id IS NULL ORDER BY entry_id
"""
REVERSALS = """
SELECT again.entry_id, again.amount_nano,
    CASE WHEN first.kind = again.kind AND first.debit = again.credit AND first.credit = again.debit
        THEN first.amount_nano END
FROM ledger_entry AS again LEFT JOIN ledger_entry AS first ON first.entry_id = again.reverses
WHERE again.reverses IS NOT NULL ORDER BY again.entry_id
"""
ORPHANS = """
SELECT '{table}', {table}.attempt_id FROM {table}
WHERE {table}.attempt_id IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.attempt_id = {table}.attempt_id)
"""
WITHOUT_ATTEMPT = ("hold", "resolution", "settled_line", "waiver")
SCOPE_ROWS = "SELECT scope, limit_nano, held_nano, spent_nano FROM scope ORDER BY scope"
BUDGETS = """
SELECT budget_id, scope, time_window, zone, limit_nano, mode, created_at_micros, changed_at_micros FROM budget
"""
LINE_COLUMNS = ("line_kind", "quantity", "price_pico", "cost_nano", "charge_nano")
SCOPES = msgspec.json.Decoder(tuple[str, ...])


class BooksAudit:
    """One pass over attempts and their lines, then one over the scopes."""

    def __init__(self, rows: Rows, findings: Findings) -> None:
        self._rows = rows
        self._findings = findings
        self._prices: dict[str, PriceVersion] = {}
        self._held: dict[str, int] = {}
        self._spent: dict[str, int] = {}
        self._paid: dict[str, int] = {}

    def run(self, now_micros: int, report: Report) -> None:
        """Check everything but the hourly sums; `report` hears how many attempts are done."""
        self._read_prices()
        self._check_attempts(report)
        self._check_transfers()
        audit_replicas(self._rows, self._findings, lambda scopes, amount: _add(self._spent, scopes, amount))
        self._check_scopes(now_micros)

    def _read_prices(self) -> None:
        for row in self._rows(PRICES, ()):
            price = read_price(row)
            self._prices[price.id] = price
            self._findings.count("price versions")
            digest = price.id.rpartition("#")[2]
            if len(digest) == DIGEST_DIGITS:
                self._findings.compare("price_version.digest", price.id, digest, rates_digest(price))

    def _check_attempts(self, report: Report) -> None:
        for table in WITHOUT_ATTEMPT:
            for name, attempt_id in self._rows(ORPHANS.format(table=table), ()):
                self._findings.compare(f"{name}.rows", f"{attempt_id} (no such attempt)", 1, 0)
        lines = self._rows(LINES, ())
        line = next(lines, None)
        done = 0
        for done, attempt in enumerate(self._rows(ATTEMPTS, ()), 1):
            booked: list[Row] = []
            while line is not None and line[0] == attempt[0]:
                booked.append(line[1:])
                line = next(lines, None)
            self._check_attempt(attempt, booked)
            if done % ROWS_BETWEEN_REPORTS == 0:
                report(done)
        report(done)
        self._findings.count("attempts", done)

    def _check_attempt(self, attempt: Row, booked: Sequence[Row]) -> None:
        attempt_id, is_open, is_ended = attempt[0], attempt[5] is not None, attempt[6] is not None
        self._findings.count("lines", len(booked))
        self._findings.compare("attempt.states", attempt_id, is_open + is_ended, 1)
        scopes = SCOPES.decode(attempt[3])
        if is_open:
            self._findings.count("open holds")
            _add(self._held, scopes, attempt[2])
        charges = [line[-1] for line in booked]
        is_waived = attempt[14] is not None
        _add(self._spent, scopes, 0 if is_waived else sum(charges))
        if is_waived:
            self._findings.count("waivers")
        derived = self._lines(attempt, is_charged=any(charges))
        if booked != derived:
            self._compare_lines(attempt_id, booked, derived)

    def _lines(self, attempt: Row, *, is_charged: bool) -> list[Row]:
        """Return what must have been booked: usage times the price that held, its cost and its charge."""
        if attempt[6] != "settled":
            return []
        more = () if attempt[13] is None else read_quantities(attempt[13])
        usage = Usage(*attempt[7:13], more=more)
        lines = price_lines(usage, self._prices[attempt[1]], attempt[4], charged=is_charged)
        return [
            (number, line.kind, line.quantity, line.price_pico, line.cost_nano, line.charge_nano)
            for number, line in enumerate(lines)
        ]

    def _compare_lines(self, attempt_id: str, kept: Sequence[Row], derived: Sequence[Row]) -> None:
        mine = {row[0]: row[1:] for row in kept}
        theirs = {row[0]: row[1:] for row in derived}
        nothing = (None,) * len(LINE_COLUMNS)
        for number in sorted({*mine, *theirs}):
            both = mine.get(number, nothing), theirs.get(number, nothing)
            for column, booked, due in zip(LINE_COLUMNS, *both, strict=True):
                self._findings.compare(f"settled_line.{column}", f"{attempt_id} line {number}", booked, due)

    def _check_transfers(self) -> None:
        for entry_id, amount, mirrored in self._rows(REVERSALS, ()):
            self._findings.compare("ledger_entry.amount_nano", f"entry {entry_id} (reversal)", amount, mirrored)
        for entry_id, kind, debit, credit, quantity, price, amount, reverses in self._rows(TRANSFERS, ()):
            self._findings.count("transfers")
            name = f"entry {entry_id}"
            sign = 1 if credit.startswith(RECEIVABLE) else -1
            account, other = (credit, debit) if sign == 1 else (debit, credit)
            if reverses is None:
                due = {TransferKind.TOP_UP: CASH, TransferKind.ADJUSTMENT: ADJUSTMENTS}.get(kind)
                self._findings.compare("ledger_entry.kind", name, other, due)
            self._findings.compare("ledger_entry.quantity", name, quantity, 1)
            self._findings.compare("ledger_entry.price_pico", name, price, 0)
            scope = BALANCE_PREFIX + account.removeprefix(RECEIVABLE)
            self._paid[scope] = self._paid.get(scope, 0) + sign * amount

    def _check_scopes(self, now_micros: int) -> None:
        current, budgets = self._running_limits(now_micros)
        seen: set[str] = set()
        for scope, limit, held, spent in self._rows(SCOPE_ROWS, ()):
            seen.add(scope)
            self._findings.count("scopes")
            self._findings.compare("scope.held_nano", scope, held, self._held.get(scope, 0))
            self._findings.compare("scope.spent_nano", scope, spent, self._spent.get(scope, 0))
            if scope.startswith(BALANCE_PREFIX):
                self._findings.compare("scope.limit_nano", scope, limit, self._paid.get(scope, 0))
            elif scope in current or budget_of(scope) not in budgets:
                self._findings.compare("scope.limit_nano", scope, limit, current.get(scope))
        for scope in {*self._held, *self._spent, *self._paid} - seen:
            self._findings.compare("scope.held_nano", scope, None, self._held.get(scope, 0))
            self._findings.compare("scope.spent_nano", scope, None, self._spent.get(scope, 0))

    def _running_limits(self, now_micros: int) -> tuple[dict[str, int], set[str]]:
        """Return the limit of every window that runs, and all budgets: a window that has ended keeps its old limit."""
        limits: dict[str, int] = {}
        budgets: set[str] = set()
        for budget_id, scope, window, zone, limit, mode, created, changed in self._rows(BUDGETS, ()):
            budget = Budget(budget_id, scope, Window(window), zone, limit, BudgetMode(mode), created, changed)
            limits[budget.span_at(now_micros).scope] = limit
            budgets.add(budget_id)
        return limits, budgets


def _add(sums: dict[str, int], scopes: Sequence[str], amount: int) -> None:
    for scope in scopes:
        sums[scope] = sums.get(scope, 0) + amount
