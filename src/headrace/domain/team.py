"""Teams: the keys that are billed together; a team's account in the books has its name."""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_TEAM = "default"
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
MAX_NAME_CHARS = 64


@dataclass(frozen=True, slots=True)
class Team:
    """A team; with `is_prepaid` its priced calls stop when its balance is used up."""

    name: str
    is_prepaid: bool
    created_at_micros: int


def is_team_name(name: str) -> bool:
    """Whether a new team may have this name: it stands in paths, scopes and commands as it is."""
    return len(name) <= MAX_NAME_CHARS and NAME_PATTERN.fullmatch(name) is not None
