"""`headrace demo router`: eight support tickets and one question about code, routed and direct, side by side."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import ApiClient, event_object
from headrace.cli.demo_tickets import CODE, ROUTER, TICKETS, Rungs, router_body
from headrace.cli.known_routers import PATH, all_routers, path_of, router_named
from headrace.cli.progress import PullProgress
from headrace.cli.replies import dollars, number, part, parts, text
from headrace.cli.session import columns
from headrace.cli.verb_shapes import Running, Told, asks_server
from headrace.domain.errors import ConfigInvalid, OperatorError
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.router import PREFIX
from headrace.ports.fleet import Progress

CHAT = "/v1/chat/completions"
HEADINGS = ("PROMPT", "ROUTE", "SCORE", "MODEL", "COST", "TIME", "DIRECT COST", "TIME")
PROMPT_CHARS, ANSWER_CHARS = 38, 72
SYSTEM = "You are a helpful support agent. Answer in at most two sentences."
MAX_TOKENS = 96


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class DemoFlags:
    """Which models take part, and what is left behind."""

    models: Annotated[
        str | None,
        Parameter(help="Two or three models, the cheapest first: A,B,C; without it the embedded ones."),
    ] = None
    real: Annotated[
        bool, Parameter(help="Take the cheapest, the middle and the dearest model of your providers.", negative="")
    ] = False
    keep: Annotated[bool, Parameter(help=f"Leave the router {ROUTER} in place.", negative="")] = False


AS_IT_IS = DemoFlags()


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer: what served, its cost in nano-dollars, how long it took, and its route where a router was asked."""

    model: str
    cost_nano: int
    seconds: float
    said: str
    request_id: str
    route: str = ""
    score: str = ""


@asks_server
def demo_router(client: ApiClient, *, demo_flags: DemoFlags = AS_IT_IS, session: Running) -> Told:
    """Answer eight support tickets and one question about code, with a router and with the strong model alone.

    Shows cost, time, route and answer of each. Embedded models have demonstration prices; others are charged as usual.
    """
    rungs = _rungs(client, demo_flags)
    prompts = (*TICKETS, CODE)
    rows: list[tuple[str, Answered, Answered]] = []
    with _router(client, rungs, keep=demo_flags.keep), PullProgress(session.stderr, "answering") as show:
        for prompt in prompts:
            routed = _ask(client, PREFIX + ROUTER, prompt)
            direct = _ask(client, rungs.large, prompt)
            rows.append((prompt, routed, direct))
            show(Progress("prompts", len(rows), len(prompts), "prompts"))
    reply = _object(rungs, rows)
    return Told(reply, _text(rungs, rows))


@contextmanager
def _router(client: ApiClient, rungs: Rungs, *, keep: bool) -> Generator[None]:
    """The router, for the time of the demonstration; one of an earlier run is taken over."""
    present = router_named(all_routers(client), ROUTER)
    body = router_body(rungs)
    if present is None:
        made = client.send("POST", PATH, "admin", body)
    else:
        made = client.send("PUT", path_of(present), "admin", body)
    try:
        yield
    finally:
        if not keep:
            client.send("DELETE", path_of(part(made, "model_router")), "admin")


def _ask(client: ApiClient, model: str, prompt: str) -> Answered:
    messages: list[JsonValue] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}]
    body: JsonObject = {
        "model": model,
        "messages": messages,
        "max_tokens": MAX_TOKENS,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    said: list[str] = []
    money: JsonObject = {}
    began = time.monotonic()
    with client.events(CHAT, "key", body) as events:
        for data in events.data:
            chunk = event_object(data)
            money = part(chunk, "headrace") or money
            said += [text(part(choice, "delta"), "content") for choice in parts(chunk, "choices")[:1]]
        headers = dict(events.headers)
    if not money:
        raise OperatorError("the reply ended before it was whole. Ask again.", code="reply_broken")
    return Answered(
        model=text(money, "model"),
        cost_nano=number(money, "cost_nano_usd"),
        seconds=time.monotonic() - began,
        said=" ".join("".join(said).split()),
        request_id=text(money, "request_id"),
        route=headers.get("x-model-router-selected-route", ""),
        score=headers.get("x-headrace-route-score", ""),
    )


def _rungs(client: ApiClient, flags: DemoFlags) -> Rungs:
    if flags.models is not None:
        return _named(tuple(each.strip() for each in flags.models.split(",") if each.strip()))
    listed = parts(client.get("/v1/models", "key"), "data")
    chat = [each for each in listed if text(each, "type") == "chat"]
    ours = [each for each in chat if (each.get("runs_here") is True) != flags.real]
    by_price = [text(each, "id") for each in sorted(ours, key=_output_price)]
    if len(by_price) < 2:
        what = "no two models of a provider can be called. Give one its key: headrace providers set-key NAME"
        here = "two embedded models are needed. Fetch another: headrace models pull qwen2.5-coder-0.5b"
        raise OperatorError(what if flags.real else here, code="no_model")
    return Rungs(by_price[0], by_price[len(by_price) // 2], by_price[-1])


def _named(models: Sequence[str]) -> Rungs:
    if len(models) not in (2, 3) or len(set(models)) != len(models):
        raise ConfigInvalid("--models takes two or three different models, the cheapest first: A,B,C.", param="models")
    return Rungs(models[0], models[len(models) // 2] if len(models) == 3 else models[0], models[-1])


def _output_price(model: JsonObject) -> tuple[float, str]:
    rate = part(model, "prices_usd_per_mtok").get("output_text")
    return float(rate) if isinstance(rate, str | int | float) else 0.0, text(model, "id")


def _text(rungs: Rungs, rows: Sequence[tuple[str, Answered, Answered]]) -> str:
    table = [HEADINGS, *(_row(*each) for each in rows)]
    answers = [
        f"{number}. {_cut(prompt, ANSWER_CHARS)}\n   routed  {_cut(routed.said, ANSWER_CHARS)}\n"
        f"   direct  {_cut(direct.said, ANSWER_CHARS)}"
        for number, (prompt, routed, direct) in enumerate(rows, 1)
    ]
    return "\n\n".join([columns(table, frozenset({2, 4, 5, 6, 7})), _sums(rungs, rows), "\n".join(answers)])


def _row(prompt: str, routed: Answered, direct: Answered) -> tuple[str, ...]:
    return (
        _cut(prompt, PROMPT_CHARS),
        routed.route or "-",
        routed.score or "-",
        routed.model,
        dollars(routed.cost_nano),
        f"{routed.seconds:.2f} s",
        dollars(direct.cost_nano),
        f"{direct.seconds:.2f} s",
    )


def _sums(rungs: Rungs, rows: Sequence[tuple[str, Answered, Answered]]) -> str:
    routed, direct = sum(each.cost_nano for _, each, _ in rows), sum(each.cost_nano for _, _, each in rows)
    saved = f"{1 - routed / direct:.0%} less" if direct else "no less"
    return (
        f"routed {dollars(routed)}, direct to {rungs.large} {dollars(direct)}: {saved}.\n"
        "Whether the answers are as good is yours to read, below: nine prompts measure no quality."
    )


def _object(rungs: Rungs, rows: Sequence[tuple[str, Answered, Answered]]) -> JsonObject:
    return {
        "models": [rungs.small, rungs.middle, rungs.large],
        "prompts": [
            {"prompt": prompt, "routed": _answer_object(routed), "direct": _answer_object(direct)}
            for prompt, routed, direct in rows
        ],
        "routed_cost_nano_usd": sum(routed.cost_nano for _, routed, _ in rows),
        "direct_cost_nano_usd": sum(direct.cost_nano for _, _, direct in rows),
    }


def _answer_object(answered: Answered) -> JsonObject:
    return {
        "model": answered.model,
        "route": answered.route or None,
        "score": answered.score or None,
        "cost_nano_usd": answered.cost_nano,
        "seconds": round(answered.seconds, 3),
        "answer": answered.said,
        "request_id": answered.request_id,
    }


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most - 1].rstrip()}…"
