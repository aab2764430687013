"""`kill -9` of the real server while twenty streams run through it: nothing is lost, doubled or left behind."""

import json
import sys
from pathlib import Path
from random import SystemRandom

import pytest

from tests.e2e.kill_rounds import kill_rounds
from tests.postgres_server import drop_databases, postgres_server

KILLS, POSTGRES_KILLS = 10, 4
EMBEDDED_ROUNDS = frozenset({0, 5})
SENT_AT_LEAST, POSTGRES_SENT_AT_LEAST = 30, 10


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("smollm_path")
async def test_ten_kills_lose_no_reply_and_no_money(tmp_path: Path, weights_cache: Path) -> None:
    seed = SystemRandom().getrandbits(32)
    sys.stdout.write(f"seed {seed}\n")
    async with kill_rounds(tmp_path / "home", seed, weights_cache) as rounds:
        for number in range(KILLS):
            kill = await rounds.round(embedded=number in EMBEDDED_ROUNDS)
            assert bool(kill.engines) == (number in EMBEDDED_ROUNDS)
        verdict = rounds.verdict()
    sys.stdout.write(f"{json.dumps(verdict.as_dict())}\n")
    assert verdict.faults == ()
    assert verdict.sent_at_kills >= SENT_AT_LEAST
    assert verdict.complete_replies > KILLS
    assert verdict.recovered == verdict.sent_at_kills


@pytest.mark.timeout(240)
async def test_kills_lose_nothing_where_postgres_keeps_the_books(tmp_path: Path) -> None:
    seed = SystemRandom().getrandbits(32)
    sys.stdout.write(f"seed {seed}\n")
    async with kill_rounds(tmp_path / "home", seed, store=postgres_server().empty()) as rounds:
        for _ in range(POSTGRES_KILLS):
            await rounds.round()
        verdict = rounds.verdict()
    drop_databases()
    sys.stdout.write(f"{json.dumps(verdict.as_dict())}\n")
    assert verdict.faults == ()
    assert verdict.sent_at_kills >= POSTGRES_SENT_AT_LEAST
    assert verdict.recovered == verdict.sent_at_kills
