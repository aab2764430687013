"""Owns executing the ledger's steps in the writer's thread, one alone or a whole batch with few statements per table.

In a batch all holds come first, then what was sent, then checkpoints, then settlements and voids. The steps of one
attempt keep their order, because a hold is awaited before the next is queued. What attempts move in their scopes is
balances.py's: summed over the batch and written at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from headrace.domain.books import Held, Opening, Progress, Refused, Settlement, Void
from headrace.domain.errors import Conflict
from headrace.drivers.stores import booking, openings, sql
from headrace.drivers.stores.booking import Booking, Value
from headrace.drivers.stores.decision_rows import DECISION_COLUMNS, decision_row
from headrace.drivers.stores.figures import Figures
from headrace.drivers.stores.rowsets import run_rows
from headrace.drivers.stores.sqlite import Cursor
from headrace.ports.ambient import Clock


class Sent(NamedTuple):
    """An attempt passes from held to sent."""

    attempt_id: str
    at_micros: int


@dataclass(slots=True)
class Checkpoint:
    """A running count to write; a newer one takes its place while it waits, so it is not frozen."""

    attempt_id: str
    progress: Progress


class Abandon(NamedTuple):
    """A hold that nobody waits for any more."""

    attempt_id: str


NOT_SENT = -1
Step: TypeAlias = "Opening | Sent | Checkpoint | Settlement | Void | Abandon"
End: TypeAlias = "Settlement | Void | Abandon"
Outcome: TypeAlias = "Held | Refused | Conflict | None"


@dataclass(slots=True)
class _Sorted:
    """A batch by kind; each step with its place in the batch."""

    openings: list[tuple[int, Opening]] = field(default_factory=list[tuple[int, Opening]])
    sent: list[tuple[int, Sent]] = field(default_factory=list[tuple[int, Sent]])
    checkpoints: list[Checkpoint] = field(default_factory=list[Checkpoint])
    ends: list[tuple[int, End]] = field(default_factory=list[tuple[int, End]])


class LedgerSteps:
    """Executes steps on the writer's cursor; it belongs to the writer's thread but for `prices` and `waiting`."""

    def __init__(self, epoch: int, clock: Clock, prices: set[str], figures: Figures) -> None:
        self.prices = prices
        self.waiting: dict[str, Checkpoint] = {}
        self._epoch = epoch
        self._clock = clock
        self._figures = figures

    def forget(self) -> None:
        """Drop what was learnt from a transaction that was rolled back.

        Its counts may be lost: one that is thought to wait would keep every newer one of its attempt from the queue.
        Its prices are written again, unless they are there.
        """
        self._figures.forget()
        self.prices.clear()
        self.waiting.clear()

    def take_back(self, cursor: Cursor, steps: Sequence[Step]) -> None:
        """Give up the holds among these steps, and waive the charges of answers that were withheld.

        The other ends stand as they are: who waited queues them again, in vain.
        """
        for step in steps:
            if isinstance(step, Opening):
                self.run_one(cursor, Abandon(step.attempt_id))
            elif isinstance(step, Settlement) and step.withheld() is not step:
                booking.book_waiver(cursor, step, self._clock.unix_micros(), self._figures)
                self._figures.write(cursor)

    def run_one(self, cursor: Cursor, step: Step) -> Outcome:
        """Execute one step alone; a returned conflict has changed nothing."""
        outcome = self._run(cursor, step)
        self._figures.write(cursor)
        return outcome

    def _run(self, cursor: Cursor, step: Step) -> Outcome:
        match step:
            case Opening():
                return self._hold(cursor, step)
            case Sent():
                cursor.execute(sql.MARK_SENT, (step.at_micros, step.attempt_id))
                return None if cursor.rowcount == 1 else _not_held(step)
            case Checkpoint():
                cursor.execute(sql.CHECKPOINT, self._count(step))
                return None
            case Settlement():
                booked = Booking(self._epoch, step.timing.ended_at_micros)
                return booking.book_settlement(cursor, step, booked, self._figures)
            case Void() | Abandon():
                void = self._void_of(step)
                return booking.book_void(cursor, void, Booking(self._epoch, void.ended_at_micros), self._figures)

    def run_all(self, cursor: Cursor, steps: Sequence[Step]) -> Sequence[Outcome]:
        """Execute a batch; what raises here has to be rolled back and run one by one."""
        batch = _sort(steps)
        outcomes: list[Outcome] = [None] * len(steps)
        if batch.openings:
            self._hold_all(cursor, batch.openings, outcomes)
        ending = {step.attempt_id for _, step in batch.ends}
        going_on = [each for each in batch.sent if each[1].attempt_id not in ending]
        if going_on:
            _mark_all_sent(cursor, going_on, outcomes)
        if batch.checkpoints:
            newest = {step.attempt_id: step for step in batch.checkpoints}
            counts = [value for step in newest.values() for value in self._count(step)]
            run_rows(cursor, sql.CHECKPOINT_ALL, 4, counts)
        if batch.ends:
            self._end_all(cursor, batch, ending, outcomes)
        self._figures.write(cursor)
        return outcomes

    def _hold(self, cursor: Cursor, opening: Opening) -> Held | Refused:
        refused = self._figures.balances.take(cursor, opening)
        if refused is None:
            self._write_prices(cursor, (opening,))
            openings.write_opening(cursor, opening, self._epoch)
            self._figures.open_attempts.opened(opening)
        return refused or Held(opening.attempt_id)

    def _count(self, step: Checkpoint) -> tuple[int, int, int, str]:
        # First out of the waiting ones, then read: a newer count that comes in between is read here or queues itself.
        self.waiting.pop(step.attempt_id, None)
        progress = step.progress
        return progress.output_tokens, progress.delivered_bytes, progress.at_micros, step.attempt_id

    def _void_of(self, step: Void | Abandon) -> Void:
        return step if isinstance(step, Void) else Void(step.attempt_id, "abandoned", self._clock.unix_micros())

    def _write_prices(self, cursor: Cursor, made: Sequence[Opening]) -> None:
        new = {opening.price.id: opening.price for opening in made if opening.price.id not in self.prices}
        for price in new.values():
            openings.write_price(cursor, price)

    def _hold_all(self, cursor: Cursor, wanted: list[tuple[int, Opening]], outcomes: list[Outcome]) -> None:
        held: list[Opening] = []
        for place, opening in wanted:
            refused = self._figures.balances.take(cursor, opening)
            if refused is None:
                held.append(opening)
                self._figures.open_attempts.opened(opening)
            outcomes[place] = refused or Held(opening.attempt_id)
        self._write_prices(cursor, held)
        self._write_openings(cursor, held)

    def _write_openings(self, cursor: Cursor, made: Sequence[Opening]) -> None:
        requests: list[Value] = []
        decisions: list[Value | bytes] = []
        attempts: list[Value] = []
        for opening in made:
            request = opening.request
            requests += openings.request_row(opening)
            if request.decision is not None:
                decisions += decision_row(request, request.decision)
            attempts += openings.attempt_row(opening, self._epoch)
        run_rows(cursor, sql.ADD_REQUEST, 11, requests)
        run_rows(cursor, sql.ADD_DECISION, DECISION_COLUMNS, decisions)
        run_rows(cursor, sql.ADD_ATTEMPT, 17, attempts)
        run_rows(cursor, sql.ADD_HOLD, 1, [opening.attempt_id for opening in made])

    def _end_all(self, cursor: Cursor, batch: _Sorted, ending: set[str], outcomes: list[Outcome]) -> None:
        open_holds = booking.close_holds(cursor, ending)
        _mark_closed(open_holds, [each for each in batch.sent if each[1].attempt_id in ending], outcomes)
        resolutions: list[Value] = []
        lines: list[Value] = []
        for place, step in batch.ends:
            sent_at_micros = open_holds.pop(step.attempt_id, None)
            if sent_at_micros is None:
                outcomes[place] = booking.ended(step.attempt_id)
                continue
            self._add_end(cursor, step, sent_at_micros, resolutions)
            if isinstance(step, Settlement):
                lines += booking.line_values(step)
        run_rows(cursor, sql.ADD_RESOLUTION, booking.RESOLUTION_COLUMNS, resolutions)
        run_rows(cursor, sql.ADD_LINE, booking.LINE_COLUMNS, lines)

    def _add_end(self, cursor: Cursor, step: End, sent_at_micros: int, resolutions: list[Value]) -> None:
        figures = self._figures
        origin = figures.open_attempts.ended(cursor, step.attempt_id)
        if isinstance(step, Settlement):
            booked, charge = Booking(self._epoch, step.timing.ended_at_micros), booking.charge_of(step)
            over_hold = charge > origin.amount_nano
            resolutions += booking.settled_row(step, booked, sent_at_micros, over_hold=over_hold)
            figures.rollups.settled(step, charge, origin)
        else:
            void, charge = self._void_of(step), 0
            resolutions += booking.voided_row(void, Booking(self._epoch, void.ended_at_micros), sent_at_micros)
            figures.rollups.voided(void, origin)
        figures.balances.release(cursor, origin.scopes, origin.amount_nano, charge)


def _sort(steps: Sequence[Step]) -> _Sorted:
    batch = _Sorted()
    for place, step in enumerate(steps):
        match step:
            case Opening():
                batch.openings.append((place, step))
            case Sent():
                batch.sent.append((place, step))
            case Checkpoint():
                batch.checkpoints.append(step)
            case Settlement() | Void() | Abandon():
                batch.ends.append((place, step))
    return batch


def _mark_all_sent(cursor: Cursor, sent: list[tuple[int, Sent]], outcomes: list[Outcome]) -> None:
    # Of two steps of one attempt the first counts, as it does when they run one by one.
    first = {step.attempt_id: step.at_micros for _, step in reversed(sent)}
    values: list[Value] = [value for pair in first.items() for value in pair]
    marked = {row[0] for row in run_rows(cursor, sql.MARK_ALL_SENT, 2, values)}
    for place, step in sent:
        if step.attempt_id in marked:
            marked.discard(step.attempt_id)
        else:
            outcomes[place] = _not_held(step)


def _mark_closed(closed: dict[str, int], sent: list[tuple[int, Sent]], outcomes: list[Outcome]) -> None:
    """Mark what is sent and ends in one batch where its end is made of, and not in the table of holds."""
    for place, step in sent:
        if closed.get(step.attempt_id) == NOT_SENT:
            closed[step.attempt_id] = step.at_micros
        else:
            outcomes[place] = _not_held(step)


def _not_held(step: Sent) -> Conflict:
    return Conflict(f"The attempt {step.attempt_id} is not held, so it cannot be sent.")
