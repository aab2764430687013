"""Usage of the real server: what its reports say is what the receipts say, to the nano-dollar, and each key its own."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from headrace.testing.obedient import obedient_answer
from headrace.testing.openai_replies import error_reply
from headrace.testing.script import Reply, UpstreamRequest
from headrace.testing.upstream import running_upstream
from tests.running import RunningHeadrace, headrace

CHAT = "/v1/chat/completions"
KEYS = "/v2/gen-ai/models/api_keys"
HI = [{"role": "user", "content": "hi"}]


@dataclass(frozen=True)
class Served:
    """A server that has answered, its operator and the secrets of two keys by their ids."""

    server: RunningHeadrace
    admin: httpx2.Client
    keys: dict[str, str]

    def report(self, query: str, key: str | None = None) -> dict[str, Any]:
        headers = {} if key is None else {"authorization": f"Bearer {self.keys[key]}"}
        reply = self.admin.get(f"/v2/usage?{query}", headers=headers)
        assert reply.status_code == 200, reply.text
        report: dict[str, Any] = reply.json()
        return report

    def receipts(self) -> list[dict[str, Any]]:
        listed = self.admin.get("/v2/requests?limit=100").json()["requests"]
        return [self.admin.get(f"/v2/requests/{each['id']}").json() for each in listed]


def client_of(server: RunningHeadrace, token: str) -> httpx2.Client:
    headers = {"authorization": f"Bearer {token}"}
    return httpx2.Client(base_url=server.base_url, headers=headers, timeout=60, trust_env=False)


def answer(request: UpstreamRequest) -> Reply:
    """Refuse what is asked of the failing model, so that its fallback serves."""
    return error_reply(500) if b'"flaky-upstream"' in request.body else obedient_answer(request)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    server = RunningHeadrace(tmp_path_factory.mktemp("usage") / "home")
    with running_upstream(answer) as upstream:
        server.add_provider("fake", upstream.base_url, "m", "spare")
        server.add_provider("failing", upstream.base_url, "flaky")
        with server, client_of(server, server.admin_token) as admin:
            made = [admin.post(KEYS, json={"name": name}).json()["api_key_info"] for name in ("web", "search")]
            keys = {each["uuid"]: each["secret_key"] for each in made}
            for number, secret in enumerate(keys.values()):
                call(server, secret, number)
            yield Served(server, admin, keys)


def call(server: RunningHeadrace, secret: str, number: int) -> None:
    """Ask in several dialects, streamed and not, with tags in the header, in metadata and as the user."""
    tagged = {"x-headrace-tags": f"project=p{number}, batch"}
    asked: tuple[tuple[str, dict[str, Any], dict[str, str]], ...] = (
        (CHAT, {"model": "m", "messages": HI, "max_tokens": 50}, tagged),
        (CHAT, {"model": "m", "messages": HI, "max_tokens": 9, "stream": True}, tagged),
        (CHAT, {"model": "flaky", "models": ["spare"], "messages": HI, "max_tokens": 20}, tagged),
        (CHAT, {"model": "m", "messages": HI, "max_tokens": 7, "user": "ana"}, {}),
        ("/v1/messages", {"model": "m", "messages": HI, "max_tokens": 31, "metadata": {"user_id": "u1"}}, {}),
        ("/v1/responses", {"model": "m", "input": "hi", "max_output_tokens": 33, "metadata": {"project": "r"}}, {}),
    )
    with client_of(server, secret) as client:
        for path, body, headers in asked[: len(asked) - number]:
            reply = client.post(path, json=body, headers=headers)
            assert reply.status_code == 200, reply.text


def test_every_sum_is_that_of_the_receipts(served: Served) -> None:
    receipts = served.receipts()
    attempts = [(receipt, attempt) for receipt in receipts for attempt in receipt["attempts"]]
    assert len(receipts) == 11 and len(attempts) > 11
    totals = served.report("interval=total")["totals"]
    assert totals["requests"] == len(receipts)
    assert totals["attempts"] == len(attempts)
    assert totals["charge_nano_usd"] == sum(each["charge_nano_usd"] for each in receipts) > 0
    assert totals["cost_nano_usd"] == sum(each["cost_nano_usd"] for each in receipts) > 0
    by_place: Counter[tuple[str, str, str, str]] = Counter()
    for receipt, attempt in attempts:
        status = attempt["ending"] or "voided"
        place = (receipt["key"]["id"], attempt["model"], attempt["provider"], status)
        by_place[place] += attempt["charge_nano_usd"]
    rows = served.report("interval=total&group_by=key,model,provider,status")["usage"]
    found = {(row["key"], row["model"], row["provider"], row["status"]): row["charge_nano_usd"] for row in rows}
    assert found == dict(by_place)
    assert {row["key_name"] for row in rows} == {"web", "search"}


@pytest.mark.parametrize("interval", ["hour", "day", "month"])
def test_the_spans_add_up_to_the_total(served: Served, interval: str) -> None:
    report = served.report(f"interval={interval}&zone=Europe/Berlin&from=2d")
    assert sum(row["charge_nano_usd"] for row in report["usage"]) == report["totals"]["charge_nano_usd"]


def test_a_key_is_told_of_itself_alone(served: Served) -> None:
    for key in served.keys:
        report = served.report("interval=total&group_by=key", key)
        assert [row["key"] for row in report["usage"]] == [key]
        mine = sum(each["charge_nano_usd"] for each in served.receipts() if each["key"]["id"] == key)
        assert report["totals"]["charge_nano_usd"] == mine


def test_tags_of_header_metadata_and_user_are_dimensions(served: Served) -> None:
    rows = served.report("interval=total&group_by=tag")["usage"]
    counted = {row["tag"]: row["requests"] for row in rows}
    assert counted == {"batch": 6, "project=p0": 3, "project=p1": 3, "user=ana": 2, "user_id=u1": 2, "project=r": 1}
    named = served.report("interval=total&group_by=tag:project&provider=fake&status=complete")["usage"]
    assert {row["tag"] for row in named} == {"project=p0", "project=p1", "project=r"}


def test_a_bad_tag_is_refused_and_nothing_is_called(served: Served) -> None:
    secret = next(iter(served.keys.values()))
    with client_of(served.server, secret) as client:
        body = {"model": "m", "messages": HI}
        reply = client.post(CHAT, json=body, headers={"x-headrace-tags": "two words"})
    error = reply.json()["error"]
    assert (reply.status_code, error["param"]) == (400, "x-headrace-tags")
    assert "NAME or NAME=VALUE" in error["message"] and '"two words"' in error["message"]
    assert len(served.receipts()) == 11


def test_the_terminal_and_its_csv_say_the_same(served: Served) -> None:
    home = served.server.home
    total = served.report("interval=total")["totals"]
    told = json.loads(headrace("usage", "--by", "team", "--json", home=home).stdout)
    assert told["totals"] == total
    rows = list(csv.DictReader(io.StringIO(headrace("usage", "--by", "key", "--csv", home=home).stdout)))
    assert sum(int(row["charge_nano_usd"]) for row in rows) == total["charge_nano_usd"]
    shown = headrace("usage", "--by", "key", home=home).stdout
    assert "web (" in shown and shown.splitlines()[-1].startswith("total")


def test_break_even_reads_the_same_hours(served: Served) -> None:
    question = {"form": "ledger", "gpu": "mi300x", "days": 1, "tokens_per_second": "2000"}
    report = served.admin.post("/v2/breakeven", json=question).json()
    assert report["serverless_nano_usd"] == served.report("interval=total&from=24h")["totals"]["cost_nano_usd"]
