"""`headrace deploy` and `headrace deployments`: what they ask the server, what they say and when they are done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from headrace.domain.json_value import JsonObject
from tests.unit.cli.command_line import CommandLine, FakeApi

PATH = "/v2/dedicated-inferences"
ID = "0199ab00-0000-7000-8000-000000000001"
ONE = f"{PATH}/{ID}"
FIND = f"GET {PATH}?name=prod&page=1&per_page=1"
IDLE: JsonObject = {"wanted": 0, "ready": 0, "starting": 0, "in_flight": 0, "waiting": 0}
TOKEN: JsonObject = {"id": "tok1", "name": "default", "created_at": "2026-11-24T12:00:00.000000Z", "value": "hr_once"}


def deployment(status: str = "active", **fields: Any) -> dict[str, Any]:
    group = {"accelerator_slug": "cpu", "scale": 4, "min_scale": 0, "max_scale": 4, "gpus": 0, **fields.pop("on", {})}
    model = {
        "model": "tiny",
        "model_slug": "tiny",
        "driver": "local",
        "engine": "llamacpp",
        "slots": 2,
        "idle_seconds": 600,
        "when_asleep": "wait",
        "accelerators": [group],
        **fields.pop("model", {}),
    }
    return {
        "id": ID,
        "name": "prod",
        "status": status,
        "reason": None,
        "team": "default",
        "endpoints": {"base_url": f"http://127.0.0.1:8080/dedicated/{ID}/v1"},
        "spec": {"name": "prod", "model_deployments": [model]},
        "price": {"per_replica_hour_nano_usd": 40_000_000, "source": "demonstration"},
        **fields,
    }


def wrapped(one: JsonObject) -> JsonObject:
    return {"dedicated_inference": one}


def page(plural: str, *entries: JsonObject, pages: int = 1) -> JsonObject:
    return {plural: list(entries), "meta": {"total": len(entries), "page": 1, "pages": pages}, "links": {"pages": {}}}


@dataclass
class Course(FakeApi):
    """An API whose answers to one call change from look to look; the last one stays."""

    looks: dict[str, list[httpx2.Response]] = field(default_factory=dict[str, list[httpx2.Response]])

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        looks = self.looks.get(f"{request.method} {request.url.raw_path.decode()}")
        if looks:
            self.requests.append(request)
            return looks.pop(0) if len(looks) > 1 else looks[0]
        return super().__call__(request)

    def goes(self, call: str, *replies: tuple[int, JsonObject]) -> None:
        self.looks[call] = [httpx2.Response(status, json=reply) for status, reply in replies]


def knowing(*deployments: JsonObject) -> CommandLine:
    line = CommandLine().answers(FIND, page("dedicated_inferences", *deployments))
    return line.answers(f"GET {ONE}/standing", IDLE)


def following(*looks: tuple[int, JsonObject], standings: Sequence[JsonObject] = (IDLE,)) -> tuple[CommandLine, Course]:
    course = Course()
    course.goes(f"GET {ONE}", *looks)
    course.goes(f"GET {ONE}/standing", *((200, each) for each in standings))
    line = CommandLine(api=course)
    line.answers(FIND, page("dedicated_inferences", deployment()))
    return line, course


def test_a_model_is_deployed_and_followed_until_it_is_active() -> None:
    line, _ = following(
        (200, wrapped(deployment("new"))),
        (200, wrapped(deployment("provisioning"))),
        (200, wrapped(deployment("provisioning"))),
        (200, wrapped(deployment("active"))),
        standings=(IDLE, {**IDLE, "wanted": 1, "starting": 1}, {**IDLE, "wanted": 1, "ready": 1}),
    )
    line.answers(f"POST {PATH}", {**wrapped(deployment("new")), "token": TOKEN}, 202)
    ran = line("deploy", "tiny", "--accelerator", "cpu", "--scale", "0:4", "--name", "prod")
    assert ran.status == 0, ran.err
    assert ran.out == (
        'prod is being deployed. Call it as the model "prod" with any key that may, or at its own endpoint\n'
        f"  http://127.0.0.1:8080/dedicated/{ID}/v1\n"
        "with its token, which is shown only now:\n"
        "  hr_once\n"
        "prod is active.\n"
    )
    assert ran.err == (
        "prod: new, 0 of 0 replicas ready\n"
        "prod: provisioning, 0 of 1 replicas ready, 1 starting\n"
        "prod: provisioning, 1 of 1 replicas ready\n"
        "prod: active, 1 of 1 replicas ready\n"
    )
    assert line.slept == [1.0, 1.0, 1.0]
    group = {"accelerator_slug": "cpu", "min_scale": 0, "max_scale": 4}
    assert CommandLine(api=FakeApi(requests=line.api.requests[:1])).api.last_body == {
        "spec": {"name": "prod", "model_deployments": [{"model_slug": "tiny", "accelerators": [group]}]}
    }


def test_every_flag_of_a_deployment_reaches_the_server() -> None:
    line = CommandLine().answers(f"POST {PATH}", {**wrapped(deployment("new")), "token": TOKEN}, 202)
    flags = (
        "--gpus 2 --driver ray --engine vllm --context 4096 --slots 8 --target ttft:500ms --idle 10m --patience 30s"
        " --overflow gpt-5:2 --when-asleep overflow --region atl1 --team crew --scale 1:3 --no-wait --json"
    )
    ran = line("deploy", "acme/big", "--accelerator", "h100", *flags.split())
    assert ran.json == {**wrapped(deployment("new")), "token": TOKEN}
    assert line.api.last_body == {
        "spec": {
            "name": "big-dedicated",
            "region": "atl1",
            "model_deployments": [
                {
                    "model_slug": "acme/big",
                    "driver": "ray",
                    "engine": "vllm",
                    "context_length": 4096,
                    "slots": 8,
                    "target": {"metric": "first_token_ms", "value": 500},
                    "idle_seconds": 600,
                    "overflow": {"model": "gpt-5", "limit": 2},
                    "when_asleep": "overflow",
                    "wait_seconds": 30,
                    "accelerators": [{"accelerator_slug": "h100", "min_scale": 1, "max_scale": 3, "gpus": 2}],
                }
            ],
        },
        "team": "crew",
    }


def test_a_dry_run_tells_of_fit_and_price_and_makes_nothing() -> None:
    tried: JsonObject = {
        "fit": {"sentence": "tiny takes 1 GB.", "slots": 2, "context_length": 4096},
        "price": {"per_replica_hour_nano_usd": 2_590_000_000, "source": "x"},
        "least_per_hour_nano_usd": 0,
        "most_per_hour_nano_usd": 5_180_000_000,
    }
    line = CommandLine().answers(f"POST {PATH}/draft", tried)
    ran = line("deploy", "tiny", "--accelerator", "cpu", "--dry-run")
    assert ran.out == (
        "tiny takes 1 GB.\n"
        "$0.00 to $5.18 an hour: $2.59 for each replica (x).\n"
        "Each replica answers 2 requests at once, of 4096 tokens each. Nothing was made.\n"
    )
    assert line.api.asked == [f"POST {PATH}/draft"]


def test_one_that_fails_says_why_and_when_it_is_tried_again() -> None:
    failed = deployment("error", reason="No room: it needs 2 GB.", retry_at="2026-11-24T12:00:30.000000Z")
    line, _ = following((200, wrapped(failed)))
    line.answers(f"POST {PATH}", {**wrapped(deployment("new")), "token": TOKEN}, 202)
    ran = line("deploy", "tiny", "--accelerator", "cpu", "--name", "prod")
    assert ran.status == 1
    assert "headrace: prod did not come up: No room: it needs 2 GB." in ran.err
    assert "It is tried again at 2026-11-24 12:00:30 UTC." in ran.err and "deployments logs prod" in ran.err


def test_one_that_takes_too_long_goes_on_without_the_command() -> None:
    line, _ = following((200, wrapped(deployment("provisioning", reason="Waits for a GPU."))))
    line.answers(f"POST {PATH}", {**wrapped(deployment("new")), "token": TOKEN}, 202)
    ran = line("deploy", "tiny", "--accelerator", "cpu", "--name", "prod", "--timeout", "2s")
    assert (ran.status, line.slept) == (1, [1.0, 1.0])
    assert "prod is not active yet: Waits for a GPU." in ran.err and "deployments show prod" in ran.err


class Interrupted(list[float]):
    """A sleep that Ctrl-C ends."""

    def append(self, _seconds: float) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("argv", [("deploy", "tiny", "--accelerator", "cpu"), ("deployments", "delete", "prod")])
def test_who_stops_waiting_is_told_that_the_rest_goes_on(argv: tuple[str, ...]) -> None:
    line, course = following((200, wrapped(deployment("provisioning"))))
    line.answers(f"POST {PATH}", {**wrapped(deployment("new")), "token": TOKEN}, 202)
    course.goes(f"DELETE {ONE}", (202, wrapped(deployment("deleting"))))
    line.slept = Interrupted()
    ran = line(*argv)
    told = "It goes on without this command: look with `headrace deployments show prod`.\n"
    assert (ran.status, ran.err.endswith(told)) == (130, True)


def test_what_the_server_refuses_is_said_with_its_words() -> None:
    refusal: JsonObject = {"id": "impossible_fit", "message": "tiny needs 2. You asked for 1.", "request_id": "req_1"}
    ran = CommandLine().answers(f"POST {PATH}", refusal, 400)("deploy", "tiny", "--accelerator", "h100")
    assert (ran.status, ran.err) == (1, "headrace: tiny needs 2.\n  You asked for 1.\n")


def test_what_is_left_out_is_asked_for_with_an_example() -> None:
    ran = CommandLine()("deploy", "tiny")
    assert ran.status == 2
    assert "headrace deploy smollm2-135m --accelerator cpu --scale 0:2" in ran.err


def test_deployments_are_listed_every_page_of_them() -> None:
    asleep = deployment("provisioning", name="waits", reason="No free GPU.", on={"accelerator_slug": "h100", "gpus": 2})
    line = CommandLine().answers(f"GET {PATH}?page=1&per_page=200", page("dedicated_inferences", deployment(), pages=2))
    line.answers(f"GET {PATH}?page=2&per_page=200", page("dedicated_inferences", asleep, pages=2))
    assert line("deployments", "list").out == (
        "DEPLOYMENT  STATUS        MODEL  ON        SCALE  $/H EACH\n"
        "prod        active        tiny   cpu       0:4        0.04\n"
        "waits       provisioning  tiny   2 x h100  0:4        0.04\n"
        "  No free GPU.\n"
    )
    empty = CommandLine().answers(f"GET {PATH}?page=1&per_page=200", page("dedicated_inferences"))
    assert empty("deployments", "list").out.startswith("There is no deployment. Make one: headrace deploy")


def test_a_deployment_is_shown_with_its_replicas() -> None:
    shown = deployment(
        reason="Rolling.",
        retry_at="2026-11-24T12:00:30.000000Z",
        pending_deployment_spec={"status": "updating"},
        model={
            "target": {"metric": "queue_depth", "value": 2},
            "overflow": {"model": "gpt-5", "limit": 3},
        },
    )
    replica: JsonObject = {
        "id": "prod-0",
        "status": "active",
        "created_at": "2026-11-24T12:00:00.000000Z",
        "ready_at": "2026-11-24T12:00:09.000000Z",
        "pid": 4242,
        "node": "n1",
        "reason": None,
    }
    line = knowing(shown).answers(f"GET {ONE}/accelerators?page=1&per_page=200", page("accelerators", replica))
    standing: JsonObject = {"wanted": 2, "ready": 1, "starting": 1, "in_flight": 3, "waiting": 4, "wake_seconds": 6.25}
    line.answers(f"GET {ONE}/standing", standing)
    ran = line("deployments", "show", "prod")
    assert ran.out == (
        f"prod  {ID}\n"
        "active, 1 of 2 replicas ready, 1 starting, 3 requests in flight, 4 waiting\n"
        "Rolling.\n"
        "Tried again at 2026-11-24 12:00:30 UTC.\n"
        "A change is being rolled out, replica by replica.\n"
        "\n"
        "model       tiny\n"
        "runs on     cpu, driver local, engine llamacpp\n"
        "scale       0:4, 2 requests for each replica\n"
        "asleep      after 600 s without a request, then wait, overflow to gpt-5 from 3 waiting on\n"
        "cold start  6.2 s from no replica to a real token, the last time\n"
        "price       $0.04 an hour for each replica (demonstration)\n"
        f"endpoint    http://127.0.0.1:8080/dedicated/{ID}/v1\n"
        "paid by     team default\n"
        "\n"
        "REPLICA  STATUS  SINCE                    NOTE\n"
        "prod-0   active  2026-11-24 12:00:09 UTC  n1, process 4242\n"
    )
    again = knowing(shown).answers(f"GET {ONE}/accelerators?page=1&per_page=200", page("accelerators"))
    assert again("deployments", "show", "prod", "--json").json == {
        "dedicated_inference": shown,
        "standing": IDLE,
        "accelerators": [],
    }


@pytest.mark.parametrize(
    ("model", "on", "said"),
    [
        (
            {"target": {"metric": "first_token_ms", "value": 500}, "idle_seconds": 0},
            {},
            "0:4, first token within 500 ms",
        ),
        ({}, {"min_scale": 1}, "1:4, 2 requests for each replica"),
    ],
)
def test_one_that_never_sleeps_says_so(model: JsonObject, on: JsonObject, said: str) -> None:
    line = knowing(deployment(model=model, on=on))
    line.answers(f"GET {ONE}/accelerators?page=1&per_page=200", page("accelerators"))
    out = line("deployments", "show", "prod").out
    assert f"scale     {said}\n" in out and "asleep    never\n" in out


def test_a_name_that_is_none_gets_the_servers_words() -> None:
    missing: JsonObject = {"id": "deployment_not_found", "message": 'No. Did you mean "prod"?', "request_id": "req_1"}
    line = CommandLine().answers(f"GET {PATH}?name=prd&page=1&per_page=1", page("dedicated_inferences"))
    ran = line.answers(f"GET {PATH}/prd", missing, 404)("deployments", "show", "prd")
    assert (ran.status, ran.err) == (1, 'headrace: No.\n  Did you mean "prod"?\n')


def test_an_id_finds_it_too() -> None:
    line = CommandLine().answers(f"GET {PATH}?name={ID}&page=1&per_page=1", page("dedicated_inferences"))
    line.answers(f"GET {ONE}", wrapped(deployment())).answers(f"PATCH {ONE}", wrapped(deployment()), 202)
    assert line("deployments", "scale", ID, "0:4").out == "prod scales 0:4 now.\n"
    assert line.api.last_body == {"spec": {"model_deployments": [{"accelerators": [{"min_scale": 0, "max_scale": 4}]}]}}


def test_logs_have_the_replicas_name_where_there_are_several() -> None:
    two: JsonObject = {"logs": [{"replica": "p-0", "lines": ["a", "b"]}, {"replica": "p-1", "lines": ["c"]}]}
    line = knowing(deployment()).answers(f"GET {ONE}/logs?lines=100", two)
    assert line("deployments", "logs", "prod").out == "p-0  a\np-0  b\np-1  c\n"
    one: JsonObject = {"logs": [{"replica": "p-1", "lines": ["c"]}]}
    line = knowing(deployment()).answers(f"GET {ONE}/logs?lines=5&replica=p-1", one)
    assert line("deployments", "logs", "prod", "--replica", "p-1", "--lines", "5").out == "c\n"
    line = knowing(deployment()).answers(f"GET {ONE}/logs?lines=100", {"logs": []})
    assert line("deployments", "logs", "prod").out == "No replica of prod has written anything.\n"
    line = knowing(deployment()).answers(f"GET {ONE}/logs?lines=100&replica=p-9", {"logs": []})
    told = "No replica of prod with the id p-9 has written anything. Without --replica all are shown.\n"
    assert line("deployments", "logs", "prod", "--replica", "p-9").out == told


def test_events_say_what_became_of_it_and_why() -> None:
    two: JsonObject = {
        "events": [
            {
                "at": "2026-11-24T12:00:00.000000Z",
                "status": "provisioning",
                "wanted": 1,
                "ready": 0,
                "reason": "It starts.",
            },
            {"at": "2026-11-24T12:00:09.000000Z", "status": "active", "wanted": 1, "ready": 1, "reason": None},
        ]
    }
    line = knowing(deployment()).answers(f"GET {ONE}/events", two)
    assert [each.split() for each in line("deployments", "events", "prod").out.splitlines()] == [
        ["SINCE", "STATUS", "READY", "WHY"],
        ["2026-11-24", "12:00:00", "UTC", "provisioning", "0/1", "It", "starts."],
        ["2026-11-24", "12:00:09", "UTC", "active", "1/1"],
    ]
    line = knowing(deployment()).answers(f"GET {ONE}/events", {"events": []})
    assert line("deployments", "events", "prod").out == "Nothing has changed of prod.\n"


def test_tokens_are_listed_made_and_revoked() -> None:
    line = knowing(deployment()).answers(f"GET {ONE}/tokens?page=1&per_page=200", page("tokens", TOKEN))
    assert line("deployments", "tokens", "prod").out == (
        "ID    NAME     CREATED\ntok1  default  2026-11-24 12:00:00 UTC\n"
    )
    line = knowing(deployment()).answers(f"POST {ONE}/tokens", {"token": TOKEN}, 202)
    assert line("deployments", "tokens", "prod", "--create", "web").out == "hr_once\nIt is not shown again.\n"
    assert line.api.last_body == {"name": "web"}
    line = knowing(deployment())
    line.api.replies[f"DELETE {ONE}/tokens/tok1"] = httpx2.Response(204)
    assert line("deployments", "tokens", "prod", "--revoke", "tok1").out == "The token tok1 is revoked.\n"
    ran = line("deployments", "tokens", "prod", "--create", "web", "--revoke", "tok1")
    assert (ran.status, "exclude each other" in ran.err) == (2, True)
    refused: JsonObject = {"id": "token_not_found", "message": "No token.", "request_id": "req_1"}
    line = knowing(deployment()).answers(f"DELETE {ONE}/tokens/tok2", refused, 404)
    assert line("deployments", "tokens", "prod", "--revoke", "tok2").status == 1


def test_deletion_shows_the_drain_and_waits_for_its_end() -> None:
    missing: JsonObject = {"id": "deployment_not_found", "message": "Gone.", "request_id": "req_1"}
    line, course = following(
        (200, wrapped(deployment("deleting"))),
        (200, wrapped(deployment("deleting"))),
        (404, missing),
        standings=(
            {**IDLE, "wanted": 1, "ready": 1, "in_flight": 2},
            {**IDLE, "ready": 1, "in_flight": 2},
            {**IDLE, "ready": 1, "in_flight": 1},
        ),
    )
    course.goes(f"DELETE {ONE}", (202, wrapped(deployment("deleting"))))
    ran = line("deployments", "delete", "prod")
    assert (ran.status, ran.out) == (0, "prod is deleted.\n")
    assert ran.err == (
        "prod: deleting, 1 of 1 replicas ready, 2 requests in flight\n"
        "prod: deleting, 1 replica ready, 0 wanted, 2 requests in flight\n"
        "prod: deleting, 1 replica ready, 0 wanted, 1 request in flight\n"
    )


def test_deletion_need_not_be_waited_for_and_one_in_use_says_by_whom() -> None:
    line = knowing(deployment()).answers(f"DELETE {ONE}", wrapped(deployment("deleting")), 202)
    assert line("deployments", "delete", "prod", "--no-wait").out == "prod is being deleted.\n"
    used: JsonObject = {"id": "deployment_in_use", "message": 'By alias "daily".', "request_id": "req_1"}
    ran = knowing(deployment()).answers(f"DELETE {ONE}", used, 409)("deployments", "delete", "prod")
    assert (ran.status, ran.err) == (1, 'headrace: By alias "daily".\n')


def test_a_deletion_that_takes_too_long_or_breaks_says_so() -> None:
    line, course = following((200, wrapped(deployment("deleting"))))
    course.goes(f"DELETE {ONE}", (202, wrapped(deployment("deleting"))))
    ran = line("deployments", "delete", "prod", "--timeout", "1s")
    assert ran.status == 1 and "prod is still being deleted" in ran.err
    line, course = following((500, {"id": "internal_error", "message": "Defect.", "request_id": "req_1"}))
    course.goes(f"DELETE {ONE}", (202, wrapped(deployment("deleting"))))
    ran = line("deployments", "delete", "prod")
    assert ran.status == 1 and "Defect." in ran.err
