"""What each verb sends and prints; the text is what stands in an 80-column terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx2
import pytest

from headrace.domain.doctor import DoctorFinding
from headrace.domain.finding import Finding
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.settings import ServeOptions
from tests.unit.cli.command_line import ADMIN, KEY, URL, CommandLine, FakeLocal, Stream

KEYS = "/v2/gen-ai/models/api_keys"
INFO: JsonObject = {
    "uuid": "k_1",
    "name": "web",
    "created_at": "2026-11-24T14:03:11.123456Z",
    "deleted_at": None,
    "models": ["smollm2-135m"],
    "team": "shop",
    "role": "key",
}
LISTED: JsonObject = {
    "object": "list",
    "data": [
        {
            "id": "smollm2-135m",
            "type": "chat",
            "provider": "embedded",
            "context_length": 8192,
            "prices_usd_per_mtok": {"input_fresh": "0.01", "output_text": "0.03"},
        },
        {
            "id": "all-minilm-l6-v2",
            "type": "embedding",
            "provider": "embedded",
            "context_length": 256,
            "prices_usd_per_mtok": {"input_fresh": "0.005"},
        },
    ],
}


def catalog_entry(name: str, reason: str = "", fix: str = "", weights: JsonObject | None = None) -> JsonObject:
    return {
        "id": name,
        "model_id": name,
        "type": "chat",
        "provider": "embedded",
        "context_window": 8192,
        "availability": {"available": not reason, "code": "x", "reason": reason or None, "fix": fix or None},
        "prices": {"input_fresh": "0.01", "output_text": "0.03"},
        "weights": weights,
    }


def chunk(content: str = "", finish: str | None = None) -> JsonObject:
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish}]}


USAGE: JsonObject = {
    "choices": [],
    "usage": {"prompt_tokens": 1012, "completion_tokens": 7},
    "headrace": {"request_id": "req_7", "cost_nano_usd": 4772, "cost_usd": "0.000004772"},
}
CHAT = "POST /v1/chat/completions"
REPLY = (chunk("Good "), chunk("day\x1b[2J"), chunk(finish="stop"), USAGE)


def test_a_key_is_made_and_only_the_key_is_the_result() -> None:
    line = CommandLine().answers(f"POST {KEYS}", {"api_key_info": INFO | {"secret_key": "hr_new"}}, 201)
    ran = line("keys", "create", "web", "--model", "smollm2-135m", "--model", "b")
    assert (ran.status, ran.out) == (0, "hr_new\n")
    assert "keys revoke k_1" in ran.err and "for smollm2-135m" in ran.err
    assert line.api.last_body == {"name": "web", "models": ["smollm2-135m", "b"]}
    assert line.api.credentials == [ADMIN]


def test_a_key_belongs_to_the_team_that_is_named() -> None:
    line = CommandLine().answers(f"POST {KEYS}", {"api_key_info": INFO})
    line("keys", "create", "web", "--team", "shop")
    assert line.api.last_body == {"name": "web", "team": "shop"}


def test_a_key_for_every_model_names_none() -> None:
    line = CommandLine().answers(f"POST {KEYS}", {"api_key_info": INFO})
    line("keys", "create", "web")
    assert line.api.last_body == {"name": "web"}


def test_keys_are_listed() -> None:
    infos: list[JsonValue] = [
        {**INFO, "response_cache": {"ttl_seconds": 60}},
        INFO | {"name": "old", "uuid": "k_22", "deleted_at": "2026-11-24T15:00:00.000000Z", "models": None},
    ]
    ran = CommandLine().answers(f"GET {KEYS}", {"api_key_infos": infos})("keys", "list")
    assert ran.out == (
        "NAME  ID    TEAM  CREATED     STATE    CACHE  MODELS\n"
        "web   k_1   shop  2026-11-24  active   60 s   smollm2-135m\n"
        "old   k_22  shop  2026-11-24  revoked  off    all\n"
    )


def test_a_key_is_revoked() -> None:
    line = CommandLine().answers(f"DELETE {KEYS}/k_1", {"api_key_info": INFO})
    assert line("keys", "revoke", "k_1").out == 'Key "web" is revoked.\n'


ALIAS: JsonObject = {
    "name": "team/daily",
    "points_to": "tiny",
    "fallbacks": ["large", "huge"],
    "changed_at": "2026-11-24T14:03:11.123456Z",
}


def test_aliases_are_listed() -> None:
    ran = CommandLine().answers("GET /v2/aliases", {"aliases": [ALIAS, {**ALIAS, "name": "x", "fallbacks": []}]})(
        "aliases", "list"
    )
    assert ran.out == (
        "ALIAS       POINTS TO  FALLBACKS    CHANGED\n"
        "team/daily  tiny       large, huge  2026-11-24\n"
        "x           tiny       -            2026-11-24\n"
    )
    empty = CommandLine().answers("GET /v2/aliases", {"aliases": []})("aliases", "list")
    assert empty.out == "There is no alias. Make one: headrace aliases set NAME MODEL\n"


def test_an_alias_is_set_and_deleted() -> None:
    line = CommandLine().answers("PUT /v2/aliases/team/daily", {"alias": ALIAS})
    ran = line("aliases", "set", "team/daily", "tiny", "--fallback", "large", "--fallback", "huge")
    assert ran.out == '"team/daily" points at tiny, then large, then huge.\n'
    assert line.api.last_body == {"points_to": "tiny", "fallbacks": ["large", "huge"]}
    gone = CommandLine().answers("DELETE /v2/aliases/team/daily", {"alias": ALIAS})("aliases", "delete", "team/daily")
    assert gone.out == 'The alias "team/daily" is deleted.\n'


def test_models_that_can_be_called() -> None:
    line = CommandLine().answers("GET /v1/models", LISTED)
    assert line("models").out == (
        "MODEL             TYPE       PROVIDER  CONTEXT  IN $/M  OUT $/M\n"
        "smollm2-135m      chat       embedded    8,192    0.01     0.03\n"
        "all-minilm-l6-v2  embedding  embedded      256   0.005\n"
    )
    assert line.api.credentials == [KEY]


def test_no_model_can_be_called() -> None:
    assert "headrace models --all" in CommandLine().answers("GET /v1/models", {"data": []})("models").out


def test_all_models_with_reason_and_fix_once_for_each_reason() -> None:
    weights: JsonObject = {"size_bytes": 491_000_000, "licence": "Apache-2.0", "present": False}
    line = CommandLine()
    path = "GET /v2/gen-ai/models/catalog"
    line.answers(
        f"{path}?page=1&limit=200",
        {"models": [catalog_entry("a"), catalog_entry("b", "No key.", "Set it.")], "meta": {"pages": 2}},
    )
    more = [catalog_entry("c", "No key.", "Set it."), catalog_entry("d", "No weights.", "Pull d.", weights)]
    line.answers(f"{path}?page=2&limit=200", {"models": list(more), "meta": {"pages": 2}})
    assert line("models", "--all").out == (
        "MODEL  TYPE  PROVIDER  CONTEXT  IN $/M  OUT $/M\n"
        "a      chat  embedded    8,192    0.01     0.03\n"
        "\nNot available: No key.\n  Set it.\n  b\n  c\n"
        "\nNot available: No weights.\n  Pull d.\n  d   491 MB  Apache-2.0\n"
    )
    assert line.api.credentials == [ADMIN, ADMIN]


def test_a_pull_is_announced_before_it_is_shown() -> None:
    line = CommandLine().streams(
        "POST /v2/models/qwen/pull",
        {"name": "qwen.gguf", "size_bytes": 491_000_000, "licence": "Apache-2.0"},
        *({"what": "qwen.gguf", "done": done, "total": 100, "unit": "bytes"} for done in (0, 10, 30, 40, 80, 100)),
        {"done": True, "model": "qwen"},
    )
    ran = line("models", "pull", "qwen")
    assert ran.err.splitlines() == [
        "pulling qwen.gguf  491 MB  Apache-2.0",
        "pulling qwen.gguf  25 %",
        "pulling qwen.gguf  75 %",
        "pulling qwen.gguf  100 %",
    ]
    assert ran.out == "qwen is here. Talk to it: headrace chat qwen\n"


def test_a_pull_that_fails_says_why() -> None:
    error: JsonObject = {"error": {"id": "upstream_unavailable", "message": "No source answered. Try again later."}}
    ran = CommandLine().streams("POST /v2/models/qwen/pull", error)("models", "pull", "qwen")
    assert (ran.status, ran.err) == (1, "headrace: No source answered.\n  Try again later.\n")


def test_a_pull_whose_server_leaves_is_no_success() -> None:
    ran = CommandLine().streams("POST /v2/models/qwen/pull", {"name": "q", "size_bytes": 1, "licence": "MIT"})(
        "models", "pull", "qwen", "--json"
    )
    assert ran.status == 1
    assert isinstance(ran.json, dict) and "error" in ran.json


def test_chat_streams_and_tells_tokens_cost_and_receipt() -> None:
    line = CommandLine().streams(CHAT, *REPLY, end=b"data: [DONE]\n\n")
    ran = line("chat", "smollm2-135m", "--prompt", "Hi", "--system", "Be brief.", "--max-tokens", "9")
    assert (ran.status, ran.out) == (0, "Good day\x1b[2J\n")
    assert ran.err == "[1,012 + 7 tokens · $0.000004772 · headrace receipt req_7]\n"
    assert line.api.last_body == {
        "model": "smollm2-135m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 9,
    }
    assert line.api.credentials == [KEY]


def test_a_model_cannot_command_the_terminal() -> None:
    line = CommandLine(stdout=Stream(terminal=True)).streams(CHAT, *REPLY)
    assert line("chat", "m", "--prompt", "Hi").out == "Good day\N{REPLACEMENT CHARACTER}[2J\n"


def test_without_a_model_the_first_chat_model_is_taken_and_a_pipe_is_the_prompt() -> None:
    line = CommandLine(stdin=Stream("What?\n")).answers("GET /v1/models", LISTED).streams(CHAT, *REPLY)
    assert line("chat").status == 0
    body = line.api.last_body
    assert isinstance(body, dict) and body["model"] == "smollm2-135m"
    assert body["messages"] == [{"role": "user", "content": "What?"}]


def test_a_conversation_remembers() -> None:
    line = CommandLine(stdin=Stream("One\n\nTwo\n/exit\nnever\n", terminal=True)).streams(CHAT, *REPLY)
    ran = line("chat", "m")
    bodies = [json.loads(each.content)["messages"] for each in line.api.requests]
    assert bodies[0] == [{"role": "user", "content": "One"}]
    assert [each["content"] for each in bodies[1]] == ["One", "Good day\x1b[2J", "Two"]
    assert len(bodies) == 2
    assert ran.status == 0


def test_a_failed_reply_leaves_the_conversation_open() -> None:
    line = CommandLine(stdin=Stream("One\n", terminal=True))
    line.answers(CHAT, {"error": {"message": "No model named m. Try n.", "code": "model_not_found"}}, 404)
    ran = line("chat", "m")
    assert ran.status == 0
    assert "headrace: No model named m.\n  Try n.\n" in ran.err


def test_an_error_inside_a_reply_is_an_error() -> None:
    error: JsonObject = {"error": {"message": "The engine died.", "code": "upstream_truncated", "request_id": "req_7"}}
    ran = CommandLine().streams(CHAT, chunk("Good "), error)("chat", "m", "--prompt", "Hi")
    assert ran.status == 1
    assert ran.err == "headrace: The engine died.\n  The server's log has more under req_7.\n"


def test_a_reply_without_an_end_is_no_success() -> None:
    ran = CommandLine().streams(CHAT, chunk("Good "))("chat", "m", "--prompt", "Hi")
    assert ran.status == 1
    assert "before it was whole" in ran.err


def test_a_reply_at_its_limit_says_so() -> None:
    assert "--max-tokens" in CommandLine().streams(CHAT, chunk("a", "length"))("chat", "m", "--prompt", "Hi").err


class Interrupted(httpx2.SyncByteStream):
    """A reply during which somebody presses Ctrl-C."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"data: " + json.dumps(chunk("Good ")).encode() + b"\n\n"
        raise KeyboardInterrupt


def test_who_stops_watching_a_pull_is_told_that_it_goes_on() -> None:
    line = CommandLine()
    line.api.replies["POST /v2/models/qwen/pull"] = httpx2.Response(200, stream=Interrupted())
    ran = line("models", "pull", "qwen")
    assert (ran.status, "The server goes on without this command" in ran.err) == (130, True)


def test_ctrl_c_leaves_cleanly() -> None:
    line = CommandLine()
    line.api.replies[CHAT] = httpx2.Response(200, stream=Interrupted())
    ran = line("chat", "m", "--prompt", "Hi")
    assert (ran.status, ran.out, ran.err) == (130, "Good \n", "Stopped.\n")


@pytest.mark.parametrize("argv", [["m"], ["--model", "m"], ["-m", "m"]], ids=["argument", "flag", "letter"])
def test_chat_takes_its_model_either_way(argv: list[str]) -> None:
    line = CommandLine().answers(CHAT, {"id": "chatcmpl_1"})
    assert line("chat", *argv, "--prompt", "Hi", "--json").status == 0
    assert isinstance(line.api.last_body, dict) and line.api.last_body["model"] == "m"


def test_chat_refuses_two_models() -> None:
    ran = CommandLine()("chat", "a", "--model", "b", "--prompt", "Hi")
    assert (ran.status, ran.err) == (2, "headrace: the model is given twice, a and --model b.\n  Leave one out.\n")


def test_chat_for_machines_is_the_api_reply() -> None:
    line = CommandLine().answers(CHAT, {"id": "chatcmpl_1"})
    assert line("chat", "m", "--prompt", "Hi", "--json").json == {"id": "chatcmpl_1"}
    body = line.api.last_body
    assert isinstance(body, dict) and body["stream"] is False


def test_providers_are_listed() -> None:
    providers: list[JsonObject] = [
        {"name": "openai", "models": 12, "needs_credential": True, "credential_set": False, "base_url": "https://a/v1"},
        {
            "name": "x",
            "models": 3,
            "needs_credential": True,
            "credential_set": True,
            "credential_source": "environment",
            "base_url": "https://b/v1",
        },
        {"name": "embedded", "models": 4, "needs_credential": False, "base_url": "local:"},
    ]
    reports: list[JsonValue] = [
        report("default", "ok"),
        report("spare", "refused", since="2026-11-24T14:03:11.123456Z", until="2026-11-24T14:04:11.123456Z"),
        report("third", "rate_limited", until="2026-11-24T14:05:00.000000Z", models=["a", "b"]),
        report("4", "refused", until="2026-11-24T14:05:00.000000Z", models=["a"]),
    ]
    line = CommandLine().answers("GET /v2/providers", {"providers": list(providers)})
    line.answers("GET /v2/providers/x/credentials", {"credentials": reports})
    shown = [re.split(r" {2,}", each.strip()) for each in line("providers", "list").out.splitlines()]
    assert shown == [
        ["NAME", "MODELS", "KEY", "STATE", "ADDRESS"],
        ["openai", "12", "not set", "https://a/v1"],
        ["x", "3", "default (environment)", "ok", "https://b/v1"],
        ["spare (environment)", "refused since 2026-11-24 14:03:11 UTC"],
        ["third (environment)", "rate limited until 2026-11-24 14:05:00 UTC for a, b"],
        ["4 (environment)", "refused until 2026-11-24 14:05:00 UTC for a"],
        ["embedded", "4", "none needed", "local:"],
    ]


def test_the_json_of_the_providers_has_their_keys() -> None:
    provider: JsonObject = {"name": "x", "credential_set": True}
    reports: list[JsonValue] = [report("default", "ok")]
    line = CommandLine().answers("GET /v2/providers", {"providers": [provider]})
    line.answers("GET /v2/providers/x/credentials", {"credentials": reports})
    assert line("providers", "list", "--json").json == {"providers": [{**provider, "credentials": reports}]}


def report(
    label: str, state: str, *, since: str | None = None, until: str | None = None, models: Sequence[str] = ()
) -> JsonObject:
    health: JsonObject = {"state": state, "code": None, "since": since, "until": until, "models": [*models]}
    return {"label": label, "source": "environment", "health": health}


def test_a_label_names_one_of_a_providers_keys() -> None:
    path = "/v2/providers/openai/credentials/spare"
    provider: JsonObject = {"display_name": "OpenAI", "credentials": [{"label": "default", "source": "environment"}]}
    line = CommandLine(stdin=Stream("sk-1\n"))
    line.answers(f"PUT {path}", {"provider": provider}).answers(f"DELETE {path}", {"provider": provider})
    assert line("providers", "set-key", "openai", "--label", "spare").out == (
        'The key "spare" of OpenAI is set and sealed.\n'
    )
    gone = line("providers", "remove-key", "openai", "--label", "spare")
    assert gone.out.endswith('\nThe stored key "spare" of OpenAI is gone.\n')
    assert "environment" not in gone.err
    assert line.api.asked == [f"PUT {path}", f"DELETE {path}"]


def test_a_key_is_made_with_a_cache() -> None:
    line = CommandLine().answers(f"POST {KEYS}", {"api_key_info": INFO})
    assert line("keys", "create", "web", "--cache-ttl", "60").status == 0
    assert line.api.last_body == {"name": "web", "response_cache": {"ttl_seconds": 60}}


@pytest.mark.parametrize(("stdin", "typed"), [(Stream("sk-1\n"), ""), (Stream(terminal=True), "sk-1")])
def test_a_providers_key_comes_from_standard_input(stdin: Stream, typed: str) -> None:
    line = CommandLine(stdin=stdin, typed_secret=typed)
    line.answers("PUT /v2/providers/openai/credential", {"provider": {"display_name": "OpenAI"}})
    ran = line("providers", "set-key", "openai")
    assert (ran.status, ran.out) == (0, "The key of OpenAI is set and sealed.\n")
    assert line.api.last_body == {"credential": "sk-1"}
    assert "sk-1" not in ran.out + ran.err


@pytest.mark.parametrize("text", ["", "\n", "a b", "a\nb", "x" * 20_000])
def test_what_is_no_key_is_not_sent(text: str) -> None:
    line = CommandLine(stdin=Stream(text))
    assert line("providers", "set-key", "openai").status == 2
    assert line.api.requests == []


def test_a_providers_key_is_never_an_argument() -> None:
    line = CommandLine(stdin=Stream("sk"))
    assert line("providers", "set-key", "openai", "sk-1").status == 2
    assert line.api.requests == []


def test_a_providers_key_is_removed() -> None:
    left: JsonObject = {"label": "default", "source": "environment"}
    reply: JsonObject = {"provider": {"display_name": "OpenAI", "credentials": [left]}}
    ran = CommandLine().answers("DELETE /v2/providers/openai/credential", reply)("providers", "remove-key", "openai")
    assert ran.out == "The stored key of OpenAI is gone.\n"
    assert "environment" in ran.err


def test_reload() -> None:
    line = CommandLine().answers("POST /v2/config/reload", {"version": 7, "models": 16})
    assert line("config", "reload").out == "Serving configuration 7 with 16 models.\n"


def test_a_refused_reload_names_what_is_wrong() -> None:
    message = 'x.toml:3: models[0].id: no such key\n    fix: Did you mean "name"?'
    ran = CommandLine().answers("POST /v2/config/reload", {"id": "config_invalid", "message": message}, 400)(
        "config", "reload"
    )
    assert ran.status == 1
    assert ran.err == 'headrace: x.toml:3: models[0].id: no such key\n  fix: Did you mean "name"?\n'


def test_version_tells_of_the_server_too() -> None:
    store: JsonObject = {"schema": 1, "library": "SQLite 3.53.4", "synchronous": "full"}
    line = CommandLine().answers("GET /v2/version", {"version": "0.1.0", "python": "3.12.1", "store": store})
    assert line("version").out.splitlines()[1] == (
        "server   0.1.0 (Python 3.12.1), store schema 1, SQLite 3.53.4, synchronous full"
    )


def test_version_without_a_server_is_no_failure() -> None:
    ran = CommandLine()("version", "--json")
    assert ran.status == 0
    assert isinstance(ran.json, dict) and ran.json["server"] is None


def test_doctor_says_what_to_do_and_fails() -> None:
    checks = [DoctorFinding("store", True, "schema 1"), DoctorFinding("clock", False, "runs backwards", "Set it.")]
    line = CommandLine(local=FakeLocal(checks=checks))
    ran = line("doctor", "--home", "/h")
    assert ran.status == 1
    assert ran.out == ("ok    store  schema 1\nFAIL  clock  runs backwards\n      Set it.\n1 of 2 checks failed.\n")
    assert line.local.done == [("doctor", Path("/h"))]


def test_doctor_for_machines() -> None:
    ran = CommandLine(local=FakeLocal(checks=[DoctorFinding("store", True, "fine")]))("doctor", "--json")
    assert ran.status == 0
    assert ran.json == {"ok": True, "findings": [{"name": "store", "ok": True, "message": "fine", "fix": ""}]}


def test_catalog_check(tmp_path: Path) -> None:
    finding = Finding("a.toml", 3, "models[0].id", "missing", "Add it.")
    line = CommandLine(local=FakeLocal(findings=[finding]))
    ran = line("catalog", "check", str(tmp_path))
    assert (ran.status, ran.out) == (1, "a.toml:3: models[0].id: missing\n    fix: Add it.\n1 thing to correct.\n")
    assert line.local.done == [("catalog check", tmp_path)]


def test_a_folder_that_is_not_there_is_not_right(tmp_path: Path) -> None:
    line = CommandLine()
    ran = line("catalog", "check", str(tmp_path / "c"))
    assert (ran.status, ran.err.endswith("/c is no folder.\n  Name the one that holds your catalog files.\n")) == (
        2,
        True,
    )
    assert line.local.done == []


def test_catalog_check_of_the_home_that_is_right() -> None:
    line = CommandLine()
    assert line("catalog", "check", "--json").json == {"ok": True, "findings": []}
    assert line.local.done == [("catalog check", Path("/nonexistent/headrace/catalog"))]


def test_backup_says_what_it_does_not_hold(tmp_path: Path) -> None:
    line = CommandLine()
    ran = line("backup", str(tmp_path / "b"))
    assert "  It does not hold the pepper.\n" in ran.out
    assert line.local.done == [("backup", Path("/nonexistent/headrace"), tmp_path / "b")]


def test_restore() -> None:
    line = CommandLine()
    assert line("restore", "b", "--force", "--home", "/h").status == 0
    assert line.local.done == [("restore", Path("b"), Path("/h"), True)]


def test_init_prints_the_paths() -> None:
    line = CommandLine()
    ran = line("init", "--home", "/nonexistent/h")
    assert ran.out.splitlines()[0] == "Made /nonexistent/h"
    assert "/nonexistent/h/credentials.json" in ran.out
    assert line.local.done == [("init", Path("/nonexistent/h"), URL)]


def test_serve_passes_its_options_on() -> None:
    line = CommandLine()
    assert line("serve", "--port", "8081", "--tls", "--log", "json").status == 0
    options = ServeOptions(Path("/nonexistent/headrace"), port=8081, tls=True, log_format="json")
    assert line.local.done == [("serve", options)]


class Gone(Stream):
    """A pipe whose reader has left."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_left_is_no_crash() -> None:
    assert CommandLine(stdout=Gone()).answers("GET /v1/models", LISTED)("models").status == 141


@pytest.mark.parametrize(
    ("argv", "call"),
    [
        ("keys create web", f"POST {KEYS}"),
        ("keys list", f"GET {KEYS}"),
        ("keys revoke k_1", f"DELETE {KEYS}/k_1"),
        ("aliases list", "GET /v2/aliases"),
        ("aliases set daily tiny", "PUT /v2/aliases/daily"),
        ("aliases delete daily", "DELETE /v2/aliases/daily"),
        ("limits list", "GET /v2/limits"),
        ("limits set platform --requests-per-day 9", "PUT /v2/limits/platform"),
        ("limits remove platform", "DELETE /v2/limits/platform"),
        ("models", "GET /v1/models"),
        ("providers list", "GET /v2/providers"),
        ("providers set-key openai", "PUT /v2/providers/openai/credential"),
        ("providers remove-key openai", "DELETE /v2/providers/openai/credential"),
        ("config reload", "POST /v2/config/reload"),
    ],
)
@pytest.mark.parametrize("by_variable", [False, True])
def test_the_json_of_an_api_verb_is_the_reply(argv: str, call: str, by_variable: bool) -> None:
    reply: JsonObject = {"any": [1, "ü", None], "money_nano_usd": 2**62}
    line = CommandLine(stdin=Stream("sk-1")).answers(call, reply)
    if by_variable:
        line.environment = {**line.environment, "HEADRACE_JSON": "1"}
    ran = line(*argv.split(), *(() if by_variable else ("--json",)))
    assert (ran.status, ran.json, ran.err) == (0, reply, "")
    assert line.api.asked == [call]


def test_the_json_of_a_pull_is_its_last_event() -> None:
    line = CommandLine().streams("POST /v2/models/qwen/pull", {"done": True, "model": "qwen"})
    assert line("models", "pull", "qwen", "--json").json == {"done": True, "model": "qwen"}


def test_the_json_of_local_verbs(tmp_path: Path) -> None:
    home, copy = str(tmp_path / "h"), str(tmp_path / "b")
    line = CommandLine
    assert line()("init", "--home", home, "--json").json == {
        "home": home,
        "credentials": f"{home}/credentials.json",
        "created": True,
    }
    assert line()("backup", copy, "--json").json == {"backup": copy, "size_bytes": 4}
    assert line()("restore", copy, "--home", home, "--json").json == {"restored": copy, "home": home}


def test_a_catalog_finding_for_machines() -> None:
    finding = Finding("a.toml", 3, "models[0].id", "missing", "Add it.")
    ran = CommandLine(local=FakeLocal(findings=[finding]))("catalog", "check", "--json")
    found: JsonObject = {
        "file": "a.toml",
        "line": 3,
        "path": "models[0].id",
        "problem": "missing",
        "fix": "Add it.",
    }
    assert (ran.status, ran.json) == (1, {"ok": False, "findings": [found]})
