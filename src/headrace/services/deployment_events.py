"""The last events of each deployment, in memory: every change of its status and of its number of replicas."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

from headrace.domain.deployment_event import DeploymentEvent

MOST_EVENTS = 50


Report: TypeAlias = Callable[[DeploymentEvent], None]
EventsOf: TypeAlias = Callable[[str], Sequence[DeploymentEvent]]


class DeploymentEvents:
    """Keeps so many events for each deployment and tells of each; the observer is quick and does not raise."""

    def __init__(self, report: Report, most: int = MOST_EVENTS) -> None:
        self._report = report
        self._most = most
        self._kept: dict[str, deque[DeploymentEvent]] = {}

    def of(self, deployment_id: str) -> tuple[DeploymentEvent, ...]:
        """Return the last events of a deployment, oldest first."""
        return tuple(self._kept.get(deployment_id, ()))

    def note(self, event: DeploymentEvent) -> None:
        """Keep an event that says something new, and tell of it; a deployment that is gone keeps none."""
        kept = self._kept.setdefault(event.deployment_id, deque(maxlen=self._most))
        if kept and _said(kept[-1]) == _said(event):
            return
        kept.append(event)
        if event.is_gone:
            del self._kept[event.deployment_id]
        self._report(event)


def _said(event: DeploymentEvent) -> tuple[object, ...]:
    return event.name, event.status, event.wanted, event.ready, event.is_gone
