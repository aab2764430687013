"""What is said of a deployment: its status and why, from what is seen of its replicas; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.domain.dedicated import Deployment, DeploymentStatus, Standing
from headrace.domain.deployment import Replica, ReplicaState

_FIGURES = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A status, what we say of it, and the cause in the words of a driver; both are empty when there is nothing to say.

    Figures in a cause may change while it stays the same, and so may when the driver tries again.
    """

    status: DeploymentStatus
    said: str = ""
    cause: str = ""

    @property
    def reason(self) -> str:
        """What people read."""
        return " ".join(each for each in (self.said, _sentence(self.cause)) if each)

    def is_told_by(self, status: DeploymentStatus, reason: str) -> bool:
        """Whether an earlier status and reason tell the same, apart from figures and when a driver tries again."""
        if status is not self.status or not reason.startswith(self.said):
            return False
        length = len(self.said)
        return _gist(reason[length:]) == _gist(self.reason[length:])


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is seen of a deployment at one moment; `replicas` are its own, `note` is what is known beside them.

    `is_rolled_out` says that no replica of an earlier specification is left and that all of this one are ready.
    """

    standing: Standing
    replicas: Sequence[Replica] = ()
    is_rolled_out: bool = True
    note: str = ""


def live(replicas: Sequence[Replica]) -> list[Replica]:
    """Return the replicas whose processes exist, as far as is known."""
    return [each for each in replicas if each.state is not ReplicaState.FAILED]


def failure(replicas: Sequence[Replica]) -> str:
    """Return why the last replica that failed did, or an empty text."""
    failed = [each for each in replicas if each.state is ReplicaState.FAILED and each.reason]
    return max(failed, key=lambda each: each.ended_at_micros or each.started_at_micros).reason if failed else ""


def is_rolled_out(standing: Standing, replicas: Sequence[Replica]) -> bool:
    """Whether exactly the replicas that are wanted run, and all of them are ready."""
    return standing.starting == 0 and standing.ready >= standing.wanted and len(live(replicas)) <= standing.ready


def judged(deployment: Deployment, seen: Sighting) -> Verdict:
    """Return what is true of a deployment that is not being deleted and whose driver does as it is told."""
    standing = seen.standing
    cause = failure(seen.replicas) if standing.ready < standing.wanted else ""
    if deployment.pending is not None and not seen.is_rolled_out:
        has_earlier = len(live(seen.replicas)) > standing.starting
        ending = "Replicas of the earlier specification end without dropping a request." if has_earlier else ""
        return Verdict(DeploymentStatus.UPDATING, _joined(counted(standing), ending, seen.note), cause)
    if standing.wanted and standing.ready == 0 and cause:
        return Verdict(DeploymentStatus.ERROR, seen.note, cause)
    was_up = deployment.status in (DeploymentStatus.ACTIVE, DeploymentStatus.UPDATING) and standing.ready > 0
    if standing.ready < deployment.goal.min_scale and not was_up:
        return Verdict(DeploymentStatus.PROVISIONING, _joined(counted(standing), seen.note), cause)
    if standing.wanted == 0 and not seen.note:
        left = len(live(seen.replicas))
        said = f"It goes to sleep: {_replicas(left)} to end." if left else "It sleeps until a request comes."
        return Verdict(DeploymentStatus.ACTIVE, said)
    is_whole = standing.ready >= standing.wanted
    return Verdict(DeploymentStatus.ACTIVE, _joined("" if is_whole else counted(standing), seen.note), cause)


def troubled(deployment: Deployment, reason: str, standing: Standing | None, *, is_lost: bool = False) -> Verdict:
    """Return what is true of a deployment whose driver failed at a step; with `is_lost` it lacks something.

    Replicas of the specification in force serve on while another one cannot be rolled out.
    """
    if deployment.status is DeploymentStatus.DELETING:
        return Verdict(DeploymentStatus.DELETING, cause=reason)
    is_updating = deployment.pending is not None
    if standing is None or standing.ready == 0 or (is_lost and not is_updating):
        return Verdict(DeploymentStatus.ERROR, cause=reason)
    return Verdict(DeploymentStatus.UPDATING if is_updating else DeploymentStatus.ACTIVE, counted(standing), reason)


def draining(standing: Standing, replicas: int) -> Verdict:
    """Return what is said of a deployment that is deleted and still has replicas."""
    requests = "1 request" if standing.in_flight == 1 else f"{standing.in_flight} requests"
    return Verdict(DeploymentStatus.DELETING, f"{_replicas(replicas)} to end, {requests} to finish first.")


def counted(standing: Standing) -> str:
    """Return how many of the wanted replicas are ready, as a sentence."""
    verb = "is" if 1 in (standing.ready, standing.wanted) else "are"
    return f"{standing.ready} of {_replicas(standing.wanted)} {verb} ready."


def _gist(cause: str) -> str:
    """What happened is a driver's first sentence; how long until the next try comes after it."""
    return _FIGURES.sub("#", cause.strip().partition(". ")[0].rstrip("."))


def _joined(*sentences: str) -> str:
    return " ".join(each for each in sentences if each)


def _sentence(text: str) -> str:
    """Drivers write what happened as a part of a sentence or as a whole one."""
    capital = text[:1].upper() + text[1:]
    return capital if capital.endswith((".", "!", "?")) or not capital else f"{capital}."


def _replicas(number: int) -> str:
    return "1 replica" if number == 1 else f"{number} replicas"
