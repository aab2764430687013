"""Owns the single writer thread and its group commit; knows no table.

What queues during one commit, or in one burst of the event loop, is the next batch; there is no timer. A batch first
runs without savepoints; only when an operation raises is it rolled back and run again with one savepoint each, so
operations must change nothing but the database. An operation refuses by *returning* an exception, before it has
changed anything.

A step is an operation that its group can execute together with others. In a batch the other operations run first, in
the order in which they were queued, then each group's steps.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from headrace.domain.errors import Conflict, HeadraceError, MeteringUnavailable
from headrace.drivers.stores.burst import Burst
from headrace.drivers.stores.connection import StoreConnection
from headrace.drivers.stores.sqlite import Cursor, IntegrityError, is_store_fault
from headrace.ports.ambient import Clock

A = TypeVar("A")
T = TypeVar("T")


class Waiter(Protocol):
    """Who is told the outcome of an operation, in its event loop; a future is one."""

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop in which it is told."""
        ...

    def done(self) -> bool:
        """Whether it was told already, or does not wait any more."""
        ...

    def set_result(self, result: Any, /) -> None:
        """Tell the outcome."""
        ...

    def set_exception(self, exception: BaseException, /) -> None:
        """Tell what went wrong."""
        ...


class Group(Protocol):
    """Executes steps of its own kinds; both ways to run a step have the same effect and answer."""

    def run_one(self, cursor: Cursor, step: Any, /) -> object:
        """Execute one step alone."""
        ...

    def run_all(self, cursor: Cursor, steps: Sequence[Any], /) -> Sequence[object]:
        """Execute steps together and return one outcome each."""
        ...

    def forget(self) -> None:
        """Drop what was learnt: its transaction was rolled back, or another server has taken over."""
        ...

    def take_back(self, cursor: Cursor, steps: Sequence[Any], /) -> None:
        """Undo what stands of steps that took effect after their waiters had been told that they failed."""
        ...


Operation: TypeAlias = tuple[Waiter | None, Callable[[Cursor, Any], Any], Any, Group | None]

BATCH_LIMIT = 1_024
PATIENCE_SECONDS = 0.003
RETRY_AFTER_SECONDS = 2.0


def unavailable(cause: Exception | None, detail: str) -> MeteringUnavailable:
    """Return the error for a write that could not be made durable."""
    error = MeteringUnavailable(
        "The store could not make the write durable. Retry in 2 s.",
        detail=detail,
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )
    error.__cause__ = cause
    return error


class Writer:
    """Runs queued operations in batches on the one writing connection and resolves their futures once per batch."""

    def __init__(self, connection: StoreConnection, clock: Clock, synchronous: str) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._clock = clock
        self._queue: deque[Operation] = deque()
        # The writer waits here, not on the operations: woken by the first of a burst, it would commit that one alone.
        self._rounds: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._round_of: asyncio.AbstractEventLoop | None = None
        self._patient_of: asyncio.AbstractEventLoop | None = None
        self._burst = Burst(clock)
        self._closed = False
        self._commits = 0
        self._failures = 0
        self._last_commit_seconds = 0.0
        self._last_error: str | None = None
        self._synchronous = synchronous
        self._thread = threading.Thread(target=self._run, name="headrace-store-writer", daemon=True)
        self._thread.start()

    @property
    def commits(self) -> int:
        """How many commits were made durable since the start."""
        return self._commits

    @property
    def failures(self) -> int:
        """How many batches could not be committed since the start."""
        return self._failures

    @property
    def queue_depth(self) -> int:
        """How many operations wait for the next commit."""
        return len(self._queue)

    @property
    def last_commit_seconds(self) -> float:
        """How long the last commit took, from its begin to its end."""
        return self._last_commit_seconds

    @property
    def last_error(self) -> str | None:
        """Why the last batch failed, or None when it was committed."""
        return self._last_error

    @property
    def synchronous(self) -> str:
        """The synchronous setting as read back from the connection."""
        return self._synchronous

    def submit(self, run: Callable[[Cursor, A], T | HeadraceError], argument: A) -> asyncio.Future[T]:
        """Queue an operation at once; the future ends after its commit or raises MeteringUnavailable."""
        return self._submit(run, argument, None)

    def submit_step(self, group: Group, step: object) -> asyncio.Future[Any]:
        """Queue a step at once; the future ends with its group's outcome after its commit, like an operation's."""
        return self._submit(group.run_one, step, group)

    def submit_patient_step(self, group: Group, step: object) -> Patient:
        """Queue a step that goes with the next commit of others, at the latest after PATIENCE_SECONDS."""
        loop = asyncio.get_running_loop()
        waiter = Patient(self, loop)
        if self._closed:
            waiter.set_exception(unavailable(None, "the store is closed"))
        else:
            self._put((waiter, group.run_one, step, group), loop, patient=True)
        return waiter

    def post_step(self, group: Group, step: object) -> None:
        """Queue a patient step that nobody waits for, from the event loop; a failed batch loses it."""
        self._put((None, group.run_one, step, group), asyncio.get_running_loop(), patient=True)

    def hurry(self) -> None:
        """Let what is queued be committed now, from the event loop: somebody waits for a patient step."""
        self._begin_round(asyncio.get_running_loop())

    def close(self) -> None:
        """Commit what is queued and end the thread; what comes later is refused."""
        self._closed = True
        self._rounds.put(False)
        self._thread.join()

    def _submit(self, run: Callable[[Cursor, Any], Any], argument: object, group: Group | None) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if self._closed:
            future.set_exception(unavailable(None, "the store is closed"))
        else:
            self._put((future, run, argument, group), loop)
        return future

    def _put(self, operation: Operation, loop: asyncio.AbstractEventLoop, *, patient: bool = False) -> None:
        self._queue.append(operation)
        if not patient:
            self._begin_round(loop)
        elif self._patient_of is not loop:
            self._patient_of = loop
            loop.call_later(PATIENCE_SECONDS, self._end_patience, loop)

    def _begin_round(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._round_of is not loop:
            self._round_of = loop
            loop.call_soon(self._end_round, loop)

    def _end_round(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._round_of is loop and not self._burst.is_over(len(self._queue)):
            loop.call_soon(self._end_round, loop)
            return
        self._round_of = None
        self._rounds.put(True)

    def _end_patience(self, loop: asyncio.AbstractEventLoop) -> None:
        self._patient_of = None
        # What is queued goes with the burst that is coming in.
        if self._queue and self._round_of is not loop:
            self._rounds.put(True)

    def _run(self) -> None:
        going_on = True
        while going_on:
            going_on = self._next_round()
            left = len(self._queue)
            while left:
                batch = [self._queue.popleft() for _ in range(min(left, BATCH_LIMIT))]
                left -= len(batch)
                self._commit(batch)
        late = list(self._queue)
        self._announce(late, [unavailable(None, "the store is closed") for _ in late])

    def _next_round(self) -> bool:
        """Wait for the next burst of operations; False when there will be no more."""
        return self._rounds.get()

    def _begin(self) -> None:
        """Begin a batch's transaction."""
        self._cursor.execute("BEGIN IMMEDIATE")

    def _end(self, batch: list[Operation], outcomes: list[object]) -> None:
        """Make a batch's transaction durable; raises when it is not, or when nobody can tell."""
        self._cursor.execute("COMMIT")

    def _commit(self, batch: list[Operation]) -> None:
        started = self._clock.monotonic()
        try:
            outcomes = self._transact(batch)
        except Exception as error:  # noqa: BLE001 - whatever broke the batch is told to everybody who waits
            self._roll_back(batch)
            self._failures += 1
            self._last_error = f"{type(error).__name__}: {error}"
            self._announce(batch, [unavailable(error, str(error)) for _ in batch])
            return
        self._burst.committed(sum(waiter is not None for waiter, _, _, _ in batch))
        self._last_commit_seconds = self._clock.monotonic() - started
        self._commits += 1
        self._last_error = None
        self._announce(batch, outcomes)

    def _transact(self, batch: list[Operation]) -> list[object]:
        cursor = self._cursor
        self._begin()
        try:
            outcomes = _run_together(cursor, batch)
        except Exception as error:
            if is_store_fault(error):
                raise
            self._roll_back(batch)
            self._begin()
            outcomes = [self._run_guarded(operation) for operation in batch]
        self._end(batch, outcomes)
        return outcomes

    def _run_guarded(self, operation: Operation) -> object:
        _, run, argument, group = operation
        self._cursor.execute("SAVEPOINT operation")
        try:
            outcome: object = run(self._cursor, argument)
        except Exception as error:
            if is_store_fault(error):
                raise
            self._cursor.execute("ROLLBACK TO operation")
            if group is not None:
                group.forget()
            outcome = named(error)
        self._cursor.execute("RELEASE operation")
        return outcome

    def _roll_back(self, batch: list[Operation]) -> None:
        for group in {operation[3] for operation in batch}:
            if group is not None:
                group.forget()
        if self._connection.in_transaction:
            with contextlib.suppress(Exception):
                self._cursor.execute("ROLLBACK")

    def _announce(self, batch: list[Operation], outcomes: list[object]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Waiter, object]]] = {}
        for (waiter, _, _, _), outcome in zip(batch, outcomes, strict=True):
            if waiter is not None:
                by_loop.setdefault(waiter.get_loop(), []).append((waiter, outcome))
        for loop, resolved in by_loop.items():
            # A loop that is closed has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_resolve, resolved)


class Patient:
    """A step that is committed at once when somebody waits for it; one that nobody awaits may fail unheard.

    It is a future that is made only when it is awaited: most of these steps never are.
    """

    __slots__ = ("_failure", "_future", "_is_done", "_loop", "_writer")

    def __init__(self, writer: Writer, loop: asyncio.AbstractEventLoop) -> None:
        self._writer = writer
        self._loop = loop
        self._is_done = False
        self._failure: BaseException | None = None
        self._future: asyncio.Future[None] | None = None

    def __await__(self) -> Generator[Any, None, None]:
        if not self._is_done:
            self._writer.hurry()
            self._future = self._loop.create_future()
            yield from self._future.__await__()
        if self._failure is not None:
            raise self._failure

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop in which it is told."""
        return self._loop

    def done(self) -> bool:
        """Whether it was told already."""
        return self._is_done

    def set_result(self, result: object, /) -> None:
        """Tell that the step is durable."""
        del result
        self._tell(None)

    def set_exception(self, exception: BaseException, /) -> None:
        """Tell what went wrong."""
        self._tell(exception)

    def _tell(self, failure: BaseException | None) -> None:
        self._is_done, self._failure = True, failure
        if self._future is not None and not self._future.done():
            self._future.set_result(None)


def _run_together(cursor: Cursor, batch: list[Operation]) -> list[object]:
    if len(batch) == 1:
        return [run(cursor, argument) for _, run, argument, _ in batch]
    outcomes: list[object] = [None] * len(batch)
    places: dict[Group, list[int]] = {}
    for place, (_, run, argument, group) in enumerate(batch):
        if group is None:
            outcomes[place] = run(cursor, argument)
        else:
            places.setdefault(group, []).append(place)
    for group, its_places in places.items():
        told = group.run_all(cursor, [batch[place][2] for place in its_places])
        for place, outcome in zip(its_places, told, strict=True):
            outcomes[place] = outcome
    return outcomes


def named(error: Exception) -> Exception:
    """Return our own error for what one operation raised."""
    if isinstance(error, IntegrityError):
        conflict = Conflict("This contradicts what is stored already.", detail=str(error))
        conflict.__cause__ = error
        return conflict
    return error


def _resolve(resolved: list[tuple[Waiter, object]]) -> None:
    for waiter, outcome in resolved:
        if waiter.done():
            continue
        if isinstance(outcome, Exception):
            waiter.set_exception(outcome)
        else:
            waiter.set_result(outcome)


def apply(cursor: Cursor, work: Callable[[Cursor], T]) -> T:
    """Run a whole write function as one operation."""
    return work(cursor)
