"""Labelled prompts, routers over them and dialogues, as a data folder holds them; nothing is judged here.

Layout: `task-matching/SET/{tasks,train,dev}.jsonl`, `task-matching/routers-dev.jsonl`, `task-matching/sgd-dev/`.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.domain.call import Dialect
from headrace.domain.conversation import MAX_TURN_CHARS, Conversation
from headrace.domain.json_value import JsonValue
from headrace.domain.router import Task
from headrace.wire.conversation import conversation_of

IN_SCOPE, NEAR, FAR = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Case:
    """One router with labelled prompts.

    Shapes: `right` [prompts] is the number of the right task, -1 out of scope; `kind` [prompts] is IN_SCOPE, NEAR or
    FAR; `examples` are for each task, best first; `ids` name the prompts across routers; `sources` say where each
    prompt is from, within a set that was put together from others.
    """

    name: str
    dataset: str
    tasks: tuple[Task, ...]
    examples: tuple[tuple[str, ...], ...]
    ids: tuple[str, ...]
    sources: tuple[str, ...]
    prompts: tuple[str, ...]
    right: NDArray[np.intp]
    kind: NDArray[np.intp]

    def shown(self, shots: int) -> tuple[Task, ...] | None:
        """Return the tasks with so many examples each, or None where one has fewer."""
        if any(len(each) < shots for each in self.examples):
            return None
        return tuple(replace(task, examples=mine[:shots]) for task, mine in zip(self.tasks, self.examples, strict=True))


@dataclass(frozen=True, slots=True)
class UserTurn:
    """A turn of a user in a dialogue: what is read of all up to it, its right tasks, and if it follows or switches."""

    read: Conversation
    right: frozenset[str]
    kind: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A dialogue with what it talks about."""

    id: str
    services: frozenset[str]
    user_turns: tuple[UserTurn, ...]


@dataclass(frozen=True, slots=True)
class ServiceTask:
    """A task of a service; `others` are other people's names and descriptions of it."""

    service: str
    task: Task
    others: tuple[Task, ...]


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def read_cases(folder: Path, split: str = "dev") -> list[Case]:
    """Return every router of the data folder."""
    base = folder / "task-matching"
    files = (path for path in sorted(base.glob("*/*.jsonl")) if path.stem in ("train", split))
    texts = {row["id"]: row for path in files for row in rows_of(path)}
    described = {(path.parent.name, row["task"]): row for path in base.glob("*/tasks.jsonl") for row in rows_of(path)}
    trained: dict[tuple[str, str], list[str]] = {}
    for path in sorted(base.glob("*/train.jsonl")):
        for row in rows_of(path):
            trained.setdefault((path.parent.name, row["task"]), []).append(row["text"])
    return [_case(row, texts, described, trained) for row in rows_of(base / f"routers-{split}.jsonl")]


def _case(
    row: dict[str, Any],
    texts: dict[str, dict[str, Any]],
    described: dict[tuple[str, str], dict[str, Any]],
    trained: dict[tuple[str, str], list[str]],
) -> Case:
    dataset, slugs = str(row["dataset"]), list[str](row["tasks"])
    groups = [list[str](row[name]) for name in ("in_scope", "oos_near", "oos_far")]
    ids = [each for group in groups for each in group]
    kind = np.repeat([IN_SCOPE, NEAR, FAR], [len(group) for group in groups])
    right = [slugs.index(texts[each]["task"]) if place < len(groups[0]) else -1 for place, each in enumerate(ids)]
    examples: list[tuple[str, ...]] = []
    for slug in slugs:
        first = [str(texts[each]["text"]) for each in row["exemplars"][slug]]
        examples.append(tuple(dict.fromkeys([*first, *trained.get((dataset, slug), [])[:40]])))
    return Case(
        name=str(row["router"]),
        dataset=dataset,
        tasks=tuple(_task(slug, described[dataset, slug]) for slug in slugs),
        examples=tuple(examples),
        ids=tuple(ids),
        sources=tuple(str(texts[each].get("source", "")) for each in ids),
        prompts=tuple(str(texts[each]["text"])[:MAX_TURN_CHARS] for each in ids),
        right=np.array(right),
        kind=np.asarray(kind, np.intp),
    )


def _task(slug: str, row: dict[str, Any]) -> Task:
    return Task(slug, f"{row['name']}. {row['description']}")


def read_dialogues(folder: Path, split: str = "dev") -> tuple[list[Dialogue], list[ServiceTask]]:
    """Return the dialogues, and the tasks of all services."""
    base = folder / "task-matching" / f"sgd-{split}"
    tasks: list[ServiceTask] = []
    for row in rows_of(base / "tasks.jsonl"):
        slug = str(row["task"]).replace("/", "--")
        others = tuple(_task(slug, other) for other in row["alt"])
        tasks.append(ServiceTask(str(row["service"]), _task(slug, row), others))
    return [_dialogue(row) for row in rows_of(base / "dialogues.jsonl")], tasks


def _dialogue(row: dict[str, Any]) -> Dialogue:
    messages: list[JsonValue] = []
    found: list[UserTurn] = []
    before: frozenset[str] | None = None
    for each in row["turns"]:
        messages.append({"role": "user" if each["speaker"] == "user" else "assistant", "content": str(each["text"])})
        right = frozenset(str(name).replace("/", "--") for name in each.get("tasks") or ())
        if each["speaker"] != "user" or not right:
            continue
        kind = "first" if before is None else "switch" if right - before else "follow"
        read = conversation_of(Dialect.CHAT, {"messages": list(messages)}, 0)
        found.append(UserTurn(read, right, kind))
        before = right
    return Dialogue(str(row["id"]), frozenset(row["services"]), tuple(found))
