"""Replays: requests of the past decided anew, added up beside what was decided and paid then; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.domain.controls import MOST_CHOOSABLE, Compared, ControlSums
from headrace.domain.evaluation import Choosable

MOST_MOVES = 1_000
SHOWN_REQUESTS = 3


@dataclass(frozen=True, slots=True)
class Redecided:
    """One request as it was decided and as it would be now.

    `before` and `after` are routes, None where no task matched; for the managed router, which has no tasks, they are
    models. `paid_nano` is what it cost, None when it was not served. `chosen` is the model that would be asked first,
    `choosable` all that could serve, with their costs for the tokens that the request took.
    """

    request_id: str
    before: str | None
    after: str | None
    paid_nano: int | None = None
    chosen: str | None = None
    choosable: Mapping[str, Choosable] = field(default_factory=dict[str, Choosable])

    @property
    def cost_nano(self) -> int | None:
        """What the new choice would cost, None where nobody could serve or nothing is known of the tokens."""
        found = None if self.chosen is None else self.choosable.get(self.chosen)
        return None if found is None or self.paid_nano is None else found.cost_nano


@dataclass(frozen=True, slots=True)
class Move:
    """How many requests went from one route to another, or stayed; the newest of them are named."""

    before: str | None
    after: str | None
    requests: int
    newest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay comes to.

    `moves` are the most frequent ones, those that stayed among them. Costs are sums in nano-dollars over the
    `priced` requests: those that were served and could be served anew; `compared` are these beside their controls.
    """

    redecided: int
    changed: int
    abstained_before: int
    abstained_after: int
    moves: tuple[Move, ...]
    moves_left_out: int
    priced: int
    paid_nano: int
    cost_nano: int
    compared: Compared


class ReplaySums:
    """Adds requests up, the newest first; what it remembers is bounded."""

    def __init__(self, most_choosable: int = MOST_CHOOSABLE) -> None:
        self._moves: Counter[tuple[str | None, str | None]] = Counter()
        self._newest: dict[tuple[str | None, str | None], list[str]] = {}
        self._priced = self._paid = self._cost = 0
        self._controls = ControlSums(most_choosable)

    def add(self, each: Redecided) -> None:
        """Add one request."""
        move = each.before, each.after
        self._moves[move] += 1
        newest = self._newest.setdefault(move, [])
        if len(newest) < SHOWN_REQUESTS:
            newest.append(each.request_id)
        if each.cost_nano is None or each.paid_nano is None or each.chosen is None:
            return
        self._priced += 1
        self._paid += each.paid_nano
        self._cost += each.cost_nano
        self._controls.add(each.chosen, each.choosable)

    def replay(self) -> Replay:
        """Return what it comes to."""
        order = sorted(self._moves, key=lambda move: (-self._moves[move], move[0] or "", move[1] or ""))
        return Replay(
            redecided=self._moves.total(),
            changed=sum(count for (before, after), count in self._moves.items() if before != after),
            abstained_before=sum(count for (before, _), count in self._moves.items() if before is None),
            abstained_after=sum(count for (_, after), count in self._moves.items() if after is None),
            moves=tuple(Move(*each, self._moves[each], tuple(self._newest[each])) for each in order[:MOST_MOVES]),
            moves_left_out=max(0, len(order) - MOST_MOVES),
            priced=self._priced,
            paid_nano=self._paid,
            cost_nano=self._cost,
            compared=self._controls.compared(),
        )
