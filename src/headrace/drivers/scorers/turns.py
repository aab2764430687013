"""Which task a conversation is about: what every turn says, followed over the turns; vectors are made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headrace.domain.conversation import Turn
from headrace.drivers.scorers.texts import OLDER_TOKENS, PROMPT_TOKENS, is_readable
from headrace.drivers.scorers.vectors import Floats, Vectors

# What reading older messages may cost for one decision, in tokens; each also costs as much as so many tokens. Those
# whose vectors are kept cost nothing, so that a session that goes on is read whole.
MOST_NEW_TOKENS = 80
TOKENS_EACH = 16
# The task of a turn is that of the turn before it with this probability.
STAY = 0.93
# How much a difference of scores says, and how much less an assistant's words say.
HEAT = 0.05
ASSISTANT_WEIGHT = 0.4
# What an older turn of the user still says of the conversation's being in scope, for each turn since.
FADE = 0.97


@dataclass(frozen=True, slots=True)
class ReadTurns:
    """The turns that count, oldest first: vectors [turns, 640] and who spoke; `text` is the last one's."""

    vectors: Floats
    is_user: tuple[bool, ...]
    text: str | None


def read_turns(turns: Sequence[Turn], vectors: Vectors) -> ReadTurns | None:
    """Return the user's last readable turn and what came before it, or None where nothing can be read.

    What is not kept is read in the order of what it says: the turn before, how the conversation began, the answer
    before, then the others, newest first; until the time for it is spent.
    """
    readable = [each for each in turns if is_readable(each.text)]
    while readable and readable[-1].speaker != "user":
        readable.pop()
    if not readable:
        return None
    last = len(readable) - 1
    found = {last: vectors.of(readable[last].text, PROMPT_TOKENS)}
    left = MOST_NEW_TOKENS
    for place in _worth(readable):
        text = readable[place].text
        kept = vectors.kept(text, PROMPT_TOKENS)
        if kept is None:
            kept = vectors.kept(text, OLDER_TOKENS)
        if kept is None:
            left -= TOKENS_EACH + vectors.length(text, OLDER_TOKENS)
            kept = None if left < 0 else vectors.of(text, OLDER_TOKENS)
        if kept is not None:
            found[place] = kept
    places = sorted(found)
    speakers = tuple(readable[place].speaker == "user" for place in places)
    return ReadTurns(np.stack([found[place] for place in places]), speakers, readable[last].text)


def _worth(readable: Sequence[Turn]) -> list[int]:
    """Return the places of all turns but the last, by how much they say of the task."""
    older = range(len(readable) - 2, -1, -1)
    users = [place for place in older if readable[place].speaker == "user"]
    assistants = [place for place in older if readable[place].speaker != "user"]
    return list(dict.fromkeys((*users[:1], *users[-1:], *assistants[:1], *older)))


def followed(scores: Floats, is_user: Sequence[bool]) -> Floats:
    """Return the probability of every task after the last turn, were one of them right; scores [turns, n]."""
    count = scores.shape[1]
    belief = np.full(count, 1 / count)
    for place, (row, user) in enumerate(zip(scores, is_user, strict=True)):
        if place and user:
            belief = STAY * belief + (1 - STAY) / count
        belief = belief * np.exp((1.0 if user else ASSISTANT_WEIGHT) * (row - row.max()) / HEAT)
        belief /= belief.sum()
    return belief


def fitting(probabilities: Floats, is_user: Sequence[bool]) -> float:
    """Return the probability that the conversation fits any task: that of the user's turn which fits best.

    A turn that follows up, such as "yes, the blue one", fits nothing by itself.
    """
    ages = np.cumsum(is_user[::-1])[::-1] - 1
    return float((probabilities * FADE**ages)[np.array(is_user)].max())
