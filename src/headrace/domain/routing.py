"""Routing decisions as values: what was read of a prompt, which task it matched, who may serve it and why."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.domain.router import Task
from headrace.domain.switching import SwitchRecord


@dataclass(frozen=True, slots=True)
class TaskSet:
    """The tasks that a prompt is matched against; `digest` names their words, examples and corrections.

    `corrections` are pairs of a task's slug and the features of a prompt that belongs to it.
    """

    digest: str
    tasks: tuple[Task, ...]
    corrections: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class PromptFigures:
    """What a prompt asks of a model: `difficulty` in logits, about -3 to 3, 0 being average.

    The harder it is, the more a strong model gains over a weak one. `output_tokens` is the predicted length of an
    average model's answer.
    """

    difficulty: float
    output_tokens: float


@dataclass(frozen=True, slots=True)
class Match:
    """How a conversation fits a router's tasks.

    `best` is the likeliest task and `score` the probability that it is right, 0 to 1; `matched` says whether that is
    enough for the calibrated threshold. `closest_example` is the number, from 1, of the likeliest task's example that
    the prompt is most like, None without examples. `features` are the prompt's vector, 640 little-endian float16: from
    it, and not from the prompt, a decision can be made again.
    """

    best: str | None
    score: float
    matched: bool
    runner_up: str | None
    runner_up_score: float
    closest_example: int | None
    figures: PromptFigures
    features: bytes


@dataclass(frozen=True, slots=True)
class RoutedTarget:
    """A target that a router considered, in the order of its policy; `rank` is from 1, None where it is excluded.

    `name` is how the pool spells it. `code` and `reason` say why it stands there, or why it was left out.
    """

    name: str
    model_id: str
    provider: str
    rank: int | None
    code: str
    reason: str
    expected_cost_nano: int | None = None
    expected_seconds: float | None = None
    strength: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a router decided for one call; the receipt keeps it.

    `route` is the matched task's slug, None when nothing matched. `basis` is why: `matched`, `no_match`, `no_text`,
    `tool_loop`, `affinity`, `switch_vetoed`, `managed` or `unread` (the matcher was not there). `policy` is how the
    pool was ranked. `runner_up` is the second likeliest task. `reference_nano` is what the dearest target that could
    have served is expected to cost: what a saving is measured against. `decided_micros` is how long deciding took.
    `session` is the name of the caller's session, and `switch` how leaving its warm cache was weighed; None where there
    was none to leave.
    """

    router: str
    route: str | None
    score: float | None
    best: str | None
    runner_up: str | None
    runner_up_score: float | None
    closest_example: int | None
    basis: str
    policy: str
    reason: str
    targets: tuple[RoutedTarget, ...]
    figures: PromptFigures | None
    features: bytes
    decided_micros: int
    session: str | None = None
    reference_nano: int | None = None
    switch: SwitchRecord | None = None

    @property
    def chosen(self) -> RoutedTarget | None:
        """The first target in the order, or None when none can serve."""
        return next((each for each in self.targets if each.rank == 1), None)
