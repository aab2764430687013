"""Events are kept when they say something new, the last ones only."""

from __future__ import annotations

from headrace.domain.dedicated import DeploymentStatus
from headrace.domain.deployment_event import DeploymentEvent
from headrace.services.deployment_events import DeploymentEvents


def event(ready: int, *, is_gone: bool = False, reason: str = "") -> DeploymentEvent:
    return DeploymentEvent(1, "dep", "prod", DeploymentStatus.ACTIVE, 4, ready, reason, is_gone)


def test_only_what_is_new_is_kept_and_told_and_old_ones_go() -> None:
    told: list[DeploymentEvent] = []
    events = DeploymentEvents(told.append, most=2)
    assert events.of("dep") == ()
    for each in (event(1), event(1, reason="other words"), event(2), event(3)):
        events.note(each)
    assert events.of("dep") == (event(2), event(3))
    assert told == [event(1), event(2), event(3)]


def test_one_that_is_gone_keeps_none() -> None:
    told: list[DeploymentEvent] = []
    events = DeploymentEvents(told.append)
    events.note(event(1))
    events.note(event(0, is_gone=True))
    assert events.of("dep") == ()
    assert told[-1].is_gone
