"""Ports of routing: reading a prompt, keeping routers, reading decisions back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.domain.conversation import Conversation
from headrace.domain.router import Correction, Presets, Router
from headrace.domain.routing import Decision, Match, PromptFigures, TaskSet


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

    async def corrections(self) -> tuple[Correction, ...]:
        """Return every correction, oldest first."""
        ...


class PresetSource(Protocol):
    """The presets of the catalog."""

    def read(self) -> Presets:
        """Return them; raises ConfigInvalid."""
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

    async def since(self, router: str, since_micros: int, limit: int) -> tuple[RoutedRequest, ...]:
        """Return the newest requests that the router decided since then, oldest first."""
        ...

    async def get(self, request_id: str) -> RoutedRequest | None:
        """Return one, or None when no router decided it."""
        ...

    async def sweep(self, before_micros: int) -> int:
        """Forget the features and decisions of older requests; returns how many."""
        ...
