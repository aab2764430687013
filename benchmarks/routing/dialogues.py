"""Matching over the turns of dialogues: with a session's history kept, without it, and with routers of other topics."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.routing.data import Dialogue, ServiceTask
from headrace.domain.router import Task
from headrace.domain.routing import TaskSet
from headrace.drivers.scorers.matcher import Matcher
from headrace.drivers.scorers.task_index import TaskIndex


@dataclass(frozen=True, slots=True)
class Decided:
    """One user turn: which dialogue, first, follow or switch, the likeliest task, whether it matched, what is right."""

    dialogue: str
    kind: str
    best: str | None
    matched: bool
    right: frozenset[str]

    @property
    def is_best(self) -> bool:
        """Whether the likeliest task is right, matched or not."""
        return self.best in self.right

    @property
    def is_right(self) -> bool:
        """Whether it matched and is right, as the scorer counts."""
        return self.matched and self.is_best


@dataclass(frozen=True, slots=True)
class Services:
    """The tasks of all services."""

    tasks: Sequence[ServiceTask]

    def own(self, dialogue: Dialogue) -> frozenset[str]:
        """Return the services that a dialogue talks about."""
        return dialogue.services

    def others(self, dialogue: Dialogue) -> frozenset[str]:
        """Return as many services of other topics, drawn the same way every time."""
        topics = {_topic(each) for each in dialogue.services}
        names = sorted({each.service for each in self.tasks if _topic(each.service) not in topics})
        return frozenset(random.Random(dialogue.id).sample(names, min(len(names), len(dialogue.services))))  # noqa: S311 - a draw, no secret

    def of(self, services: frozenset[str]) -> tuple[Task, ...]:
        """Return the tasks of services."""
        return tuple(each.task for each in self.tasks if each.service in services)


def _topic(service: str) -> str:
    return service.partition("_")[0]


def decide(
    dialogues: Sequence[Dialogue],
    router: Callable[[Dialogue], Sequence[Task]],
    matcher: Callable[[], Matcher],
    *,
    is_cold: bool = False,
) -> Iterator[Decided]:
    """Decide every user turn with all turns before it; where it is cold, nothing is kept from one turn to the next."""
    indexes: dict[tuple[Task, ...], TaskIndex] = {}
    warm = matcher()
    for dialogue in dialogues:
        tasks = tuple(router(dialogue))
        if tasks not in indexes:
            indexes[tasks] = warm.index(TaskSet("", tasks))
        for turn in dialogue.user_turns:
            found = (matcher() if is_cold else warm).match(indexes[tasks], turn.read)
            yield Decided(dialogue.id, turn.kind, found.best, found.matched, turn.right)


def by_kind(decided: Sequence[Decided]) -> Mapping[str, Sequence[Decided]]:
    """Return all, and those of each kind."""
    kinds = ("first", "follow", "switch")
    return {"all": decided, **{kind: [each for each in decided if each.kind == kind] for kind in kinds}}
