"""How long the last answers of each deployment took to their first event; scaling reads it, and deciding does not."""

from __future__ import annotations

from collections import OrderedDict, deque
from statistics import median

from headrace.ports.ambient import Clock
from headrace.ports.observer import AttemptEnd, RequestEnd

MAX_DEPLOYMENTS = 1_024
LAST_ANSWERS = 32
# What is older says nothing of the load of now.
RECENT_SECONDS = 60.0
MILLIS = 1_000


class FirstTokens:
    """Keeps the times of a deployment's last streams; as an observer it hears how every attempt went."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: OrderedDict[str, deque[tuple[float, float]]] = OrderedDict()

    def first_token_ms(self, deployment: str) -> float | None:
        """Return the median of the last streams, at most a minute old, in milliseconds; None without any."""
        oldest = self._clock.monotonic() - RECENT_SECONDS
        recent = [seconds for at, seconds in self._seen.get(deployment, ()) if at >= oldest]
        return median(recent) * MILLIS if recent else None

    def request_ended(self, end: RequestEnd) -> None:
        """Learn nothing: attempts tell it."""

    def attempt_ended(self, end: AttemptEnd) -> None:
        """Note when a deployment's stream began; a whole answer has no first token that anybody sees."""
        if end.deployment is None or end.first_event_seconds is None or not end.stream:
            return
        seen = self._seen.get(end.deployment)
        if seen is None:
            if len(self._seen) >= MAX_DEPLOYMENTS:
                self._seen.popitem(last=False)
            seen = self._seen[end.deployment] = deque(maxlen=LAST_ANSWERS)
        seen.append((self._clock.monotonic(), end.first_event_seconds))
