"""What a turn works with: ledger, fleet, transport, adapters and its limits; the turn itself is turn.py's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from headrace.domain.plan import Deadlines
from headrace.ports.ambient import Clock, Ids
from headrace.ports.fleet import Fleet
from headrace.ports.ledger import Ledger
from headrace.ports.observer import Observer
from headrace.ports.upstream import Adapter, Transport
from headrace.services.budgets import Budgets
from headrace.services.health import TargetHealth
from headrace.services.retries import RetryBudget


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """How long a turn waits; seconds."""

    deadlines: Deadlines = field(default_factory=Deadlines)
    engine_wait_seconds: float = 120.0
    keepalive_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class TurnParts:
    """What a turn works with; all of it lives as long as the process. Adapters are found by name."""

    ledger: Ledger
    fleet: Fleet
    transport: Transport
    adapters: Mapping[str, Adapter]
    observer: Observer
    clock: Clock
    ids: Ids
    limits: TurnLimits
    health: TargetHealth = field(default_factory=TargetHealth)
    retries: RetryBudget = field(default_factory=RetryBudget)
    budgets: Budgets = field(default_factory=Budgets)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
