"""Owns deriving every line of every replica's run from its times and its price, and what requests' shares cost.

Memory holds one run at a time, and the prices of each deployment.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias

import msgspec

from headrace.domain.audit import Findings
from headrace.domain.money import PICO_PER_NANO
from headrace.domain.replica_run import REPLICA_SECONDS, ReplicaRun, share_nano
from headrace.drivers.stores.replica_steps import COLUMNS

Row: TypeAlias = "tuple[Any, ...]"
Rows: TypeAlias = Callable[[str, Sequence[str | int]], Iterator[Row]]
Spend: TypeAlias = Callable[[Sequence[str], int], None]

RUNS = f"SELECT {COLUMNS}, lines FROM replica_run ORDER BY run_id"  # noqa: S608 - names of ours
LINES = """
SELECT entry.run_id, entry.line, entry.kind, entry.entry_id, entry.line_kind, entry.debit, entry.credit,
    entry.quantity, entry.price_pico, entry.amount_nano, entry.at_micros, entry.reverses, entry.scopes
FROM ledger_entry AS entry JOIN replica_run AS run ON run.run_id = entry.run_id
ORDER BY entry.run_id, entry.line, entry.kind
"""
ORPHANS = """
SELECT entry.entry_id FROM ledger_entry AS entry
WHERE entry.run_id IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM replica_run AS run WHERE run.run_id = entry.run_id)
"""
# A replica goes on in another run where its price changes; no second of it is in two.
TWICE = """
SELECT later.run_id, first.ready_at_micros, later.ready_at_micros, first.metered_to_micros, later.metered_to_micros
FROM replica_run AS first JOIN replica_run AS later ON later.deployment_id = first.deployment_id
    AND later.started_at_micros = first.started_at_micros AND later.replica = first.replica
    AND later.run_id > first.run_id
WHERE first.ready_at_micros < later.metered_to_micros AND later.ready_at_micros < first.metered_to_micros
ORDER BY later.run_id
"""
SHARES = """
SELECT attempt.attempt_id, attempt.deployment, resolution.share_micros, resolution.share_nano
FROM resolution JOIN attempt ON attempt.attempt_id = resolution.attempt_id
WHERE resolution.share_micros IS NOT NULL OR resolution.share_nano IS NOT NULL
ORDER BY attempt.attempt_id
"""
OWN_PRICES = "SELECT id, body FROM deployment"
KINDS = ("charge", "cost")
COLUMNS_OF_A_LINE = ("line_kind", "debit", "credit", "quantity", "price_pico", "amount_nano", "at_micros", "reverses")
SCOPES = msgspec.json.Decoder(tuple[str, ...])


class _Priced(msgspec.Struct):
    """What is read of a stored deployment."""

    nano_per_hour: int


DEPLOYMENT = msgspec.json.Decoder(_Priced)


@dataclass(frozen=True, slots=True)
class _Line:
    """The time that a line is for, and its two entries: the charge and the cost."""

    since_micros: int
    until_micros: int
    entries: tuple[int, int]


def audit_replicas(rows: Rows, findings: Findings, spend: Spend) -> None:
    """Compare every run's lines with what follows from the run; `spend` hears what each line charged its scopes."""
    for (entry_id,) in rows(ORPHANS, ()):
        findings.compare("ledger_entry.rows", f"entry {entry_id} (no such run)", 1, 0)
    for run_id, *ready, first_to, later_to in rows(TWICE, ()):
        findings.compare("replica_run.paid_twice_micros", run_id, min(first_to, later_to) - max(ready), 0)
    lines = rows(LINES, ())
    line = next(lines, None)
    prices: dict[str, set[int]] = {}
    for *columns, count in rows(RUNS, ()):
        run = ReplicaRun(*columns)
        prices.setdefault(run.deployment_id, set()).add(run.nano_per_hour)
        booked: list[Row] = []
        while line is not None and line[0] == columns[0]:
            booked.append(line)
            line = next(lines, None)
        findings.count("replica runs")
        findings.count("entries", len(booked))
        _RunAudit(run, findings).check(booked, count)
        for entry in booked:
            _spend(entry, spend)
    for deployment_id, body in rows(OWN_PRICES, ()):
        prices.setdefault(deployment_id, set()).add(DEPLOYMENT.decode(body).nano_per_hour)
    _audit_shares(rows, findings, prices)


def _audit_shares(rows: Rows, findings: Findings, prices: Mapping[str, Collection[int]]) -> None:
    """Compare what each share cost with its time at a price of a run of its deployment, or at the deployment's own."""
    for attempt_id, deployment, micros, kept in rows(SHARES, ()):
        findings.count("shares")
        known = [share_nano(micros or 0, hourly) for hourly in prices.get(deployment, ())]
        derived = min(known, key=lambda each: abs(each - (kept or 0)), default=None)
        findings.compare("resolution.share_nano", attempt_id, kept, derived)


def _spend(entry: Row, spend: Spend) -> None:
    kind, amount, reverses, scopes = entry[2], entry[9], entry[11], entry[12]
    if kind == "charge" and scopes is not None:
        spend(SCOPES.decode(scopes), amount if reverses is None else -amount)


class _RunAudit:
    """Walks along the lines of one run, from when it was ready."""

    def __init__(self, run: ReplicaRun, findings: Findings) -> None:
        self._run = run
        # What a line is for does not depend on when the run ended: a later line takes it back.
        self._open = replace(run, gone_at_micros=None)
        self._findings = findings
        self._lines: list[_Line] = []
        self._at = run.ready_at_micros

    def check(self, booked: Sequence[Row], count: int) -> None:
        run, found = self._run, 0
        for number, entries in groupby(booked, key=itemgetter(1)):
            self._findings.compare("ledger_entry.line", f"{run.id} line {number}", number, found)
            self._check_line(number, {entry[2]: entry for entry in entries})
            found += 1
        self._findings.compare("replica_run.lines", run.id, count, found)
        metered = run.ready_at_micros if run.metered_to_micros is None else run.metered_to_micros
        self._findings.compare("replica_run.metered_to_micros", run.id, metered, self._at)
        if run.gone_at_micros is not None and run.ready_at_micros is not None:
            due = max(run.gone_at_micros, run.ready_at_micros)
            self._findings.compare("replica_run.gone_at_micros", run.id, metered, due)

    def _check_line(self, number: int, pair: dict[str, Row]) -> None:
        name = f"{self._run.id} line {number}"
        for kind in KINDS:
            if kind not in pair:
                self._findings.compare("ledger_entry.amount_nano", f"{name} {kind}", None, 0)
        if len(pair) < len(KINDS) or self._at is None:
            return
        charge = pair["charge"]
        if charge[11] is None:
            line = _Line(self._at, charge[10], (charge[3], pair["cost"][3]))
            self._lines.append(line)
            self._at = line.until_micros
            self._compare(name, pair, line, (None, None))
            return
        line = self._lines.pop() if self._lines else _Line(self._at, self._at, (0, 0))
        self._at = line.since_micros
        self._compare(name, pair, line, line.entries)

    def _compare(
        self, name: str, pair: dict[str, Row], line: _Line, reverses: tuple[int, int] | tuple[None, None]
    ) -> None:
        run, provider = self._open, self._run.provider
        accounts = {
            "charge": (f"receivable:{run.account}", "revenue"),
            "cost": (f"expense:{provider}", f"payable:{provider}"),
        }
        amount = run.between_nano(line.since_micros, line.until_micros)
        figures = (line.until_micros - line.since_micros, run.nano_per_hour * PICO_PER_NANO, amount, line.until_micros)
        for kind, reversed_entry in zip(KINDS, reverses, strict=True):
            debit, credit = accounts[kind] if reversed_entry is None else accounts[kind][::-1]
            due = (REPLICA_SECONDS, debit, credit, *figures, reversed_entry)
            for column, kept, derived in zip(COLUMNS_OF_A_LINE, pair[kind][4:12], due, strict=True):
                self._findings.compare(f"ledger_entry.{column}", f"{name} {kind}", kept, derived)
