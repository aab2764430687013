"""`headrace models remove`: what is told of what is gone, what stays, and what was added before."""

from __future__ import annotations

from pathlib import Path

from headrace.domain.json_value import JsonObject, JsonValue
from tests.unit.cli.command_line import CommandLine, FakeLocal

HOME = Path("/nonexistent/headrace")
RELOAD = "POST /v2/config/reload"
FILE: JsonObject = {"name": "toy.gguf", "sha256": "ab" * 32, "size_bytes": 98_000_000}


def removed(**fields: JsonValue) -> JsonObject:
    return {"model": "toy", "removed": [], "kept": [], "kept_for": [], "freed_bytes": 0, **fields}


def line(reply: JsonObject, *, added: str = "", model: str = "toy", status: int = 200) -> CommandLine:
    asked = CommandLine(local=FakeLocal(added=added)).answers(f"DELETE /v2/models/{model}/weights", reply, status)
    return asked.answers(RELOAD, {"version": 2, "models": 3})


def test_it_tells_what_became_free_and_how_it_comes_back() -> None:
    asked = line(removed(removed=[FILE], freed_bytes=98_000_000))
    ran = asked("models", "remove", "toy")
    assert ran.status == 0
    assert ran.out == "Removed toy: 98 MB are free. It comes back by: headrace models pull toy\n"
    assert asked.api.asked == ["DELETE /v2/models/toy/weights"]
    assert asked.local.done == [("model forget", HOME, "toy")]


def test_an_added_model_is_forgotten_and_the_server_is_told() -> None:
    asked = line(removed(removed=[FILE]), added="toy")
    ran = asked("models", "remove", "toy")
    assert f"Forgot toy: it is no longer in {HOME}/catalog/local.toml." in ran.out
    assert "stays where it lies" in ran.out
    assert asked.api.asked == ["DELETE /v2/models/toy/weights", RELOAD]


def test_what_another_model_needs_stays() -> None:
    ran = line(removed(kept=[FILE], kept_for=["other", "third"]))("models", "remove", "toy")
    assert ran.out == "toy.gguf stays: other and third need it too.\n"


def test_one_other_model_needs_it() -> None:
    assert "other needs it too" in line(removed(kept=[FILE], kept_for=["other"]))("models", "remove", "toy").out


def test_nothing_here_is_no_failure() -> None:
    ran = line(removed())("models", "remove", "toy")
    assert (ran.status, ran.out) == (0, "Nothing of toy was on this machine.\n")


def test_a_name_with_a_slash_is_asked_for_whole() -> None:
    asked = line(removed(), model="maker%2Ftoy")
    assert asked("models", "remove", "maker/toy").status == 0


def test_machines_get_the_reply_and_where_it_stood() -> None:
    ran = line(removed(removed=[FILE]), added="toy")("models", "remove", "toy", "--json")
    assert ran.json == removed(removed=[FILE]) | {"forgotten_in": f"{HOME}/catalog/local.toml"}


def test_the_server_of_another_machine_has_no_catalog_here() -> None:
    asked = line(removed(removed=[FILE]), added="toy")
    ran = asked("models", "remove", "toy", "--url", "https://far.example", "--admin-token", "t0ken")
    assert ran.status == 0
    assert asked.local.done == []


def test_a_refusal_forgets_nothing() -> None:
    refusal: JsonObject = {"id": "model_in_use", "message": 'The deployment "prod" runs "toy".', "request_id": "req_1"}
    asked = line(refusal, added="toy", status=409)
    ran = asked("models", "remove", "toy")
    assert (ran.status, ran.out) == (1, "")
    assert 'The deployment "prod" runs "toy".' in ran.err
    assert asked.local.done == []
