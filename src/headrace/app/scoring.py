"""The scorer that routers read prompts with: it shares the encoder of embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from headrace.domain.conversation import Conversation
from headrace.domain.errors import EngineFailed
from headrace.domain.routing import Match, PromptFigures, TaskSet
from headrace.drivers.encoders.minilm import MiniLmEncoder
from headrace.drivers.scorers.scorer import MiniLmScorer
from headrace.ports.ambient import Offload
from headrace.ports.routing import PromptScorer


def make_scorer(encoders: Mapping[str, MiniLmEncoder], home: Path, offload: Offload) -> PromptScorer:
    """Return the scorer on the catalog's encoder; without one, a scorer that reads nothing and says so."""
    encoder = next(iter(encoders.values()), None)
    if encoder is None:
        return _NoEncoder()
    return MiniLmScorer(encoder.load, encoder.file_name, home, offload)


class _NoEncoder:
    """Stands where no encoder is in the catalog."""

    async def match(self, tasks: TaskSet, conversation: Conversation) -> Match:
        raise _nothing()

    async def weigh(self, conversation: Conversation) -> tuple[PromptFigures, bytes]:
        raise _nothing()

    async def rematch(self, tasks: TaskSet, features: Sequence[bytes]) -> tuple[Match, ...]:
        raise _nothing()

    async def prepare(self, tasks: TaskSet) -> None:
        raise _nothing()


def _nothing() -> EngineFailed:
    return EngineFailed("The catalog has no encoder that prompts could be read with.")
