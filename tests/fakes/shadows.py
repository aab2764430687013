"""Answers of reference models in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from headrace.domain.shadow import ShadowAnswer, Verdict


@dataclass(slots=True)
class MemoryShadows:
    """A store of shadow answers in memory."""

    answers: dict[str, ShadowAnswer] = field(default_factory=dict[str, ShadowAnswer])

    async def begin(self, answer: ShadowAnswer, day_micros: int, most_nano: int) -> bool:
        same_day = [each for each in self.answers.values() if each.made_at_micros >= day_micros]
        spent = sum(each.amount_nano for each in same_day if each.router_uuid == answer.router_uuid)
        if answer.request_id in self.answers or spent + answer.amount_nano > most_nano:
            return False
        self.answers[answer.request_id] = answer
        return True

    async def finish(self, request_id: str, amount_nano: int, failure: str | None) -> None:
        state = "kept" if failure is None else "failed"
        self.answers[request_id] = replace(
            self.answers[request_id], amount_nano=amount_nano, state=state, failure=failure
        )

    async def get(self, request_id: str) -> ShadowAnswer | None:
        return self.answers.get(request_id)

    async def list(
        self, router_uuid: str, limit: int, before: tuple[int, str] | None = None, *, unjudged: bool = False
    ) -> tuple[ShadowAnswer, ...]:
        found = [each for each in self.answers.values() if each.router_uuid == router_uuid]
        if before is not None:
            found = [each for each in found if (each.made_at_micros, each.request_id) < before]
        if unjudged:
            found = [each for each in found if each.state == "kept" and each.verdict is None]
        found.sort(key=lambda each: (each.made_at_micros, each.request_id), reverse=True)
        return tuple(found[:limit])

    async def judge(self, request_id: str, verdict: Verdict, judge: str, at_micros: int) -> bool:
        answer = self.answers.get(request_id)
        if answer is None or answer.state != "kept":
            return False
        self.answers[request_id] = replace(answer, verdict=verdict, judge=judge, judged_at_micros=at_micros)
        return True

    async def verdicts(self, router_uuid: str, since_micros: int, until_micros: int) -> Mapping[Verdict, int]:
        return Counter(
            each.verdict
            for each in self.answers.values()
            if each.router_uuid == router_uuid
            and since_micros <= each.made_at_micros < until_micros
            and each.verdict is not None
        )

    async def sweep(self, before_micros: int) -> int:
        kept = {name: each for name, each in self.answers.items() if each.made_at_micros >= before_micros}
        swept = len(self.answers) - len(kept)
        self.answers = kept
        return swept
