"""`kill -9` of the real server while twenty streams run through it: nothing is lost, doubled or left behind."""

import json
import sys
from pathlib import Path
from random import SystemRandom

import pytest

from tests.e2e.kill_rounds import kill_rounds

KILLS = 10
EMBEDDED_ROUNDS = frozenset({0, 5})
SENT_AT_LEAST = 30


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
