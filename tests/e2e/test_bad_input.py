"""Bad input over plain HTTP against the real server: a clear error in the right shape, and nothing lost."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from headrace.domain.access import Role
from headrace.domain.secret import Secret
from headrace.drivers.ambient import OsRandomness
from headrace.services.identity import Identity, NewKey
from headrace.testing.upstream import FakeUpstream, running_upstream
from tests.running import RunningHeadrace

CHAT = "/v1/chat/completions"
EMBED = "/v1/embeddings"
FAKE = "fake-chat"
MAX_BODY_BYTES = 65_536
GOOD: dict[str, Any] = {"model": FAKE, "messages": [{"role": "user", "content": "hi"}]}
JSON = {"content-type": "application/json"}
NO_MESSAGES: list[Any] = ["hi", [], {}, None]
NO_INPUTS: list[Any] = ["", [], 7, [None], [1, "a"], {}]


@dataclass(frozen=True)
class World:
    """A running installation with a provider that must never hear of bad input."""

    server: RunningHeadrace
    upstream: FakeUpstream
    client: httpx2.Client
    keys: dict[str, str]


@dataclass(frozen=True)
class Case:
    """One bad request: a JSON body or raw bytes, and what must come back."""

    name: str
    status: int
    code: str
    says: str
    fields: Any = None
    raw: bytes | None = None
    path: str = CHAT
    method: str = "POST"
    param: str | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def content(self) -> bytes:
        return self.raw if self.raw is not None else json.dumps(self.fields).encode()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    server = RunningHeadrace(tmp_path_factory.mktemp("bad") / "home")
    with running_upstream() as upstream:
        server.add_provider("fake", upstream.base_url, FAKE, "other-chat")
        server.add_provider("later", upstream.base_url, "later-chat")
        server.add_provider("unpriced", upstream.base_url, "unpriced-chat")
        catalog = server.home / "catalog"
        later, unpriced = catalog / "later.toml", catalog / "unpriced.toml"
        later.write_text(later.read_text().replace("effective = 2026-01-01", "effective = 2999-01-01"))
        unpriced.write_text(unpriced.read_text().partition("[[models.prices]]")[0])
        (server.home / "headrace.toml").write_text(f"[limits]\nmax_body_bytes = {MAX_BODY_BYTES}\n")
        with server, server.client() as client:
            yield World(server, upstream, client, made_keys(server))


def made_keys(server: RunningHeadrace) -> dict[str, str]:
    """Keys in every bad state, and a narrow one."""
    path = "/v2/gen-ai/models/api_keys"
    with server.client(server.admin_token) as admin:
        narrow = admin.post(path, json={"name": "narrow", "models": ["other-chat"]}).json()["api_key_info"]
        revoked = admin.post(path, json={"name": "revoked"}).json()["api_key_info"]
        assert admin.delete(f"{path}/{revoked['uuid']}").status_code == 200
    elsewhere = Identity(Secret("p" * 64), OsRandomness()).mint(NewKey("x", Role.KEY, "x", None), 0)
    last = server.api_key[-1]
    return {
        "narrow": narrow["secret_key"],
        "revoked": revoked["secret_key"],
        "unknown": elsewhere.text.reveal(),
        "mistyped": server.api_key[:-1] + ("0" if last != "0" else "1"),
        "cut": server.api_key[:-3],
        "admin prefix": "hra" + server.api_key[2:],
    }


def check_error(reply: httpx2.Response, status: int, code: str, says: str, param: str | None = None) -> dict[str, Any]:
    """Assert OpenAI's error shape with our code, and the request id in body and headers."""
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/json"
    error: dict[str, Any] = reply.json()["error"]
    assert {"message", "type", "param", "code", "request_id"} <= error.keys()
    assert error["code"] == code, error
    assert says in error["message"]
    assert isinstance(error["type"], str) and error["type"]
    assert error["request_id"] == reply.headers["x-request-id"] == reply.headers["request-id"]
    assert error["request_id"].startswith("req_")
    if param is not None:
        assert error["param"] == param
    return error


def changed(**fields: Any) -> dict[str, Any]:
    return {**GOOD, **fields}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


def wrong(param: str, body: Any, says: str = "", code: str = "invalid_request", path: str = CHAT) -> Case:
    shown = json.dumps(body if path == EMBED else {key: body[key] for key in body if key not in GOOD or key == param})
    return Case(f"{path[4:9]} {param} {shown}"[:90], 400, code, says or f'"{param}', body, param=param, path=path)


def raw(name: str, body: bytes, code: str, says: str, status: int = 400, **more: Any) -> Case:
    return Case(name, status, code, says, raw=body, **more)


WRONG_FIELDS = [
    *(wrong("model", changed(model=value)) for value in (7, "", None, ["x"], "m" * 300)),
    wrong("model", without("model")),
    *(wrong("messages", changed(messages=value)) for value in NO_MESSAGES),
    wrong("messages[0]", changed(messages=[7])),
    wrong("messages[1]", changed(messages=[{"role": "user", "content": "x"}, {"content": "x"}])),
    wrong("messages[0].content", changed(messages=[{"role": "user", "content": 7}])),
    wrong("messages[0].content", changed(messages=[{"role": "user", "content": [{"text": "x"}]}])),
    *(wrong("stream", changed(stream=value), f"not {shown}") for value, shown in (("yes", '"yes"'), (1, "1"))),
    *(wrong("max_tokens", changed(max_tokens=value)) for value in (0, -1, "10", 1.5, True, 10**12)),
    wrong("max_completion_tokens", changed(max_completion_tokens=[])),
    wrong("max_completion_tokens", changed(max_tokens=1, max_completion_tokens=2), "differ"),
    *(wrong("n", changed(n=value)) for value in (0, 129, "2", True)),
    wrong("stream_options", changed(stream=True, stream_options=[])),
    wrong("stream_options", changed(stream_options={"include_usage": True}), '"stream": true'),
    wrong("include_usage", changed(stream=True, stream_options={"include_usage": "yes"})),
    wrong("tools", changed(tools={})),
    *(wrong("response_format", changed(response_format=value)) for value in ("json", {"kind": "x"}, {"type": 7})),
    wrong("logprobs", changed(logprobs="yes")),
    wrong("input", {"model": FAKE}, path=EMBED),
    *(wrong("input", {"model": FAKE, "input": value}, path=EMBED) for value in NO_INPUTS),
    wrong("encoding_format", {"model": FAKE, "input": "x", "encoding_format": "hex"}, path=EMBED),
    wrong("model", {"model": FAKE, "input": "x"}, "not for embeddings", "wrong_model_kind", path=EMBED),
    wrong("max_tokens", changed(max_tokens=4097), "at most 4096", "output_cap_too_large"),
]
BROKEN_BODIES = [
    raw("empty", b"", "invalid_json", "not JSON"),
    raw("not json", b"hello", "invalid_json", "line 1, column 1"),
    raw("cut json", b'{"model": "x"', "invalid_json", "not JSON"),
    raw("array", b"[]", "invalid_json", "must be a JSON object, not an array"),
    raw("text", b'"x"', "invalid_json", "not a string"),
    raw("duplicate key", b'{"model":"a","model":"b"}', "duplicate_key", '"model" stands twice', param="model"),
    raw("nested duplicate", b'{"model":"a","messages":[{"role":"a","role":"b"}]}', "duplicate_key", '"role"'),
    raw("NaN", b'{"model":"a","temperature":NaN}', "invalid_json", "NaN is not JSON"),
    raw("Infinity", b'{"model":"a","temperature":-Infinity}', "invalid_json", "-Infinity is not JSON"),
    raw("huge float", b'{"model":"a","temperature":1e999}', "invalid_json", "too large"),
    raw("huge integer", b'{"model":"a","seed":' + b"9" * 5000 + b"}", "invalid_json", "too many digits"),
    raw("65 levels", b'{"model":' + b"[" * 65 + b"]" * 65 + b"}", "nesting_too_deep", "64 levels"),
    raw("array bomb", b'{"model":' + b"[" * 30_000, "nesting_too_deep", "64 levels"),
    raw("object bomb", b'{"a":' * 9_000 + b"1" + b"}" * 9_000, "nesting_too_deep", "64 levels"),
    raw("not utf-8", b'{"model":"\xff"}', "invalid_encoding", "byte 10 is 0xff"),
    raw("half a surrogate", b'{"model":"\\ud800"}', "invalid_json", "surrogate"),
    raw("utf-16", '{"model":"a"}'.encode("utf-16"), "invalid_encoding", "not UTF-8"),
]
WRONG_REQUESTS = [
    Case("unknown model", 404, "model_not_found", f'Did you mean "{FAKE}"?', changed(model="fake-chta"), param="model"),
    Case("nothing close", 404, "model_not_found", "GET /v1/models", changed(model="zzzzzzzz"), param="model"),
    Case("price to come", 402, "model_unpriced", "2999", changed(model="later-chat"), param="model"),
    Case("no price", 402, "model_unpriced", "unpriced.toml", changed(model="unpriced-chat"), param="model"),
    Case("no weights", 404, "model_unavailable", "headrace models pull", changed(model="smollm2-135m"), param="model"),
    Case("no provider key", 404, "model_unavailable", "headrace providers set-key openai", changed(model="gpt-5")),
    Case(
        "images to a text model",
        400,
        "unsupported_by_model",
        "image_input",
        changed(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]),
    ),
    raw("form", b"model=x", "unsupported_content_type", "text/plain", 415, headers={"content-type": "text/plain"}),
    raw("no type", b"{}", "unsupported_content_type", "application/json", 415, headers={"content-type": ""}),
    raw("latin-1", b"{}", "unsupported_content_type", "latin-1", 415,
        headers={"content-type": "application/json; charset=latin-1"}),
    raw("gzip", gzip.compress(json.dumps(GOOD).encode()), "unsupported_content_type", "compressed", 415,
        headers={"content-encoding": "gzip"}),
    Case("foreign host", 421, "wrong_host", "rebound.example", GOOD, headers={"host": "rebound.example"}),
    Case("foreign host on models", 421, "wrong_host", "--allowed-host", None, b"", "/v1/models", "GET",
         headers={"host": "evil.example:80"}),
    Case("foreign host nowhere", 421, "wrong_host", "--allowed-host", None, b"", "/v1/x", "GET",
         headers={"host": "evil.example"}),
    Case("GET on chat", 405, "method_not_allowed", "POST", None, b"", method="GET"),
    Case("PUT on embeddings", 405, "method_not_allowed", "POST", GOOD, path=EMBED, method="PUT"),
    Case("POST on models", 405, "method_not_allowed", "GET", {}, path="/v1/models"),
    Case("DELETE on a model", 405, "method_not_allowed", "GET", None, b"", f"/v1/models/{FAKE}", "DELETE"),
    Case("unknown path", 404, "route_not_found", "/v1/chat/completions", GOOD, path="/v1/chat/completion"),
    Case("trailing slash", 404, "route_not_found", "Did you mean", GOOD, path=f"{CHAT}/"),
    Case("unknown model in path", 404, "model_not_found", f'"{FAKE}"', None, b"", "/v1/models/fake-chatt", "GET"),
]  # fmt: skip
CASES = [*WRONG_FIELDS, *BROKEN_BODIES, *WRONG_REQUESTS]


@pytest.fixture(autouse=True)
def nothing_is_lost(world: World) -> Iterator[None]:
    """After every bad request: no open hold, no attempt booked, nothing sent, and good requests are served."""
    before = (world.server.count("attempt"), len(world.upstream.requests))
    yield
    assert (world.server.count("attempt"), len(world.upstream.requests)) == before
    assert world.server.count("hold") == 0
    assert world.client.get("/v1/models").status_code == 200


@pytest.mark.parametrize("case", CASES, ids=[each.name for each in CASES])
def test_a_bad_request_gets_a_clear_error(world: World, case: Case) -> None:
    reply = world.client.request(case.method, case.path, content=case.content, headers={**JSON, **case.headers})
    check_error(reply, case.status, case.code, case.says, case.param)
    if case.status == 405:
        assert reply.headers["allow"]


@pytest.mark.parametrize(
    ("authorization", "code", "says"),
    [
        (None, "missing_api_key", "No API key was sent"),
        ("", "invalid_api_key", "Bearer hr_"),
        ("Basic aGk6aGk=", "invalid_api_key", "Bearer hr_"),
        ("Bearer", "invalid_api_key", "Bearer hr_"),
        ("Bearer sk-something", "invalid_api_key", "not well-formed"),
        ("Bearer hr_\xff", "invalid_api_key", "not well-formed"),
        ("mistyped", "invalid_api_key", "not well-formed"),
        ("cut", "invalid_api_key", "not well-formed"),
        ("admin prefix", "invalid_api_key", "not well-formed"),
        ("unknown", "invalid_api_key", "not known here"),
        ("revoked", "invalid_api_key", "was revoked"),
    ],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/models"])
def test_a_bad_credential_gets_401(world: World, path: str, authorization: str | None, code: str, says: str) -> None:
    value = world.keys.get(authorization or "", None)
    value = f"Bearer {value}" if value is not None else authorization
    headers = [] if value is None else [(b"authorization", value.encode("latin-1"))]
    method, content = ("GET", b"") if path == "/v1/models" else ("POST", json.dumps(GOOD).encode())
    with httpx2.Client(base_url=world.server.base_url, trust_env=False) as client:
        reply = client.request(
            method, path, content=content, headers=[*headers, (b"content-type", b"application/json")]
        )
    error = check_error(reply, 401, code, says)
    assert error["type"] == "authentication_error" and reply.headers["www-authenticate"] == "Bearer"
    if value is not None and len(value) > 20:
        assert value.partition(" ")[2] not in reply.text


def test_a_key_of_other_models_gets_403(world: World) -> None:
    with world.server.client(world.keys["narrow"]) as client:
        error = check_error(client.post(CHAT, json=GOOD), 403, "model_forbidden", f'"{FAKE}"', "model")
        assert error["type"] == "permission_error"
        check_error(client.get(f"/v1/models/{FAKE}"), 404, "model_not_found", FAKE)


@pytest.mark.parametrize("second", [b"authorization", b"x-api-key"])
def test_two_different_credentials_are_refused(world: World, second: bytes) -> None:
    other = world.server.admin_token
    value = f"Bearer {other}" if second == b"authorization" else other
    headers = [(b"authorization", f"Bearer {world.server.api_key}".encode()), (second, value.encode())]
    with httpx2.Client(base_url=world.server.base_url, trust_env=False) as client:
        reply = client.post(CHAT, json=GOOD, headers=headers)
        check_error(reply, 400, "conflicting_credentials", "two different credentials")
        assert other not in reply.text
        same = [
            (b"authorization", f"Bearer {world.server.api_key}".encode()),
            (b"x-api-key", world.server.api_key.encode()),
        ]
        assert client.get("/v1/models", headers=same).status_code == 200


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("path", [CHAT, EMBED])
def test_a_body_past_the_limit_gets_413(world: World, path: str, announced: bool) -> None:
    body = json.dumps(changed(padding="x" * MAX_BODY_BYTES)).encode()
    pieces = (body[start : start + 8192] for start in range(0, len(body), 8192))
    reply = world.client.post(path, content=body if announced else pieces, headers=JSON)
    check_error(reply, 413, "body_too_large", f"{MAX_BODY_BYTES} bytes")


def exchange(server: RunningHeadrace, request: bytes) -> bytes:
    """Send bytes as they are and read until the server closes."""
    url = httpx2.URL(server.base_url)
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while block := connection.recv(65536):
            answer += block
    return answer


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        (b"Host: 127.0.0.1\r\nHost: evil.example\r\n", b"421"),
        (b"Host: evil.example\r\nHost: 127.0.0.1\r\n", b"421"),
        (b"", b"421"),
        (b"Host: 127.0.0.1.evil.example\r\n", b"421"),
        (b"Host: localhost:1\r\n", b"200"),
    ],
)
def test_the_host_header_decides_who_is_answered(world: World, hosts: bytes, status: bytes) -> None:
    key = world.server.api_key.encode()
    answer = exchange(
        world.server, b"GET /v1/models HTTP/1.1\r\n" + hosts + b"Authorization: Bearer " + key + b"\r\n\r\n"
    )
    assert answer.split(b" ")[1] == status, answer[:300]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nno colon here\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v2/keys HTTP/1.1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    ],
    ids=["tls hello", "header without colon", "smuggling", "negative length", "two lengths"],
)
def test_bytes_that_are_no_http_are_turned_away(world: World, request_bytes: bytes) -> None:
    answer = exchange(world.server, request_bytes)
    assert answer.count(b"HTTP/1.1 ") == 1 and answer.startswith(b"HTTP/1.1 4"), answer[:200]


def test_a_caller_that_leaves_before_the_body_is_whole_loses_nothing(world: World) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {world.server.api_key}\r\n"
    exchange(world.server, f"{head}Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{{".encode())


CONTROL: list[tuple[Any, ...]] = [
    ("GET", "/v2/nothing", None, 404, "route_not_found", "Nothing is served"),
    ("PATCH", "/v2/providers", {}, 405, "method_not_allowed", "GET"),
    ("POST", "/v2/gen-ai/models/api_keys", {}, 400, "invalid_request", '"name"'),
    ("POST", "/v2/gen-ai/models/api_keys", {"name": 7}, 400, "invalid_request", '"name"'),
    ("POST", "/v2/gen-ai/models/api_keys", {"name": "x", "modles": []}, 400, "unknown_field", '"models"'),
    ("POST", "/v2/gen-ai/models/api_keys", {"name": "x", "models": []}, 400, "invalid_request", '"models"'),
    ("POST", "/v2/gen-ai/models/api_keys", {"name": "x", "models": ["nix"]}, 400, "model_not_found", "nix"),
    ("DELETE", "/v2/gen-ai/models/api_keys/nobody", None, 404, "key_not_found", "nobody"),
    ("GET", "/v2/requests?limit=0", None, 400, "invalid_request", '"limit"'),
    ("GET", "/v2/requests/req_nothing", None, 404, "request_not_found", "req_nothing"),
    ("PUT", "/v2/providers/opnai/credential", {"credential": "x"}, 404, "provider_not_found", '"openai"'),
    ("PUT", "/v2/providers/openai/credential", {"credential": "a b"}, 400, "invalid_request", "printable"),
    ("PUT", "/v2/providers/fake/credential", {"credential": "x"}, 400, "provider_needs_no_credential", "takes no key"),
    ("POST", "/v2/models/gpt-5/pull", None, 400, "nothing_to_pull", "gpt-5"),
]


@pytest.mark.parametrize("case", CONTROL, ids=[f"{each[0]} {each[1]} {each[2]}" for each in CONTROL])
def test_the_control_plane_says_what_is_wrong_in_its_own_shape(world: World, case: tuple[Any, ...]) -> None:
    method, path, body, status, code, says = case
    with world.server.client(world.server.admin_token) as admin:
        reply = admin.request(method, path, json=body) if body is not None else admin.request(method, path)
    assert reply.status_code == status, reply.text
    error = reply.json()
    assert error["id"] == code, error
    assert says in error["message"]
    assert error["request_id"] == reply.headers["x-request-id"] == reply.headers["request-id"]
