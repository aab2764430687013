"""Which of a cluster's HTTP proxies a request goes through: its replica's own node first, those that failed last."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.ports.ambient import Clock

REST_SECONDS = 2.0
REST_MAX_SECONDS = 60.0


class Proxies:
    """The proxies that the cluster calls healthy, by their nodes; one that failed rests, longer each time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._addresses: Mapping[str, str] = {}
        self._failures: dict[str, int] = {}
        self._rest_until: dict[str, float] = {}

    def update(self, addresses: Mapping[str, str]) -> None:
        """Take what the cluster says now; proxies that are gone are forgotten."""
        self._addresses = addresses
        known = frozenset(addresses.values())
        for each in [each for each in self._failures if each not in known]:
            self.answered(each)

    def choose(self, node: str | None = None) -> str | None:
        """Return the address of a proxy, that of this node unless it rests; None when there is none at all."""
        now = self._clock.monotonic()
        own = self._addresses.get(node) if node is not None else None
        if own is not None and self._rest_until.get(own, 0.0) <= now:
            return own
        return min(
            self._addresses.values(), key=lambda each: (max(self._rest_until.get(each, 0.0), now), each), default=None
        )

    def failed(self, address: str) -> None:
        """Let a proxy rest."""
        count = self._failures[address] = self._failures.get(address, 0) + 1
        seconds = min(REST_SECONDS * 2.0 ** min(count - 1, 16), REST_MAX_SECONDS)
        self._rest_until[address] = self._clock.monotonic() + seconds

    def answered(self, address: str) -> None:
        """Forget that a proxy failed."""
        self._failures.pop(address, None)
        self._rest_until.pop(address, None)
