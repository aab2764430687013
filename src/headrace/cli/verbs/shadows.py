"""`headrace routers shadows` and `judge`: answers of a reference model beside the router's, and what a judge says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter
from cyclopts.types import PositiveInt

from headrace.cli.client import ApiClient, segment
from headrace.cli.judging import question, verdict_of, word_of
from headrace.cli.known_routers import PATH
from headrace.cli.progress import PullProgress
from headrace.cli.replies import part, parts, short_dollars, text
from headrace.cli.session import columns
from headrace.cli.verb_shapes import Running, Told, asks_server
from headrace.domain.json_value import JsonObject
from headrace.domain.router import PREFIX
from headrace.domain.shadow import Quality, Verdict, quality_of
from headrace.ports.fleet import Progress

CHAT = "/v1/chat/completions"
PAGE = 100
HEADINGS = ("REQUEST", "ROUTE", "ROUTER", "REFERENCE", "COST", "STATE", "VERDICT")


@asks_server
def shadows(
    client: ApiClient,
    router: str,
    /,
    *,
    limit: Annotated[PositiveInt, Parameter(help="The newest so many, up to 100.")] = 20,
) -> Told:
    """List requests that the reference model also answered. --json includes both answers.

    Parameters
    ----------
    router:
        The router's name or uuid.
    """
    reply = client.get(_path(router), "admin", {"limit": limit})
    found = parts(reply, "shadows")
    empty = (
        'Nothing was sampled. A router is compared with a reference when it has a "shadow": docs/routing-measured.md'
    )
    rows = [HEADINGS, *map(_row, found)]
    return Told(reply, columns(rows, frozenset({4})) if found else empty)


@asks_server
def judge(
    client: ApiClient,
    router: str,
    /,
    *,
    judge: Annotated[str, Parameter(help="The model that compares, in both orders; better none of the two.")],
    limit: Annotated[PositiveInt, Parameter(help="At the most so many pairs.")] = 50,
    session: Running,
) -> Told:
    """Let a model judge the pairs without a verdict. Each pair costs two calls.

    Parameters
    ----------
    router:
        The router's name or uuid.
    """
    counts: Counter[Verdict] = Counter()
    unreadable = 0
    with PullProgress(session.stderr, "judging") as show:
        pairs = list(_waiting(client, router, limit))
        for number, pair in enumerate(pairs, 1):
            verdict = _compared(client, judge, part(pair, "texts"))
            if verdict is None:
                unreadable += 1
            else:
                body: JsonObject = {"verdict": verdict.value, "judge": judge}
                client.send("POST", f"/v2/requests/{segment(text(pair, 'request_id'))}/shadow", "admin", body)
                counts[verdict] += 1
            show(Progress("pairs", number, len(pairs), "pairs"))
    quality = quality_of(counts)
    reply: JsonObject = {
        "judge": judge,
        "judged": quality.judged,
        **{each.value: counts[each] for each in Verdict},
        "unreadable": unreadable,
    }
    return Told(reply, _as_text(quality, unreadable))


def _waiting(client: ApiClient, router: str, limit: int) -> Iterator[JsonObject]:
    """Yield the newest pairs without a verdict whose texts are still kept."""
    query: dict[str, str | int] = {"limit": PAGE, "unjudged": "true"}
    found = 0
    while found < limit:
        page = client.get(_path(router), "admin", query)
        for each in parts(page, "shadows"):
            if part(each, "texts") and found < limit:
                found += 1
                yield each
        if not text(page, "next"):
            return
        query["before"] = text(page, "next")


def _compared(client: ApiClient, judge: str, texts: JsonObject) -> Verdict | None:
    asked, answer, reference = (text(texts, name) for name in ("asked", "answer", "reference"))
    forwards = _word(client, question(judge, asked, answer, reference))
    backwards = _word(client, question(judge, asked, reference, answer))
    return None if forwards is None or backwards is None else verdict_of(forwards, backwards)


def _word(client: ApiClient, body: JsonObject) -> str | None:
    reply = client.send("POST", CHAT, "key", body)
    said = [text(part(each, "message"), "content") for each in parts(reply, "choices")[:1]]
    return word_of("".join(said))


def _as_text(quality: Quality, unreadable: int) -> str:
    told = f"judged {quality.judged}: {quality.better} better, {quality.equal} equal, {quality.worse} worse"
    if quality.mean is not None:
        told += f"; mean {quality.mean.value:+.2f} ({quality.mean.low:+.2f} to {quality.mean.high:+.2f}) from -1 to 1"
    more = f"\n{unreadable} were not readable: the judge did not say FIRST, SECOND or EQUAL." if unreadable else ""
    return f"{told}.{more}"


def _row(each: JsonObject) -> tuple[str, ...]:
    state = text(each, "state")
    return (
        text(each, "request_id"),
        text(each, "route", "-"),
        text(each, "served_by"),
        text(each, "reference"),
        short_dollars(each, "reference_cost"),
        f"{state} ({text(each, 'failure')})" if text(each, "failure") else state,
        text(each, "verdict", "-"),
    )


def _path(router: str) -> str:
    return f"{PATH}/{segment(router.removeprefix(PREFIX))}/shadows"
