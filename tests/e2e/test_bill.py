"""The running server's books: they agree with themselves, and with the provider's own bill where nothing is wrong."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace.domain.money import format_nano
from headrace.testing.obedient import obedient_answer
from headrace.testing.upstream import FakeUpstream, running_upstream
from tests.running import RunningHeadrace, headrace

CHAT = "/v1/chat/completions"
HI = [{"role": "user", "content": "hi there"}]


@dataclass(frozen=True)
class Served:
    """A server that has answered, its provider, and a folder for bills."""

    server: RunningHeadrace
    upstream: FakeUpstream
    folder: Path

    def verb(self, *arguments: str) -> tuple[int, Any]:
        done = headrace(*arguments, "--json", home=self.server.home)
        return done.returncode, json.loads(done.stdout)

    def bill(self, name: str, times: int = 1) -> Path:
        """Write what the provider bills by its own log: prices are those of the catalog, times something."""
        days: Counter[tuple[str, str, str]] = Counter()
        for each in (entry for entry in self.upstream.log.ended if entry.status == 200):
            day = datetime.datetime.fromtimestamp(each.at_unix_micros / 1e6, datetime.UTC).date().isoformat()
            cost = each.prompt_tokens * 100 + each.completion_tokens * 200
            for what, number in (
                ("requests", 1),
                ("input", each.prompt_tokens),
                ("output", each.completion_tokens),
                ("cost", cost * times),
            ):
                days[day, str(each.model), what] += number
        rows = ["date,model,requests,input_tokens,output_tokens,cost,currency"]
        for day, model in sorted({place[:2] for place in days}):
            counts = [str(days[day, model, what]) for what in ("requests", "input", "output")]
            rows.append(",".join([day, model, *counts, format_nano(days[day, model, "cost"]), "USD"]))
        path = self.folder / name
        path.write_text("\n".join(rows) + "\n")
        return path


def ask(server: RunningHeadrace) -> None:
    headers = {"authorization": f"Bearer {server.api_key}"}
    with httpx2.Client(base_url=server.base_url, headers=headers, timeout=60, trust_env=False) as client:
        for number in range(12):
            body = {"model": ("m", "spare")[number % 2], "messages": HI, "max_tokens": 3 + number}
            reply = client.post(CHAT, json={**body, "stream": number % 3 == 0})
            assert reply.status_code == 200, reply.text


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("bill")
    server = RunningHeadrace(folder / "home")
    with running_upstream(obedient_answer) as upstream:
        server.add_provider("fake", upstream.base_url, "m", "spare")
        with server:
            ask(server)
            yield Served(server, upstream, folder)


def test_the_books_agree_while_the_server_runs(served: Served) -> None:
    status, report = served.verb("audit")
    assert (status, report["ok"], report["found"]) == (0, True, 0)
    assert (report["checked"]["attempts"], report["checked"]["receipts"]) == (12, 12)
    said = headrace("audit", home=served.server.home)
    assert said.stdout.endswith("The books agree to the nano-dollar.\n")


def test_sums_are_not_rewritten_while_the_server_runs(served: Served) -> None:
    status, report = served.verb("audit", "--rebuild-usage")
    assert (status, report["error"]["code"]) == (3, "home_unusable")


def test_the_provider_s_own_bill_agrees(served: Served) -> None:
    status, made = served.verb("reconcile", str(served.bill("true.csv")), "--provider", "fake")
    report = made["reconciliation"]
    assert (status, report["differing_rows"]) == (0, 0), report
    assert [total["difference"] for total in report["totals"]] == [0, 0, 0, 0]
    assert report["totals"][0]["ours"] == 12


def test_a_bill_at_other_prices_or_in_cents_is_explained(served: Served) -> None:
    dearer = served.bill("dearer.csv", times=3)
    status, made = served.verb("reconcile", str(dearer), "--provider", "fake")
    assert (status, made["reconciliation"]["cause"]) == (1, "prices_differ")
    day = made["reconciliation"]["days"][0]
    receipt = headrace("receipt", day["attempts"][0]["request_id"], home=served.server.home)
    assert receipt.returncode == 0, receipt.stderr
    cents = served.bill("cents.csv", times=100)
    assert served.verb("reconcile", str(cents), "--provider", "fake")[1]["reconciliation"]["cause"] == "unit"
    _, listed = served.verb("reconciliations")
    assert [each["file_name"] for each in listed["reconciliations"]][:2] == ["cents.csv", "dearer.csv"]


def test_a_bill_that_cannot_be_read_keeps_nothing(served: Served) -> None:
    before = len(served.verb("reconciliations")[1]["reconciliations"])
    path = served.folder / "euro.csv"
    path.write_text("date,model,cost,currency\n2026-11-24,m,1,EUR\n")
    status, told = served.verb("reconcile", str(path), "--provider", "fake")
    assert (status, told["error"]["code"]) == (1, "bill_invalid")
    assert "line 2, currency: 'EUR'" in told["error"]["message"]
    assert len(served.verb("reconciliations")[1]["reconciliations"]) == before
