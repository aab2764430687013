"""A prompt scorer that reads what a test wrote: a prompt is of the task that it names."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.domain.conversation import Conversation
from headrace.domain.errors import EngineFailed
from headrace.domain.routing import Match, PromptFigures, TaskSet

FEATURES = bytes(768)
SURE, UNSURE = 0.93, 0.31


class NamingScorer:
    """Matches the task whose slug the user's last words have, unsurely after "maybe"; the first task otherwise.

    `output_tokens` is what it predicts. While `is_away` it raises, as without weights.
    """

    def __init__(self, output_tokens: float = 100.0) -> None:
        self.output_tokens = output_tokens
        self.is_away = False
        self.read: list[str] = []

    async def match(self, tasks: TaskSet, conversation: Conversation) -> Match:
        return self._matched(tasks, await self._text(conversation))

    def _matched(self, tasks: TaskSet, text: str) -> Match:
        if not any(each.isalnum() for each in text):
            return Match(None, 0.0, False, None, 0.0, None, self._figures(text), FEATURES)
        slugs = [each.slug for each in tasks.tasks]
        named = next((each for each in slugs if each in text), None)
        best = named or slugs[0]
        other = next((each for each in slugs if each != best), None)
        is_sure = named is not None and "maybe" not in text
        example = 1 if any(each.examples for each in tasks.tasks if each.slug == best) else None
        score = SURE if is_sure else UNSURE
        return Match(best, score, is_sure, other, round(1 - score, 2), example, self._figures(text), FEATURES)

    async def weigh(self, conversation: Conversation) -> tuple[PromptFigures, bytes]:
        return self._figures(await self._text(conversation)), FEATURES

    async def rematch(self, tasks: TaskSet, features: Sequence[bytes]) -> tuple[Match, ...]:
        """Features that a test wrote are read as the prompt."""
        return tuple(self._matched(tasks, each.decode("utf-8", "replace").strip("\0")) for each in features)

    async def prepare(self, tasks: TaskSet) -> None:
        if self.is_away:
            raise EngineFailed("the weights are not here")

    async def _text(self, conversation: Conversation) -> str:
        if self.is_away:
            raise EngineFailed("the weights are not here")
        self.read.append(conversation.last_text)
        return conversation.last_text

    def _figures(self, text: str) -> PromptFigures:
        return PromptFigures(2.0 if "hard" in text else -1.0, self.output_tokens)
