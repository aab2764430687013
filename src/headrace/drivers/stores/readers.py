"""Owns the read-only connections and the threads that they are used on; knows no table."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from headrace.domain.errors import MeteringUnavailable
from headrace.drivers.stores.connection import StoreConnection
from headrace.drivers.stores.sqlite import Cursor, is_store_fault

T = TypeVar("T")


class Readers:
    """A few threads with one read-only connection each; a read sees one consistent state."""

    def __init__(self, connect: Callable[[], StoreConnection], threads: int = 2) -> None:
        self._connect = connect
        self._local = threading.local()
        self._open: list[StoreConnection] = []
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="headrace-store-reader")

    async def read(self, work: Callable[[Cursor], T]) -> T:
        """Run a read function off the event loop; raises MeteringUnavailable when the store cannot be read."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, work)

    def close(self) -> None:
        """End the threads and close their connections."""
        self._pool.shutdown(wait=True)
        for connection in self._open:
            connection.close()

    def _run(self, work: Callable[[Cursor], T]) -> T:
        try:
            cursor = self._cursor()
            cursor.execute("BEGIN")
            try:
                return work(cursor)
            finally:
                cursor.execute("ROLLBACK")
        except Exception as error:
            if not is_store_fault(error):
                raise
            raise MeteringUnavailable(
                "The store could not be read. Retry in 2 s.", detail=str(error), retry_after_seconds=2.0
            ) from error

    def _cursor(self) -> Cursor:
        cursor: Cursor | None = getattr(self._local, "cursor", None)
        if cursor is None:
            connection = self._connect()
            self._open.append(connection)
            cursor = connection.cursor()
            self._local.cursor = cursor
        return cursor
