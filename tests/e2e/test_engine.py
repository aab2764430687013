"""The embedded engine for real: a small language model under supervision, asked through the adapter."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import jsonschema
import psutil
import pytest

from headrace.domain.call import Call
from headrace.domain.errors import EngineFailed, UpstreamError, UpstreamRefused
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.plan import Deadlines, Endpoint, Target
from headrace.domain.usage import Usage
from headrace.drivers.compute.local import LocalCompute, LocalPolicy
from headrace.drivers.compute.supervisor import ProcessSupervisor
from headrace.drivers.engines.llamacpp import LlamaCpp
from headrace.drivers.engines.llamacpp_adapter import LlamaCppAdapter
from headrace.drivers.transports.http1_transport import Http1Transport
from headrace.testing.clock import FakeClock, FakeIds, FakeRandom
from tests.contract.toy_fleet import eventually, is_running
from tests.engine_calls import answer, chat_call, frames_of, local_deployment, local_target

CONTEXT = 1024
SLOTS = 2
CITY: JsonObject = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
COUNT: JsonObject = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
TOOLS: list[JsonValue] = [
    {"type": "function", "function": {"name": "get_weather", "description": "Weather of a city", "parameters": CITY}},
    {"type": "function", "function": {"name": "set_count", "description": "Set the count", "parameters": COUNT}},
]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True)
class Served:
    """A running model and the way to it."""

    engine: LlamaCpp
    adapter: LlamaCppAdapter
    transport: Http1Transport
    endpoint: Endpoint
    target: Target
    warden: int

    async def ask(self, call: Call) -> tuple[bytes, Usage]:
        return await answer(self.adapter, self.transport, self.endpoint, self.target, call)

    async def body(self, **fields: JsonValue) -> JsonObject:
        out, _ = await self.ask(chat_call(**fields))
        return json.loads(out)

    async def until_running(self, count: int, seconds: float) -> float:
        """Poll until the engine works on so many requests; returns how long that took."""
        started = time.monotonic()
        async with asyncio.timeout(seconds):
            while (await self.engine.load(self.endpoint))["running"] != count:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        return time.monotonic() - started


@pytest.fixture(scope="module")
async def served(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    clock = FakeClock()
    engine = LlamaCpp(threads=2)
    supervisor = ProcessSupervisor(tmp_path_factory.mktemp("home"), clock, FakeRandom())
    compute = LocalCompute({"llamacpp": engine}, supervisor, clock, LocalPolicy())
    target = local_target()
    await compute.apply(local_deployment(smollm_path, SLOTS, CONTEXT))
    lease = await compute.acquire(target.model.id, 60.0)
    (replica,) = compute.observe()
    assert replica.pid is not None
    async with Http1Transport("test") as transport:
        yield Served(engine, LlamaCppAdapter(FakeIds()), transport, lease.endpoint, target, replica.pid)
    await compute.close()
    assert not psutil.pid_exists(replica.pid)


def choices_of(body: JsonObject) -> list[JsonObject]:
    choices = body["choices"]
    assert isinstance(choices, list)
    return [choice for choice in choices if isinstance(choice, dict)]


def only_call(body: JsonObject) -> tuple[str, JsonObject]:
    (choice,) = choices_of(body)
    assert choice["finish_reason"] == "tool_calls"
    message = choice["message"]
    assert isinstance(message, dict)
    assert message["content"] is None
    calls = json.loads(json.dumps(message["tool_calls"]))
    (call,) = calls
    assert call["id"].startswith("call_")
    assert call["type"] == "function"
    return call["function"]["name"], json.loads(call["function"]["arguments"])


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/completion", "/slots", "/metrics", "/v1/models"])
async def test_without_the_secret_the_engine_refuses(served: Served, path: str) -> None:
    async with aiohttp.ClientSession() as session:
        for headers in ({}, {"authorization": "Bearer wrong"}):
            async with session.get(served.endpoint.base_url + path, headers=headers) as reply:
                assert reply.status == 401
    assert await served.engine.ready(served.endpoint)
    assert not await served.engine.ready(Endpoint(served.endpoint.base_url))


async def test_the_secret_is_in_no_command_line_and_no_environment(served: Served) -> None:
    assert served.endpoint.auth_value is not None
    secret = served.endpoint.auth_value.reveal().removeprefix("Bearer ")
    warden = psutil.Process(served.warden)
    for process in (warden, *warden.children()):
        assert secret not in " ".join(process.cmdline())
        assert secret not in str(process.environ())


COUNTED: list[dict[str, JsonValue]] = [
    {"messages": [{"role": "system", "content": "Be brief, ünïcödé."}, {"role": "user", "content": "1 2 3 " * 20}]},
    {"messages": [{"role": "user", "content": "Weather in Paris?"}], "tools": TOOLS},
    {"messages": [{"role": "user", "content": "<|im_start|>x<|im_end|>"}, {"role": "assistant", "content": "a"}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}]},
]


@pytest.mark.parametrize("fields", COUNTED)
async def test_a_prompt_is_counted_as_the_engine_reads_it(served: Served, fields: dict[str, JsonValue]) -> None:
    call = chat_call(max_tokens=1, **fields)
    prepared = served.adapter.prepare(call, served.target)
    counted = await served.adapter.count_prompt(served.transport, served.endpoint, prepared, Deadlines())
    _, usage = await served.ask(call)
    assert counted == usage.input_total


async def test_streams_with_usage_at_the_end(served: Served) -> None:
    call = chat_call(stream=True, stream_options={"include_usage": True}, max_tokens=8, seed=1)
    out, usage = await served.ask(call)
    chunks = frames_of(out)
    assert len(chunks) > 8
    assert all(chunk["model"] == "smollm2-135m" for chunk in chunks)
    assert chunks[-1]["choices"] == []
    block = chunks[-1]["usage"]
    assert isinstance(block, dict)
    assert block["completion_tokens"] == usage.output_total == 8
    assert block["prompt_tokens"] == usage.input_total > 8


async def test_a_plain_caller_gets_one_body(served: Served) -> None:
    body = await served.body(max_tokens=8, temperature=0)
    (choice,) = choices_of(body)
    message = choice["message"]
    assert isinstance(message, dict)
    assert isinstance(message["content"], str)
    assert body["object"] == "chat.completion"
    assert choice["finish_reason"] == "length"


async def test_the_default_cap_bounds_an_uncapped_answer(served: Served) -> None:
    _, usage = await served.ask(chat_call(messages=[{"role": "user", "content": "Tell a very long story."}]))
    assert 0 < usage.output_total <= served.target.model.default_output_tokens


async def test_the_same_seed_gives_the_same_text(served: Served) -> None:
    first, second = [choices_of(await served.body(max_tokens=12, seed=5, temperature=1)) for _ in range(2)]
    assert first == second


async def test_logprobs_stop_and_formats_pass_through(served: Served) -> None:
    body = await served.body(max_tokens=4, logprobs=True, top_logprobs=2)
    logprobs = json.loads(json.dumps(choices_of(body)[0]))["logprobs"]["content"]
    assert len(logprobs) == 4
    assert all(len(each["top_logprobs"]) == 2 for each in logprobs)
    format_: JsonObject = {"type": "json_schema", "json_schema": {"name": "answer", "schema": CITY}}
    content = json.loads(json.dumps(choices_of(await served.body(response_format=format_))[0]))["message"]["content"]
    jsonschema.validate(json.loads(content), CITY)
    # Greedy: where a token is a space and part of a character, as chance may have it, the engine overlooks the stop.
    count: list[JsonValue] = [{"role": "user", "content": "Count: 1 2 3 4 5"}]
    stopped = await served.body(messages=count, stop=[" "], max_tokens=20, temperature=0)
    assert choices_of(stopped)[0]["finish_reason"] == "stop"
    assert " " not in json.loads(json.dumps(choices_of(stopped)[0]))["message"]["content"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_named_tool_is_always_called(served: Served, stream: bool) -> None:
    choice: JsonObject = {"type": "function", "function": {"name": "set_count"}}
    call = chat_call(tools=TOOLS, tool_choice=choice, stream=stream, temperature=0, max_tokens=200)
    out, _ = await served.ask(call)
    if not stream:
        name, arguments = only_call(json.loads(out))
    else:
        name, arguments = streamed_call(frames_of(out))
    assert name == "set_count"
    jsonschema.validate(arguments, COUNT)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_required_tool_is_one_of_those_given(served: Served, stream: bool) -> None:
    question: list[JsonValue] = [{"role": "user", "content": "What is the weather in Paris?"}]
    call = chat_call(
        messages=question, tools=TOOLS, tool_choice="required", stream=stream, temperature=0, max_tokens=200
    )
    out, _ = await served.ask(call)
    name, arguments = streamed_call(frames_of(out)) if stream else only_call(json.loads(out))
    jsonschema.validate(arguments, {"get_weather": CITY, "set_count": COUNT}[name])


def streamed_call(chunks: list[JsonObject]) -> tuple[str, JsonObject]:
    """Assemble the one call of a stream as the official SDK does, apart from our own assembler."""
    names: list[str] = []
    arguments = ""
    reasons: list[JsonValue] = []
    for chunk in json.loads(json.dumps(chunks)):
        for choice in chunk["choices"]:
            reasons.append(choice["finish_reason"])
            assert not choice["delta"].get("content")
            for call in choice["delta"].get("tool_calls", ()):
                assert call["index"] == 0
                names += [call["function"]["name"]] if "name" in call["function"] else []
                arguments += call["function"]["arguments"]
    assert reasons[-1] == "tool_calls"
    assert len(names) == 1
    return names[0], json.loads(arguments)


async def test_with_auto_a_small_model_may_just_talk(served: Served) -> None:
    (choice,) = choices_of(await served.body(tools=TOOLS, max_tokens=20, temperature=0))
    message = choice["message"]
    assert isinstance(message, dict)
    assert bool(message["content"]) != bool(message.get("tool_calls"))


async def test_a_conversation_with_a_tool_result_is_understood(served: Served) -> None:
    arguments = '{"city": "Paris"}'
    call: JsonObject = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}
    messages: list[JsonValue] = [
        {"role": "user", "content": "Weather in Paris?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "18 degrees"},
    ]
    for tool_choice in ("auto", "none"):
        _, usage = await served.ask(chat_call(messages=messages, tools=TOOLS, tool_choice=tool_choice, max_tokens=8))
        assert usage.output_total > 0


async def test_several_choices_are_as_many_requests_with_the_usage_summed(served: Served) -> None:
    one = (await served.ask(chat_call(max_tokens=8, seed=3, temperature=1)))[1]
    out, usage = await served.ask(chat_call(n=3, max_tokens=8, seed=3, temperature=1))
    choices = choices_of(json.loads(out))
    assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert len({json.dumps(choice["message"]) for choice in choices}) == 3
    assert usage.input_total == 3 * one.input_total
    assert usage.output_total == 3 * one.output_total
    assert usage.anomaly is None


async def test_streamed_choices_are_told_apart(served: Served) -> None:
    out, usage = await served.ask(chat_call(n=2, max_tokens=6, stream=True, stream_options={"include_usage": True}))
    chunks = frames_of(out)
    assert sum(chunk.get("usage") is not None for chunk in chunks) == 1
    assert all(chunk["id"] == chunks[0]["id"] for chunk in chunks)
    assert {str(choice["index"]) for chunk in chunks for choice in choices_of(chunk)} == {"0", "1"}
    assert usage.output_total <= 12


async def test_too_long_a_prompt_says_by_how_much(served: Served) -> None:
    long = chat_call(messages=[{"role": "user", "content": "word " * 2 * CONTEXT}])
    with pytest.raises(UpstreamRefused, match=rf"has \d+ tokens; the model's context is {CONTEXT}") as refused:
        await served.ask(long)
    assert refused.value.code == "context_length_exceeded"
    assert refused.value.param == "messages"


async def test_a_bad_schema_is_the_callers_fault(served: Served) -> None:
    format_: JsonObject = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nope"}}}
    with pytest.raises(UpstreamRefused, match="unrecognized type nope"):
        await served.ask(chat_call(response_format=format_))


@pytest.mark.parametrize("choices", [1, 2])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_who_leaves_frees_the_engine(served: Served, stream: bool, choices: int) -> None:
    call = chat_call(stream=stream, n=choices, max_tokens=900, ignore_eos=True)
    prepared = served.adapter.prepare(call, served.target)
    exchange = await served.adapter.open(served.transport, served.endpoint, prepared, Deadlines())
    assert await exchange.read() is not None
    await served.until_running(choices, 5.0)
    await exchange.close()
    assert await served.until_running(0, 5.0) < 2.0


async def test_killing_the_gateway_ends_the_real_engine(smollm_path: Path, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    owner = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("toy_owner.py")),
        str(tmp_path),
        str(smollm_path),
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": f"{root / 'src'}:{root}"},
    )
    assert owner.stdout is not None
    pids = [int(pid) for pid in (await owner.stdout.readline()).split()]
    assert len(pids) == 2
    assert all(map(is_running, pids))
    owner.kill()
    await owner.wait()
    await eventually(lambda: not any(map(is_running, pids)), 5.0)


async def test_an_engine_that_dies_in_mid_stream_is_an_upstream_error_and_comes_back(
    smollm_path: Path, tmp_path: Path
) -> None:
    clock, engine, adapter, target = FakeClock(), LlamaCpp(), LlamaCppAdapter(FakeIds()), local_target()
    supervisor = ProcessSupervisor(tmp_path, clock, FakeRandom())
    compute = LocalCompute({"llamacpp": engine}, supervisor, clock, LocalPolicy())
    await compute.apply(local_deployment(smollm_path))
    call = chat_call(stream=True, max_tokens=900, ignore_eos=True)
    async with Http1Transport("test") as transport:
        lease = await compute.acquire(target.model.id, 60.0)
        exchange = await adapter.open(transport, lease.endpoint, adapter.prepare(call, target), Deadlines())
        assert await exchange.read() is not None
        pid = compute.observe()[0].pid
        assert pid is not None
        os.kill(psutil.Process(pid).children()[0].pid, signal.SIGKILL)
        with pytest.raises((UpstreamError, EngineFailed)):
            while await exchange.read() is not None:
                pass
        await exchange.close()
        lease.release()
        await eventually(lambda: compute.observe()[0].state == "failed", 5.0)
        assert "ended while running: it was ended by signal SIGKILL" in compute.observe()[0].reason
        again = await compute.acquire(target.model.id, 60.0)
        _, usage = await answer(adapter, transport, again.endpoint, target, chat_call(max_tokens=4))
        assert usage.output_total == 4
    await compute.close()
