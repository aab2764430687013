"""Owns booking what a replica's seconds cost, in the writer's thread: its lines, and what its scopes have spent.

A line is a charge and a cost with the run and the line's number in it, which no two lines have; the charge has the
scopes too. `at_micros` is the end of the time that it is for, `quantity` that time in microseconds, `price_pico` the
price of an hour. A replica that was gone earlier than the books thought has its last lines reversed, and what is right
booked anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headrace.domain.money import PICO_PER_NANO
from headrace.domain.replica_run import REPLICA_SECONDS, ReplicaRun
from headrace.drivers.stores.figures import Figures
from headrace.drivers.stores.open_attempts import NAMES
from headrace.drivers.stores.openings import scopes_text
from headrace.drivers.stores.sqlite import Cursor

COLUMNS = """run_id, deployment_id, deployment, account, model_id, replica, driver, accelerator, gpus, nano_per_hour,
    price_source, started_at_micros, ready_at_micros, gone_at_micros, metered_to_micros, pid, seen_at_micros"""
ADD_RUN = f"""
INSERT INTO replica_run ({COLUMNS}, lines) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, ?, ?, 0)
ON CONFLICT (run_id) DO NOTHING
"""  # noqa: S608 - names of ours
FIND_RUN = f"SELECT {COLUMNS}, lines FROM replica_run WHERE run_id = ?"  # noqa: S608 - names of ours
CHANGE_RUN = """
UPDATE replica_run SET started_at_micros = ?, ready_at_micros = ?, gone_at_micros = ?, metered_to_micros = ?, pid = ?,
    seen_at_micros = ?, lines = ? WHERE run_id = ?
"""
ADD_ENTRY = """
INSERT INTO ledger_entry (
    line, kind, line_kind, debit, credit, quantity, price_pico, amount_nano, at_micros, reverses, run_id, scopes
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
# The newest first, and of each the charge before the cost.
LINES_AFTER = """
SELECT entry.entry_id, entry.line, entry.kind, entry.debit, entry.credit, entry.quantity, entry.price_pico,
    entry.amount_nano, entry.at_micros, entry.scopes
FROM ledger_entry AS entry
WHERE entry.run_id = ? AND entry.reverses IS NULL AND entry.at_micros > ? AND NOT EXISTS (
    SELECT 1 FROM ledger_entry AS again WHERE again.run_id = entry.run_id AND again.reverses = entry.entry_id
)
ORDER BY entry.line DESC, entry.kind
"""


@dataclass(frozen=True, slots=True)
class Meter:
    """A run as it is now, and the scopes that pay for its newest line."""

    run: ReplicaRun
    scopes: tuple[str, ...]


@dataclass(slots=True)
class _Booked:
    """A run while its lines are written: how many there are, and how far they reach."""

    run: ReplicaRun
    lines: int
    until_micros: int


class ReplicaSteps:
    """Executes the metering of runs on the writer's cursor; repeating a step changes nothing."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def forget(self) -> None:
        """Drop what was learnt from a transaction that was rolled back."""
        self._figures.forget()

    def take_back(self, cursor: Cursor, steps: Sequence[Meter]) -> None:
        """Leave what stands: whoever was told that it failed repeats it, and then it is there already."""

    def run_one(self, cursor: Cursor, step: Meter) -> int:
        """Book one run up to its `metered_to_micros`; returns what was charged, below 0 when it was too much."""
        charged = self._meter(cursor, step)
        self._figures.write(cursor)
        return charged

    def run_all(self, cursor: Cursor, steps: Sequence[Meter]) -> Sequence[int]:
        """Book several in their order."""
        charged = [self._meter(cursor, step) for step in steps]
        self._figures.write(cursor)
        return charged

    def _meter(self, cursor: Cursor, step: Meter) -> int:
        add_run(cursor, step.run)
        kept, lines = _find(cursor, step.run.id)
        run = replace(
            kept,
            started_at_micros=step.run.started_at_micros,
            ready_at_micros=kept.ready_at_micros if lines else step.run.ready_at_micros,
            gone_at_micros=step.run.gone_at_micros,
            pid=step.run.pid,
            seen_at_micros=step.run.seen_at_micros,
        )
        charged = 0
        if run.ready_at_micros is not None:
            booked = _Booked(run, lines, run.metered_to_micros or run.ready_at_micros)
            charged = self._reverse(cursor, booked) + self._add(cursor, booked, step)
            lines, run = booked.lines, replace(run, metered_to_micros=booked.until_micros)
        _change(cursor, run, lines)
        return charged

    def _add(self, cursor: Cursor, booked: _Booked, step: Meter) -> int:
        run, since = booked.run, booked.until_micros
        until = since if step.run.metered_to_micros is None else step.run.metered_to_micros
        until = until if run.gone_at_micros is None else min(until, run.gone_at_micros)
        if until <= since:
            return 0
        amount = run.between_nano(since, until)
        accounts = (f"receivable:{run.account}", "revenue"), (f"expense:{run.provider}", f"payable:{run.provider}")
        for kind, pair, scopes in zip(("charge", "cost"), accounts, (scopes_text(step.scopes), None), strict=True):
            priced = (until - since, run.nano_per_hour * PICO_PER_NANO, amount)
            cursor.execute(
                ADD_ENTRY, (booked.lines, kind, REPLICA_SECONDS, *pair, *priced, until, None, run.id, scopes)
            )
        booked.lines, booked.until_micros = booked.lines + 1, until
        self._note(cursor, run, until, (amount, amount), step.scopes)
        return amount

    def _reverse(self, cursor: Cursor, booked: _Booked) -> int:
        """Reverse the lines that reach past the end, where there are any; returns what was charged by that."""
        run, charged = booked.run, 0
        if run.gone_at_micros is None or run.gone_at_micros >= booked.until_micros:
            return 0
        for row in cursor.execute(LINES_AFTER, (run.id, run.gone_at_micros)).fetchall():
            entry_id, _, kind, debit, credit, quantity, price, amount, at_micros, scopes = row
            is_charge = kind == "charge"
            mirrored = (booked.lines, kind, REPLICA_SECONDS, credit, debit, quantity, price, amount)
            cursor.execute(ADD_ENTRY, (*mirrored, at_micros, entry_id, run.id, scopes))
            self._note(
                cursor,
                run,
                at_micros,
                (0, -amount) if is_charge else (-amount, 0),
                NAMES.decode(scopes) if is_charge else (),
            )
            if is_charge:
                charged -= amount
            else:
                booked.lines, booked.until_micros = booked.lines + 1, at_micros - quantity
        return charged

    def _note(
        self, cursor: Cursor, run: ReplicaRun, until: int, amounts: tuple[int, int], scopes: tuple[str, ...]
    ) -> None:
        """Move what is kept beside the entries: the spending of the scopes, and the sums of the hour."""
        self._figures.rollups.run(run, until, amounts)
        self._figures.balances.release(cursor, scopes, 0, amounts[1])


def add_run(cursor: Cursor, run: ReplicaRun) -> None:
    """Write a run that has begun unless it is there; nothing of it is in the books then."""
    texts = (run.id, run.deployment_id, run.deployment, run.account, run.model_id, run.replica, run.driver)
    price = (run.accelerator, run.gpus, run.nano_per_hour, run.price_source)
    cursor.execute(ADD_RUN, (*texts, *price, run.started_at_micros, run.ready_at_micros, run.pid, run.seen_at_micros))


def _find(cursor: Cursor, run_id: str) -> tuple[ReplicaRun, int]:
    *columns, lines = cursor.execute(FIND_RUN, (run_id,)).fetchone()
    return ReplicaRun(*columns), lines


def _change(cursor: Cursor, run: ReplicaRun, lines: int) -> None:
    times = (run.started_at_micros, run.ready_at_micros, run.gone_at_micros, run.metered_to_micros)
    cursor.execute(CHANGE_RUN, (*times, run.pid, run.seen_at_micros, lines, run.id))
