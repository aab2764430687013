"""`headrace routers shadows` and `judge`: what is listed, what a judge is asked, and what its words come to."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from typing import cast

import httpx2
import pytest

from headrace.cli.judging import EQUAL, FIRST, SECOND, verdict_of, word_of
from headrace.cli.router_file import file_text
from headrace.cli.router_text import router_text
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.router import Shadow
from headrace.domain.shadow import Verdict
from headrace.wire.router_json import read_draft
from tests.unit.cli.command_line import CommandLine

PATH = "GET /v2/gen-ai/models/routers/support/shadows"
CHAT = "POST /v1/chat/completions"


def pair(request_id: str, *, texts: JsonValue = None, **fields: JsonValue) -> JsonObject:
    return {
        "request_id": request_id,
        "route": "refund",
        "served_by": "small",
        "reference": "large",
        "reference_cost_nano_usd": 70_000,
        "state": "kept",
        "failure": None,
        "verdict": None,
        "texts": texts,
        **fields,
    }


def texts(answer: str) -> JsonObject:
    return {"asked": "user: Hi", "answer": answer, "reference": "theirs"}


def pairs(*found: JsonObject, following: str | None = None) -> JsonObject:
    return {"router": "support", "shadows": list(found), "next": following}


def test_pairs_are_listed() -> None:
    failed = pair("req_2", state="failed", failure="upstream_timeout", route=None, verdict="worse")
    command = CommandLine().answers(f"{PATH}?limit=20", pairs(pair("req_1"), failed))
    assert command("routers", "shadows", "router:support").out.splitlines() == [
        "REQUEST  ROUTE   ROUTER  REFERENCE      COST  STATE                      VERDICT",
        "req_1    refund  small   large      $0.00007  kept                       -",
        "req_2    -       small   large      $0.00007  failed (upstream_timeout)  worse",
    ]


def test_nothing_sampled_says_how() -> None:
    command = CommandLine().answers(f"{PATH}?limit=3", pairs())
    assert "Nothing was sampled." in command("routers", "shadows", "support", "--limit", "3").out


class Judge:
    """Answers for the API: pairs page by page, and a judge that says what it is given, in order."""

    def __init__(self, *words: str) -> None:
        self.words = list(words)
        self.asked: list[str] = []
        self.verdicts: list[tuple[str, JsonObject]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.raw_path.decode()
        if path == "/v1/chat/completions":
            body = json.loads(request.content)
            self.asked.append(body["messages"][1]["content"])
            message = {"message": {"content": self.words.pop(0)}}
            return httpx2.Response(200, json={"choices": [message]})
        if path.endswith("/shadow"):
            self.verdicts.append((path.split("/")[-2], json.loads(request.content)))
            return httpx2.Response(200, json={"shadow": {}})
        if "before" in path:
            return httpx2.Response(200, json=pairs(pair("req_3", texts=texts("mine 3"))))
        first = pairs(pair("req_1", texts=texts("mine 1")), pair("req_2"), following="req_2")
        return httpx2.Response(200, json=first)


def run(judge: Judge, *arguments: str) -> tuple[int, str]:
    command = CommandLine()
    command.api = judge  # type: ignore[assignment] - it answers as the scripted one does
    ran = command("routers", "judge", "support", "--judge", "wise", *arguments)
    return ran.status, ran.out


def test_a_judge_is_asked_in_both_orders() -> None:
    judge = Judge("FIRST", "SECOND", "SECOND.", "I say: first")
    status, out = run(judge)
    assert status == 0
    assert [name for name, _ in judge.verdicts] == ["req_1", "req_3"], "what has no texts any more is left alone"
    assert [body for _, body in judge.verdicts] == [
        {"verdict": "better", "judge": "wise"},
        {"verdict": "worse", "judge": "wise"},
    ]
    assert judge.asked[0].index("mine 1") < judge.asked[0].index("theirs")
    assert judge.asked[1].index("theirs") < judge.asked[1].index("mine 1")
    assert out == "judged 2: 1 better, 0 equal, 1 worse; mean +0.00 (-0.80 to +0.80) from -1 to 1.\n"


def test_what_a_judge_mumbles_is_not_stored() -> None:
    judge = Judge("Hm.", "FIRST")
    status, out = run(judge, "--limit", "1")
    assert (status, judge.verdicts) == (0, [])
    assert out.splitlines() == [
        "judged 0: 0 better, 0 equal, 0 worse.",
        "1 were not readable: the judge did not say FIRST, SECOND or EQUAL.",
    ]


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        ((FIRST, SECOND), Verdict.BETTER),
        ((SECOND, FIRST), Verdict.WORSE),
        ((FIRST, FIRST), Verdict.EQUAL),
        ((EQUAL, SECOND), Verdict.EQUAL),
        ((EQUAL, EQUAL), Verdict.EQUAL),
    ],
)
def test_only_what_is_said_in_both_orders_counts(words: Sequence[str], verdict: Verdict) -> None:
    assert verdict_of(*words) == verdict


@pytest.mark.parametrize(
    ("reply", "word"), [("equal", EQUAL), ("The FIRST is longer, but: SECOND", SECOND), ("firstly", None), ("", None)]
)
def test_the_last_word_is_the_judges(reply: str, word: str | None) -> None:
    assert word_of(reply) == word


def test_a_routers_file_and_its_text_tell_of_its_shadow() -> None:
    shadow: JsonObject = {"model": "large", "share": 0.05, "max_usd_per_day": "1.5"}
    policies: list[JsonValue] = [{"task_slug": "bug-fixing", "models": ["small"]}]
    router: JsonObject = {
        "uuid": "0199ab00-0000-7000-8000-000000000001",
        "name": "support",
        "config": {"policies": policies, "fallback_models": ["small"]},
        "shadow": shadow,
    }
    written = tomllib.loads(file_text(router))
    assert written["shadow"] == shadow
    assert read_draft(cast("JsonObject", written)).shadow == Shadow("large", 0.05, 1_500_000_000)
    told = router_text(router)
    assert "large answers a share of 0.05 of the requests too, for up to $1.5 a day; both answers are kept." in told
