"""Random histories of the ledger: each move is done to the books and to the reference, and both must say the same.

A move is one call of a port. The moves of a group are queued together and share a commit: some order of them has to
explain every answer, and after the commit scopes, holds, hourly sums and new entries have to be the reference's, to the
nano-dollar.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TypeAlias

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from headrace.domain.errors import Conflict
from headrace.drivers.stores.database import FILE_NAME
from tests.contract.ledger_moves import KINDS, Chooser, Move, answer_of
from tests.contract.ledger_reference import Answer, Reference
from tests.contract.ledger_store import OpenStore, Seen, Store, micros_of

BYTES = 4
FEW, MANY = st.binary(min_size=BYTES, max_size=4 * BYTES), st.binary(min_size=16 * BYTES, max_size=40 * BYTES)
MOVES_BETWEEN_RESTARTS = 120
MEMORY = Path("/dev/shm")
Fault: TypeAlias = Callable[[Store], None]


@dataclass(frozen=True, slots=True)
class Told:
    """Moves that were queued together and how each was answered."""

    moves: Sequence[Move]
    answers: list[Answer]


@dataclass(slots=True)
class Work:
    """What to open, the fault that is seeded into it, and what was done; `template` holds a store that is empty."""

    open_store: OpenStore
    template: Path
    fault: Fault | None = None
    moves: Counter[str] = field(default_factory=Counter[str])
    answers: Counter[str] = field(default_factory=Counter[str])
    groups: int = 0

    @property
    def steps(self) -> int:
        """How many moves were compared."""
        return self.moves.total()


class LedgerMachine(RuleBasedStateMachine):
    """One history: a home of its own, a store that is opened again and again, and the reference."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.work = work
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.home = Path(self.folder.name) / "0"
        shutil.copytree(work.template, self.home)
        self.reference = Reference()
        self.last_entry = self.count = self.since_restart = 0
        self.agrees = True
        self.opened: AbstractAsyncContextManager[Store]
        self.store: Store

    @initialize()
    def begin(self) -> None:
        """Open the store, with the seeded fault where there is one."""
        self.opened = self.work.open_store(self.home)
        self.store = self.runner.run(self.opened.__aenter__())
        if self.work.fault is not None:
            self.work.fault(self.store)

    def teardown(self) -> None:
        """Audit all of it, unless a difference was found already, and close."""
        try:
            if self.agrees:
                self.runner.run(self.audit())
        finally:
            self.runner.run(self.opened.__aexit__(None, None, None))
            self.runner.close()
            self.folder.cleanup()

    @rule(choices=FEW)
    def play_few(self, choices: bytes) -> None:
        """Make some moves at once."""
        self.play(choices)

    @rule(choices=MANY)
    def play_many(self, choices: bytes) -> None:
        """Make many moves at once."""
        self.play(choices)

    @precondition(lambda self: self.since_restart >= MOVES_BETWEEN_RESTARTS)
    @rule(is_killed=st.booleans())
    def restart(self, is_killed: bool) -> None:
        """Close the store, or leave its files as a kill leaves them; open it again and recover."""
        self.since_restart = 0
        self.work.moves["restart"] += 1
        if is_killed and (self.home / FILE_NAME).exists():
            left, self.home = self.home, self.home.with_name(str(int(self.home.name) + 1))
            self.home.mkdir()
            for file in left.glob(f"{FILE_NAME}*"):
                shutil.copy(file, self.home / file.name)
        self.runner.run(self.opened.__aexit__(None, None, None))
        self.begin()
        report = self.runner.run(self.store.ledger.recover())
        assert (report.settled, report.voided) == self.reference.restart()
        assert report.integrity == "ok"
        self.runner.run(self.compare(Told((), [])))
        self.runner.run(self.audit())

    def play(self, choices: bytes) -> None:
        """Make the moves that four bytes each stand for; hypothesis draws one text of bytes much faster than a list."""
        chooser = Chooser(self.reference, self.count)
        cut = [choices[start : start + BYTES] for start in range(0, len(choices) - BYTES + 1, BYTES)]
        moves = [chooser.move(KINDS[each[0] % len(KINDS)], each[1:]) for each in cut]
        self.count = chooser.count
        self.since_restart += len(moves)
        self.work.groups += 1
        self.work.moves.update(move.kind for move in moves)
        self.runner.run(self.make(moves))

    async def make(self, moves: Sequence[Move]) -> None:
        """Queue all moves in one round of the loop and compare the answers, then the books."""
        *results, told = await asyncio.gather(
            *(move.on_store(self.store) for move in moves), self.flush(), return_exceptions=True
        )
        assert isinstance(told, Conflict), f"an attempt that never began was sent: {told}"
        answers = [answer_of(result) for result in results]
        self.work.answers.update(_name_of(answer) for answer in answers)
        await self.compare(Told(moves, answers))

    async def flush(self) -> None:
        """Wait for a step, so that the checkpoints, for which nobody waits, go with the same commit."""
        await self.store.ledger.sent("att_none", micros_of(0))

    async def compare(self, told: Told) -> None:
        """Take over what an order of the moves makes of the reference: one gives these answers and these books."""
        seen = await self.store.look(self.last_entry, self.reference)
        assert all(held >= 0 and spent >= 0 for _, held, spent in seen.scopes.values())
        why: list[str] = []
        self.agrees = False
        for order in orders(told.moves):
            reference, answers = played(self.reference, told.moves, order)
            different = list(differences(seen, reference)) if answers == told.answers else []
            self.agrees = answers == told.answers and not different
            if self.agrees:
                self.reference, self.last_entry = reference, seen.last_entry
                self.reference.entries.clear()
                return
            why = why or different
        kinds = [move.kind for move in told.moves]
        raise AssertionError(why or f"no order of {kinds} explains {told.answers}")

    async def audit(self) -> None:
        """Let the store audit itself, and compare how every attempt ended."""
        broken = await self.store.audit()
        assert not broken, broken
        assert await self.store.ended() == {name: each.state for name, each in self.reference.ended.items()}


def orders(moves: Sequence[Move]) -> Iterator[Sequence[int]]:
    """Yield the orders in which a driver may take moves that were queued together.

    By kind or one after the other; and both ways in two commits, for a writer that wakes late sees only a part.
    """

    def ways(places: Sequence[int]) -> tuple[Sequence[int], ...]:
        return sorted(places, key=lambda place: moves[place].rank), places

    places = range(len(moves))
    yield from ways(places)
    for cut in places[1:]:
        for first, then in product(ways(places[:cut]), ways(places[cut:])):
            yield [*first, *then]


def _name_of(answer: Answer) -> str:
    return "refused" if isinstance(answer, tuple) else str(answer)


def differences(seen: Seen, reference: Reference) -> Iterator[str]:
    """Yield what is stored otherwise than the reference has it."""
    holds = {name: (each.amount, each.state == "sent", each.tokens) for name, each in reference.open.items()}
    for what, stored, wanted in (
        ("scopes", seen.scopes, reference.scopes),
        ("holds", seen.holds, holds),
        ("usage", seen.usage, {place: count for place, count in reference.usage.items() if count}),
        ("entries", Counter(seen.entries), Counter(reference.entries)),
    ):
        if stored != wanted:
            only, missing = stored.items() - wanted.items(), wanted.items() - stored.items()
            yield f"{what}: stored {sorted(only, key=str)[:4]}, wanted {sorted(missing, key=str)[:4]}"


def played(reference: Reference, moves: Sequence[Move], order: Sequence[int]) -> tuple[Reference, list[Answer]]:
    """Play moves in an order on a copy; returns it and the answers in the order of the moves."""
    copy = reference.copy()
    answers: list[Answer] = [None] * len(moves)
    for place in order:
        answers[place] = moves[place].on_reference(copy)
    return copy, answers


def prepared(open_store: OpenStore, folder: Path, fault: Fault | None = None) -> Work:
    """Make the empty store that every history begins with."""
    template = folder / "template"
    template.mkdir()

    async def make() -> None:
        async with open_store(template):
            pass

    asyncio.run(make())
    if not (template / FILE_NAME).exists():
        # What lies there names a database on a server: every history needs one of its own.
        shutil.rmtree(template)
        template.mkdir()
    return Work(open_store, template, fault)


def play_histories(work: Work, histories: int, groups: int, random_seed: int) -> None:
    """Play histories of so many groups; raises AssertionError at the first difference, without making it smaller."""

    class Machine(LedgerMachine):
        def __init__(self) -> None:
            super().__init__(work)

    run_state_machine_as_test(
        seed(random_seed)(Machine),
        settings=settings(
            max_examples=histories,
            stateful_step_count=groups,
            deadline=None,
            database=None,
            phases=(Phase.generate,),
            print_blob=False,
            suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example),
        ),
    )
