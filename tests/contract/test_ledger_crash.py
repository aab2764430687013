"""What `kill -9` leaves behind: everything that was acknowledged, no open hold, each attempt ended once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract import ledger_child
from tests.contract.ledger_books import STORES, books_in, charge_of, opening, settlement
from tests.postgres_server import store_of

KILLS = 3
SETTLED_BEFORE_KILL = 120


def book_until_killed(home: Path, first_number: int, store: str) -> list[tuple[str, str]]:
    """Run the child, kill it in the middle of its work and return what it said."""
    command = [sys.executable, str(ledger_child.__file__), str(home), str(first_number), store]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as child:
        assert child.stdout is not None
        said: list[bytes] = []
        settled = 0
        for line in child.stdout:
            said.append(line)
            settled += line.startswith(b"settled")
            if settled >= SETTLED_BEFORE_KILL and line.startswith(b"sent"):
                child.kill()
                break
        said += child.stdout.read().splitlines(keepends=True)
        assert child.wait() == -9
    words = [line.decode().split() for line in said if line.endswith(b"\n")]
    return [(word, attempt_id) for word, attempt_id in words]


@pytest.mark.anyio
@pytest.mark.timeout(60)
@pytest.mark.parametrize("store", STORES)
async def test_what_was_acknowledged_survives_and_nothing_stays_open(tmp_path: Path, store: str) -> None:
    if store == "postgres":
        store_of(tmp_path)
    last: dict[str, str] = {}
    in_flight = 0
    for kill in range(KILLS):
        told = book_until_killed(tmp_path, kill * 100_000, store)
        latest = {attempt_id: word for word, attempt_id in told}
        in_flight += sum(word == "sent" for word in latest.values())
        last |= latest
    assert in_flight >= KILLS

    async with books_in(STORES[store])(tmp_path) as books:
        await books.ledger.recover()
        again = await books.ledger.recover()
        assert (again.settled, again.voided, again.integrity) == (0, 0, "ok")
        async with books.audit() as broken:
            assert broken == []
        receipts = {each.request_id: each for each in await books.receipts.recent(None, 10**6)}
        spent = 0
        for receipt in receipts.values():
            (attempt,) = receipt.attempts
            assert attempt.state in {"settled", "voided"}
            spent += attempt.charge_nano
        assert await books.ledger.balance("platform") == (None, 0, spent)

    for attempt_id, word in last.items():
        (attempt,) = receipts[attempt_id.replace("att", "req")].attempts
        if word == "settled":
            assert (attempt.state, attempt.ending) == ("settled", "complete")
            assert attempt.charge_nano == charge_of(settlement(attempt_id))
        elif word == "sent":
            assert attempt.state == "settled"
            assert attempt.charge_nano <= opening(0).bound.amount_nano
