"""Reading a prompt for a router: which of its tasks it is, or that the turn before goes on, or that nothing is known.

It waits for the scorer and for nothing else; who serves the task is choosing's.
"""

from __future__ import annotations

from dataclasses import dataclass

from headrace.domain.conversation import Conversation
from headrace.domain.errors import EngineFailed
from headrace.domain.router import Router
from headrace.domain.routing import Match, PromptFigures, TaskSet
from headrace.ports.routing import PromptScorer
from headrace.services.affinity import Held


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of a prompt: its route with the basis of that, as in Decision, and in words.

    `match` and `figures` are None where it was not read.
    """

    basis: str
    route: str | None
    why: str
    match: Match | None = None
    figures: PromptFigures | None = None
    features: bytes = b""


async def read_task(
    scorer: PromptScorer, router: Router, tasks: TaskSet, conversation: Conversation, held: Held | None
) -> Reading:
    """Return the task of a prompt; an open tool call is not read again, and goes on by the route of its turn.

    Where the scorer is not there or there is nothing to read, a session goes on by its last route.
    """
    if held is not None and held.replays and _has(router, held.route):
        return Reading("tool_loop", held.route, "A tool's result goes on with the turn before.")
    try:
        match = await scorer.match(tasks, conversation)
    except EngineFailed as error:
        return _unread(router, held, Reading("unread", None, _away(error)))
    if match.best is None:
        nothing = Reading("no_text", None, "There is no text to match.", match, match.figures, match.features)
        return _unread(router, held, nothing)
    if fits(router, match):
        why = f'The prompt fits "{match.best}" with a probability of {match.score:.2f}.'
        return Reading("matched", match.best, why, match, match.figures, match.features)
    why = f'No task fits well enough: the likeliest is "{match.best}", with a probability of {match.score:.2f}.'
    return Reading("no_match", None, why, match, match.figures, match.features)


async def read_figures(scorer: PromptScorer, conversation: Conversation, held: Held | None) -> Reading:
    """Return what a prompt asks of a model, for the managed router, which has no tasks."""
    if held is not None and held.replays:
        return Reading("tool_loop", None, "A tool's result goes on with the turn before.")
    try:
        figures, features = await scorer.weigh(conversation)
    except EngineFailed as error:
        return Reading("unread", None, _away(error))
    return Reading("managed", None, "Every live model was weighed for this prompt.", None, figures, features)


def fits(router: Router, match: Match) -> bool:
    """Whether the likeliest task is likely enough for the router."""
    return match.matched if router.min_score is None else match.score >= router.min_score


def _unread(router: Router, held: Held | None, otherwise: Reading) -> Reading:
    if held is None or not held.is_decided or not _has(router, held.route):
        return otherwise
    return Reading("affinity", held.route, f"{otherwise.why} The session goes on by its last route.", otherwise.match)


def _away(error: EngineFailed) -> str:
    return f"The prompt could not be read: {error.message.rstrip('.')}."


def _has(router: Router, route: str | None) -> bool:
    return route is None or router.policy_of(route) is not None
