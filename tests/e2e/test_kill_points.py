"""The server kills itself at every named point under load: nothing is lost, doubled, overdrawn or left behind."""

import json
import sys
from pathlib import Path
from random import Random, SystemRandom

import pytest

from tests.e2e.kill_points import POINTS
from tests.e2e.kill_rounds import Point, kill_rounds
from tests.postgres_server import drop_databases, postgres_server

PASSED_BETWEEN = (3, 25)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_kill_at_every_point_loses_no_reply_and_no_money(tmp_path: Path, kind: str) -> None:
    store = postgres_server().empty() if kind == "postgres" else ""
    seed = SystemRandom().getrandbits(32)
    sys.stdout.write(f"seed {seed}\n")
    random = Random(seed)
    points = [Point(name, random.randint(*PASSED_BETWEEN)) for name in POINTS]
    async with kill_rounds(tmp_path / "home", seed, first=points[0], store=store) as rounds:
        for at, then in zip(points, (*points[1:], None), strict=True):
            await rounds.round(at=at, then=then)
        verdict = rounds.verdict()
    drop_databases()
    sys.stdout.write(f"{json.dumps(verdict.as_dict())}\n")
    assert verdict.faults == ()
    assert set(verdict.kills_by_point) == set(POINTS)
    assert verdict.recovered == verdict.sent_at_kills > 0
    assert verdict.payments > 0
    assert verdict.refused_replies > 0
