"""Ports of routing: reading a prompt, keeping routers, reading decisions back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.domain.conversation import Conversation
from headrace.domain.router import Correction, Presets, Router
from headrace.domain.routing import Decision, Match, PromptFigures, TaskSet
from headrace.domain.shadow import ShadowAnswer, Verdict
from headrace.domain.strength import Strength


class PromptScorer(Protocol):
    """Reads prompts on the CPU, off the event loop; raises EngineFailed when its weights are not here."""

    async def match(self, tasks: TaskSet, conversation: Conversation) -> Match:
        """Return how the conversation fits the tasks; a prompt without a letter or digit fits none."""
        ...

    async def weigh(self, conversation: Conversation) -> tuple[PromptFigures, bytes]:
        """Return what the prompt asks of a model, and its features."""
        ...

    async def rematch(self, tasks: TaskSet, features: Sequence[bytes]) -> tuple[Match, ...]:
        """Match kept features, each as a conversation of one message."""
        ...

    async def prepare(self, tasks: TaskSet) -> None:
        """Read the tasks ahead of the first prompt."""
        ...


class TokenReader(Protocol):
    """A loaded encoder of texts; it blocks, and several threads may use it at once."""

    def tokens(self, text: str) -> list[int]:
        """Return the text's tokens with the two that frame them."""
        ...

    def packed_vector(self, tokens: list[int]) -> bytes:
        """Return the unit vector of at most 512 tokens: 384 little-endian float32."""
        ...


class RouterStore(Protocol):
    """Stored routers and the corrections of their routes."""

    async def put(self, router: Router) -> None:
        """Store a router, or replace the one of its uuid; raises Conflict when another one has its name."""
        ...

    async def remove(self, uuid: str) -> bool:
        """Forget a router and its corrections; returns whether there was one."""
        ...

    async def list(self) -> tuple[Router, ...]:
        """Return every router, by name."""
        ...

    async def correct(self, correction: Correction) -> None:
        """Store a correction, or replace the one of the same request."""
        ...

    async def take_back(self, request_id: str) -> bool:
        """Forget the correction of a request; returns whether there was one."""
        ...

    async def corrections(self) -> tuple[Correction, ...]:
        """Return every correction, oldest first."""
        ...


class ShadowStore(Protocol):
    """Requests that a reference model answered too; their texts are kept in Blobs."""

    async def begin(self, answer: ShadowAnswer, day_micros: int, most_nano: int) -> bool:
        """Store an answer that is to be made, if what its router's answers since then amount to leaves room for it."""
        ...

    async def finish(self, request_id: str, amount_nano: int, failure: str | None) -> None:
        """Note what an answer cost, and that it is kept, or what went wrong."""
        ...

    async def get(self, request_id: str) -> ShadowAnswer | None:
        """Return one, or None."""
        ...

    async def list(
        self, router_uuid: str, limit: int, before: tuple[int, str] | None = None, *, unjudged: bool = False
    ) -> tuple[ShadowAnswer, ...]:
        """Return the newest answers of a router first; with `before`, those before that time and request only.

        With `unjudged` those only that are kept and without a verdict.
        """
        ...

    async def judge(self, request_id: str, verdict: Verdict, judge: str, at_micros: int) -> bool:
        """Store a verdict, or replace it; returns whether there is such an answer, and it is kept."""
        ...

    async def verdicts(self, router_uuid: str, since_micros: int, until_micros: int) -> Mapping[Verdict, int]:
        """Return how often there was which verdict, on requests from then up to then."""
        ...

    async def sweep(self, before_micros: int) -> int:
        """Forget older answers; returns how many."""
        ...


class PresetSource(Protocol):
    """The presets of the catalog."""

    def read(self) -> Presets:
        """Return them; blocks, so call it off the loop; raises ConfigInvalid."""
        ...

    def digest(self) -> str:
        """Return a text that changes when a file is added, removed or written; cheap enough to poll."""
        ...


class StrengthSource(Protocol):
    """What is known of how well models answer."""

    def read(self) -> tuple[Strength, ...]:
        """Return it; blocks, so call it off the loop; raises ConfigInvalid."""
        ...

    def digest(self) -> str:
        """Return a text that changes when the operator's file is added, removed or written; cheap enough to poll."""
        ...


@dataclass(frozen=True, slots=True)
class RoutedRequest:
    """A request that a router decided, as replay reads it back: the decision, and what serving it took.

    Costs are in nano-dollars, tokens those of the settled attempt; `served_by` is None when none was settled.
    """

    request_id: str
    received_at_micros: int
    decision: Decision
    served_by: str | None
    cost_nano: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    status: int | None


class Decisions(Protocol):
    """Decisions of the past, from the ledger's requests."""

    async def since(
        self, router: str, since_micros: int, limit: int, before: tuple[int, str] | None = None
    ) -> tuple[RoutedRequest, ...]:
        """Return the newest requests that the router decided since then, oldest first.

        With `before`, a time and a request's id, those before that request only: so all are read page by page.
        """
        ...

    async def count(self, router: str, since_micros: int, until_micros: int) -> int:
        """Return how many requests the router decided from then up to then."""
        ...

    async def get(self, request_id: str) -> RoutedRequest | None:
        """Return one, or None when no router decided it."""
        ...

    async def sweep(self, before_micros: int) -> int:
        """Forget the features and decisions of older requests; returns how many."""
        ...
