"""Aliases: names of the operator's own that point at models or routers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*(/[A-Za-z0-9][A-Za-z0-9._:-]*)*")
MAX_NAME_CHARS = 128
MAX_FALLBACKS = 8
AliasSource: TypeAlias = Literal["api", "file"]


@dataclass(frozen=True, slots=True)
class Alias:
    """A name that stands for a model or a router, and the models that are tried after it when it fails.

    An alias never points at another alias. Times are microseconds since 1970 UTC; one that stands in the configuration
    file has none.
    """

    name: str
    points_to: str
    fallbacks: tuple[str, ...]
    created_at_micros: int
    changed_at_micros: int
    source: AliasSource = "api"

    @property
    def chain(self) -> tuple[str, ...]:
        """What it points at and its fallbacks, in the order in which they are tried."""
        return (self.points_to, *self.fallbacks)


@dataclass(frozen=True, slots=True)
class WrittenAlias:
    """An alias as the configuration file has it, and where it stands there."""

    name: str
    points_to: str
    fallbacks: tuple[str, ...]
    file: str
    line: int

    @property
    def alias(self) -> Alias:
        """The alias that it makes."""
        return Alias(self.name, self.points_to, self.fallbacks, 0, 0, "file")


def is_alias_name(name: str) -> bool:
    """Whether a text may be an alias's name: like a model's id, and as long."""
    return len(name) <= MAX_NAME_CHARS and NAME_PATTERN.fullmatch(name) is not None
