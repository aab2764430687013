"""Help, usage errors, and how failures are shown."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import msgspec
import pytest

from headrace.cli.command import COMMANDS, EXAMPLES
from headrace.cli.config import LimitsTable
from headrace.cli.environment import VARIABLES
from headrace.cli.failures import exit_status, render_failure
from headrace.domain.errors import AddressInUse, HomeUnusable, NotFound, OperatorError
from headrace.domain.json_value import JsonObject
from tests.unit.cli.command_line import CommandLine, FakeLocal

PATHS = [*(path for path, _, _ in COMMANDS), ("models", "pull")]
LOCAL = [("serve",)]


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_verb_has_help_that_fits_the_terminal(path: tuple[str, ...]) -> None:
    ran = CommandLine()(*path, "--help")
    assert ran.status == 0
    assert ran.out.startswith(f"Usage: headrace {' '.join(path)}")
    assert max(map(len, ran.out.splitlines())) <= 80
    described = ran.out.split("\n\n")[1]
    assert described.strip().endswith(".")
    assert ("--json" in ran.out) is (path not in LOCAL)


def test_its_own_help_says_more_than_its_line_in_the_list() -> None:
    more = "adds the time zone, the amount held"
    assert more in CommandLine()("budgets", "list", "--help").out
    assert more not in CommandLine()("budgets", "--help").out


def test_the_list_of_verbs() -> None:
    ran = CommandLine()("--help")
    assert all(f" {path[0]} " in ran.out for path in PATHS)
    assert CommandLine()().out == ran.out


def test_every_verb_and_variable_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs/cli.md").read_text(encoding="utf-8")
    assert [path for path in PATHS if f"`{' '.join(path)}" not in text] == []
    assert [name for name in VARIABLES.values() if f"`{name}`" not in text] == []
    limits = msgspec.structs.fields(LimitsTable)
    assert [each.name for each in limits if f"`{each.name}`" not in text] == []


def test_the_version() -> None:
    assert CommandLine()("--version").out == "0.1.0\n"


@pytest.mark.parametrize(
    ("argv", "said", "see"),
    [
        (["nope"], 'Unknown command "nope".', "headrace --help"),
        (["serve", "--prot", "1"], "--port", "headrace serve --help"),
        (["serve", "--port", "x"], '"x"', "headrace serve --help"),
        (["receipt"], "REQUEST_ID", "headrace receipt --help"),
        (["keys", "crate", "x"], "create", "headrace keys --help"),
        (["keys", "create"], "NAME", "headrace keys create --help"),
        (["models", "pull"], "models pull needs MODEL.\n", "headrace models pull --help"),
        (["routers", "judge", "x"], "routers judge needs --judge.\n", "headrace routers judge --help"),
        (["routers", "judge", "x", "--judge"], "--judge requires an argument", "headrace routers judge --help"),
        (["routers", "judge", "x", "--jugde", "m"], "Did you mean --judge", "headrace routers judge --help"),
    ],
)
def test_wrong_usage_is_status_2_and_names_the_help(argv: list[str], said: str, see: str) -> None:
    ran = CommandLine()(*argv)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("headrace: ") and said in ran.err
    assert ran.err.endswith(f"\n  See: {see}\n")


def test_what_was_left_out_is_shown_by_an_example() -> None:
    for argv in (["budgets", "create"], ["budgets", "create", "team:shop"], ["budgets", "create", "--usd", "5"]):
        ran = CommandLine()(*argv)
        assert ran.status == 2
        assert "\n  For example: headrace budgets create team:default --usd 100 --window month\n" in ran.err
    assert [path for path in EXAMPLES if path not in PATHS] == []
    assert "For example" not in CommandLine()("budgets", "create", "platform", "--usd", "5", "--nope").err


def test_wrong_usage_for_machines() -> None:
    ran = CommandLine()("receipt", "--json")
    assert ran.err == ""
    assert isinstance(ran.json, dict)
    error = ran.json["error"]
    assert isinstance(error, dict) and error["code"] == "usage"


def refusal(body: JsonObject, status: int, *argv: str) -> tuple[int, str, str]:
    ran = CommandLine().answers("GET /v2/requests/req_1", body, status)("receipt", "req_1", *argv)
    return ran.status, ran.out, ran.err


BODY: JsonObject = {"id": "request_not_found", "message": 'No request "req_1". Check the id.', "request_id": "req_9"}


def test_a_refusal_by_the_control_plane() -> None:
    said = 'headrace: No request "req_1".\n  Check the id.\n  The server\'s log has more under req_9.\n'
    assert refusal(BODY, 500) == (1, "", said)


def test_the_callers_own_fault_is_not_sent_to_the_log() -> None:
    assert refusal(BODY, 404) == (1, "", 'headrace: No request "req_1".\n  Check the id.\n')


def test_a_refusal_for_machines() -> None:
    status, out, err = refusal(BODY, 404, "--json")
    assert (status, err) == (1, "")
    assert json.loads(out) == {
        "error": {
            "code": "request_not_found",
            "message": 'No request "req_1". Check the id.',
            "request_id": "req_9",
            "status": 404,
        }
    }


def test_a_refusal_by_the_data_plane_keeps_its_extra_fields() -> None:
    body: JsonObject = {
        "error": {"message": "Too dear.", "type": "t", "param": "max_tokens", "code": "budget", "affordable": 5}
    }
    ran = CommandLine().answers("GET /v1/models", body, 402)("models", "--json")
    assert ran.json == {
        "error": {"code": "budget", "message": "Too dear.", "param": "max_tokens", "affordable": 5, "status": 402}
    }


@pytest.mark.parametrize("name", ["", ".", ".."])
@pytest.mark.parametrize(
    "verb",
    [
        "deployments delete",
        "deployments tokens prod --revoke",
        "keys revoke",
        "receipt",
        "aliases delete",
        "limits remove",
    ],
)
def test_an_empty_name_reaches_nothing_else(verb: str, name: str) -> None:
    line = CommandLine().answers(
        "GET /v2/dedicated-inferences?name=prod&page=1&per_page=1", {"dedicated_inferences": [{"id": "d1"}]}
    )
    ran = line(*verb.split(), name)
    assert (ran.status, f'"{name}" is no name and no ID' in ran.err) == (2, True)
    assert all(each.method == "GET" for each in line.api.requests)


@pytest.mark.parametrize("argv", [("aliases", "delete", "a/../../teams/x"), ("limits", "remove", "../teams/x")])
def test_a_name_does_not_climb_out_of_its_path(argv: tuple[str, ...]) -> None:
    line = CommandLine()
    assert (line(*argv).status, line.api.requests) == (2, [])


@pytest.mark.parametrize("response", [httpx2.Response(502, text="<html>"), httpx2.Response(301), httpx2.Response(200)])
def test_what_is_no_headrace_is_said(response: httpx2.Response) -> None:
    line = CommandLine()
    line.api.replies["GET /v1/models"] = response
    assert f"status {response.status_code}, but not like a Headrace server" in line("models").err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (httpx2.ConnectError("refused"), "nothing answers at http://127.0.0.1:8080.\n  Start it with `headrace serve`"),
        (httpx2.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] x"), "--ca"),
        (httpx2.ReadTimeout("slow"), "did not answer in time"),
        (httpx2.ConnectError("[SSL: WRONG_VERSION_NUMBER] x"), "write http:// in --url"),
        (httpx2.RemoteProtocolError("cut"), "broke off"),
        (httpx2.RemoteProtocolError("Server disconnected without sending a response."), "write https:// in --url"),
    ],
)
def test_a_server_that_does_not_answer(error: Exception, said: str) -> None:
    line = CommandLine()
    line.api.failure = error
    ran = line("models")
    assert ran.status == 1
    assert said in ran.err


class Refusing(FakeLocal):
    """A machine on which nothing can be served."""

    def serve(self, options: object) -> int:
        raise AddressInUse(
            "port 8080 is taken by python3 (pid 4121). Use another: headrace serve --port 8081 - or stop it."
        )


def test_a_local_failure_has_its_own_status() -> None:
    ran = CommandLine(local=Refusing())("serve")
    assert ran.status == 5
    assert ran.err == (
        "headrace: port 8080 is taken by python3 (pid 4121).\n  Use another: headrace serve --port 8081 - or stop it.\n"
    )


def test_a_wrong_variable_is_status_2() -> None:
    ran = CommandLine(environment={"HEADRACE_PORT": "x"})("serve", "--config", "/dev/null")
    assert (ran.status, ran.err) == (
        2,
        'headrace: HEADRACE_PORT is "x".\n  Set it to a whole number, like 8080, or unset it.\n',
    )


def test_statuses() -> None:
    assert [exit_status(each) for each in (NotFound("x"), OperatorError("x"), HomeUnusable("x"))] == [1, 1, 3]


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        (
            "Version 1.2 of x.toml is old. Renew it. Soon.",
            ["headrace: Version 1.2 of x.toml is old.", "  Renew it. Soon."],
        ),
        ("one thing", ["headrace: one thing"]),
        ("a.toml:1: wrong\n    fix: this", ["headrace: a.toml:1: wrong", "  fix: this"]),
        ("", ["headrace: it failed without saying why"]),
    ],
)
def test_what_and_what_to_do_stand_apart(message: str, lines: list[str]) -> None:
    assert render_failure(NotFound(message)).splitlines() == lines
