"""Judges what kills left behind: what clients read, what the upstream billed and the ledger must agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

from headrace.testing.billing import BillingLog, Ended
from tests.e2e.kill_money import PREPAID, STEP_NANO, Money
from tests.e2e.raw_client import RawReply
from tests.ledger_file import EndedRequest, LedgerFile, OpenHolds

INPUT_NANO, OUTPUT_NANO = 100, 200
READY_SECONDS = 3.0
PAYMENT_REQUIRED = 402
DONE = b"data: [DONE]\n\n"
NOTHING_HELD = OpenHolds(0, 0, 0)
Billed: TypeAlias = Mapping[str | None, Ended]


@dataclass(frozen=True, slots=True)
class Told:
    """What one client read of one reply, told by nobody but itself."""

    request_id: str
    complete: bool
    has_content: bool
    has_error: bool
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill: what was open in the ledger at that moment, and how the restart went.

    `ready_seconds` leave out what the server waited for a core that other programs had.
    """

    open_then: OpenHolds
    open_after_restart: OpenHolds
    ready_seconds: float
    ready_wall_seconds: float
    engines: int
    engines_left: int
    where: str = "at random"
    overdrawn: tuple[tuple[str, int, int, int], ...] = ()
    is_reached: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts over all kills and everything that was wrong; empty `faults` is the pass."""

    kills: int
    requests: int
    complete_replies: int
    broken_replies: int
    refused_replies: int
    payments: int
    upstream_calls: int
    sent_at_kills: int
    held_at_kills: int
    recovered: int
    voided: int
    engines_killed: int
    slowest_ready_seconds: float
    slowest_ready_wall_seconds: float
    kills_by_point: Mapping[str, int]
    faults: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """The verdict as JSON takes it."""
        return {**asdict(self), "verdict": "failed" if self.faults else "passed"}


def told_by(reply: RawReply) -> Told | None:
    """What a client can tell of a reply; None when not even headers came."""
    if reply.request_id is None:
        return None
    # A client takes a stream's terminator for the end; it does not wait for HTTP's own.
    is_stream = reply.headers.get("content-type", "").startswith("text/event-stream")
    is_refused = reply.status == PAYMENT_REQUIRED
    complete = reply.status == 200 and (reply.body.endswith(DONE) if is_stream else reply.whole)
    return Told(
        reply.request_id,
        complete,
        has_content=reply.status == 200 and b'"content"' in reply.body,
        has_error=not is_refused and (reply.status != 200 or b'"error"' in reply.body),
        is_refused=is_refused,
    )


@dataclass(frozen=True, slots=True)
class Books:
    """The ledger after the last restart, and what the operator was told of it."""

    ledger: LedgerFile
    money: Money


def judge(kills: Sequence[Kill], told: Sequence[Told], log: BillingLog, books: Books) -> Verdict:
    """Compare the three accounts; call it after the last restart, when nothing runs."""
    ledger, money = books.ledger, books.money
    booked = ledger.requests()
    by_attempt = {each.attempt_id: each for each in booked.values()}
    billed: Billed = {end.attempt_id: end for end in log.ended}
    calls = [entry.attempt_id for entry in log.received]
    faults = [
        *_kill_faults(kills),
        *_told_faults(told, booked, billed),
        *call_faults(calls, by_attempt),
        *booking_faults(booked.values(), billed),
        *money_faults(money, ledger),
        *(f"held after the end: {held}" for held in [ledger.open_holds()] if held != NOTHING_HELD),
        *(f"spending is not the sum of the charges: {scope}" for scope in ledger.unbalanced_scopes()),
    ]
    return Verdict(
        kills=len(kills),
        requests=len(booked),
        complete_replies=sum(each.complete for each in told),
        broken_replies=sum(not (each.complete or each.is_refused) for each in told),
        refused_replies=sum(each.is_refused for each in told),
        payments=len(money.paid),
        upstream_calls=len(calls),
        sent_at_kills=sum(kill.open_then.sent for kill in kills),
        held_at_kills=sum(kill.open_then.held - kill.open_then.sent for kill in kills),
        recovered=sum(each.ending == "recovered" for each in booked.values()),
        voided=sum(each.outcome == "voided" for each in booked.values()),
        engines_killed=sum(kill.engines for kill in kills),
        slowest_ready_seconds=round(max((kill.ready_seconds for kill in kills), default=0.0), 2),
        slowest_ready_wall_seconds=round(max((kill.ready_wall_seconds for kill in kills), default=0.0), 2),
        kills_by_point=dict(Counter(kill.where for kill in kills)),
        faults=tuple(faults),
    )


def _kill_faults(kills: Sequence[Kill]) -> Iterator[str]:
    for number, kill in enumerate(kills):
        if kill.open_after_restart != NOTHING_HELD:
            yield f"kill {number}: after the restart {kill.open_after_restart}"
        if kill.ready_seconds > READY_SECONDS:
            yield f"kill {number}: ready only after {kill.ready_seconds:.1f} s"
        if not kill.is_reached:
            yield f"kill {number}: the point was not reached: {kill.where}"
        for scope, limit, held, spent in kill.overdrawn:
            yield f"kill {number}: {scope} holds {held} and has spent {spent} of {limit}"
        if kill.engines_left:
            yield f"kill {number}: {kill.engines_left} processes left behind"


def _told_faults(told: Sequence[Told], booked: Mapping[str, EndedRequest], billed: Billed) -> Iterator[str]:
    for each in told:
        if each.has_error:
            yield f"{each.request_id}: an error, though nothing but the kills went wrong"
        found = booked.get(each.request_id)
        if each.is_refused and found is not None:
            yield f"{each.request_id}: refused for money, but the ledger has {found}"
        if found is None:
            if each.complete or each.has_content:
                yield f"{each.request_id}: a reply was read that the ledger does not know"
            continue
        if each.complete and (found.outcome, found.ending, found.usage_source) != ("settled", "complete", "upstream"):
            yield f"{each.request_id}: read to its end, but booked as {found}"
        if each.has_content and found.outcome != "settled":
            yield f"{each.request_id}: content was read, but it is {found.outcome}"
        if each.complete and found.attempt_id in billed:
            end = billed[found.attempt_id]
            owed = end.prompt_tokens * INPUT_NANO + end.completion_tokens * OUTPUT_NANO
            if found.charge_nano != owed or found.cost_nano != owed:
                yield f"{each.request_id}: {found.charge_nano} charged where {owed} was billed"


def money_faults(money: Money, ledger: LedgerFile) -> Iterator[str]:
    """Yield what was paid and is not booked once, and scopes beyond their limit."""
    booked = ledger.payments()
    yield from (f"{each}: paid and acknowledged, but not booked" for each in money.paid if each not in booked)
    for reference, nano in booked.items():
        if nano not in (money.first_nano, STEP_NANO):
            yield f"{reference}: {nano} nano-dollars booked for one payment"
    if ledger.limit(f"balance:{PREPAID}") != sum(booked.values()):
        yield f"the balance is not what was paid in: {ledger.limit(f'balance:{PREPAID}')}, not {sum(booked.values())}"
    for scope, limit, held, spent in ledger.overdrawn_scopes():
        yield f"at the end {scope} holds {held} and has spent {spent} of {limit}"


def call_faults(calls: Iterable[str | None], by_attempt: Mapping[str, EndedRequest]) -> Iterator[str]:
    """Yield upstream calls that the ledger does not know, or not as sent."""
    for attempt_id, times in Counter(calls).items():
        if times > 1:
            yield f"{attempt_id}: {times} upstream calls of one attempt"
        found = None if attempt_id is None else by_attempt.get(attempt_id)
        if found is None:
            yield f"{attempt_id}: an upstream call without an attempt in the ledger"
        elif found.outcome == "voided" and not found.possible_spend:
            yield f"{attempt_id}: sent, but voided as if nothing could be owed"


def booking_faults(booked: Iterable[EndedRequest], billed: Billed) -> Iterator[str]:
    """Yield attempts that have not ended once, or whose booking is not what was billed."""
    for found in booked:
        if found.attempts != 1 or found.outcome is None:
            yield f"{found.request_id}: {found.attempts} attempts, outcome {found.outcome}"
        if found.outcome == "voided" and (found.entries or found.charge_nano):
            yield f"{found.request_id}: voided, but {found.entries} entries"
        end = billed.get(found.attempt_id)
        if end is not None and found.output_tokens > end.completion_tokens:
            yield f"{found.request_id}: {found.output_tokens} output tokens booked, {end.completion_tokens} billed"
