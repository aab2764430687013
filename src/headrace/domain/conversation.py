"""A conversation as routing reads it: what users and assistants said lately, whatever the dialect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Speaker: TypeAlias = Literal["user", "assistant"]
# More of one message is not read: the encoder sees no more than its first tokens, and the time is bounded so.
MAX_TURN_CHARS = 600
MAX_USER_TURNS = 8


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a user or an assistant, its first characters only; tool results are no turns."""

    speaker: Speaker
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """What routing reads of a call: the last turns, oldest first, and what tells one session from another.

    `opening` are system prompt, names of tools and first user message, from which a session without a name is known.
    `in_tool_loop` says that the last message is a tool's result: the turn before is still being worked on.
    `prompt_tokens` is our guess of the whole prompt.
    """

    turns: tuple[Turn, ...]
    opening: str
    in_tool_loop: bool
    prompt_tokens: int

    @property
    def last_text(self) -> str:
        """What the user said last, or nothing."""
        return next((each.text for each in reversed(self.turns) if each.speaker == "user"), "")
