"""What of a text is encoded: phrasings of a task, the beginning of a prompt; encoding is not done here."""

from __future__ import annotations

import re
from collections.abc import Sequence

from headrace.domain.router import Task

# The last message of the user, a message before it, and a phrasing of a task, in tokens with the two that frame them.
PROMPT_TOKENS = 48
OLDER_TOKENS = 24
PHRASING_TOKENS = 64
MAX_PHRASING_CHARS = 1_000
SENTENCES = 3
_CAMEL = re.compile(r"([a-z])([A-Z])")
_GAP = re.compile(r"[\s_/.\-]+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def is_readable(text: str) -> bool:
    """Whether there is a letter or a digit in it; an encoder has an answer to anything, sense only to these."""
    return any(each.isalnum() for each in text)


def in_words(slug: str) -> str:
    """Return a slug as words: `card_arrival` and `cardArrival` are both `card arrival`."""
    return _GAP.sub(" ", _CAMEL.sub(r"\1 \2", slug)).strip().lower()


def phrasings(task: Task) -> tuple[str, ...]:
    """Return the texts whose mean vector stands for a task: name, description, both, and up to three sentences."""
    name, description = in_words(task.slug), task.description.strip()[:MAX_PHRASING_CHARS]
    sentences = [each for each in _SENTENCE_END.split(description) if each]
    parts = sentences[:SENTENCES] if len(sentences) > 1 else []
    both = f"{name}: {description}" if description else ""
    return tuple(dict.fromkeys(each for each in (name, description, both, *parts) if is_readable(each)))


def cut(tokens: Sequence[int], most: int) -> list[int]:
    """Return the first tokens with the frame closed; `tokens` has both frame tokens."""
    return list(tokens) if len(tokens) <= most else [*tokens[: most - 1], tokens[-1]]
