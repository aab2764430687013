"""The real server under requests made from its own description: no 5xx, nothing undocumented, nothing left open."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.e2e.openapi_fuzz import EXAMPLES, SEED, Fuzzed, Fuzzer, faults_of, fuzzed, plan, published


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Generator[Fuzzed]:
    with fuzzed(tmp_path_factory.mktemp("fuzz")) as found:
        yield found


@pytest.fixture(scope="module")
def fuzzer(world: Fuzzed) -> Fuzzer:
    return Fuzzer(world)


def test_what_is_served_is_what_is_published(world: Fuzzed) -> None:
    reply = world.session.get(f"{world.server.base_url}/openapi.json", timeout=10)
    assert reply.status_code == 200
    assert reply.json() == published()


@pytest.mark.parametrize(("label", "mode"), plan(), ids=lambda each: each)
def test_every_answer_is_one_that_the_description_promises(fuzzer: Fuzzer, label: str, mode: str) -> None:
    try:
        fuzzer.run(label, mode, EXAMPLES, SEED)
    except BaseException as error:
        repeat = f"python -m tests.e2e.openapi_fuzz --seed {SEED} --examples {EXAMPLES} --only '{label}'"
        error.add_note(f"The seed is {SEED}. To repeat: {repeat}")
        raise


def test_requests_were_served_and_nothing_is_left_open(world: Fuzzed) -> None:
    """Comes last: it stops the server."""
    if sum(world.statuses.values()) > len(plan()):
        served = {label for (label, status) in world.statuses if status < 300}
        asked = {label for (label, _) in world.statuses}
        assert len(served) >= len(asked) * 2 // 3, sorted(asked - served)
    assert faults_of(world) == []
