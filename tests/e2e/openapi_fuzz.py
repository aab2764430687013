"""Requests made from the published description, sent to the real server; `python -m tests.e2e.openapi_fuzz` for long.

Positive requests obey the description, negative ones break it somewhere, odd ones fill what it leaves open. Whatever is
sent, the reply must be one that the description promises, never a 5xx, and a stream must come to its dialect's end.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from typing import Any, cast

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from headrace.domain.json_value import JsonObject
from headrace.http.openapi import description
from headrace.testing.anthropic_replies import obedient_messages
from headrace.testing.obedient import obedient_answer
from headrace.testing.openai_replies import sse_frame, stream_reply
from headrace.testing.script import Frame, Reply, UpstreamRequest, json_reply
from headrace.testing.upstream import FakeUpstream, running_upstream
from tests.e2e.openapi_shapes import KINDS, ODD_ALWAYS, ODD_EXTRAS, ODD_PATHS, Names, localised, odd
from tests.e2e.test_passthrough import answer as passed_answer
from tests.fakes.deployed import deployment_body
from tests.ledger_file import ledger_of
from tests.running import RunningHeadrace
from tools.openapi_document import route_table

SEED = 20261125
EXAMPLES = 8
TIMEOUT_SECONDS = 20.0
MODES = ("positive", "negative", "odd")
# The library's own types are generic and unfinished.
BY_CHECK: Any = checks
BY_CONFIG: Any = SchemathesisConfig
CHECKS = [
    BY_CHECK.status_code_conformance,
    BY_CHECK.content_type_conformance,
    BY_CHECK.response_headers_conformance,
    BY_CHECK.response_schema_conformance,
]
ENDS: Mapping[str, tuple[bytes, ...]] = {
    "/v1/chat/completions": (b"data: [DONE]",),
    "/v1/completions": (b"data: [DONE]",),
    "/v1/messages": (b"event: message_stop",),
    "/v1/responses": (b"event: response.completed", b"event: response.incomplete"),
}
CONFIG = BY_CONFIG.from_dict({"generation": {"with-security-parameters": False}})
CAPABILITIES = '"streaming", "completions", "image_input", "audio_input", "file_input", "reasoning",'
FAR = """
[provider]
name = "distance"
base_url = "local:"
auth = "none"
docs_url = "https://example.com"
checked_on = 2026-11-24

[[models]]
id = "far"
context_length = 4096
max_output_tokens = 1024
source = "https://example.com"
checked_on = 2026-11-24

[[models.prices]]
effective = 2026-11-01
source = "tests"
input = "0.1"
output = "0.4"

[models.local]
engine = "llamacpp"
memory_mib = 1

[[models.local.weights]]
name = "far.gguf"
sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
size_bytes = 100
licence = "MIT"
sources = ["http://127.0.0.1:9/far.gguf"]
"""


@dataclass
class Fuzzed:
    """One installation under fuzz, its credentials by the caller's name, and what it has answered so far."""

    server: RunningHeadrace
    upstream: FakeUpstream
    session: requests.Session
    credentials: Mapping[str, dict[str, str]]
    names: Names
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])


def published() -> dict[str, Any]:
    """The published description."""
    found: dict[str, Any] = description(route_table())
    return found


def labels() -> list[str]:
    """Every operation as METHOD /path."""
    return [f"{method.upper()} {path}" for path, item in published()["paths"].items() for method in item]


def answer(request: UpstreamRequest) -> Reply:
    """A provider that has every operation in every dialect."""
    if request.path.endswith(("/completions", "/responses", "/embeddings")) and "/v1/completions" not in request.path:
        return obedient_answer(request)
    if request.path.endswith("/messages"):
        return obedient_messages(request)
    return _texts(request) if request.path == "/v1/completions" else passed_answer(request)


def _texts(request: UpstreamRequest) -> Reply:
    """As many texts as were asked for, whole or streamed."""
    prompt, each = request.fields.get("prompt"), request.fields.get("n")
    prompts = cast("list[object]", prompt) if isinstance(prompt, list) else []
    several = not all(isinstance(token, int) for token in prompts)
    count = (each if isinstance(each, int) else 1) * (len(prompts) if several else 1)
    head = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": request.model}
    choices = [{"index": index, "text": "upon", "logprobs": None, "finish_reason": "stop"} for index in range(count)]
    usage = {"prompt_tokens": 4, "completion_tokens": count, "total_tokens": 4 + count}
    if request.fields.get("stream") is not True:
        return json_reply({**head, "choices": choices, "usage": usage})
    nothing: list[object] = []
    events = [*({**head, "choices": [choice]} for choice in choices), {**head, "choices": nothing, "usage": usage}]
    return stream_reply([*(Frame(sse_frame(event), 1) for event in events), Frame(b"data: [DONE]\n\n")])


@contextmanager
def fuzzed(folder: Path) -> Generator[Fuzzed]:
    """A running installation with a provider for every operation."""
    server = RunningHeadrace(folder / "home")
    with running_upstream(answer) as upstream:
        _write_catalog(server, upstream.base_url)
        with server, requests.Session() as session:
            session.trust_env = False
            yield _prepared(server, upstream, session)


def _write_catalog(server: RunningHeadrace, base_url: str) -> None:
    catalog = server.home / "catalog"
    server.add_provider("fakechat", base_url, *KINDS)
    server.add_provider("fakemessages", base_url, "one-messages", adapter="anthropic")
    server.add_provider("fakeresponses", base_url, "one-responses", adapter="openai_responses")
    server.add_provider("guarded", base_url, "guarded")
    for name in ("fakechat", "fakemessages", "fakeresponses", "guarded"):
        file = catalog / f"{name}.toml"
        file.write_text(file.read_text().replace('"streaming",', CAPABILITIES))
    models = (catalog / "fakechat.toml").read_text().split("[[models]]")
    for place, kind in enumerate(KINDS.values(), start=1):
        models[place] = models[place].replace('kind = "chat"', f'kind = "{kind}"')
    (catalog / "fakechat.toml").write_text("[[models]]".join(models))
    file = catalog / "guarded.toml"
    file.write_text(file.read_text().replace('auth = "none"', 'auth = "bearer"\nkey_variable = "GUARDED_API_KEY"'))
    (catalog / "distance.toml").write_text(FAR)


def asleep(name: str) -> JsonObject:
    """A deployment that needs nothing of this machine: it never has a replica."""
    group: JsonObject = {"accelerator_slug": "h100", "min_scale": 0, "max_scale": 1}
    return deployment_body({"model_slug": "openai-gpt-oss-120b", "engine": "vllm", "accelerators": [group]}, name)


def _prepared(server: RunningHeadrace, upstream: FakeUpstream, session: requests.Session) -> Fuzzed:
    keys = "/v2/gen-ai/models/api_keys"
    with server.client(server.admin_token) as admin, server.client() as client:
        made = [admin.post(keys, json={"name": f"spare {number}"}).json()["api_key_info"] for number in range(4)]
        narrow = admin.post(keys, json={"name": "narrow", "models": ["one-chat"]}).json()["api_key_info"]
        assert admin.post("/v2/aliases", json={"name": "daily", "points_to": "one-chat"}).status_code == 201
        for team in ("crew", "spare"):
            assert admin.post("/v2/teams", json={"name": team, "prepaid": team == "crew"}).status_code == 201
        limit = {"scope": f"key:{made[0]['uuid']}", "window": "day", "limit_usd": "1"}
        budget = admin.post("/v2/budgets", json=limit).json()["budget"]
        task = {"custom_task": {"name": "refund", "description": "Money back."}, "models": ["one-chat", "daily"]}
        router = {"policies": [task], "fallback_models": ["one-messages"]}
        routed = [admin.post("/v2/gen-ai/models/routers", json={**router, "name": f"router-{number}"}).json()
                  for number in range(3)]  # fmt: skip
        deployed = [admin.post("/v2/dedicated-inferences", json=asleep(f"asleep-{number}")).json()
                    for number in range(4)]  # fmt: skip
        chat = client.post(
            "/v1/chat/completions", json={"model": "one-chat", "messages": [{"role": "user", "content": "hi"}]}
        )
        kept = [client.post("/v1/responses", json={"model": name, "input": "hi"}).json()["id"]
                for name in ("one-chat", "one-messages", "one-responses")]  # fmt: skip
    credentials = {
        "key": {"authorization": f"Bearer {server.api_key}"},
        "admin": {"x-api-key": server.admin_token},
        "narrow": {"x-api-key": narrow["secret_key"]},
        "nobody": {},
    }
    names = Names(
        keys=tuple(each["uuid"] for each in made),
        requests=(chat.headers["x-request-id"],),
        responses=tuple(kept),
        budgets=(budget["id"],),
        routers=tuple(each["model_router"]["uuid"] for each in routed),
        deployments=tuple(each["dedicated_inference"]["id"] for each in deployed),
        tokens=tuple(each["token"]["id"] for each in deployed),
    )
    return Fuzzed(server, upstream, session, credentials, names)


class Fuzzer:
    """Sends requests of each operation, made in one of the three modes, and judges what comes back."""

    def __init__(self, world: Fuzzed) -> None:
        self._world = world
        document = published()
        self._described = {f"{method.upper()} {path}": each for path, item in document["paths"].items()
                           for method, each in item.items()}  # fmt: skip
        near = localised(document, world.names)
        self._schemas: dict[str, Any] = {
            "positive": schemathesis.openapi.from_dict(near, config=CONFIG),
            "odd": schemathesis.openapi.from_dict(odd(near), config=CONFIG),
        }
        self._schemas["negative"] = self._schemas["positive"]

    def run(self, label: str, mode: str, examples: int, number: int) -> None:
        """Send so many requests of one operation; raises what is wrong with the first reply that is."""
        method, path = label.split(" ")
        operation: Any = self._schemas[mode][path][method]
        generation = GenerationMode.NEGATIVE if mode == "negative" else GenerationMode.POSITIVE
        callers = st.sampled_from(callers_of(path))
        kept = st.sets(st.sampled_from(sorted(ODD_EXTRAS)), max_size=2) if mode == "odd" else st.none()

        @seed(number)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=cast("list[HealthCheck]", list(HealthCheck)),
            print_blob=False,
        )
        @given(case=operation.as_strategy(generation_mode=generation), caller=callers, kept=kept)
        def send(case: Any, caller: str, kept: set[str] | None) -> None:
            if kept is not None:
                thin(case, kept)
            self._send(label, case, caller)

        try:
            send()
        except Unsatisfiable:
            # What takes nothing at all cannot be asked wrongly.
            if mode != "negative":
                raise

    def _send(self, label: str, case: Any, caller: str) -> None:
        world = self._world
        reply = case.call(
            base_url=world.server.base_url,
            session=world.session,
            headers=world.credentials[caller],
            timeout=TIMEOUT_SECONDS,
        )
        world.statuses[label, reply.status_code] += 1
        assert reply.status_code < 500, f"{label} as {caller}: {reply.status_code} {reply.text[:400]}"
        if caller in shut_out(self._described[label], label):
            assert reply.status_code >= 400, f"{label} served {caller}"
        case.validate_response(reply, checks=CHECKS)
        kind = reply.headers.get("content-type", [""])[0]
        ends = ENDS.get(label.split(" ")[1], ())
        if kind.startswith("text/event-stream") and ends:
            assert any(end in reply.content for end in ends), f"{label}: a stream without its end: {reply.text[-400:]}"


def thin(case: Any, kept: set[str]) -> None:
    """Leave few of the fields that may be there, because each one can have the request refused before the others."""
    case.headers.clear()
    for name in case.body.keys() - ODD_ALWAYS - kept:
        del case.body[name]


def shut_out(operation: Mapping[str, Any], label: str) -> frozenset[str]:
    """Who must not be served: nobody where a credential is asked for, no key where the admin token is."""
    if not operation["security"] or {} in operation["security"]:
        return frozenset()
    is_admins = "/v2/" in label and "403" in operation["responses"]
    return frozenset({"nobody", "key", "narrow"} if is_admins else {"nobody"})


def callers_of(path: str) -> Sequence[str]:
    """Who asks: mostly who may."""
    plane = "key" if path.startswith("/v1") else "admin"
    return (plane, plane, plane, "key", "admin", "narrow", "nobody")


def plan() -> list[tuple[str, str]]:
    """Every operation in every mode that suits it."""
    found = [(label, mode) for label in sorted(labels(), key=_takes_away) for mode in ("positive", "negative")]
    return [*((f"POST {path}", "odd") for path in ODD_PATHS), *found]


def _takes_away(label: str) -> bool:
    """Whether an operation removes what others ask for, so that it comes last."""
    return label.startswith("DELETE") or label.endswith("/regenerate")


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz every operation for long, print what was answered, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.openapi_fuzz", description=main.__doc__)
    parser.add_argument("--examples", type=int, default=200, help="requests for each operation and mode")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**32), help="repeats an earlier run")
    parser.add_argument("--only", default="", help="a part of METHOD /path")
    options = parser.parse_args(arguments)
    sys.stdout.write(f"seed {options.seed}\n")
    failed = 0
    with tempfile.TemporaryDirectory() as folder, fuzzed(Path(folder)) as world:
        fuzzer = Fuzzer(world)
        for label, mode in plan():
            if options.only not in label:
                continue
            began = time.monotonic()
            try:
                fuzzer.run(label, mode, options.examples, options.seed)
            except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - every operation is tried
                failed += 1
                sys.stdout.write(f"FAILED {label} {mode}\n{error}\n{getattr(error, '__notes__', '')}\n")
            found = {status: count for (name, status), count in world.statuses.items() if name == label}
            sys.stdout.write(f"{label} {mode} {time.monotonic() - began:.1f} s {found}\n")
            sys.stdout.flush()
        faults = faults_of(world)
    sys.stdout.write("".join(f"FAULT {fault}\n" for fault in faults))
    return 1 if failed or faults else 0


def faults_of(world: Fuzzed) -> list[str]:
    """Stop the server and return what it left wrong: in its log, its holds, its books."""
    faults: list[str] = []
    if world.server.stop() != 0:
        faults.append("the server did not stop cleanly")
    with ledger_of(world.server) as ledger:
        holds = ledger.open_holds()
        if holds.held or holds.scope_nano:
            faults.append(f"open: {holds}")
        faults += [f"{scope}: spent {spent}, charged {charged}" for scope, spent, charged in ledger.unbalanced_scopes()]
        faults += [f"{each.request_id} was never closed" for each in ledger.requests().values() if each.outcome is None]
    lines = world.server.log.splitlines()
    faults += [line for line in lines if "Traceback" in line or "internal_error" in line or '"level":"error"' in line]
    return faults


if __name__ == "__main__":
    raise SystemExit(main())
