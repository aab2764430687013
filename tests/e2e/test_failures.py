"""The failure contract, row by row: two providers, an alias with a chain, and what left, was told and was booked."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace.drivers.ambient import SystemClock
from headrace.drivers.tls.authority import ensure_certificate
from headrace.testing.openai_replies import Chat, chat_reply, chat_stream, error_reply, stream_reply
from headrace.testing.script import Frame, Replies
from headrace.testing.upstream import FakeUpstream, running_upstream
from tests.running import RunningHeadrace, eventually

CHAT = "/v1/chat/completions"
LIMITS = """
[limits]
connect_seconds = 0.5
first_event_seconds = 0.8
between_events_seconds = 0.5
total_seconds = 20
"""
WORDS = Chat("one two three four five six")
STREAM = chat_stream(WORDS)
WHOLE = chat_reply(WORDS)
MIDDLE = STREAM.frame_starts[4] + 10
ERROR_LATE = chat_stream(Chat("one two three four", error_at_frame=3))
ERROR_FIRST = chat_stream(Chat("one two", error_at_frame=0))
BROKEN_FIRST = stream_reply([Frame(b"data: {broken\n\n")])
BROKEN_LATE = stream_reply([*STREAM.frames[:4], Frame(b'data: {"choices": [}\n\n'), *STREAM.frames[4:]])
NO_USAGE = chat_stream(Chat("one two three", usage="absent"))
ZERO_USAGE = chat_stream(Chat("one two three", usage="zero"))
REPEATED_USAGE = chat_stream(Chat("one two three", usage="every_chunk", prompt_tokens=7))
GONE = "gone"
CLOSED = "closed"
DEAF = "deaf"
SELF_SIGNED = "selfsigned"


@dataclass(frozen=True)
class Row:
    """One row of the contract: what the first provider does, and what must follow from it.

    `attempts` are (which provider, error code or None) in order; `calls` counts what reached the two upstreams.
    `status` and `code` are what the caller is told, `code` inside the stream when the status is 200.
    """

    name: str
    first: Replies
    stream: bool = False
    alone: bool = False
    provider: str = "first"
    attempts: tuple[tuple[str, str | None], ...] = ()
    calls: tuple[int, int] = (1, 1)
    status: int = 200
    code: str | None = None
    retry_after: int | None = None
    estimated: bool | None = None
    output_tokens: int | None = None
    unsent: bool = False
    fields: dict[str, Any] = field(default_factory=dict[str, Any])


def goes_on(name: str, first: Replies, code: str, **more: Any) -> Row:
    """A failure before the first event, cured by the second provider."""
    return Row(name, first, attempts=(("first", code), ("second", None)), **more)


def ends(name: str, first: Replies, code: str, status: int, **more: Any) -> Row:
    """A failure that is told: the second provider is not asked."""
    return Row(name, first, attempts=(("first", code),), calls=(1, 0), code=code, status=status, **more)


LIMITED, UNAVAILABLE = "upstream_rate_limited", "upstream_unavailable"
ROWS = (
    Row(
        "1-short-wait",
        [error_reply(429, retry_after=1), WHOLE],
        attempts=(("first", LIMITED), ("first", None)),
        calls=(2, 0),
    ),
    goes_on("1-long-wait", error_reply(429, retry_after=30), LIMITED),
    goes_on("1-date", error_reply(429, retry_after="Fri, 31 Dec 2060 23:59:59 GMT"), LIMITED),
    goes_on("1-absent", error_reply(429), LIMITED),
    goes_on("1-negative", error_reply(429, retry_after=-5), LIMITED),
    goes_on("1-float", error_reply(429, retry_after="1e9"), LIMITED),
    goes_on("1-huge", error_reply(429, retry_after=1_000_000_000), LIMITED),
    goes_on("1-garbage", error_reply(429, retry_after="soon"), LIMITED),
    ends("1-alone", error_reply(429, retry_after=30), LIMITED, 429, alone=True, retry_after=30),
    ends("1-alone-absent", error_reply(429), LIMITED, 429, alone=True, retry_after=1),
    *(goes_on(f"2-{status}", error_reply(status), UNAVAILABLE) for status in (500, 502, 503, 529)),
    goes_on("2-stream", error_reply(500), UNAVAILABLE, stream=True),
    ends("2-alone", error_reply(500), UNAVAILABLE, 502, alone=True),
    *(ends(f"3-{status}", error_reply(status), "upstream_refused", 400) for status in (400, 413, 422)),
    goes_on("3-context", error_reply(400, "too long", code="context_length_exceeded"), "context_length_exceeded"),
    goes_on("4-401", error_reply(401), "upstream_auth_failed", provider="locked1"),
    goes_on("4-402", error_reply(402), "upstream_quota_exhausted", provider="locked2"),
    goes_on("4-403", error_reply(403), "upstream_auth_failed"),
    ends("4-alone-401", error_reply(401), "upstream_auth_failed", 502, alone=True, provider="locked3"),
    ends("4-alone-402", error_reply(402), "upstream_quota_exhausted", 502, alone=True, provider="locked4"),
    goes_on("5-refused", WHOLE, "upstream_unreachable", provider=CLOSED, calls=(0, 1), unsent=True),
    goes_on("6-tls", WHOLE, "upstream_tls", provider=SELF_SIGNED, calls=(0, 1), unsent=True),
    goes_on("7-no-such-host", WHOLE, "upstream_unreachable", provider=GONE, calls=(0, 1), unsent=True),
    goes_on("8-connect-hang", WHOLE, "upstream_unreachable", provider=DEAF, calls=(0, 1), unsent=True),
    goes_on("9-slow-first-token", STREAM.without_headers("stall"), "upstream_timeout", stream=True),
    ends("9-alone", STREAM.without_headers("stall"), "upstream_timeout", 504, stream=True, alone=True),
    ends("10-stall", STREAM.stall(MIDDLE), "upstream_stalled", 200, stream=True, estimated=True),
    ends("11-cut-stream", STREAM.cut(MIDDLE), "upstream_truncated", 200, stream=True, estimated=True),
    goes_on("11-cut-early", STREAM.cut(5), "upstream_truncated", stream=True),
    goes_on("11-cut-body", WHOLE.cut(20), "upstream_truncated"),
    ends("11-cut-body-alone", WHOLE.cut(20), "upstream_truncated", 502, alone=True),
    goes_on("12-broken-first", BROKEN_FIRST, "upstream_protocol", stream=True),
    ends("12-broken-late", BROKEN_LATE, "upstream_protocol", 200, stream=True, estimated=True),
    goes_on("13-error-first", ERROR_FIRST, UNAVAILABLE, stream=True),
    ends("13-error-late", ERROR_LATE, UNAVAILABLE, 200, stream=True, estimated=True),
    Row("14-absent", NO_USAGE, True, attempts=(("first", None),), calls=(1, 0), estimated=True, output_tokens=3),
    Row("14-zero", ZERO_USAGE, True, attempts=(("first", None),), calls=(1, 0), estimated=False, output_tokens=0),
    Row("15-repeated", REPEATED_USAGE, True, attempts=(("first", None),), calls=(1, 0), output_tokens=3),
    goes_on("16-reset", STREAM.reset(0), "upstream_truncated", stream=True),
    ends("31-no-candidate", error_reply(500), UNAVAILABLE, 502, fields={"seed": 1, "logprobs": True}),
    ends("32-off", error_reply(500), UNAVAILABLE, 502, fields={"header": "off"}),
    ends("33-after-first-token", STREAM.reset(MIDDLE), "upstream_truncated", 200, stream=True, estimated=True),
)


@dataclass(frozen=True)
class World:
    """The server and the two upstreams behind its providers."""

    server: RunningHeadrace
    first: FakeUpstream
    second: FakeUpstream

    def ask(self, model: str, *, stream: bool = False, header: str | None = None, **fields: Any) -> httpx2.Response:
        """Send one chat request and read its whole reply, also one that breaks off."""
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "hi"}], **fields}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        headers = {} if header is None else {"x-headrace-fallback": header}
        with self.server.client() as client, client.stream("POST", CHAT, json=body, headers=headers) as reply:
            blocks: list[bytes] = []
            try:
                blocks.extend(reply.iter_raw())
            except httpx2.TransportError:
                assert stream
            return httpx2.Response(reply.status_code, headers=reply.headers, content=b"".join(blocks))

    def admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx2.Response:
        with self.server.client(self.server.admin_token) as client:
            return client.request(method, path, json=body)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("failures") / "home"
    home.mkdir()
    (home / "headrace.toml").write_text(LIMITS)
    with (
        running_upstream() as first,
        running_upstream() as second,
        running_upstream(tls=self_signed(home)) as signed,
        ExitStack() as sockets,
    ):
        server = RunningHeadrace(home)
        places = {
            GONE: "http://nobody.invalid/v1",
            CLOSED: f"http://127.0.0.1:{closed_port()}/v1",
            DEAF: deaf_place(sockets),
        }
        places[SELF_SIGNED] = signed.base_url
        for provider in sorted({row.provider for row in ROWS}):
            models = [f"a-{row.name}" for row in ROWS if row.provider == provider]
            extra = ("a-reused", "a-breaker", "a-storm", "a-moved", "a-probe") if provider == "first" else ()
            server.add_provider(provider, places.get(provider, first.base_url), *models, *extra)
        server.add_provider("second", second.base_url, *(f"b-{row.name}" for row in ROWS), "b-storm", "b-moved")
        edit_second(server)
        with server:
            found = World(server, first, second)
            for row in ROWS:
                rest = [] if row.alone else [f"b-{row.name}"]
                point(found, row.name, f"a-{row.name}", *rest)
            yield found


def self_signed(home: Path) -> ssl.SSLContext:
    """A certificate that nobody trusts."""
    (home.parent / "signed").mkdir()
    files = ensure_certificate(home.parent / "signed", ["127.0.0.1"], SystemClock())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate_file, files.key_file)
    return context


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def deaf_place(sockets: ExitStack) -> str:
    """Listen with a full queue, so that nobody's connection is ever taken."""
    deaf = sockets.enter_context(socket.socket())
    deaf.bind(("127.0.0.1", 0))
    deaf.listen(0)
    for _ in range(3):
        waiting = sockets.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(deaf.getsockname())
    return f"http://127.0.0.1:{deaf.getsockname()[1]}/v1"


def edit_second(server: RunningHeadrace) -> None:
    """The second provider's models read more and have no log probabilities."""
    file = server.home / "catalog" / "second.toml"
    file.write_text(file.read_text().replace('"logprobs", ', "").replace("= 100000", "= 200000"))


def point(world: World, name: str, model: str, *fallbacks: str) -> None:
    reply = world.admin("PUT", f"/v2/aliases/{name}", {"points_to": model, "fallbacks": list(fallbacks)})
    assert reply.status_code in (200, 201), reply.text


def play(world: World, row: Row) -> httpx2.Response:
    world.first.follow({f"a-{row.name}-upstream": row.first})
    world.second.follow({f"b-{row.name}-upstream": STREAM if row.stream else WHOLE})
    return world.ask(row.name, stream=row.stream, **row.fields)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_of_the_contract(world: World, row: Row) -> None:
    before = len(world.first.requests), len(world.second.requests)
    reply = play(world, row)
    told(row, reply)
    calls = len(world.first.requests) - before[0], len(world.second.requests) - before[1]
    assert calls == row.calls
    booked(row, world.server.receipt(reply.headers["x-request-id"]))
    assert world.server.count("hold") == 0


def told(row: Row, reply: httpx2.Response) -> None:
    """The caller gets the answer with who served it, or the one honest error and no invented end."""
    assert reply.status_code == row.status, reply.text
    if row.code is None:
        assert reply.headers["x-headrace-attempts"] == str(len(row.attempts))
        served = f"{'a' if row.attempts[-1][0] == 'first' else 'b'}-{row.name}"
        assert reply.headers["x-headrace-model"] == served
        if row.stream:
            last = json.loads(reply.content.split(b"\n\n")[-3].removeprefix(b"data: "))
            assert reply.content.endswith(b"data: [DONE]\n\n")
            assert (last["headrace"]["model"], last["headrace"]["attempts"]) == (served, len(row.attempts))
            assert last["usage"].get("estimated", False) is bool(row.estimated)
        return
    if row.status == 200:
        assert b"[DONE]" not in reply.content
        assert b'"finish_reason":"' not in reply.content
        frame = reply.content.rstrip().split(b"\n\n")[-1].removeprefix(b"data: ")
        assert json.loads(frame)["error"]["code"] == row.code
        return
    assert reply.json()["error"]["code"] == row.code
    wait = reply.headers.get("retry-after")
    assert wait == (None if row.retry_after is None else str(row.retry_after))


def booked(row: Row, receipt: dict[str, Any]) -> None:
    """Every attempt has its row; only the winning or delivering one is charged."""
    attempts: Sequence[dict[str, Any]] = receipt["attempts"]
    providers = {"first": row.provider, "second": "second"}
    assert [(each["provider"], each["error_code"]) for each in attempts] == [
        (providers[who], code) for who, code in row.attempts
    ]
    assert receipt["status"] == row.status
    for each in attempts[:-1]:
        assert (each["state"], each["charge_nano_usd"], each["cost_nano_usd"]) == ("voided", 0, 0)
    if row.unsent:
        assert not attempts[0]["possible_upstream_spend"]
    last = attempts[-1]
    if row.status != 200:
        assert (last["state"], receipt["charge_nano_usd"]) == ("voided", 0)
        return
    assert last["state"] == "settled"
    assert receipt["charge_nano_usd"] == last["charge_nano_usd"]
    assert (last["charge_nano_usd"] > 0) is (row.output_tokens != 0)
    assert last["usage"]["estimated"] is bool(row.estimated)
    if row.output_tokens is not None:
        assert last["usage"]["output_text"] == row.output_tokens


def test_a_target_that_asked_to_wait_is_left_alone_and_the_wait_is_told(world: World) -> None:
    row = next(each for each in ROWS if each.name == "1-long-wait")
    play(world, row)
    before = len(world.first.requests)
    reply = play(world, row)
    assert (reply.headers["x-headrace-model"], reply.headers["x-headrace-attempts"]) == (f"b-{row.name}", "1")
    [left_out] = world.server.receipt(reply.headers["x-request-id"])["excluded"]
    assert (left_out["model"], left_out["provider"], left_out["code"]) == (f"a-{row.name}", "first", LIMITED)
    assert left_out["reason"].startswith("It is left alone for")
    alone = next(each for each in ROWS if each.name == "1-alone")
    play(world, alone)
    refused = play(world, alone)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, LIMITED)
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert len(world.first.requests) - before <= 1


def test_a_refused_credential_rests_for_all_models_behind_it(world: World) -> None:
    row = next(each for each in ROWS if each.name == "4-alone-401")
    play(world, row)
    before = len(world.first.requests)
    reply = play(world, row)
    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "upstream_auth_failed")
    assert len(world.first.requests) == before


def test_a_reused_connection_that_dies_before_an_answer_is_tried_again(world: World) -> None:
    world.first.follow({"a-reused-upstream": [WHOLE, WHOLE.without_headers("cut"), WHOLE]})
    assert world.ask("a-reused").status_code == 200
    reply = world.ask("a-reused")
    assert (reply.status_code, reply.headers["x-headrace-attempts"]) == (200, "2")
    first, second = world.server.receipt(reply.headers["x-request-id"])["attempts"]
    assert (first["state"], first["error_code"], first["possible_upstream_spend"]) == (
        "voided",
        "conn_reused_retry",
        True,
    )
    assert (second["state"], second["provider"]) == ("settled", "first")


def test_models_of_the_request_are_tried_in_order_and_never_reach_the_upstream(world: World) -> None:
    world.first.follow({"a-probe-upstream": error_reply(500)})
    world.second.follow({"b-moved-upstream": WHOLE})
    reply = world.ask("a-probe", models=["b-moved"])
    assert reply.headers["x-headrace-model"] == "b-moved"
    assert "models" not in world.second.requests[-1].fields
    for bad in (["nobody"], [], "b-moved", [1]):
        assert world.ask("a-probe", models=bad).status_code in (400, 404)
    assert world.ask("a-probe", header="maybe").status_code == 400


def test_a_scoped_key_reaches_no_forbidden_target_by_any_name(world: World) -> None:
    world.first.follow(WHOLE)
    world.second.follow(WHOLE)
    made = world.admin("POST", "/v2/gen-ai/models/api_keys", {"name": "scoped", "models": ["b-moved"]}).json()
    point(world, "closed-alias", "a-moved")
    point(world, "half-open-alias", "a-moved", "b-moved")
    before = len(world.first.requests)
    answers: list[tuple[int, str | None]] = []
    with world.server.client(made["api_key_info"]["secret_key"]) as client:
        for names in (
            {"model": "a-moved"},
            {"model": "closed-alias"},
            {"model": "closed-alias", "models": ["a-moved"]},
            {"model": "half-open-alias"},
            {"model": "b-moved", "models": ["a-moved", "closed-alias"]},
        ):
            reply = client.post(CHAT, json={"messages": [{"role": "user", "content": "hi"}], **names})
            answers.append((reply.status_code, reply.headers.get("x-headrace-model")))
        receipt = client.get(f"/v2/requests/{reply.headers['x-request-id']}").json()
        listed = {each["id"] for each in client.get("/v1/models").json()["data"]}
    assert answers == [(403, None)] * 3 + [(200, "b-moved")] * 2
    assert listed == {"b-moved", "inference-router"}
    assert [(each["model"], each["provider"], each["code"]) for each in receipt["excluded"]] == [
        ("a-moved", None, "model_forbidden")
    ]
    assert len(world.first.requests) == before


def test_a_breaker_opens_says_when_to_come_back_and_closes_by_probes(world: World) -> None:
    world.first.follow({"a-breaker-upstream": error_reply(500)})
    assert [world.ask("a-breaker").status_code for _ in range(3)] == [502, 502, 502]
    before = len(world.first.requests)
    reply = world.ask("a-breaker")
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "upstream_resting")
    assert reply.headers["retry-after"] == "1"
    assert len(world.first.requests) == before
    world.first.follow({"a-breaker-upstream": WHOLE})
    eventually(lambda: world.ask("a-breaker").status_code == 200, "the breaker lets a probe through")
    assert [world.ask("a-breaker").status_code for _ in range(7)] == [200] * 7


def test_a_dead_upstream_is_not_called_more_than_a_fifth_more_often(world: World) -> None:
    world.first.follow({"a-storm-upstream": error_reply(500)})
    world.second.follow({"b-storm-upstream": error_reply(500)})
    point(world, "storm", "a-storm", "b-storm")
    before = len(world.first.requests) + len(world.second.requests)
    asked = 100
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(world.ask, ["storm"] * asked))
    assert {reply.status_code for reply in replies} <= {502, 503}
    calls = len(world.first.requests) + len(world.second.requests) - before
    assert 0 < calls <= 1.2 * asked + 3
    for server in (world.first, world.second):
        server.follow(WHOLE)
    started = time.monotonic()
    eventually(lambda: world.ask("storm").status_code == 200, "good answers again", 10)
    assert time.monotonic() - started <= 10


def test_an_alias_moves_under_load_without_a_failed_request(world: World) -> None:
    world.first.follow(WHOLE)
    world.second.follow(WHOLE)
    point(world, "moved", "a-moved")
    stop = threading.Event()

    def ask_on() -> list[tuple[int, str]]:
        seen: list[tuple[int, str]] = []
        while not stop.is_set():
            reply = world.ask("moved")
            seen.append((reply.status_code, reply.headers.get("x-headrace-model", "")))
        return seen

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(ask_on) for _ in range(4)]
        try:
            for move in range(10):
                point(world, "moved", ("b-moved", "a-moved")[move % 2])
        finally:
            stop.set()
        seen = [each for future in running for each in future.result()]
    assert {status for status, _ in seen} == {200}
    point(world, "moved", "b-moved")
    assert world.ask("moved").headers["x-headrace-model"] == "b-moved"
    with world.server.client() as client:
        listed = {each["id"]: each for each in client.get("/v1/models").json()["data"]}
    assert (listed["moved"]["type"], listed["moved"]["points_to"]) == ("alias", "b-moved")
