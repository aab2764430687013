"""Text completions, reranking, images and speech: the real server, the official client, the fake upstream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
import pytest

from headrace.testing.openai_replies import sse_frame
from headrace.testing.script import Frame, Reply, UpstreamRequest
from headrace.testing.upstream import FakeUpstream, running_upstream
from tests.running import RunningHeadrace

SOUND = bytes(range(256)) * 400
USAGE = {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}
KINDS = {
    "texts": "chat",
    "chats": "chat",
    "order": "rerank",
    "pictures": "image",
    "voice": "speech",
    "bare": "rerank",
    "drawn": "image",
    "said": "speech",
    "found": "rerank",
}
BY_THE_PIECE = {
    "drawn": 'usd_per_image = "0.065"',
    "said": 'usd_per_mchar = "15"',
    "found": 'usd_per_search = "0.002"',
}


@dataclass(frozen=True)
class World:
    """A running installation whose one provider has everything."""

    server: RunningHeadrace
    upstream: FakeUpstream
    client: httpx2.Client
    openai: openai.OpenAI


def whole(body: object) -> Reply:
    frames = (Frame(json.dumps(body).encode(), 3),)
    return Reply(headers={"content-type": "application/json"}, frames=frames, prompt_tokens=4)


def choice(text: str, reason: str | None) -> dict[str, object]:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}


def completion(request: UpstreamRequest) -> Reply:
    head = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": request.model}
    if request.fields.get("stream") is not True:
        return whole({**head, "choices": [choice("upon a time", "stop")], "usage": USAGE})
    words = [{**head, "choices": [choice(word, None)]} for word in ("upon", " a", " time")]
    nothing: list[object] = []
    ends = [{**head, "choices": [choice("", "stop")]}, {**head, "choices": nothing, "usage": USAGE}]
    frames = [*(Frame(sse_frame(each), 1) for each in words), *(Frame(sse_frame(each)) for each in ends)]
    frames.append(Frame(b"data: [DONE]\n\n"))
    headers = {"content-type": "text/event-stream"}
    return Reply(headers=headers, frames=tuple(frames), prompt_tokens=4, framing="chunked")


def answer(request: UpstreamRequest) -> Reply:
    """A provider that has all of it."""
    ranked = {"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]}
    match request.path:
        case "/v1/completions":
            return completion(request)
        case "/v1/rerank" if request.model == "bare-upstream":
            return whole({**ranked, "meta": {"billed_units": {"search_units": 1}}})
        case "/v1/rerank":
            return whole({**ranked, "model": request.model, "usage": {"total_tokens": 9}})
        case "/v1/images/generations":
            counts = {"input_tokens": 5, "output_tokens": 70, "total_tokens": 75}
            return whole({"created": 1, "data": [{"b64_json": "AAAA"}], "usage": counts})
        case "/v1/audio/speech":
            frames = (Frame(SOUND[:1000]), Frame(SOUND[1000:]))
            return Reply(headers={"content-type": "audio/mpeg"}, frames=frames, framing="chunked")
        case _:
            return Reply(status=404)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    server = RunningHeadrace(tmp_path_factory.mktemp("pass") / "home")
    with running_upstream(answer) as upstream:
        server.add_provider("all", upstream.base_url, *KINDS)
        file = server.home / "catalog" / "all.toml"
        models = file.read_text().split("[[models]]")
        for place, (name, kind) in enumerate(KINDS.items(), start=1):
            models[place] = models[place].replace('kind = "chat"', f'kind = "{kind}"')
            if name in BY_THE_PIECE:
                head = models[place].partition('input = "0.10"')[0]
                models[place] = f"{head}{BY_THE_PIECE[name]}\n"
            if name == "texts":
                models[place] = models[place].replace('"streaming",', '"streaming", "completions",')
        unpriced = models[3].replace('"order', '"free').partition("[[models.prices]]")[0]
        file.write_text("[[models]]".join([*models, unpriced]))
        with server, server.client() as client:
            official = openai.OpenAI(api_key=server.api_key, base_url=f"{server.base_url}/v1", max_retries=0)
            yield World(server, upstream, client, official)


def settled(world: World, request_id: str | None, operation: str) -> dict[str, Any]:
    receipt = world.server.receipt(str(request_id))
    (attempt,) = receipt["attempts"]
    assert (receipt["operation"], receipt["status"], attempt["ending"]) == (operation, 200, "complete")
    usage: dict[str, Any] = attempt["usage"]
    return usage


def test_a_text_is_continued(world: World) -> None:
    reply = world.openai.completions.with_raw_response.create(model="texts", prompt="Once")
    parsed = reply.parse()
    assert (parsed.model, parsed.choices[0].text, parsed.choices[0].finish_reason) == ("texts", "upon a time", "stop")
    sent = world.upstream.requests[-1]
    assert (sent.path, sent.fields["max_tokens"], sent.model) == ("/v1/completions", 16, "texts-upstream")
    usage = settled(world, reply.headers["x-request-id"], "completions")
    assert (usage["input_fresh"], usage["output_text"], usage["estimated"]) == (4, 3, False)


def test_a_continued_text_is_streamed(world: World) -> None:
    stream = world.openai.completions.create(
        model="texts", prompt="Once", stream=True, max_tokens=9, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(each.text for chunk in chunks for each in chunk.choices) == "upon a time"
    assert {chunk.model for chunk in chunks} == {"texts"}
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3
    request_id = stream.response.headers["x-request-id"]
    assert settled(world, request_id, "completions")["output_text"] == 3
    assert world.upstream.requests[-1].fields["max_tokens"] == 9


def test_a_model_without_text_completions_refuses(world: World) -> None:
    before = len(world.upstream.requests)
    reply = world.client.post("/v1/completions", json={"model": "chats", "prompt": "Once"})
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (400, "unsupported_by_model")
    assert "completions" in error["message"]
    assert len(world.upstream.requests) == before


def test_documents_are_ordered_and_their_tokens_charged(world: World) -> None:
    body = {"model": "order", "query": "q", "documents": ["a", "b"], "top_n": 2, "vendor_field": 1}
    reply = world.client.post("/v1/rerank", json=body)
    assert reply.status_code == 200, reply.text
    assert [each["index"] for each in reply.json()["results"]] == [1, 0]
    assert reply.json()["model"] == "order"
    assert world.upstream.requests[-1].fields["vendor_field"] == 1
    usage = settled(world, reply.headers["x-request-id"], "rerank")
    assert (usage["input_fresh"], usage["output_text"], usage["estimated"]) == (9, 0, False)
    assert int(reply.headers["x-headrace-cost-nano-usd"]) == 9 * 100


def test_an_answer_that_counts_no_tokens_is_an_estimate_that_says_so(world: World) -> None:
    reply = world.client.post("/v1/rerank", json={"model": "bare", "query": "q", "documents": ["a"]})
    assert reply.json()["usage"]["estimated"] is True
    assert settled(world, reply.headers["x-request-id"], "rerank")["estimated"] is True


def test_a_model_without_a_price_is_refused(world: World) -> None:
    reply = world.client.post("/v1/rerank", json={"model": "free", "query": "q", "documents": ["a"]})
    assert (reply.status_code, reply.json()["error"]["code"]) == (402, "model_unpriced")


def test_images_are_made(world: World) -> None:
    reply = world.openai.images.with_raw_response.generate(model="pictures", prompt="a river")
    data = reply.parse().data
    assert data is not None
    assert data[0].b64_json == "AAAA"
    usage = settled(world, reply.headers["x-request-id"], "images")
    assert (usage["input_fresh"], usage["output_text"], usage["output_image"], usage["image"]) == (5, 0, 70, 1)


@pytest.mark.parametrize(
    ("path", "model", "body", "line"),
    [
        ("/v1/images/generations", "drawn", {"prompt": "a river", "n": 3}, ("image", 1, "0.065", 65_000_000)),
        ("/v1/rerank", "found", {"query": "q", "documents": ["a", "b"]}, ("search", 1, "0.002", 2_000_000)),
        ("/v1/audio/speech", "said", {"input": "Grüße", "voice": "v"}, ("character", 5, "15", 75_000)),
    ],
)
def test_what_is_priced_by_the_piece_is_billed_by_it(
    world: World, path: str, model: str, body: dict[str, Any], line: tuple[str, int, str, int]
) -> None:
    reply = world.client.post(path, json={"model": model, **body})
    assert reply.status_code == 200, reply.text
    receipt = world.server.receipt(reply.headers["x-request-id"])
    (attempt,) = receipt["attempts"]
    (booked,) = attempt["lines"]
    price = booked.get("price_usd_each") or booked["price_usd_per_mtok"]
    assert (booked["kind"], booked["quantity"], price, booked["charge_nano_usd"]) == line
    assert receipt["charge_nano_usd"] == line[3] <= attempt["bound_nano_usd"]


def test_speech_comes_byte_by_byte(world: World) -> None:
    reply = world.openai.audio.speech.create(model="voice", voice="alloy", input="Hello", response_format="wav")
    assert reply.content == SOUND
    assert reply.response.headers["content-type"] == "audio/wav"
    assert settled(world, reply.response.headers["x-request-id"], "speech")["estimated"] is True


def gather(reply: httpx2.Response, taken: bytearray) -> None:
    for block in reply.iter_raw():
        taken += block


def test_speech_that_breaks_off_has_no_end_and_no_text_in_it(world: World) -> None:
    long, taken = SOUND * 40, bytearray()
    world.upstream.follow(Reply(frames=(Frame(long),), framing="chunked").cut(3_000_000))
    with world.client.stream("POST", "/v1/audio/speech", json={"model": "voice", "input": "Hi"}) as reply:
        with pytest.raises(httpx2.RemoteProtocolError):
            gather(reply, taken)
        assert reply.status_code == 200
    world.upstream.follow(answer)
    assert taken
    assert long.startswith(bytes(taken))
    receipt = world.server.receipt(reply.headers["x-request-id"])
    assert receipt["attempts"][0]["ending"] == "upstream_truncated"


@pytest.mark.parametrize(
    ("path", "model", "body"),
    [
        ("/v1/rerank", "texts", {"query": "q", "documents": ["a"]}),
        ("/v1/images/generations", "texts", {"prompt": "p"}),
        ("/v1/audio/speech", "order", {"input": "i"}),
        ("/v1/completions", "voice", {"prompt": "p"}),
        ("/v1/chat/completions", "order", {"messages": [{"role": "user", "content": "c"}]}),
    ],
)
def test_a_model_of_another_kind_refuses(world: World, path: str, model: str, body: dict[str, Any]) -> None:
    reply = world.client.post(path, json={"model": model, **body})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "wrong_model_kind")
