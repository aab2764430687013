"""Embedded models behind the real server: what they answer, how they start, sleep, die and come back."""

from __future__ import annotations

import itertools
import json
import signal
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import psutil
import pytest

from tests.running import RunningHeadrace, eventually, headrace
from tests.weights_fixtures import MINILM, SMOLLM

CHAT = "/v1/chat/completions"
MODEL = "smollm2-135m"
ENCODER = "all-minilm-l6-v2"
HELLO = [{"role": "user", "content": "Say hello."}]
LONG = [{"role": "user", "content": "Write a very long story about a river."}]
LOCAL = f"""
[models.local]
engine = "llamacpp"
memory_mib = 560
slots = 4
idle_seconds = %d
[[models.local.weights]]
name = "{SMOLLM.name}"
sha256 = "{SMOLLM.sha256}"
size_bytes = {SMOLLM.size_bytes}
licence = "{SMOLLM.licence}"
sources = ["https://weights.example/{SMOLLM.name}"]
"""
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {
                "type": "object",
                "properties": {"value": {"enum": values}},
                "required": ["value"],
                "additionalProperties": False,
            },
        },
    }
    for name, values in (("pick_city", ["Paris", "Rome"]), ("pick_count", [1, 2, 3]))
]


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
    weights_cache: Path,
    smollm_path: Path,
    minilm_paths: tuple[Path, Path],
) -> Iterator[RunningHeadrace]:
    found = RunningHeadrace(tmp_path_factory.mktemp("embedded") / "home")
    found.take_weights(weights_cache)
    with found:
        yield found


@pytest.fixture
def client(server: RunningHeadrace) -> Iterator[httpx2.Client]:
    with server.client() as found:
        yield found


def ask(client: httpx2.Client, **fields: Any) -> dict[str, Any]:
    """Ask for a whole answer; it must come."""
    reply = client.post(CHAT, json={"model": MODEL, "messages": HELLO, "max_tokens": 16, **fields})
    assert reply.status_code == 200, reply.text
    return {**reply.json(), "receipt_id": reply.headers["x-request-id"]}


def refused(client: httpx2.Client, **fields: Any) -> dict[str, Any]:
    """Ask for what must be refused with 400; returns the error."""
    reply = client.post(CHAT, json={"model": MODEL, "messages": HELLO, "max_tokens": 16, **fields})
    assert reply.status_code == 400, reply.text
    error: dict[str, Any] = reply.json()["error"]
    return error


def replicas(server: RunningHeadrace) -> list[dict[str, Any]]:
    with server.client(server.admin_token) as admin:
        found: list[dict[str, Any]] = admin.get("/v2/replicas").json()["replicas"]
    return found


def working_pid(server: RunningHeadrace) -> int:
    """The process of the one replica that is ready."""
    [replica] = [each for each in replicas(server) if each["state"] == "ready"]
    return int(replica["pid"])


def busy_slots(server: RunningHeadrace) -> int:
    """Ask the engine itself how many requests it works on."""
    [state] = (server.home / "run").glob(f"{MODEL}-*.json")
    headers = {"authorization": f"Bearer {state.with_suffix('.secret').read_text()}"}
    port = json.loads(state.read_text())["port"]
    with httpx2.Client(trust_env=False) as engine:
        figures = engine.get(f"http://127.0.0.1:{port}/metrics", headers=headers).text
    [line] = [line for line in figures.splitlines() if line.startswith("llamacpp:requests_processing ")]
    return int(float(line.partition(" ")[2]))


@contextmanager
def overridden(server: RunningHeadrace, lines: str) -> Generator[None]:
    """Change the model by an operator's catalog file for the length of a test."""
    file = server.home / "catalog" / "embedded.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f'[provider]\nname = "embedded"\n[[models]]\nid = "{MODEL}"\n{lines}')
    try:
        reload(server)
        yield
    finally:
        file.unlink()
        reload(server)


def reload(server: RunningHeadrace) -> None:
    with server.client(server.admin_token) as admin:
        reply = admin.post("/v2/config/reload")
    assert reply.status_code == 200, reply.text


def test_a_json_schema_is_kept(client: httpx2.Client) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}, "stars": {"type": "integer", "enum": [1, 2, 3]}},
        "required": ["city", "stars"],
        "additionalProperties": False,
    }
    shape = {"type": "json_schema", "json_schema": {"name": "visit", "strict": True, "schema": schema}}
    answer = ask(client, response_format=shape, max_tokens=120, seed=1)
    jsonschema.validate(json.loads(answer["choices"][0]["message"]["content"]), schema)
    assert answer["choices"][0]["finish_reason"] == "stop"


def test_a_json_object_is_kept(client: httpx2.Client) -> None:
    said = ask(
        client,
        messages=[{"role": "user", "content": 'Answer with {"ok": true}'}],
        response_format={"type": "json_object"},
        max_tokens=400,
        seed=3,
        temperature=0,
    )
    if said["choices"][0]["finish_reason"] == "stop":
        assert isinstance(json.loads(said["choices"][0]["message"]["content"]), dict)
    assert said["choices"][0]["message"]["content"].lstrip().startswith("{")


TOO_MUCH: list[tuple[dict[str, Any], str]] = [
    ({"tools": TOOLS}, "tools"),
    ({"tools": TOOLS, "tool_choice": "required"}, "tool_choice, tools"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "image_input"),
    ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "audio_input"),
]


@pytest.mark.parametrize(("fields", "needs"), TOO_MUCH)
def test_what_the_smallest_model_cannot_do_is_refused_by_name(
    client: httpx2.Client, fields: dict[str, Any], needs: str
) -> None:
    error = refused(client, **fields)
    assert error["code"] == "unsupported_by_model"
    assert error["message"] == f'"{MODEL}" cannot do what this request needs: {needs}.'


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("required", {"pick_city", "pick_count"}),
        ({"type": "function", "function": {"name": "pick_count"}}, {"pick_count"}),
    ],
)
def test_a_forced_tool_call_is_one_that_its_schema_allows(
    server: RunningHeadrace, client: httpx2.Client, choice: Any, names: set[str], streamed: bool
) -> None:
    """By grammar any model calls a tool; an operator may say so of the smallest one."""
    asked = {"tools": TOOLS, "tool_choice": choice, "max_tokens": 120, "seed": 5}
    with overridden(server, 'best_effort = ["tools", "tool_choice"]\n'):
        if streamed:
            call, finish = streamed_call(client, asked)
        else:
            message = (answer := ask(client, **asked))["choices"][0]["message"]
            [call] = message["tool_calls"]
            assert call["type"] == "function" and call["id"].startswith("call_") and not message.get("content")
            call, finish = call["function"], answer["choices"][0]["finish_reason"]
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in TOOLS}
    assert call["name"] in names
    jsonschema.validate(json.loads(call["arguments"]), schemas[call["name"]])
    assert finish == "tool_calls"


def streamed_call(client: httpx2.Client, asked: dict[str, Any]) -> tuple[dict[str, str], str]:
    """Assemble the one tool call of a stream."""
    chunks, is_done = read_stream(client, {"model": MODEL, "messages": HELLO, "stream": True, **asked})
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    pieces = [call for choice in choices for call in choice["delta"].get("tool_calls") or ()]
    assert is_done and {piece["index"] for piece in pieces} == {0}
    functions = [piece["function"] for piece in pieces]
    whole = {key: "".join(each.get(key) or "" for each in functions) for key in ("name", "arguments")}
    [finish] = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    return whole, finish


def read_stream(client: httpx2.Client, body: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    """Return the chunks of a stream and whether its terminator came."""
    with client.stream("POST", CHAT, json=body) as reply:
        assert reply.status_code == 200
        lines = [line.removeprefix("data: ") for line in reply.iter_lines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"], lines[-1:] == ["[DONE]"]


def test_two_choices_are_both_made_and_both_paid(server: RunningHeadrace, client: httpx2.Client) -> None:
    answer = ask(client, n=2, seed=11, temperature=1.2, max_tokens=12)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    texts = [choice["message"]["content"] for choice in answer["choices"]]
    assert all(texts) and texts[0] != texts[1]
    usage = answer["usage"]
    assert 12 < usage["completion_tokens"] <= 24
    [attempt] = server.receipt(answer["receipt_id"])["attempts"]
    assert attempt["usage"]["output_text"] == usage["completion_tokens"]
    assert attempt["usage"]["input_fresh"] + attempt["usage"]["input_cache_read"] == usage["prompt_tokens"]
    assert attempt["charge_nano_usd"] <= attempt["bound_nano_usd"]


@pytest.mark.parametrize("name", ["n_predict", "n_cmpl"])
def test_another_name_of_the_output_cap_is_refused(client: httpx2.Client, name: str) -> None:
    body = {"model": MODEL, "messages": LONG, "max_tokens": 2, name: 200}
    reply = client.post(CHAT, json=body)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, name)


def test_no_setting_of_the_engines_own_makes_more_than_was_held(server: RunningHeadrace, client: httpx2.Client) -> None:
    answer = ask(client, messages=LONG, max_tokens=2, ignore_eos=True)
    assert len(answer["choices"]) == 1 and answer["usage"]["completion_tokens"] <= 2
    [attempt] = server.receipt(answer["receipt_id"])["attempts"]
    assert attempt["charge_nano_usd"] <= attempt["bound_nano_usd"]


def test_the_same_seed_says_the_same_with_logprobs(client: httpx2.Client) -> None:
    asked = {"seed": 42, "temperature": 0.9, "max_tokens": 8, "logprobs": True, "top_logprobs": 2}
    first, second = ask(client, **asked), ask(client, **asked)
    assert first["choices"][0]["message"] == second["choices"][0]["message"]
    tokens = first["choices"][0]["logprobs"]["content"]
    assert len(tokens) == first["usage"]["completion_tokens"] or len(tokens) == 8
    assert all(each["logprob"] <= 0 and len(each["top_logprobs"]) == 2 for each in tokens)


def test_a_stop_word_ends_the_answer(client: httpx2.Client) -> None:
    answer = ask(
        client, messages=[{"role": "user", "content": "Count: 1, 2, 3, 4, 5"}], stop=[","], max_tokens=60, seed=2
    )
    assert "," not in answer["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": "hot"},
        {"seed": "x"},
        {"top_p": []},
        {"stop": 7},
        {"response_format": {"type": "json_schema"}},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]},
    ],
    ids=["temperature", "seed", "top_p", "stop", "schema", "text"],
)
def test_wrong_types_that_only_the_engine_knows_are_the_callers_fault(
    server: RunningHeadrace, client: httpx2.Client, fields: dict[str, Any]
) -> None:
    error = refused(client, **fields)
    assert error["type"] == "invalid_request_error"
    assert server.count("hold") == 0


def test_a_prompt_past_the_context_is_the_callers_fault_and_free(
    server: RunningHeadrace, client: httpx2.Client
) -> None:
    error = refused(client, messages=[{"role": "user", "content": "river " * 6000}])
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")
    assert "4096" in error["message"]
    assert server.receipt(error["request_id"])["charge_nano_usd"] == 0


def test_an_unknown_model_names_the_closest(client: httpx2.Client) -> None:
    reply = client.post(CHAT, json={"model": "smollm-135m", "messages": HELLO})
    assert reply.status_code == 404 and f'Did you mean "{MODEL}"?' in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body", "file"),
    [
        (CHAT, {"model": MODEL, "messages": HELLO, "max_tokens": 4}, SMOLLM),
        ("/v1/embeddings", {"model": ENCODER, "input": "a river"}, MINILM),
    ],
    ids=["chat", "embeddings"],
)
def test_the_receipt_names_the_sha256_of_the_weights(
    server: RunningHeadrace, client: httpx2.Client, path: str, body: dict[str, Any], file: Any
) -> None:
    receipt = server.receipt(client.post(path, json=body).headers["x-request-id"])
    [attempt] = receipt["attempts"]
    assert attempt["identity"] == f"sha256:{file.sha256}"
    assert (attempt["provider"], attempt["deployment"]) == ("embedded", body["model"])
    assert receipt["charge_nano_usd"] > 0


def test_four_requests_are_served_at_once(server: RunningHeadrace) -> None:
    def one(number: int) -> str:
        with server.client() as client:
            return ask(client, seed=number, max_tokens=24)["receipt_id"]

    with ThreadPoolExecutor(4) as pool:
        receipts = [server.receipt(found) for found in pool.map(one, range(4))]
    spans = [(each["attempts"][0]["held_at"], each["attempts"][0]["ended_at"]) for each in receipts]
    assert max(start for start, _ in spans) < min(end for _, end in spans), "all four overlap"
    assert {each["attempts"][0]["ending"] for each in receipts} == {"complete"}
    assert len(replicas(server)) == 1


def test_an_idle_model_sleeps_and_wakes_for_the_next_request(server: RunningHeadrace, client: httpx2.Client) -> None:
    ask(client, max_tokens=2)
    pid = working_pid(server)
    with overridden(server, LOCAL % 1):
        eventually(lambda: not replicas(server), "the replica sleeps", 15)
        eventually(lambda: not psutil.pid_exists(pid), "its process is gone", 5)
    assert ask(client, max_tokens=2)["choices"]
    assert working_pid(server) != pid


def test_requests_that_come_while_the_model_loads_wait_for_one_engine(server: RunningHeadrace) -> None:
    psutil.Process(working_or_started(server)).send_signal(signal.SIGKILL)
    eventually(lambda: not any(each["state"] == "ready" for each in replicas(server)), "the engine is gone", 10)

    def one(number: int) -> int:
        with server.client() as client:
            fields = {"model": MODEL, "messages": HELLO, "max_tokens": 4, "seed": number, "stream": number % 2 == 0}
            return client.post(CHAT, json=fields).status_code

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(4))) == [200] * 4
    assert len(replicas(server)) == 1


def working_or_started(server: RunningHeadrace) -> int:
    with server.client() as client:
        ask(client, max_tokens=1)
    return working_pid(server)


@pytest.mark.parametrize("streamed", [True, False])
def test_an_engine_that_dies_in_mid_answer_is_an_error_and_comes_back(
    server: RunningHeadrace, client: httpx2.Client, streamed: bool
) -> None:
    pid = working_or_started(server)
    body = {"model": MODEL, "messages": LONG, "max_tokens": 1500, "stream": streamed}
    if streamed:
        request_id, error, content = killed_in_mid_stream(client, body, pid)
        assert len(content) >= 3
    else:
        request_id, error = killed_in_mid_answer(server, body, pid)
    assert error["code"] in {"upstream_truncated", "engine_unavailable", "upstream_unavailable"}
    assert error["request_id"] == request_id
    receipt = server.receipt(request_id)
    [attempt] = receipt["attempts"]
    assert attempt["error_code"] == error["code"]
    assert server.count("hold") == 0
    if streamed:
        assert (attempt["state"], attempt["ending"]) == ("settled", error["code"])
        assert attempt["usage"]["estimated"] and attempt["usage"]["output_text"] >= 3
        assert 0 < receipt["charge_nano_usd"] <= attempt["bound_nano_usd"]
    else:
        assert receipt["charge_nano_usd"] == 0, "nothing was delivered"
    assert ask(client, max_tokens=2)["choices"]
    assert working_pid(server) != pid


def killed_in_mid_stream(
    client: httpx2.Client, body: dict[str, Any], pid: int
) -> tuple[str, dict[str, Any], list[dict[str, Any]]]:
    """Kill the engine after three chunks of content; the transfer must end broken, after one error event."""
    events: list[str] = []
    with client.stream("POST", CHAT, json=body) as reply:
        assert reply.status_code == 200
        data = (line.removeprefix("data: ") for line in reply.iter_lines() if line.startswith("data: "))
        events += itertools.islice(data, 4)
        psutil.Process(pid).send_signal(signal.SIGKILL)
        with pytest.raises(httpx2.RemoteProtocolError):
            events += data
    assert "[DONE]" not in events
    *chunks, last = [json.loads(event) for event in events]
    content = [chunk for chunk in chunks if chunk["choices"][0]["delta"].get("content")]
    assert not any(choice.get("finish_reason") for chunk in chunks for choice in chunk["choices"])
    return reply.headers["x-request-id"], last["error"], content


def killed_in_mid_answer(server: RunningHeadrace, body: dict[str, Any], pid: int) -> tuple[str, dict[str, Any]]:
    """Kill the engine while a whole answer is awaited."""
    with server.client() as client, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.post, CHAT, json=body)
        eventually(lambda: server.count("hold") == 1, "the request is held", 10)
        psutil.Process(pid).send_signal(signal.SIGKILL)
        reply = waiting.result(60)
    assert reply.status_code in {502, 503}, reply.text
    return reply.headers["x-request-id"], reply.json()["error"]


def test_a_caller_that_leaves_frees_the_engine_within_a_second(server: RunningHeadrace, client: httpx2.Client) -> None:
    pid = working_or_started(server)
    with client.stream(
        "POST", CHAT, json={"model": MODEL, "messages": LONG, "max_tokens": 1900, "stream": True}
    ) as reply:
        lines = reply.iter_lines()
        assert any("content" in next(lines) for _ in range(20))
        assert busy_slots(server) == 1
        request_id = reply.headers["x-request-id"]
    left = time.monotonic()
    eventually(lambda: server.count("hold") == 0, "the hold is released", 1.0)
    eventually(lambda: busy_slots(server) == 0, "the engine's slot is free", 1.0)
    assert time.monotonic() - left < 1.0
    receipt = server.receipt(request_id)
    [attempt] = receipt["attempts"]
    assert (attempt["state"], attempt["ending"], receipt["status"]) == ("settled", "client_closed", 499)
    assert attempt["usage"]["estimated"] and 0 < receipt["charge_nano_usd"] <= attempt["bound_nano_usd"]
    assert working_pid(server) == pid


def test_the_verbs_answer_in_the_terminal(server: RunningHeadrace, tmp_path: Path) -> None:
    home = server.home
    said = headrace("chat", MODEL, "--prompt", "Say hello.", "--max-tokens", "8", home=home)
    assert said.returncode == 0 and said.stdout.strip(), said.stderr
    answer = json.loads(headrace("chat", MODEL, "--json", "--max-tokens", "8", stdin="Hi\n", home=home).stdout)
    assert (answer["model"], answer["choices"][0]["message"]["role"]) == (MODEL, "assistant")
    with server.client() as client:
        newest = client.get("/v2/requests").json()["requests"][0]["id"]
    receipt = headrace("receipt", newest, home=home)
    assert newest in receipt.stdout and SMOLLM.sha256 in receipt.stdout and f"embedded/{MODEL}@" in receipt.stdout
    assert json.loads(headrace("receipt", newest, "--json", home=home).stdout) == server.receipt(newest)
    listed, everything = headrace("models", home=home).stdout, headrace("models", "--all", home=home).stdout
    assert MODEL in listed and ENCODER in listed and "gpt-5" not in listed
    assert "headrace providers set-key openai" in everything and "headrace models pull" in everything
    doctor = headrace("doctor", home=home)
    assert doctor.returncode == 0 and "All is well." in doctor.stdout
    nowhere = headrace("doctor", home=tmp_path / "nowhere")
    assert nowhere.returncode == 1 and "headrace init" in nowhere.stdout


def test_an_engine_does_not_outlive_its_gateway(server: RunningHeadrace) -> None:
    pid = working_or_started(server)
    server.kill()
    eventually(lambda: not psutil.pid_exists(pid), "the engine is gone", 5)
    server.start()
    with server.client() as client:
        assert ask(client, max_tokens=2)["choices"]
    assert working_pid(server) != pid
