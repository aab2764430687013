"""Lifetimes of processes as the operating system tells them, watched from outside of what is tested."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

import psutil

LOOK_SECONDS = 0.02
MICROS = 1_000_000


@dataclass
class Lifetimes:
    """Watches the processes that `pids` names, from a thread of its own, until it is left."""

    pids: Callable[[], Collection[int]]
    started: dict[int, float] = field(default_factory=dict[int, float])
    gone: dict[int, float] = field(default_factory=dict[int, float])
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Lifetimes:
        self._look()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        self._look()

    def lives(self) -> list[tuple[int, int]]:
        """Return when each began and when it was seen to be gone, in microseconds since 1970 UTC, in order."""
        ended = [(began, self.gone[pid]) for pid, began in self.started.items()]
        return sorted((round(began * MICROS), round(end * MICROS)) for began, end in ended)

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        now, running = time.time(), self.pids()
        for pid in running:
            if pid not in self.started:
                with suppress(psutil.NoSuchProcess):
                    self.started[pid] = psutil.Process(pid).create_time()
        for pid in self.started.keys() - self.gone.keys():
            if pid not in running:
                self.gone[pid] = now
