"""`headrace demo router`: the router it makes and takes away, the table, and which models it takes."""

from __future__ import annotations

import json

import httpx2
import pytest

from headrace.cli.demo_tickets import CODE, ROUTER, TICKETS
from headrace.domain.json_value import JsonObject, JsonValue
from tests.unit.cli.command_line import ADMIN, KEY, CommandLine

ROUTERS = "/v2/gen-ai/models/routers"
CHAT = "POST /v1/chat/completions"
UUID = "0199ab00-0000-7000-8000-000000000001"


def a_model(name: str, output: str, provider: str = "embedded") -> JsonObject:
    prices: JsonObject = {"input_fresh": "0.01", "output_text": output}
    return {
        "id": name,
        "type": "chat",
        "provider": provider,
        "runs_here": provider == "embedded",
        "prices_usd_per_mtok": prices,
    }


def with_models(*models: JsonObject, routers: tuple[JsonObject, ...] = ()) -> CommandLine:
    money: JsonObject = {"model": "small", "cost_nano_usd": 2_000, "request_id": "req_1"}
    command = CommandLine()
    command.answers("GET /v1/models", {"data": list[JsonValue](models)})
    command.answers(f"GET {ROUTERS}?page=1&per_page=200", {"model_routers": list[JsonValue](routers)})
    command.answers(f"POST {ROUTERS}", {"model_router": {"uuid": UUID}}, 201)
    command.answers(f"PUT {ROUTERS}/{UUID}", {"model_router": {"uuid": UUID}})
    command.answers(f"DELETE {ROUTERS}/{UUID}", {"uuid": UUID})
    command.streams(CHAT, {"choices": [{"delta": {"content": "Of\ncourse."}}]}, {"choices": [], "headrace": money})
    command.api.replies[CHAT].headers["x-model-router-selected-route"] = "delivery"
    command.api.replies[CHAT].headers["x-headrace-route-score"] = "0.912"
    return command


def three() -> CommandLine:
    return with_models(a_model("large", "0.18"), a_model("small", "0.018"), a_model("middle", "0.06"))


def bodies(command: CommandLine, path: str) -> list[JsonObject]:
    return [json.loads(each.content) for each in command.api.requests if each.url.path == path and each.content]


def test_every_prompt_is_asked_routed_and_direct() -> None:
    command = three()
    ran = command("demo", "router")
    assert ran.status == 0
    asked = [(each["model"], each["messages"]) for each in bodies(command, "/v1/chat/completions")]
    assert [model for model, _ in asked] == [f"router:{ROUTER}", "large"] * 9
    told = [json.dumps(messages) for _, messages in asked[::2]]
    assert all(json.dumps(prompt) in each for prompt, each in zip((*TICKETS, CODE), told, strict=True))
    assert set(command.api.credentials) == {ADMIN, KEY}
    assert command.api.asked[-1] == f"DELETE {ROUTERS}/{UUID}"


def test_the_table_has_route_cost_time_and_answer() -> None:
    ran = three()("demo", "router")
    head, first = ran.out.splitlines()[:2]
    assert head.split() == ["PROMPT", "ROUTE", "SCORE", "MODEL", "COST", "TIME", "DIRECT", "COST", "TIME"]
    assert "delivery  0.912  small  $0.000002000" in first
    assert "routed $0.000018000, direct to large $0.000018000: 0% less." in ran.out
    assert "   routed  Of course." in ran.out


def test_machines_get_every_figure() -> None:
    ran = three()("demo", "router", "--json")
    assert isinstance(ran.json, dict)
    assert ran.json["models"] == ["small", "middle", "large"]
    assert ran.json["routed_cost_nano_usd"] == 18_000
    prompts = ran.json["prompts"]
    assert isinstance(prompts, list)
    assert isinstance(prompts[0], dict)
    routed = prompts[0]["routed"]
    assert isinstance(routed, dict)
    assert (routed["route"], routed["answer"], routed["request_id"]) == ("delivery", "Of course.", "req_1")


def test_a_router_of_an_earlier_run_is_taken_over_and_may_stay() -> None:
    command = with_models(
        a_model("large", "0.18"), a_model("small", "0.018"), routers=({"name": ROUTER, "uuid": UUID},)
    )
    assert command("demo", "router", "--keep").status == 0
    assert f"PUT {ROUTERS}/{UUID}" in command.api.asked
    assert not any(each.startswith("DELETE") for each in command.api.asked)


def test_the_router_goes_when_a_call_fails() -> None:
    command = three()
    command.api.replies[CHAT] = httpx2.Response(502, json={"error": {"message": "No.", "code": "upstream_error"}})
    assert command("demo", "router").status != 0
    assert command.api.asked[-1] == f"DELETE {ROUTERS}/{UUID}"


def test_a_reply_without_an_end_is_an_error() -> None:
    command = three().streams(CHAT, {"choices": [{"delta": {"content": "Of"}}]})
    ran = command("demo", "router")
    assert ran.status != 0
    assert "before it was whole" in ran.err


@pytest.mark.parametrize(("models", "rungs"), [("a,b,c", ["a", "b", "c"]), ("a, c", ["a", "a", "c"])])
def test_models_may_be_named(models: str, rungs: list[str]) -> None:
    ran = with_models()("demo", "router", "--models", models, "--json")
    assert isinstance(ran.json, dict)
    assert ran.json["models"] == rungs


@pytest.mark.parametrize("models", ["a", "a,b,c,d", "a,a"])
def test_other_numbers_of_models_are_refused(models: str) -> None:
    ran = with_models()("demo", "router", "--models", models)
    assert ran.status != 0
    assert "two or three different models" in ran.err


def test_real_ones_are_those_of_providers() -> None:
    command = with_models(
        a_model("tiny", "0.01"), a_model("nano", "0.4", "openai"), a_model("big", "10", "openai"), {"type": "image"}
    )
    ran = command("demo", "router", "--real", "--json")
    assert isinstance(ran.json, dict)
    assert ran.json["models"] == ["nano", "big", "big"]


@pytest.mark.parametrize(("flags", "says"), [((), "headrace models pull"), (("--real",), "set-key")])
def test_too_few_models_say_what_to_do(flags: tuple[str, ...], says: str) -> None:
    ran = with_models(a_model("tiny", "0.01"))("demo", "router", *flags)
    assert ran.status != 0
    assert says in ran.err
