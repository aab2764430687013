"""Operating the real server: health, metrics, ids and costs on every reply, keep-alive, who may read what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from headrace.testing.obedient import obedient_answer
from headrace.testing.openai_replies import Chat, chat_stream, error_reply
from headrace.testing.upstream import FakeUpstream, running_upstream
from headrace.testing.waiting import Gate
from tests.running import RunningHeadrace, eventually, headrace

CHAT = "/v1/chat/completions"
KEYS = "/v2/gen-ai/models/api_keys"
FAKE = "fake-chat"
BODY: dict[str, Any] = {"model": FAKE, "messages": [{"role": "user", "content": "hi"}]}
KEEPALIVE_SECONDS = 0.2
LABELS = {"route", "status_class", "model", "provider", "ending", "class", "setting", "state", "le"}


@dataclass(frozen=True)
class World:
    """A running installation and the provider behind it."""

    server: RunningHeadrace
    upstream: FakeUpstream
    client: httpx2.Client
    admin: httpx2.Client

    def figures(self) -> dict[tuple[str, str], float]:
        """Every metric by its name and its labels' values."""
        families = text_string_to_metric_families(self.admin.get("/metrics").text)
        return {
            (sample.name, " ".join(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    server = RunningHeadrace(tmp_path_factory.mktemp("operations") / "home")
    with running_upstream() as upstream:
        server.add_provider("fake", upstream.base_url, FAKE)
        (server.home / "headrace.toml").write_text(f"[limits]\nkeepalive_seconds = {KEEPALIVE_SECONDS}\n")
        with server, server.client() as client, server.client(server.admin_token) as admin:
            yield World(server, upstream, client, admin)


@pytest.fixture
def world(running: World) -> World:
    running.upstream.follow(obedient_answer)
    return running


def stream(client: httpx2.Client, **fields: Any) -> tuple[httpx2.Response, list[dict[str, Any]]]:
    """Return a whole stream's reply and its chunks."""
    reply = client.post(CHAT, json={**BODY, "stream": True, **fields})
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return reply, [json.loads(line) for line in lines[:-1]]


def log_entries(world: World) -> list[dict[str, Any]]:
    """The log so far; a line that is being written is left out."""
    return [json.loads(line) for line in world.server.log.rpartition("\n")[0].splitlines()]


def test_health_and_readiness_need_no_credential(world: World) -> None:
    with httpx2.Client(base_url=world.server.base_url, trust_env=False) as stranger:
        health, ready = stranger.get("/healthz"), stranger.get("/readyz")
        assert stranger.head("/healthz").status_code == 200
    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "checks": {"store": "ok"}})


def test_metrics_count_requests_attempts_tokens_and_money(world: World) -> None:
    before = world.figures()
    receipt = world.server.receipt(world.client.post(CHAT, json=BODY).headers["x-request-id"])
    world.upstream.follow([error_reply(500)])
    assert world.client.post(CHAT, json=BODY).status_code == 502
    after = world.figures()

    def grew(name: str, labels: str) -> float:
        return after.get((name, labels), 0) - before.get((name, labels), 0)

    assert grew("headrace_requests_total", f"{CHAT} 2xx") == 1
    assert grew("headrace_requests_total", f"{CHAT} 5xx") == 1
    assert grew("headrace_attempts_total", f"complete {FAKE} fake") == 1
    assert grew("headrace_attempts_total", f"voided {FAKE} fake") == 1
    assert grew("headrace_tokens_total", f"output_text {FAKE}") == 5
    assert grew("headrace_charge_nano_usd_total", FAKE) == receipt["charge_nano_usd"] > 0
    assert grew("headrace_first_event_seconds_count", FAKE) == 1
    assert grew("headrace_ledger_commits_total", "") >= 4, "each attempt is committed before it is sent and at its end"
    assert after["headrace_ledger_synchronous", "full"] == 1
    assert after["headrace_requests_in_flight", ""] == 1, "the request for the metrics itself"
    assert after["headrace_ledger_queue_depth", ""] == 0


def test_labels_are_bounded_by_what_is_configured_not_by_what_callers_send(world: World) -> None:
    world.client.post(CHAT, json=BODY)
    before = world.figures()
    for number in range(25):
        world.client.post(CHAT, json={**BODY, "model": f"made-up-{number}"})
        world.client.get(f"/made/up/{number}")
        world.client.get(f"/v1/models/made-up-{number}")
        world.admin.get(f"/v2/requests/req_{number}")
    after = world.figures()
    grown = {name: labels for name, labels in after.keys() - before.keys() if not name.endswith("_created")}
    assert len(after) - len(before) < 120, "four routes at most are new, each with its histogram"
    assert not [labels for labels in grown.values() if "made-up" in labels or "req_" in labels]
    text = world.admin.get("/metrics").text
    assert "made" not in text and world.server.credentials["api_key"][3:15] not in text
    families = text_string_to_metric_families(text)
    assert {label for family in families for sample in family.samples for label in sample.labels} <= LABELS


def test_the_version_says_how_the_ledger_commits(world: World) -> None:
    store = world.client.get("/v2/version").json()["store"]
    assert store["synchronous"] == "full" and store["library"].startswith("SQLite ")


EVERYWHERE: list[tuple[str, str, dict[str, Any] | None, int]] = [
    ("GET", "/healthz", None, 200),
    ("GET", "/metrics", None, 200),
    ("GET", "/v1/models", None, 200),
    ("GET", "/v1/models/none", None, 404),
    ("GET", "/nothing", None, 404),
    ("PUT", "/v1/models", None, 405),
    ("POST", CHAT, BODY, 200),
    ("POST", CHAT, {**BODY, "stream": True}, 200),
    ("POST", CHAT, {}, 400),
    ("POST", "/v1/embeddings", {"model": FAKE, "input": "x"}, 400),
    ("GET", "/v2/me", None, 200),
    ("GET", "/v2/requests", None, 200),
    ("GET", "/v2/providers", None, 403),
    ("POST", "/v2/config/reload", None, 403),
]


def test_every_reply_has_its_own_request_id_under_both_names(world: World) -> None:
    seen: set[str] = set()
    failed: set[str] = set()
    for method, path, body, status in EVERYWHERE:
        reply = world.client.request(method, path, json=body)
        assert reply.status_code == status, (path, reply.text)
        ids = reply.headers.get_list("x-request-id") + reply.headers.get_list("request-id")
        assert len(ids) == 2 and ids[0] == ids[1] and ids[0].startswith("req_"), (path, ids)
        seen.add(ids[0])
        failed |= {ids[0]} if status >= 400 else set()
    assert len(seen) == len(EVERYWHERE)
    eventually(lambda: all(each in world.server.log for each in failed), "what failed is logged")
    logged = {entry.get("request_id"): entry for entry in log_entries(world) if entry["event"] == "request"}
    assert failed <= logged.keys()
    refused = [entry for entry in logged.values() if entry.get("error_code") == "admin_required"]
    assert {entry["route"] for entry in refused} == {"/v2/providers", "/v2/config/reload"}


def test_the_upstream_gets_the_request_id_and_the_attempt_id(world: World) -> None:
    reply = world.client.post(CHAT, json=BODY)
    sent = world.upstream.requests[-1]
    [attempt] = world.server.receipt(reply.headers["x-request-id"])["attempts"]
    assert sent.header("x-request-id") == reply.headers["x-request-id"]
    assert sent.header("x-headrace-attempt") == attempt["id"]
    assert world.server.api_key not in str(sent.headers), "the caller's key stays here"


def test_a_whole_reply_tells_its_model_and_cost_in_the_headers(world: World) -> None:
    reply = world.client.post(CHAT, json=BODY)
    receipt = world.server.receipt(reply.headers["x-request-id"])
    assert reply.headers["x-headrace-model"] == FAKE
    assert int(reply.headers["x-headrace-cost-nano-usd"]) == receipt["charge_nano_usd"] == 5 * 200 + 100
    assert reply.headers["x-headrace-cost-usd"] == receipt["charge_usd"] == "0.000001100"


def test_a_stream_tells_its_model_in_the_headers_and_its_cost_in_the_usage_chunk(world: World) -> None:
    reply, chunks = stream(world.client, stream_options={"include_usage": True})
    assert reply.headers["x-headrace-model"] == FAKE
    assert "x-headrace-cost-nano-usd" not in reply.headers, "it is not known before they leave"
    told = chunks[-1]["headrace"]
    receipt = world.server.receipt(reply.headers["x-request-id"])
    assert chunks[-1]["usage"]["completion_tokens"] == 5
    assert (told["request_id"], told["model"]) == (receipt["id"], FAKE)
    assert (told["cost_nano_usd"], told["cost_usd"]) == (receipt["charge_nano_usd"], receipt["charge_usd"])
    assert not any("headrace" in chunk for chunk in chunks[:-1])


def test_a_slow_first_event_is_bridged_by_comments_that_the_sdks_ignore(world: World) -> None:
    gate = Gate()
    world.upstream.follow([chat_stream("one two").hold_headers(gate)])
    with world.client.stream("POST", CHAT, json={**BODY, "stream": True}) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        blocks = reply.iter_text()
        seen = ""
        while seen.count(": waiting for the model") < 2:
            seen += next(blocks)
        assert "data:" not in seen
        gate.release()
        seen += "".join(blocks)
    comments, _, events = seen.partition("data: ")
    assert {line for line in comments.splitlines() if line} == {": waiting for the model"}
    assert events.endswith("data: [DONE]\n\n")
    receipt = world.server.receipt(reply.headers["x-request-id"])
    assert (receipt["status"], receipt["attempts"][0]["ending"]) == (200, "complete")


def test_a_failure_after_comments_is_an_error_event_and_a_broken_end(world: World) -> None:
    gate = Gate()
    world.upstream.follow([error_reply(500).hold_headers(gate)])
    lines: list[str] = []
    with (
        world.client.stream("POST", CHAT, json={**BODY, "stream": True}) as reply,
        pytest.raises(httpx2.RemoteProtocolError),
    ):
        for line in reply.iter_lines():
            lines.append(line)
            gate.release()
    [event] = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    error = json.loads(event)["error"]
    assert (error["code"], error["request_id"]) == ("upstream_unavailable", reply.headers["x-request-id"])
    assert world.server.receipt(error["request_id"])["charge_nano_usd"] == 0


def test_a_slow_whole_reply_gets_no_comments(world: World) -> None:
    silence = 3 * KEEPALIVE_SECONDS
    world.upstream.follow(lambda request: obedient_answer(request).delayed(before_headers_seconds=silence))
    reply = world.client.post(CHAT, json=BODY)
    assert reply.json()["choices"] and reply.content.startswith(b"{")


@pytest.fixture
def other_key(world: World) -> Iterator[httpx2.Client]:
    assert world.admin.post("/v2/teams", json={"name": "elsewhere"}).status_code == 201
    made = world.admin.post(KEYS, json={"name": "other", "team": "elsewhere"}).json()["api_key_info"]
    with world.server.client(made["secret_key"]) as client:
        yield client


def test_a_key_reads_its_own_receipts_and_nothing_else(world: World, other_key: httpx2.Client) -> None:
    own = world.client.post(CHAT, json=BODY).headers["x-request-id"]
    others = other_key.post(CHAT, json=BODY).headers["x-request-id"]
    assert world.client.get(f"/v2/requests/{own}").json() == world.server.receipt(own)
    for client, foreign in ((world.client, others), (other_key, own)):
        reply = client.get(f"/v2/requests/{foreign}")
        assert (reply.status_code, reply.json()["id"]) == (404, "request_not_found")
        unknown = client.get("/v2/requests/req_00000000000000000000000000000000")
        assert (
            unknown.json()["message"].replace("req_00000000000000000000000000000000", foreign)
            == (reply.json()["message"])
        ), "somebody else's and nobody's look the same"
    listed = {each["id"] for each in other_key.get("/v2/requests").json()["requests"]}
    assert listed == {others}
    assert {own, others} <= {each["id"] for each in world.admin.get("/v2/requests").json()["requests"]}
    me = other_key.get("/v2/me").json()
    assert (me["account"], me["role"], me["key_name"], me["models"]) == ("elsewhere", "key", "other", None)


ADMIN_ONLY = [
    ("GET", KEYS),
    ("POST", KEYS),
    ("DELETE", f"{KEYS}/x"),
    ("PUT", f"{KEYS}/x/regenerate"),
    ("GET", "/v2/providers"),
    ("PUT", "/v2/providers/fake/credential"),
    ("DELETE", "/v2/providers/fake/credential"),
    ("POST", f"/v2/models/{FAKE}/pull"),
    ("GET", "/v2/models/pulls"),
    ("GET", "/v2/replicas"),
    ("POST", "/v2/config/reload"),
]


@pytest.mark.parametrize(("method", "path"), ADMIN_ONLY)
def test_a_key_gets_403_on_what_is_the_operators(world: World, method: str, path: str) -> None:
    reply = world.client.request(method, path, json={})
    assert (reply.status_code, reply.json()["id"]) == (403, "admin_required")
    with httpx2.Client(base_url=world.server.base_url, trust_env=False) as stranger:
        assert stranger.request(method, path, json={}).status_code == 401


def test_the_admin_token_works_on_the_data_plane_metered_under_the_operator(world: World) -> None:
    whole = world.admin.post(CHAT, json=BODY)
    assert whole.status_code == 200
    streamed, _ = stream(world.admin)
    for reply in (whole, streamed):
        receipt = world.server.receipt(reply.headers["x-request-id"])
        assert (receipt["account"], receipt["key"]["name"]) == ("operator", "admin")
        assert receipt["charge_nano_usd"] > 0
    assert world.admin.get("/v1/models").status_code == 200


def test_a_revoked_key_stops_working_at_once(world: World) -> None:
    made = world.admin.post(KEYS, json={"name": "short-lived"}).json()["api_key_info"]
    with world.server.client(made["secret_key"]) as client:
        assert client.post(CHAT, json=BODY).status_code == 200
        assert world.admin.delete(f"{KEYS}/{made['uuid']}").status_code == 200
        refused = client.post(CHAT, json=BODY)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    listed = {each["uuid"]: each for each in world.admin.get(KEYS).json()["api_key_infos"]}
    assert listed[made["uuid"]]["deleted_at"] and "secret_key" not in listed[made["uuid"]]


def test_a_receipt_shows_attempts_token_classes_price_version_and_cost(world: World) -> None:
    chat = Chat("one two three", reported={
        "prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 130,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 10},
    })  # fmt: skip
    world.upstream.follow([chat_stream(chat)])
    reply, _ = stream(world.client)
    receipt = world.server.receipt(reply.headers["x-request-id"])
    [attempt] = receipt["attempts"]
    lines = {
        each["kind"]: (each["quantity"], each["price_usd_per_mtok"], each["cost_nano_usd"]) for each in attempt["lines"]
    }
    assert lines == {
        "input_fresh": (40, "0.1", 4000),
        "input_cache_read": (60, "0.01", 600),
        "output_text": (20, "0.2", 4000),
        "output_reasoning": (10, "0.2", 2000),
    }
    assert (receipt["cost_nano_usd"], receipt["cost_usd"]) == (10_600, "0.000010600")
    assert attempt["price"]["version"].startswith(f"fake/{FAKE}@2026-01-01#")
    assert attempt["usage"]["source"] == "upstream" and attempt["state"] == "settled"


def test_logs_are_structured_and_hold_neither_prompts_nor_credentials(world: World) -> None:
    prompt = "an unmistakable sentence about headraces"
    asked = {**BODY, "messages": [{"role": "user", "content": prompt}]}
    assert world.client.post(CHAT, json=asked).status_code == 200
    world.upstream.follow([error_reply(500, f"cannot answer: {prompt[:20]}")])
    reply = world.client.post(CHAT, json=asked)
    request_id = reply.headers["x-request-id"]
    eventually(lambda: world.server.log.count(request_id) == 2, "the failed request is logged")
    by_event = {each["event"]: each for each in log_entries(world) if each.get("request_id") == request_id}
    entry, attempt = by_event["request"], by_event["attempt"]
    assert (entry["route"], entry["status"], entry["model"], entry["level"]) == (CHAT, 502, FAKE, "error")
    assert (attempt["ending"], attempt["error_code"]) == ("voided", "upstream_unavailable")
    for secret in (prompt, world.server.api_key, world.server.admin_token):
        assert secret not in world.server.log


def test_the_verbs_for_keys_work_against_a_server_elsewhere(world: World) -> None:
    remote = {"HEADRACE_URL": world.server.base_url, "HEADRACE_ADMIN_TOKEN": world.server.admin_token}
    made = headrace("keys", "create", "web", "--model", FAKE, "--json", environment=remote)
    info = json.loads(made.stdout)["api_key_info"]
    with world.server.client(info["secret_key"]) as client:
        assert client.post(CHAT, json=BODY).status_code == 200
        listed = headrace("keys", "list", environment=remote)
        assert info["uuid"] in listed.stdout and info["secret_key"] not in listed.stdout
        assert headrace("keys", "revoke", info["uuid"], environment=remote).returncode == 0
        assert client.post(CHAT, json=BODY).status_code == 401
    wrong = headrace("keys", "list", environment={**remote, "HEADRACE_ADMIN_TOKEN": world.server.api_key})
    assert wrong.returncode == 1 and "admin token" in wrong.stderr
    unknown = headrace("keys", "revoke", "nobody", "--json", environment=remote)
    assert unknown.returncode == 1 and json.loads(unknown.stdout)["error"]["code"] == "key_not_found"
    closed = {**remote, "HEADRACE_URL": "http://127.0.0.1:1"}
    nobody = headrace("keys", "list", environment=closed)
    assert nobody.returncode == 1 and "http://127.0.0.1:1" in nobody.stderr and "Traceback" not in nobody.stderr
