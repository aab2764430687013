"""What the `cloud` driver works with: its pace, and what all its deployments share; does nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from headrace.domain.deployment import Replica
from headrace.domain.secret import Secret
from headrace.drivers.compute.cloud.client import CloudClient
from headrace.drivers.compute.cloud.notes import CloudNotes
from headrace.ports.ambient import Clock


@dataclass(frozen=True, slots=True)
class CloudPolicy:
    """How often the cloud is asked and how long is waited, in seconds.

    While something changes it is asked every `busy_seconds` at first and ever more seldom, else every `poll_seconds`;
    after a failure the wait doubles from `busy_seconds` up to `backoff_seconds`, and so long the cloud has before what
    it failed to roll out is asked for again. Requests in flight are waited for at most `drain_seconds` before a
    deletion, which may take `remove_seconds` to be seen done.
    """

    busy_seconds: float = 2.0
    poll_seconds: float = 15.0
    backoff_seconds: float = 300.0
    drain_seconds: float = 60.0
    rest_seconds: float = 5.0
    remove_seconds: float = 60.0


def _ignore(_replica: Replica) -> None:
    return None


def _no_token(_deployment: str) -> Secret | None:
    return None


@dataclass(frozen=True, slots=True)
class CloudParts:
    """What every deployment of the driver shares.

    `on_change` hears of each replica as it changes. `model_token` says which token fetches the weights of a deployment
    whose model is gated, None where they are open.
    """

    client: CloudClient
    notes: CloudNotes
    clock: Clock
    policy: CloudPolicy = field(default_factory=CloudPolicy)
    on_change: Callable[[Replica], None] = _ignore
    model_token: Callable[[str], Secret | None] = _no_token
