"""Idempotency-Key on every route that costs tokens, and through the end of the process."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace.http.hot_routes import HOT_ROUTES
from headrace.testing.obedient import obedient_answer
from headrace.testing.openai_replies import chat_stream
from headrace.testing.script import Frame, Reply, UpstreamRequest, json_reply
from headrace.testing.upstream import FakeUpstream, running_upstream
from headrace.testing.waiting import Gate
from tests.running import RunningHeadrace, eventually

CHAT = "/v1/chat/completions"
SAID = [{"role": "user", "content": "hi"}]
KINDS: Mapping[str, str] = {"m": "chat", "vectors": "embedding", "order": "rerank", "drawn": "image", "said": "speech"}
BODIES: Mapping[str, dict[str, Any]] = {
    CHAT: {"model": "m", "messages": SAID},
    "/v1/messages": {"model": "m", "messages": SAID, "max_tokens": 9},
    "/v1/responses": {"model": "m", "input": "hi"},
    "/v1/embeddings": {"model": "vectors", "input": "hi"},
    "/v1/completions": {"model": "m", "prompt": "hi"},
    "/v1/rerank": {"model": "order", "query": "hi", "documents": ["a", "b"]},
    "/v1/images/generations": {"model": "drawn", "prompt": "hi"},
    "/v1/audio/speech": {"model": "said", "input": "hi", "voice": "v"},
}
STREAM: dict[str, Any] = {**BODIES[CHAT], "stream": True, "stream_options": {"include_usage": True}}


@dataclass(frozen=True)
class World:
    """A running installation and its provider, which has everything."""

    server: RunningHeadrace
    upstream: FakeUpstream
    client: httpx2.Client

    def ask(self, path: str, body: dict[str, Any], key: str) -> httpx2.Response:
        return self.client.post(path, json=body, headers={"idempotency-key": key})


def answer(request: UpstreamRequest) -> Reply:
    """Answer what the obedient upstream does not know."""
    usage = {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}
    match request.path.removeprefix("/v1"):
        case "/completions":
            choice = {"index": 0, "text": "hello", "logprobs": None, "finish_reason": "stop"}
            return json_reply({"id": "cmpl-1", "object": "text_completion", "choices": [choice], "usage": usage})
        case "/rerank":
            return json_reply({"results": [{"index": 0, "relevance_score": 0.9}], "usage": {"total_tokens": 9}})
        case "/images/generations":
            counts = {"input_tokens": 5, "output_tokens": 70, "total_tokens": 75}
            return json_reply({"created": 1, "data": [{"b64_json": "AAAA"}], "usage": counts})
        case "/audio/speech":
            return Reply(headers={"content-type": "audio/mpeg"}, frames=(Frame(b"sound"),), framing="chunked")
        case _:
            return obedient_answer(request)


def provide(server: RunningHeadrace, upstream: FakeUpstream) -> None:
    """Write a provider file with a model of every kind."""
    server.add_provider("fake", upstream.base_url, *KINDS)
    file = server.home / "catalog" / "fake.toml"
    models = file.read_text().split("[[models]]")
    kinds = [*KINDS.values()]
    models[1:] = [each.replace('kind = "chat"', f'kind = "{kinds[at]}"') for at, each in enumerate(models[1:])]
    models[1] = models[1].replace('"streaming",', '"streaming", "completions",')
    file.write_text("[[models]]".join(models))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    server = RunningHeadrace(tmp_path_factory.mktemp("keys") / "home")
    with running_upstream(answer) as upstream:
        provide(server, upstream)
        with server, server.client() as client:
            yield World(server, upstream, client)


def test_every_route_that_costs_tokens_is_asked_here() -> None:
    assert {route.path for route in HOT_ROUTES} == set(BODIES)


@pytest.mark.parametrize("path", BODIES)
def test_a_repeat_is_answered_alike_and_asks_nobody(world: World, path: str) -> None:
    first = world.ask(path, BODIES[path], f"key-{path}")
    asked = len(world.upstream.requests)
    second = world.ask(path, BODIES[path], f"key-{path}")
    assert (first.status_code, first.headers.get("idempotency-replayed")) == (200, None), first.text
    assert (second.status_code, second.headers["idempotency-replayed"]) == (200, "true")
    assert second.content == first.content
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers["x-headrace-original-request-id"] == first.headers["x-request-id"]
    assert len(world.upstream.requests) == asked
    other = world.ask(path, {**BODIES[path], "user": "somebody"}, f"key-{path}")
    assert (other.status_code, code_of(other)) == (422, "idempotency_mismatch")


def code_of(reply: httpx2.Response) -> str:
    return str(reply.json()["error"]["code"])


@dataclass
class Stopping:
    """A server whose upstream waits in the middle of a keyed answer."""

    server: RunningHeadrace
    gate: Gate
    upstream: FakeUpstream
    request_id: str = ""

    def signal(self) -> None:
        process = self.server.process
        assert process is not None
        process.send_signal(signal.SIGTERM)

    def leave(self) -> None:
        """Ask for a stream with a key, and leave when the first part of the answer has come."""
        with (
            self.server.client() as client,
            client.stream("POST", CHAT, json=STREAM, headers={"idempotency-key": "stops"}) as reply,
        ):
            self.gate.wait_reached()
            self.request_id = reply.headers["x-request-id"]

    def repeat(self) -> httpx2.Response:
        """Ask the same again of a new process."""
        self.server.start()
        with self.server.client() as client:
            return client.post(CHAT, json=STREAM, headers={"idempotency-key": "stops"})


@pytest.fixture
def stopping(tmp_path: Path) -> Iterator[Stopping]:
    server, gate = RunningHeadrace(tmp_path / "home"), Gate()
    with running_upstream(chat_stream("one two three four").hold(gate, before_frame=3)) as upstream:
        server.add_provider("fake", upstream.base_url, "m")
        server.start()
        yield Stopping(server, gate, upstream)
        gate.release()
        assert server.stop() == 0


def ended(server: RunningHeadrace) -> int:
    assert server.process is not None
    return server.process.wait(30)


def test_a_stop_finishes_what_a_caller_who_left_will_ask_for_again(stopping: Stopping) -> None:
    stopping.leave()
    stopping.signal()
    eventually(lambda: "1 request in flight, finishing" in stopping.server.output, "it drains")
    assert stopping.server.process is not None and stopping.server.process.poll() is None
    stopping.gate.release()
    assert (ended(stopping.server), stopping.server.count("hold")) == (0, 0)
    again = stopping.repeat()
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert again.headers["x-headrace-original-request-id"] == stopping.request_id
    assert again.content.endswith(b"data: [DONE]\n\n")
    [attempt] = stopping.server.receipt(stopping.request_id)["attempts"]
    assert (attempt["ending"], len(stopping.upstream.requests)) == ("complete", 1)


@pytest.mark.parametrize("how", ["a second signal", "the drain's limit"])
def test_what_does_not_end_in_time_is_told_to_the_repeat(stopping: Stopping, how: str) -> None:
    if how == "the drain's limit":
        stopping.server.stop()
        (stopping.server.home / "headrace.toml").write_text("[limits]\ndrain_seconds = 1\n")
        stopping.server.start()
    stopping.leave()
    stopping.signal()
    eventually(lambda: "1 request in flight, finishing" in stopping.server.output, "it drains")
    if how == "a second signal":
        stopping.signal()
    assert (ended(stopping.server), stopping.server.count("hold")) == (0, 0)
    stopping.server.start()
    [attempt] = stopping.server.receipt(stopping.request_id)["attempts"]
    assert (attempt["state"], attempt["ending"]) == ("settled", "shutting_down")
    with (
        stopping.server.client() as client,
        client.stream("POST", CHAT, json=STREAM, headers={"idempotency-key": "stops"}) as reply,
    ):
        assert reply.headers["idempotency-replayed"] == "true"
        seen = bytearray()
        with pytest.raises(httpx2.RemoteProtocolError):
            for block in reply.iter_raw():
                seen += block
    assert b"shutting_down" in seen and b"[DONE]" not in seen
    assert len(stopping.upstream.requests) == 1


@pytest.mark.parametrize("how", ["a second signal", "its end"])
def test_a_caller_who_stays_reads_how_it_ended(stopping: Stopping, how: str) -> None:
    with (
        stopping.server.client() as client,
        client.stream("POST", CHAT, json=STREAM, headers={"idempotency-key": "stops"}) as reply,
    ):
        stopping.gate.wait_reached()
        stopping.signal()
        eventually(lambda: "1 request in flight, finishing" in stopping.server.output, "it drains")
        if how == "its end":
            stopping.gate.release()
            assert reply.read().endswith(b"data: [DONE]\n\n")
        else:
            stopping.signal()
            with pytest.raises(httpx2.RemoteProtocolError):
                reply.read()
        request_id = reply.headers["x-request-id"]
    assert (ended(stopping.server), stopping.server.count("hold")) == (0, 0)
    stopping.server.start()
    [attempt] = stopping.server.receipt(request_id)["attempts"]
    assert attempt["ending"] == ("complete" if how == "its end" else "shutting_down")
