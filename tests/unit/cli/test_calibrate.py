"""`headrace routers calibrate`: what is asked of which model, what is told and saved, and what stops it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from headrace.domain.checkable import Check, Checkable
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.strength import checkable_strength
from tests.unit.cli.command_line import KEY, CommandLine, FakeApi, FakeLocal, Ran

CHAT = "POST /v1/chat/completions"
SUMS = (
    Checkable(f"arithmetic-{number:02}", "arithmetic", f"What is {number} + 1?", Check.NUMBER, (str(number + 1),), 1)
    for number in range(1, 11)
)
PROMPTS = (*SUMS, Checkable("fact-01", "fact", "What is the capital of France?", Check.CONTAINS, ("Paris",), 1))
PRICES: JsonObject = {"input_fresh": "0.02", "output_text": "0.06"}


def a_model(name: str, *, kind: str = "chat", prices: JsonObject | None = PRICES, **more: JsonValue) -> JsonObject:
    return {
        "id": name,
        "type": kind,
        "runs_here": True,
        "max_output_tokens": 2048,
        "capabilities": ["streaming"],
        "prices_usd_per_mtok": prices,
        **more,
    }


@dataclass
class AnsweringApi(FakeApi):
    """Streams what is written for a prompt, and 5 for any other; refuses what it is told to."""

    said: Mapping[str, str] = field(default_factory=dict[str, str])
    refused: Mapping[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    refuses_temperature: bool = False
    cuts: bool = False

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/completions"):
            return super().__call__(request)
        self.requests.append(request)
        body = json.loads(request.content)
        prompt = body["messages"][0]["content"]
        if prompt in self.refused:
            return httpx2.Response(429, json={"error": self.refused[prompt]})
        if self.refuses_temperature and "temperature" in body:
            error: JsonObject = {"message": "temperature must be 1", "code": "invalid_request", "param": "temperature"}
            return httpx2.Response(400, json={"error": error})
        answer = self.said.get(prompt, "5")
        chunks: list[JsonObject] = [
            {"choices": [{"delta": {"content": answer[:1]}}]},
            {"choices": [{"delta": {"content": answer[1:]}}]},
        ]
        last: JsonObject = {"choices": [], "headrace": {"cost_nano_usd": 700, "request_id": "req_1"}}
        frames = chunks if self.cuts else [*chunks, last]
        content = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in frames)
        return httpx2.Response(200, content=content, headers={"content-type": "text/event-stream"})

    def bodies(self) -> list[JsonObject]:
        return [json.loads(each.content) for each in self.requests if each.method == "POST"]


def a_line(api: AnsweringApi, *models: JsonObject, prompts: Sequence[Checkable] = PROMPTS) -> CommandLine:
    line = CommandLine(api=api, local=FakeLocal(prompts=prompts))
    line.answers("GET /v1/models", {"data": list[JsonValue](models)})
    for each in models:
        line.answers(f"GET /v1/models/{each['id']}", each)
    return line


def calibrate(line: CommandLine, *argv: str) -> Ran:
    return line("routers", "calibrate", *argv)


def test_models_of_this_machine_are_asked_every_prompt_and_counted() -> None:
    api = AnsweringApi(said={"What is the capital of France?": "It is Paris."})
    away = a_model("away", runs_here=False)
    ran = calibrate(a_line(api, a_model("small"), away, a_model("vectors", kind="embedding")))
    assert ran.status == 0
    assert [each["model"] for each in api.bodies()] == ["small"] * 11
    assert sorted(str(each["messages"]) for each in api.bodies()) == sorted(
        str([{"role": "user", "content": each.prompt}]) for each in PROMPTS
    )
    assert set(api.credentials) == {KEY}
    first = api.bodies()[0]
    assert (first["temperature"], first["max_tokens"], first["stream"]) == (0, 128, True)
    assert ran.out.splitlines() == [
        "MODEL  RIGHT  SHARE       STRENGTH                        COST",
        "small   2/11  18% (5-48)  -1.50 (-2.92 to -0.09)  $0.000007700",
        "Strength is the logit of the share of right answers, with its 95 % interval: 0 is half of them right.",
        "",
        "KIND        small",
        "arithmetic   1/10  10% (2-40)",
        "fact          1/1  100% (21-100)",
    ]
    assert ran.err.splitlines()[0] == "small: 11 prompts, about $0.000020100, at most $0.000088740"
    assert "asking small  100 %" in ran.err


def test_the_figures_for_machines_name_every_wrong_answer() -> None:
    ran = calibrate(a_line(AnsweringApi(), a_model("small")), "--json")
    assert isinstance(ran.json, dict)
    assert ran.json["saved"] is None
    [model] = ran.json["models"] if isinstance(ran.json["models"], list) else []
    assert isinstance(model, dict)
    assert (model["right"], model["total"], model["cost_nano_usd"], model["unanswered"]) == (1, 11, 7700, [])
    wrong = model["wrong"]
    assert isinstance(wrong, list)
    assert "arithmetic-04" not in wrong
    assert len(wrong) == 10
    kinds = model["kinds"]
    assert isinstance(kinds, list)
    assert [each["kind"] for each in kinds if isinstance(each, dict)] == ["arithmetic", "fact"]


def test_named_models_are_asked_one_after_the_other_and_saved() -> None:
    api = AnsweringApi()
    line = a_line(api, a_model("small"), a_model("other/big", prices=None))
    line.answers("GET /v1/models/other%2Fbig", a_model("other/big", prices=None))
    ran = calibrate(line, "small", "other/big", "small", "--save", "--parallel", "1")
    assert ran.status == 0
    assert [each["model"] for each in api.bodies()] == ["small"] * 11 + ["other/big"] * 11
    assert "other/big: 11 prompts, it has no price" in ran.err
    strengths = tuple(
        checkable_strength(name, 1, 11, "headrace routers calibrate", "2026-11-28") for name in ("small", "other/big")
    )
    assert line.local.done == [("save strengths", Path("/nonexistent/headrace/catalog"), strengths)]
    assert ran.out.splitlines()[-1] == (
        "Saved to /nonexistent/headrace/catalog/routing/strengths.toml."
        " A running server takes it over with: headrace config reload"
    )


def test_a_model_that_refuses_a_temperature_is_asked_without() -> None:
    api = AnsweringApi(refuses_temperature=True)
    assert calibrate(a_line(api, a_model("small"))).status == 0
    assert ["temperature" in each for each in api.bodies()] == [True] + [False] * 11


def test_a_model_that_reasons_may_write_more_but_not_more_than_it_can() -> None:
    for most, cap in ((100_000, 4096), (2048, 2048)):
        api = AnsweringApi()
        reasoning = a_model("thinker", capabilities=["reasoning"], max_output_tokens=most)
        assert calibrate(a_line(api, reasoning), "thinker").status == 0
        assert [each["max_tokens"] for each in api.bodies()] == [cap] * 11


def test_fewer_prompts_are_spread_and_cannot_be_saved() -> None:
    api = AnsweringApi()
    line = a_line(api, a_model("small"))
    ran = calibrate(line, "--limit", "2")
    assert ran.status == 0
    assert len(api.bodies()) == 2
    refused = calibrate(line, "--limit", "2", "--save")
    assert refused.status == 2
    assert "--save and --limit exclude each other" in refused.err
    assert line.local.done == []


def test_what_costs_more_than_ten_cents_wants_a_yes() -> None:
    dear = a_model("dear", prices={"input_fresh": "100", "output_text": "500"})
    api = AnsweringApi()
    ran = calibrate(a_line(api, dear), "dear")
    assert ran.status == 2
    assert "expected to cost $0.153300000, more than $0.10." in ran.err
    assert "Add --yes" in ran.err
    assert api.bodies() == []
    assert calibrate(a_line(api, dear), "dear", "--yes").status == 0


def test_a_prompt_without_an_answer_counts_nowhere() -> None:
    broken: JsonObject = {"message": "It rests.", "code": "rate_limited"}
    api = AnsweringApi(refused={PROMPTS[3].prompt: broken})
    ran = calibrate(a_line(api, a_model("small")))
    assert ran.status == 0
    assert " 0/10 " in ran.out
    assert "small: no answer to 1 prompt; the first, arithmetic-04: It rests." in ran.out


def test_too_few_answers_are_no_strength_and_are_not_saved() -> None:
    broken: JsonObject = {"message": "It rests.", "code": "rate_limited"}
    api = AnsweringApi(refused={each.prompt: broken for each in PROMPTS[1:4]})
    line = a_line(api, a_model("small"))
    ran = calibrate(line, "--save")
    assert ran.status == 1
    assert "no answer to 3 prompts" in ran.out
    assert "Too few answers came: no strength is given." in ran.out
    assert line.local.done == []
    failed = calibrate(a_line(api, a_model("small")), "--json")
    assert isinstance(failed.json, dict)
    models = failed.json["models"]
    assert isinstance(models, list)
    assert [each["strength"] for each in models if isinstance(each, dict)] == [None]


@pytest.mark.parametrize("cuts", [False, True])
def test_a_model_that_fails_at_once_is_asked_nothing_more(cuts: bool) -> None:
    broken: JsonObject = {"message": "The budget is spent.", "code": "budget_exceeded"}
    api = AnsweringApi(refused={} if cuts else {PROMPTS[0].prompt: broken}, cuts=cuts)
    ran = calibrate(a_line(api, a_model("small"), a_model("other")))
    assert ran.status == 1
    told = "the reply ended before it was whole." if cuts else "The budget is spent."
    assert f"other: no answer to 1 prompt; the first, arithmetic-01: {told}" in ran.out
    assert [each["model"] for each in api.bodies()] == ["small", "other"]


def test_a_model_that_takes_no_temperature_and_fails_is_told() -> None:
    broken: JsonObject = {"message": "It rests.", "code": "rate_limited", "param": "temperature"}
    api = AnsweringApi(refused={PROMPTS[0].prompt: broken})
    ran = calibrate(a_line(api, a_model("small")))
    assert (ran.status, len(api.bodies())) == (1, 2)
    assert "arithmetic-01: It rests." in ran.out


def test_only_chat_models_are_asked() -> None:
    line = a_line(AnsweringApi(), a_model("vectors", kind="embedding"))
    ran = calibrate(line, "vectors")
    assert ran.status == 2
    assert '"vectors" is no chat model but: embedding.' in ran.err
    nothing = calibrate(line)
    assert nothing.status == 1
    assert "no chat model of this machine can be called" in nothing.err
