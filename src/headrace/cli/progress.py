"""Shows how far long work has come: bars on a terminal, plain lines elsewhere; the work itself is not here."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from headrace.cli.replies import size
from headrace.ports.fleet import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID
    from rich.status import Status

NAME_WIDTH = 28
PLAIN_STEPS = 4


class PullProgress:
    """Takes announcements and Progress values, from any thread, and shows them until it is closed."""

    def __init__(self, stream: TextIO, verb: str = "pulling") -> None:
        self._stream = stream
        self._verb = verb
        self._bars: Bars | None = _bars(stream) if stream.isatty() else None
        self._tasks: dict[str, TaskID] = {}
        self._steps: dict[str, int] = {}
        self._labels: dict[str, str] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> PullProgress:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def announce(self, name: str, size_bytes: int, licence: str) -> None:
        """Say what is about to be downloaded, before the first byte."""
        label = "  ".join(each for each in (name, size(size_bytes), licence) if each)
        with self._lock:
            if name in self._labels:
                return
            self._labels[name] = label
            if self._bars is None:
                self._line(f"{self._verb} {label}")
            else:
                self._tasks[name] = self._bars.add_task(label, total=size_bytes)

    def __call__(self, progress: Progress) -> None:
        """Show how far one work has come."""
        with self._lock:
            if self._bars is None:
                self._plain(progress)
                return
            task = self._tasks.get(progress.what)
            if task is None:
                task = self._tasks[progress.what] = self._bars.add_task(progress.what, total=progress.total or None)
            self._bars.update(task, completed=progress.done, total=progress.total or None)

    def _plain(self, progress: Progress) -> None:
        if not progress.total:
            return
        step = min(progress.done * PLAIN_STEPS // progress.total, PLAIN_STEPS)
        if step <= self._steps.get(progress.what, 0):
            return
        self._steps[progress.what] = step
        self._line(f"{self._verb} {progress.what}  {step * 100 // PLAIN_STEPS} %")

    def _line(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


class Waiting:
    """Shows on a terminal that something is waited for, an engine's start for example; elsewhere shows nothing."""

    def __init__(self, stream: TextIO, what: str) -> None:
        self._status = _status(stream, what) if stream.isatty() else None

    def start(self) -> None:
        """Begin to show it."""
        if self._status is not None:
            self._status.start()

    def __enter__(self) -> Waiting:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Show it no longer; a second time changes nothing."""
        if self._status is not None:
            self._status.stop()


def _status(stream: TextIO, what: str) -> Status:
    from rich.console import Console  # noqa: PLC0415 - only a terminal pays for rich
    from rich.status import Status  # noqa: PLC0415 - as above

    return Status(what, console=Console(file=stream))


def _bars(stream: TextIO) -> Bars:
    from rich.console import Console  # noqa: PLC0415 - only a terminal pays for rich
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - as above

    return Progress(
        TextColumn("  {task.description}", markup=False),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=Console(file=stream),
    )
