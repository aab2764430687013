"""What is known of a model's inside that decides how much memory it takes: weights, cache, sizes; all of it is data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class FactStatus(StrEnum):
    """Whether figures were seen in the model's published files, or follow from what was."""

    VERIFIED = "verified"
    DERIVED = "derived"


@dataclass(frozen=True, slots=True)
class CacheLayers:
    """Layers that keep something of every token, all alike.

    `elements` is how many numbers a layer keeps of a token: keys and values of every head together, or one compressed
    vector. `heads` is over how many accelerators they can be divided; more hold copies. `window` is after how many
    tokens the oldest are forgotten, None never. `tokens_per_entry` is how many tokens are kept as one.
    """

    layers: int
    elements: int
    heads: int
    window: int | None = None
    tokens_per_entry: int = 1
    element_bytes: int = 2

    def bytes_for(self, tokens: int) -> int:
        """Return what one request of so many tokens takes, once."""
        kept = tokens if self.window is None else min(tokens, self.window)
        return self.layers * self.elements * self.element_bytes * -(-kept // self.tokens_per_entry)


@dataclass(frozen=True, slots=True)
class Architecture:
    """One model's sizes. `models` are the names that it has in catalogues and on the hub, the hub's first.

    `weight_bytes` is the size of its tensors as they are published. `state_bytes` is what its recurrent layers keep of
    each request, however long. `checked_on` is None where nobody looked; `note` says what a derived figure rests on.
    """

    name: str
    models: tuple[str, ...]
    parameters: int
    weight_bytes: int
    hidden_size: int
    vocabulary: int
    attention_heads: int
    context_length: int
    cache: tuple[CacheLayers, ...]
    source: str
    status: FactStatus = FactStatus.VERIFIED
    checked_on: str | None = None
    state_bytes: int = 0
    is_gated: bool = False
    note: str = ""

    def splits_over(self, gpus: int) -> bool:
        """Whether its heads can be divided among so many accelerators without a rest."""
        return self.attention_heads % gpus == 0 and all(
            each.heads % gpus == 0 or gpus % each.heads == 0 for each in self.cache
        )

    def cache_bytes(self, tokens: int, requests: int) -> int:
        """Return the cache of so many requests of so many tokens each, once."""
        return requests * (self.state_bytes + sum(each.bytes_for(tokens) for each in self.cache))

    def cache_bytes_on(self, gpus: int, tokens: int, requests: int) -> int:
        """Return the same on all of so many accelerators together, with what each must hold for itself."""
        copied = sum(each.bytes_for(tokens) * max(1, -(-gpus // each.heads)) for each in self.cache)
        return requests * (self.state_bytes + copied)


@dataclass(frozen=True, slots=True)
class ArchitectureBook:
    """Every known architecture; a later one goes before an earlier one of the same name.

    `folder_engine` is the engine that runs a folder of weights as its maker published them.
    """

    architectures: tuple[Architecture, ...]
    folder_engine: str = ""

    def find(self, *names: str) -> Architecture | None:
        """Return the architecture that has one of these names, whatever the case; earlier names go first."""
        for name in names:
            folded = name.casefold()
            for each in reversed(self.architectures):
                if any(known.casefold() == folded for known in each.models):
                    return each
        return None

    def names(self) -> Sequence[str]:
        """Return every name of every architecture."""
        return [name for each in self.architectures for name in each.models]
