"""Teams: the keys that are billed together; a team's account in the books has its name."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_TEAM = "default"


@dataclass(frozen=True, slots=True)
class Team:
    """A team; with `is_prepaid` its priced calls stop when its balance is used up."""

    name: str
    is_prepaid: bool
    created_at_micros: int
