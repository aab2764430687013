"""Pulling a model's weights: one pull a model at a time, whoever asks; the bytes are the weights store's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from headrace.domain.catalog import Listed, WeightsFile
from headrace.domain.errors import HeadraceError, InternalError, InvalidRequest
from headrace.ports.fleet import Progress, Weights
from headrace.services.local_models import find_local
from headrace.services.snapshots import Snapshots
from headrace.services.tasks import Tasks

PullPhase: TypeAlias = Literal["running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class PullState:
    """How far a pull has come; `progress` is None before the first report, `error` is set when it failed."""

    model_id: str
    phase: PullPhase = "running"
    progress: Progress | None = None
    error: HeadraceError | None = None


class Pull:
    """One pull; listeners who are slow see the latest state, not every one."""

    def __init__(self, model_id: str) -> None:
        self.state = PullState(model_id)
        self._changed = asyncio.Event()

    async def follow(self) -> AsyncIterator[PullState]:
        """Yield the state now and after changes, the last one when the pull has ended."""
        while True:
            seen, changed = self.state, self._changed
            yield seen
            if seen.phase != "running":
                return
            if self.state is seen:
                await changed.wait()

    def move_to(self, state: PullState) -> None:
        """Put a new state in force and wake everybody who follows."""
        self.state = state
        self._changed.set()
        self._changed = asyncio.Event()


class Pulls:
    """Starts pulls, lets callers share them and keeps the last state of each."""

    def __init__(self, weights: Weights, snapshots: Snapshots, tasks: Tasks) -> None:
        self._weights = weights
        self._snapshots = snapshots
        self._tasks = tasks
        self._pulls: dict[str, Pull] = {}

    def files(self, model_id: str) -> tuple[WeightsFile, ...]:
        """Return what a pull of this model would fetch; raises NotFound, InvalidRequest for models without weights."""
        return self._weights_of(self._local_entry(model_id))

    def start(self, model_id: str) -> Pull:
        """Return the running pull of this model, or a new one; raises like `files`."""
        entry = self._local_entry(model_id)
        running = self._pulls.get(model_id)
        if running is not None and running.state.phase == "running":
            return running
        pull = Pull(model_id)
        self._pulls[model_id] = pull
        task = self._tasks.start(f"pull {model_id}", self._run(pull, entry))
        task.add_done_callback(lambda _: _end_broken(pull))
        return pull

    async def pull(self, model_id: str, report: Callable[[Progress], None]) -> None:
        """Pull and wait until the model is here; raises what the pull failed with."""
        async for state in self.start(model_id).follow():
            if state.progress is not None:
                report(state.progress)
            if state.error is not None:
                raise state.error

    def states(self) -> tuple[PullState, ...]:
        """Return the last state of every pull since the start, by model."""
        return tuple(pull.state for _, pull in sorted(self._pulls.items()))

    async def _run(self, pull: Pull, entry: Listed) -> None:
        try:
            await self._fetch(pull, entry)
        except HeadraceError as error:
            pull.move_to(replace(pull.state, phase="failed", error=error))
        else:
            pull.move_to(replace(pull.state, phase="done"))

    async def _fetch(self, pull: Pull, entry: Listed) -> None:
        def report(progress: Progress) -> None:
            pull.move_to(replace(pull.state, progress=progress))

        missing = [each for each in self._weights_of(entry) if self._weights.path(each) is None]
        for file in missing:
            await self._weights.pull(file, report)
        if missing or not entry.availability.available:
            await self._snapshots.refresh()

    def _weights_of(self, entry: Listed) -> tuple[WeightsFile, ...]:
        local = entry.model.local
        return () if local is None else local.weights

    def _local_entry(self, model_id: str) -> Listed:
        entry, local = find_local(model_id, self._snapshots.current().models, "pull")
        if local.weights:
            return entry
        raise InvalidRequest(
            f'"{model_id}" is read from a folder by its deployments, so there is nothing to pull.',
            code="nothing_to_pull",
        )


def _end_broken(pull: Pull) -> None:
    """Let whoever follows hear of the end, also when it is a defect or the server's stop."""
    if pull.state.phase == "running":
        error = InternalError("The pull was broken off; start it again.", code="pull_broken_off")
        pull.move_to(replace(pull.state, phase="failed", error=error))
