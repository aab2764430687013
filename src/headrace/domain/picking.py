"""Picking a replica: the same prompts to the same warm replica, while it has no more than its share of the load; pure.

Rendezvous hashing: every replica has a number of its own for every prefix, and the highest wins, so that a replica that
comes or goes moves its own prefixes only. No memory, and no agreement between gateways, is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

# A replica has its prefix's requests up to so much of the mean load, which is 5/4 of it, and always one.
LOAD_PERCENT = 125
DIGEST_BYTES = 8


@dataclass(frozen=True, slots=True)
class ReadyReplica:
    """A replica that can be sent to now, with the requests that it has of us."""

    id: str
    in_flight: int


def pick(prefix: bytes, replicas: Sequence[ReadyReplica], slots: int) -> str:
    """Return the id of the replica that gets a request whose prompt begins so; `slots` is what each answers at once.

    Of those that have a free slot and would stay within the bounded load, it is the first in the prefix's own order, so
    that what its first replica cannot take goes to the same second one. Where there is none, and for an empty prefix,
    it is the one with the least in flight. Raises ValueError without a replica.
    """
    if len(replicas) == 1:
        return replicas[0].id
    if prefix:
        # With the new request among them, rounded up.
        load = (sum(each.in_flight for each in replicas) + 1) * LOAD_PERCENT
        most = min(-(-load // (100 * len(replicas))), max(slots, 1))
        within = [each for each in replicas if each.in_flight < most]
        if within:
            return max(within, key=lambda each: _number(prefix, each.id)).id
    return min(replicas, key=lambda each: (each.in_flight, _number(prefix, each.id))).id


def _number(prefix: bytes, replica: str) -> bytes:
    return hashlib.blake2b(prefix + b"\0" + replica.encode(), digest_size=DIGEST_BYTES).digest()
