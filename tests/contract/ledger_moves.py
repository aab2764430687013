"""The moves of the ledger's machine: what each does to an opened store, and what it does to the reference."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from headrace.domain.books import Held, Progress, Refused, Timing
from headrace.domain.budget import Budget
from headrace.domain.errors import Conflict
from headrace.domain.transfer import Transfer, TransferKind
from headrace.domain.usage import Usage, rare
from tests.contract.ledger_books import opening, settlement, void
from tests.contract.ledger_reference import (
    CLASSES,
    CONFLICT,
    HELD,
    TEXT_CLASSES,
    Answer,
    Attempt,
    Reference,
    Scope,
    window_of,
)
from tests.contract.ledger_store import BUDGETS, PRICES, USAGE_CLASSES, Store, micros_of

BALANCE = "balance:acme"
OWN = ("key:k1", "key:k2", "platform")
PLACES = (BALANCE, *BUDGETS, *OWN)
HOURS = 12
STATUSES = ("complete", "client_closed", "upstream_truncated")
MOSTLY_OPEN = 208
STEP_NANO = 10_000
# The order in which a driver may take the kinds of a batch: changes of limits, holds, steps, ends.
RANKS = {"limit": 0, "budget": 0, "lift": 0, "pay": 0, "hold": 1, "again": 1, "sent": 2, "checkpoint": 3}
ENDS = 4
KINDS = (
    *("hold",) * 6,
    *("settle",) * 4,
    *("sent",) * 3,
    *("checkpoint",) * 2,
    *("pay",) * 2,
    *("void",) * 2,
    *("again", "limit", "budget", "lift"),
)
OnStore: TypeAlias = Callable[[Store], Awaitable[object]]
OnReference: TypeAlias = Callable[[Reference], Answer]


@dataclass(frozen=True, slots=True)
class Move:
    """One call; a kind of lower rank may be taken first when both are queued together."""

    kind: str
    on_store: OnStore
    on_reference: OnReference

    @property
    def rank(self) -> int:
        """The place of its kind in a batch."""
        return RANKS.get(self.kind, ENDS)


@dataclass(slots=True)
class Chooser:
    """Turns a kind and three numbers below 256 into a move, given the reference as it is."""

    reference: Reference
    count: int = 0

    def move(self, kind: str, choice: bytes) -> Move:
        """Return the move; kinds that need an attempt become a hold when there is none."""
        which, amount, more = choice
        reference = self.reference
        if kind in {"limit", "budget", "lift", "pay"}:
            return Move(kind, *_changes(kind, which, more, self._next_limit(kind, which, amount, more)))
        name = _picked(reference, which)
        if kind == "hold" or name is None:
            self.count += 1
            return Move("hold", *_hold(f"att_{self.count:06d}", which, amount, more))
        attempt = reference.open.get(name) or reference.ended[name]
        match kind:
            case "again":
                return Move(kind, *_hold(name, which, amount, more))
            case "sent":
                return Move(kind, partial(_sent, name, more % HOURS), lambda books: books.sent(name, more % HOURS))
            case "checkpoint":
                return Move(kind, *_checkpoint(name, amount % 16, more % HOURS))
            case "void":
                return Move(kind, *_void(name, more % HOURS))
            case _:
                return Move("settle", *_settle(name, attempt.price, amount, more))

    def _next_limit(self, kind: str, which: int, amount: int, more: int) -> int:
        """Return a limit that whole steps more fill exactly, or one nano-dollar below: there an off-by-one shows."""
        place = window_of(_budget(which).id, more % HOURS) if kind == "budget" else OWN[which % len(OWN)]
        scope = self.reference.scopes.get(place, Scope())
        return max(0, scope.held + scope.spent + amount % 40 * STEP_NANO - amount % 2)


def answer_of(result: object) -> Answer:
    """Return a port's answer as the reference would give it; what is neither an answer nor a conflict is raised."""
    match result:
        case Held():
            return HELD
        case Refused(scope, limit, affordable):
            return scope, limit, affordable
        case Conflict():
            return CONFLICT
        case BaseException():
            raise result
        case _:
            return None


def _picked(reference: Reference, which: int) -> str | None:
    """Pick an open attempt most of the time, and one that has ended now and then."""
    names = list(reference.open) if which < MOSTLY_OPEN or not reference.ended else list(reference.ended)
    names = names or list(reference.ended)
    return names[which % len(names)] if names else None


def _hold(name: str, which: int, amount: int, more: int) -> tuple[OnStore, OnReference]:
    hour, price = more % HOURS, "marked" if more >= 128 else "plain"
    drawn = [place for place, bit in zip(PLACES, range(8), strict=True) if which >> bit & 1] or ["platform"]
    nano, estimate = amount % 16 * STEP_NANO, more >> 4
    wanted = Attempt(
        tuple(sorted(window_of(each, hour) if each in BUDGETS else each for each in drawn)), nano, estimate, price, hour
    )

    async def on_store(store: Store) -> object:
        scopes = [store.window(BUDGETS[each], micros_of(hour)) if each in BUDGETS else each for each in drawn]
        made = opening(int(name[4:]), scopes=tuple(sorted(scopes)))
        bound = replace(made.bound, amount_nano=nano, input_estimate=estimate)
        request = replace(made.request, tags=("nightly",) if estimate % 2 else ())
        price_version = PRICES[price]
        return await store.ledger.hold(
            replace(made, bound=bound, request=request, price=price_version, at_micros=micros_of(hour))
        )

    return on_store, lambda books: books.hold(name, wanted)


async def _sent(name: str, hour: int, store: Store) -> object:
    return await store.ledger.sent(name, micros_of(hour))


def _checkpoint(name: str, tokens: int, hour: int) -> tuple[OnStore, OnReference]:
    async def on_store(store: Store) -> object:
        store.ledger.checkpoint(name, Progress(tokens, tokens * 3, micros_of(hour)))
        return None

    return on_store, lambda books: books.checkpoint(name, tokens, hour)


def _void(name: str, hour: int) -> tuple[OnStore, OnReference]:
    async def on_store(store: Store) -> object:
        return await store.ledger.void(replace(void(name), ended_at_micros=micros_of(hour)))

    return on_store, lambda books: books.end(name, "voided", hour, {})


def _settle(name: str, price: str, amount: int, more: int) -> tuple[OnStore, OnReference]:
    """Settle with every class whose bit is set, each with another count; now and then it is beyond the bound."""
    hour, status = more % HOURS, STATUSES[more % len(STATUSES)]
    used = {each: more % (7 + bit) * (bit + 1) for bit, each in enumerate(CLASSES) if amount >> bit & 1}

    async def on_store(store: Store) -> object:
        others = rare({USAGE_CLASSES[each]: count for each, count in used.items() if each not in TEXT_CLASSES})
        usage = replace(Usage(more=others), **{each: used.get(each, 0) for each in TEXT_CLASSES})
        timing = Timing(micros_of(hour), micros_of(hour))
        lines = store.price(usage, PRICES[price])
        made = replace(settlement(name), usage=usage, lines=lines, ending=status, timing=timing)
        return await store.ledger.settle(made)

    return on_store, lambda books: books.end(name, status, hour, used)


def _budget(which: int) -> Budget:
    return BUDGETS[sorted(BUDGETS)[which % len(BUDGETS)]]


def _changes(kind: str, which: int, more: int, nano: int) -> tuple[OnStore, OnReference]:
    budget, hour = _budget(which), more % HOURS
    scope, limit = OWN[which % len(OWN)], nano if which < MOSTLY_OPEN else None
    paid, reference = (more - 64) * 40 * STEP_NANO or STEP_NANO, f"ref_{which}"

    async def on_store(store: Store) -> object:
        match kind:
            case "limit":
                return await store.ledger.set_limit(scope, limit)
            case "budget":
                changed = replace(budget, limit_nano=nano)
                return await store.budgets.put(changed, store.window(changed, micros_of(hour)))
            case "lift":
                return await store.budgets.remove(budget.id)
            case _:
                means = TransferKind.TOP_UP if paid > 0 else TransferKind.ADJUSTMENT
                made = Transfer(means, BALANCE.partition(":")[2], paid, "", reference, micros_of(hour))
                return await store.accounts.post(made)

    def on_reference(books: Reference) -> Answer:
        match kind:
            case "limit":
                return books.limit(scope, limit)
            case "budget":
                return books.budget(budget.id, nano, hour)
            case "lift":
                return books.lift(budget.id)
            case _:
                return books.pay(BALANCE, paid, reference)

    return on_store, on_reference
