"""Owns the single writer thread and its group commit; knows no table.

What queues during one commit is the next batch; there is no timer. A batch first runs without savepoints; only when
an operation raises is it rolled back and run again with one savepoint each, so operations must change nothing but
the database. An operation refuses by *returning* an exception, before it has changed anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, TypeVar

from headrace.domain.errors import Conflict, HeadraceError, MeteringUnavailable
from headrace.drivers.stores.sqlite import (
    Connection,
    Cursor,
    IntegrityError,
    is_store_fault,
    synchronous_setting,
)
from headrace.ports.ambient import Clock

A = TypeVar("A")
T = TypeVar("T")
Waiter: TypeAlias = "asyncio.Future[Any] | None"
Operation: TypeAlias = tuple[Waiter, Callable[[Cursor, Any], Any], Any]

BATCH_LIMIT = 1_024
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

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._clock = clock
        self._queue: queue.SimpleQueue[Operation | None] = queue.SimpleQueue()
        self._closed = False
        self._commits = 0
        self._failures = 0
        self._last_commit_seconds = 0.0
        self._last_error: str | None = None
        self._synchronous = synchronous_setting(connection)
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
        return self._queue.qsize()

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
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(unavailable(None, "the store is closed"))
        else:
            self._queue.put((future, run, argument))
        return future

    def post(self, run: Callable[[Cursor, A], object], argument: A) -> None:
        """Queue an operation that nobody waits for; a failed batch loses it."""
        self._queue.put((None, run, argument))

    def close(self) -> None:
        """Commit what is queued and end the thread; what comes later is refused."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            batch, going_on = self._next_batch()
            if batch:
                self._commit(batch)
            if not going_on:
                break
        late = [item for item in self._drain() if item is not None]
        self._announce(late, [unavailable(None, "the store is closed") for _ in late])

    def _drain(self) -> Iterable[Operation | None]:
        for _ in range(self._queue.qsize()):
            yield self._queue.get_nowait()

    def _next_batch(self) -> tuple[list[Operation], bool]:
        first = self._queue.get()
        if first is None:
            return [], False
        batch = [first]
        for _ in range(min(self._queue.qsize(), BATCH_LIMIT)):
            item = self._queue.get_nowait()
            if item is None:
                return batch, False
            batch.append(item)
        return batch, True

    def _commit(self, batch: list[Operation]) -> None:
        started = self._clock.monotonic()
        try:
            outcomes = self._transact(batch)
        except Exception as error:  # noqa: BLE001 - whatever broke the batch is told to everybody who waits
            self._roll_back()
            self._failures += 1
            self._last_error = f"{type(error).__name__}: {error}"
            self._announce(batch, [unavailable(error, str(error)) for _ in batch])
            return
        self._last_commit_seconds = self._clock.monotonic() - started
        self._commits += 1
        self._last_error = None
        self._announce(batch, outcomes)

    def _transact(self, batch: list[Operation]) -> list[object]:
        cursor = self._cursor
        cursor.execute("BEGIN IMMEDIATE")
        try:
            outcomes: list[object] = [run(cursor, argument) for _, run, argument in batch]
        except Exception as error:
            if is_store_fault(error):
                raise
            self._roll_back()
            cursor.execute("BEGIN IMMEDIATE")
            outcomes = [self._run_guarded(operation) for operation in batch]
        cursor.execute("COMMIT")
        return outcomes

    def _run_guarded(self, operation: Operation) -> object:
        _, run, argument = operation
        self._cursor.execute("SAVEPOINT operation")
        try:
            outcome: object = run(self._cursor, argument)
        except Exception as error:
            if is_store_fault(error):
                raise
            self._cursor.execute("ROLLBACK TO operation")
            outcome = named(error)
        self._cursor.execute("RELEASE operation")
        return outcome

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(Exception):
                self._cursor.execute("ROLLBACK")

    def _announce(self, batch: list[Operation], outcomes: list[object]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], object]]] = {}
        for (future, _, _), outcome in zip(batch, outcomes, strict=True):
            if future is not None:
                by_loop.setdefault(future.get_loop(), []).append((future, outcome))
        for loop, resolved in by_loop.items():
            # A loop that is closed has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_resolve, resolved)


def named(error: Exception) -> Exception:
    """Return our own error for what one operation raised."""
    if isinstance(error, IntegrityError):
        conflict = Conflict("This contradicts what is stored already.", detail=str(error))
        conflict.__cause__ = error
        return conflict
    return error


def _resolve(resolved: list[tuple[asyncio.Future[Any], object]]) -> None:
    for future, outcome in resolved:
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def apply(cursor: Cursor, work: Callable[[Cursor], T]) -> T:
    """Run a whole write function as one operation."""
    return work(cursor)
