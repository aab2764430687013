"""The ledger against a small reference model, driven through random histories with restarts."""

import asyncio
import tempfile
from collections.abc import Awaitable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headrace.domain.books import Held, Opening, Progress, Refused
from headrace.domain.errors import Conflict
from headrace.domain.usage import Usage
from tests.contract.ledger_books import (
    START_MICROS,
    Books,
    charge_of,
    open_sqlite_books,
    opening,
    settlement,
    void,
)

pytestmark = pytest.mark.timeout(60)

NAMES = ("platform", "team:a", "key:k1")
SMALL = st.integers(0, 5)
PICK = st.integers(0, 100)
MOSTLY = 80
STEPS_BETWEEN_RESTARTS = 8


@dataclass
class Scope:
    """What the model knows of a scope."""

    limit: int | None = None
    held: int = 0
    spent: int = 0

    def left(self) -> int | None:
        return None if self.limit is None else max(0, self.limit - self.held - self.spent)

    def allows(self, amount: int) -> bool:
        return self.limit is None or self.held + self.spent + amount <= self.limit


@dataclass
class Attempt:
    """What the model knows of an attempt."""

    amount: int
    estimate: int
    scopes: tuple[str, ...]
    state: str = "held"
    charge: int = 0
    delivered: bool = False
    tokens: int = 0


@dataclass
class Model:
    """The whole reference: plain dictionaries and arithmetic."""

    scopes: dict[str, Scope] = field(default_factory=lambda: {name: Scope() for name in NAMES})
    attempts: dict[str, Attempt] = field(default_factory=dict[str, Attempt])

    def hold(self, made: Opening) -> Held | Refused:
        amount, scopes = made.bound.amount_nano, made.scopes
        for name in scopes:
            scope = self.scopes[name]
            if not scope.allows(amount):
                return Refused(name, scope.limit or 0, scope.left() or 0)
        for name in scopes:
            self.scopes[name].held += amount
        self.attempts[made.attempt_id] = Attempt(amount, made.bound.input_estimate, scopes)
        return Held(made.attempt_id)

    def end(self, attempt: Attempt, state: str, charge: int) -> None:
        attempt.state, attempt.charge = state, charge
        for name in attempt.scopes:
            self.scopes[name].held -= attempt.amount
            self.scopes[name].spent += charge


def has_attempts(history: "LedgerHistories") -> bool:
    """Whether there is something to end."""
    return bool(history.model.attempts)


class LedgerHistories(RuleBasedStateMachine):
    """Each rule does the same to the ledger and to the model and compares the answers."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.opened: AbstractAsyncContextManager[Books]
        self.books: Books
        self.count = 0
        self.steps = 0

    @initialize()
    def begin(self) -> None:
        self.opened = open_sqlite_books(Path(self.folder.name))
        self.books = self.runner.run(self.opened.__aenter__())

    def teardown(self) -> None:
        self.runner.run(self.opened.__aexit__(None, None, None))
        self.runner.close()
        self.folder.cleanup()

    def any_attempt(self, pick: int) -> str:
        """Pick an open attempt most of the time, and one that has ended now and then."""
        names = sorted(self.model.attempts)
        still = [name for name in names if self.model.attempts[name].state in {"held", "sent"}]
        chosen = still if still and pick < MOSTLY else names
        return chosen[pick % len(chosen)]

    def end(self, attempt_id: str, work: Coroutine[None, None, None], state: str, charge: int) -> None:
        """End an attempt on both sides; a conflict on one must be a conflict on the other."""
        attempt = self.model.attempts.get(attempt_id)
        is_open = attempt is not None and attempt.state in {"held", "sent"}
        try:
            self.runner.run(work)
        except Conflict:
            assert not is_open
        else:
            assert is_open
            assert attempt is not None
            self.model.end(attempt, state, charge)

    @rule(wanted=st.lists(st.tuples(st.sets(st.sampled_from(NAMES), min_size=1), SMALL), min_size=1, max_size=4))
    def hold(self, wanted: list[tuple[set[str], int]]) -> None:
        """Hold several at once: they are queued in this order and share a batch."""
        made: list[Opening] = []
        for scopes, tokens in wanted:
            self.count += 1
            drawn = tuple(name for name in NAMES if name in scopes)
            made.append(opening(self.count, scopes=drawn, input_tokens=tokens * 4, output_tokens=tokens))
        expected = [self.model.hold(each) for each in made]

        async def hold_all() -> list[Held | Refused]:
            return await asyncio.gather(*(self.books.ledger.hold(each) for each in made))

        assert self.runner.run(hold_all()) == expected

    @precondition(has_attempts)
    @rule(pick=PICK)
    def sent(self, pick: int) -> None:
        attempt_id = self.any_attempt(pick)
        attempt = self.model.attempts.get(attempt_id)

        async def mark() -> None:
            await self.books.ledger.sent(attempt_id, START_MICROS)

        try:
            self.runner.run(mark())
        except Conflict:
            assert attempt is None or attempt.state != "held"
        else:
            assert attempt is not None
            assert attempt.state == "held"
            attempt.state = "sent"

    @precondition(has_attempts)
    @rule(pick=PICK, tokens=SMALL)
    def checkpoint(self, pick: int, tokens: int) -> None:
        attempt_id = self.any_attempt(pick)

        async def note() -> None:
            self.books.ledger.checkpoint(attempt_id, Progress(tokens, tokens * 3, START_MICROS + 1))

        self.runner.run(note())
        attempt = self.model.attempts.get(attempt_id)
        if attempt is not None and attempt.state in {"held", "sent"}:
            attempt.tokens, attempt.delivered = tokens, tokens > 0

    @precondition(has_attempts)
    @rule(pick=PICK, tokens=SMALL)
    def settle(self, pick: int, tokens: int) -> None:
        attempt_id = self.any_attempt(pick)
        settled = settlement(attempt_id, Usage(input_fresh=tokens, output_reasoning=tokens))
        self.end(attempt_id, self.books.ledger.settle(settled), "settled", charge_of(settled))

    @precondition(has_attempts)
    @rule(pick=PICK)
    def void(self, pick: int) -> None:
        attempt_id = self.any_attempt(pick)
        self.end(attempt_id, self.books.ledger.void(void(attempt_id)), "voided", 0)

    @precondition(has_attempts)
    @rule(picks=st.lists(st.tuples(PICK, st.booleans(), st.booleans()), min_size=2, max_size=6))
    def end_together(self, picks: list[tuple[int, bool, bool]]) -> None:
        """End several at once, some of them twice and some marked sent just before: they share a batch."""
        work: list[Awaitable[None]] = []
        expected: list[type[Exception] | None] = []
        settled = settlement("", Usage(input_fresh=3, output_text=2))

        async def end_all() -> list[BaseException | None]:
            for pick, is_settled, is_sent in picks:
                attempt_id = self.any_attempt(pick)
                attempt = self.model.attempts[attempt_id]
                if is_sent and attempt.state == "held":
                    work.append(self.books.ledger.sent(attempt_id, START_MICROS))
                    expected.append(None)
                ledger = self.books.ledger
                mine = replace(settled, attempt_id=attempt_id)
                work.append(ledger.settle(mine) if is_settled else ledger.void(void(attempt_id)))
                expected.append(None if attempt.state in {"held", "sent"} else Conflict)
                if attempt.state in {"held", "sent"}:
                    state, charge = ("settled", charge_of(settled)) if is_settled else ("voided", 0)
                    self.model.end(attempt, state, charge)
            return await asyncio.gather(*work, return_exceptions=True)

        answers = self.runner.run(end_all())
        assert [None if answer is None else type(answer) for answer in answers] == expected

    @rule(name=st.sampled_from(NAMES), limit=st.none() | st.integers(0, 4_000))
    def limit(self, name: str, limit: int | None) -> None:
        self.runner.run(self.books.ledger.set_limit(name, limit))
        self.model.scopes[name].limit = limit

    @precondition(lambda self: self.steps >= STEPS_BETWEEN_RESTARTS)
    @rule()
    def restart(self) -> None:
        self.steps = 0
        self.runner.run(self.opened.__aexit__(None, None, None))
        self.begin()
        report = self.runner.run(self.books.ledger.recover())
        open_now = [each for each in self.model.attempts.values() if each.state in {"held", "sent"}]
        sent = [each for each in open_now if each.state == "sent"]
        assert (report.settled, report.voided, report.integrity) == (len(sent), len(open_now) - len(sent), "ok")
        for attempt in open_now:
            usage = Usage(input_fresh=attempt.estimate, output_text=attempt.tokens)
            was_delivered = attempt.state == "sent" and attempt.delivered
            charge = charge_of(settlement("", usage)) if was_delivered else 0
            self.model.end(attempt, "settled" if attempt.state == "sent" else "voided", charge)

    @invariant()
    def agree(self) -> None:
        self.steps += 1
        if hasattr(self, "books"):
            self.runner.run(self.compare())

    async def compare(self) -> None:
        for name, scope in self.model.scopes.items():
            assert await self.books.ledger.balance(name) == (scope.limit, scope.held, scope.spent)
        stored = [each for receipt in await self.books.receipts.recent(None, 1_000) for each in receipt.attempts]
        assert {each.attempt_id: (each.state, each.charge_nano) for each in stored} == {
            attempt_id: (attempt.state, attempt.charge) for attempt_id, attempt in self.model.attempts.items()
        }
        async with self.books.audit() as broken:
            assert broken == []


TestLedgerHistories = LedgerHistories.TestCase
# Without shrinking, a failure names its history within the time limit; raise the numbers to hunt.
LedgerHistories.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    database=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
)
