"""The billing log: durable line by line, no credential in clear, waited for without sleeping."""

import asyncio
import threading
from pathlib import Path

import pytest

from headrace.testing.billing import (
    BillingLog,
    Ended,
    credential_digest,
    read_billing_log,
    received_entry,
)
from headrace.testing.script import UpstreamRequest
from headrace.testing.waiting import Gate

SECRET = "sk-very-secret-value"
ENDED = Ended(1, "req_1", "att_1", "m", 200, "complete", False, 10, 2, 3, 1, 7)


def request_with(*headers: tuple[str, str], body: bytes = b'{"model":"m"}') -> UpstreamRequest:
    return UpstreamRequest(1, 1, "POST", "/v1/chat/completions", "key=" + SECRET, headers, body)


@pytest.mark.parametrize("header", [("authorization", f"Bearer {SECRET}"), ("x-api-key", SECRET), ("api-key", SECRET)])
def test_a_credential_is_only_there_as_a_digest(tmp_path: Path, header: tuple[str, str]) -> None:
    path = tmp_path / "log.jsonl"
    log = BillingLog(path)
    entry = received_entry(request_with(header, ("cookie", SECRET), ("x-headrace-attempt", "att_1")), 5)
    log.append(entry)
    assert entry.credential_sha256 == credential_digest(SECRET)
    assert entry.header_names == [header[0], "cookie", "x-headrace-attempt"]
    assert entry.headers == {"x-headrace-attempt": "att_1"}
    assert entry.attempt_id == "att_1"
    assert SECRET.encode() not in path.read_bytes()
    log.close()


def test_no_credential_has_no_digest() -> None:
    assert received_entry(request_with(), 0).credential_sha256 is None


def test_the_file_holds_every_entry_at_once_and_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = BillingLog(path)
    received = received_entry(request_with(), 5)
    log.append(received)
    assert read_billing_log(path) == (received,)
    log.append(ENDED)
    assert read_billing_log(path) == log.entries == (received, ENDED)
    log.close()
    path.write_bytes(path.read_bytes() + b'{"event":"ended","numb')
    assert read_billing_log(path) == (received, ENDED)
    again = BillingLog(path)
    again.close()
    assert path.read_bytes().startswith(b'{"event":"received"')


def test_a_thread_waits_for_an_end() -> None:
    log = BillingLog()
    writer = threading.Thread(target=log.append, args=(ENDED,))
    writer.start()
    assert log.wait_ended() == (ENDED,)
    assert log.wait_end_of(1) == ENDED
    writer.join()
    with pytest.raises(TimeoutError):
        log.wait_received(timeout_seconds=0.0)


async def test_a_loop_waits_for_an_end() -> None:
    log = BillingLog()
    waiting = asyncio.gather(log.until_ended(), log.until_received())
    log.append(ENDED)
    log.append(received_entry(request_with(), 5))
    assert await waiting == [(ENDED,), log.received]


async def test_a_gate_counts_arrivals_and_stays_open() -> None:
    gate = Gate()
    waiting = asyncio.gather(gate.passage(), gate.passage())
    await gate.reached(2)
    assert not waiting.done()
    releasing = threading.Thread(target=gate.release)
    releasing.start()
    await waiting
    releasing.join()
    await gate.passage()
    assert gate.arrived == 3
    gate.wait_reached(3)
