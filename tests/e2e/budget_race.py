"""Races for budgets on a real server: more calls at once than the money suffices for, judged by three logs.

While a race runs, every budget of the store is looked at again and again: what is held and spent may never be over the
limit. Afterwards what callers saw, the ledger, and the upstream's own bill have to agree to the nano-dollar.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import httpx2

from headrace.testing.obedient import obedient_chat
from headrace.testing.openai_replies import Chat
from headrace.testing.script import Reply, UpstreamRequest
from headrace.testing.upstream import FakeUpstream
from tests.e2e.raw_client import RawClient, RawReply
from tests.ledger_file import EndedRequest, ledger_of
from tests.running import RunningHeadrace

CHAT = "/v1/chat/completions"
KEYS = "/v2/gen-ai/models/api_keys"
INPUT_NANO, OUTPUT_NANO, EACH_NANO = 100, 200, 100_000_000
EXACT_LIMIT_NANO = 5_000_000_000
EXACT_CALLS, NESTED_CALLS = 1_000, 500
EXACT_CONNECTIONS = 250
NESTED_KEYS, NESTED_TEAMS = 4, 2
LOOK_SECONDS = 0.002
MOST_TOKENS = 4_096
# A busy machine may be slow to accept so many connections at once; that is not what is proven here.
CONFIGURATION = "[limits]\nconnect_seconds = 60\n"
CATALOG = """
[provider]
name = "race"
wire_format = "openai"
base_url = "{base_url}"
auth = "none"
docs_url = "https://example.com"
checked_on = 2026-11-24
"""
MODEL = """
[[models]]
id = "{name}"
capabilities = ["streaming"]
context_length = 100000
max_output_tokens = 4096
released_on = 2026-01-01
source = "https://example.com"
checked_on = 2026-11-24
[[models.prices]]
effective = 2026-01-01
source = "tests"
{price}
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of a race and what its caller saw; `cost_nano` is None where no cost was told."""

    scopes: frozenset[str]
    stream: bool
    status: int
    request_id: str | None
    code: str | None
    is_final: bool
    is_complete: bool
    cost_nano: int | None


@dataclass(frozen=True, slots=True)
class RaceVerdict:
    """Counts of one race and everything that was wrong; empty `faults` is the pass."""

    race: str
    seed: int
    calls: int
    accepted: int
    refused: int
    looks: int
    most_used_ppm: int
    spent_nano: int
    faults: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """The verdict as JSON takes it."""
        return {**asdict(self), "faults": list(self.faults[:20]), "verdict": "failed" if self.faults else "passed"}


@dataclass
class Look:
    """What was seen of the budgets while a race ran."""

    looks: int = 0
    most_used_ppm: int = 0
    faults: list[str] = field(default_factory=list[str])

    def at(self, rows: Sequence[tuple[str, int, int, int]]) -> None:
        """Judge one instant."""
        self.looks += 1
        for scope, limit, held, spent in rows:
            self.most_used_ppm = max(self.most_used_ppm, (held + spent) * 1_000_000 // max(limit, 1))
            if held + spent > limit or held < 0:
                self.faults.append(f"{scope}: {spent} spent and {held} held of {limit}")


@dataclass(frozen=True, slots=True)
class RaceKey:
    """A key with its team, and the budgets that its calls draw on."""

    secret: str
    key_id: str
    team: str


@dataclass
class RaceStage:
    """A running installation and its provider; races follow one another on it."""

    server: RunningHeadrace
    upstream: FakeUpstream
    admin: httpx2.AsyncClient
    names: Iterator[int]

    @property
    def port(self) -> int:
        """Where the server listens."""
        return int(self.server.base_url.rsplit(":", 1)[1].split("/")[0])

    async def team(self) -> str:
        """Make a team."""
        name = f"team-{next(self.names)}"
        await self._made("/v2/teams", {"name": name})
        return name

    async def key(self, team: str) -> RaceKey:
        """Make a key of a team."""
        made = (await self._made(KEYS, {"name": f"key-{next(self.names)}", "team": team}))["api_key_info"]
        return RaceKey(made["secret_key"], made["uuid"], team)

    async def budget(self, scope: str, limit_nano: int, window: str = "total") -> str:
        """Make a budget and return its id."""
        usd = f"{limit_nano // 10**9}.{limit_nano % 10**9:09d}"
        made = await self._made("/v2/budgets", {"scope": scope, "limit_usd": usd, "window": window})
        found: str = made["budget"]["id"]
        return found

    async def drop(self, budget_ids: Sequence[str]) -> None:
        """Remove budgets, so that the next race has its own."""
        for budget_id in budget_ids:
            assert (await self.admin.delete(f"/v2/budgets/{budget_id}")).status_code == 200

    async def left(self, budget_id: str) -> Mapping[str, int]:
        """What the API says of a budget."""
        shown = (await self.admin.get(f"/v2/budgets/{budget_id}")).json()["budget"]
        return {name: shown[f"{name}_nano_usd"] for name in ("limit", "held", "spent", "left")}

    async def _made(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        reply = await self.admin.post(path, json=body)
        assert reply.status_code == 201, reply.text
        found: dict[str, Any] = reply.json()
        return found


@asynccontextmanager
async def race_stage(home: Path, store: str = "") -> AsyncGenerator[RaceStage]:
    """An installation whose provider bills one model by the token and one by the call; `store` is as it has it."""
    server = RunningHeadrace(home, store=store)
    async with FakeUpstream(_answer) as upstream:
        folder = home / "catalog"
        folder.mkdir(parents=True)
        tokens, each = 'input = "0.10"\noutput = "0.20"', 'input = "0"\noutput = "0"\nusd_per_call = "0.10"'
        models = (MODEL.format(name="tokens", price=tokens), MODEL.format(name="each", price=each))
        (home / "headrace.toml").write_text(CONFIGURATION)
        (folder / "race.toml").write_text(CATALOG.format(base_url=upstream.base_url) + "".join(models))
        await asyncio.to_thread(server.start)
        headers = {"authorization": f"Bearer {server.admin_token}"}
        try:
            async with httpx2.AsyncClient(
                base_url=server.base_url, headers=headers, timeout=60, trust_env=False
            ) as admin:
                yield RaceStage(server, upstream, admin, count(1))
        finally:
            status = await asyncio.to_thread(server.stop)
            assert status == 0, server.log


async def exact_race(stage: RaceStage, seed: int, calls: int = EXACT_CALLS) -> RaceVerdict:
    """Many calls of $0.10 against $5, which stand on the key, its team or the platform: exactly fifty are accepted."""
    random = Random(f"exact:{seed}")
    key = await stage.key(await stage.team())
    tight, *wide = random.sample(["platform", f"team:{key.team}", f"key:{key.key_id}"], 3)
    budgets = {await stage.budget(tight, EXACT_LIMIT_NANO): tight}
    for scope in wide:
        budgets[await stage.budget(scope, EXACT_LIMIT_NANO + random.randint(1, 10**10))] = scope
    bodies = [_body("each", random, cap=10) for _ in range(calls)]
    with looking(stage.server) as look:
        asked = await _ask_all(stage, [(key, body) for body in bodies], min(calls, EXACT_CONNECTIONS))
    faults = [*look.faults, *await _faults(stage, asked, budgets)]
    accepted = sum(each.status == 200 for each in asked)
    if accepted != min(calls, EXACT_LIMIT_NANO // EACH_NANO):
        faults.append(f"{accepted} calls of ${EACH_NANO / 10**9} were accepted against ${EXACT_LIMIT_NANO / 10**9}")
    await stage.drop(list(budgets))
    return _verdict("exact", seed, asked, look, faults)


async def nested_race(stage: RaceStage, seed: int, calls: int = NESTED_CALLS) -> RaceVerdict:
    """Calls of all sizes at once, each on a connection of its own, with budgets on keys, teams and the platform."""
    random = Random(f"nested:{seed}")
    teams = [await stage.team() for _ in range(NESTED_TEAMS)]
    keys = [await stage.key(teams[number % NESTED_TEAMS]) for number in range(NESTED_KEYS)]
    wanted = [(random.choice(keys), _body("tokens", random, cap=random.randint(1, 60))) for _ in range(calls)]
    whole = calls * 200 * INPUT_NANO
    budgets = {await stage.budget("platform", random.randint(whole // 8, whole)): "platform"}
    for team in teams:
        budgets[await stage.budget(f"team:{team}", random.randint(whole // 16, whole // 2), "day")] = f"team:{team}"
    for key in keys:
        scope = f"key:{key.key_id}"
        budgets[
            await stage.budget(scope, random.randint(whole // 32, whole // 4), random.choice(["month", "total"]))
        ] = scope
    with looking(stage.server) as look:
        asked = await _ask_all(stage, wanted, calls)
    faults = [*look.faults, *await _faults(stage, asked, budgets)]
    faults += [fault for key in keys for fault in await _affordable_faults(stage, key)]
    await stage.drop(list(budgets))
    return _verdict("nested", seed, asked, look, faults)


@contextmanager
def looking(server: RunningHeadrace) -> Generator[Look]:
    """Look at every budget of the store again and again, in a thread of its own."""
    look, stop = Look(), threading.Event()

    def run() -> None:
        with ledger_of(server) as ledger:
            while not stop.wait(LOOK_SECONDS):
                look.at(ledger.budgets())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield look
    finally:
        stop.set()
        thread.join()


async def _ask_all(
    stage: RaceStage, wanted: Sequence[tuple[RaceKey, dict[str, object]]], connections: int
) -> list[Asked]:
    waiting, asked = iter(wanted), list[Asked]()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_caller(stage.port, waiting, asked))
    return asked


async def _caller(port: int, waiting: Iterator[tuple[RaceKey, dict[str, object]]], asked: list[Asked]) -> None:
    """One connection: it asks until nothing waits; a connection carries the calls of one key."""
    clients: dict[str, RawClient] = {}
    for key, body in waiting:
        client = clients.get(key.secret) or clients.setdefault(key.secret, RawClient(port, key.secret))
        asked.append(_seen(key, await client.post(CHAT, body), stream=bool(body["stream"])))
    for client in clients.values():
        client.close()


def _seen(key: RaceKey, reply: RawReply, *, stream: bool) -> Asked:
    scopes = frozenset({"platform", f"team:{key.team}", f"key:{key.key_id}"})
    ok = reply.status == 200
    complete = reply.whole and (reply.body.endswith(b"data: [DONE]\n\n") if ok and stream else True)
    error: dict[str, Any] = json.loads(reply.body)["error"] if reply.status and not ok else {}
    cost = _told_cost(reply, stream=stream) if ok and complete else None
    final = reply.headers.get("x-should-retry") == "false"
    return Asked(scopes, stream, reply.status, reply.request_id, error.get("code"), final, complete, cost)


def _told_cost(reply: RawReply, *, stream: bool) -> int | None:
    if not stream:
        return int(reply.headers["x-headrace-cost-nano-usd"])
    told = [json.loads(line[6:]) for line in reply.body.split(b"\n\n") if b'"cost_nano_usd"' in line]
    return int(told[-1]["headrace"]["cost_nano_usd"]) if told else None


async def _faults(stage: RaceStage, asked: Sequence[Asked], budgets: Mapping[str, str]) -> list[str]:
    with ledger_of(stage.server) as ledger:
        booked = ledger.requests()
        unbalanced, open_holds = ledger.unbalanced_scopes(), ledger.open_holds()
    billed = {end.attempt_id: end for end in stage.upstream.log.ended}
    calls = {entry.attempt_id for entry in stage.upstream.log.received}
    faults = [fault for each in asked for fault in _faults_of(each, booked)]
    faults += [f"spending is not the sum of the charges: {scope}" for scope in unbalanced]
    if open_holds.held or open_holds.scope_nano:
        faults.append(f"held after the end: {open_holds}")
    mine = [booked[each.request_id] for each in asked if each.request_id in booked]
    for found in mine:
        end = billed.get(found.attempt_id)
        owed = None if end is None else _owed(end.model, end.prompt_tokens, end.completion_tokens)
        if owed != found.charge_nano:
            faults.append(f"{found.request_id}: {found.charge_nano} charged where {owed} was billed")
    known = {each.attempt_id for each in booked.values()}
    faults += [f"{attempt}: an upstream call without an attempt in the ledger" for attempt in calls - known]
    for budget_id, scope in budgets.items():
        told, left = sum(each.cost_nano or 0 for each in asked if scope in each.scopes), await stage.left(budget_id)
        if left["spent"] != told or left["held"] or left["spent"] > left["limit"]:
            faults.append(f"{scope}: callers were told {told}, the budget says {left}")
    return faults


def _faults_of(each: Asked, booked: Mapping[str, EndedRequest]) -> Iterator[str]:
    found = None if each.request_id is None else booked.get(each.request_id)
    if each.status == 402:
        if found is not None:
            yield f"{each.request_id}: refused, but in the ledger"
        if (each.code, each.is_final) != ("budget_exceeded", True):
            yield f"{each.request_id}: refused as {each.code} without saying that a repeat is of no use"
    elif each.status != 200 or not each.is_complete:
        yield f"{each.request_id}: {each.status}, code {each.code}, complete: {each.is_complete}"
    elif found is None or (found.outcome, found.charge_nano) != ("settled", each.cost_nano):
        yield f"{each.request_id}: told {each.cost_nano}, booked as {found}"


async def _affordable_faults(stage: RaceStage, key: RaceKey) -> list[str]:
    """A refusal names the cap that fits: one token more is refused, that cap is accepted; the platform's names none."""
    client = RawClient(stage.port, key.secret)
    refused = await client.post(CHAT, _probe(MOST_TOKENS))
    if refused.status == 200:
        client.close()
        return []
    error = json.loads(refused.body)["error"]
    cap = error.get("affordable_output_tokens")
    if cap is None:
        client.close()
        is_the_operators = "the operator's budget for the platform" in error["message"]
        return [] if is_the_operators else [f"key {key.key_id}: refused without what would be affordable: {error}"]
    statuses = [(await client.post(CHAT, _probe(each))).status for each in (cap + 1, cap) if cap]
    client.close()
    return [] if statuses in ([], [402, 200]) else [f"key {key.key_id}: {cap} tokens were affordable, got {statuses}"]


def _probe(cap: int) -> dict[str, object]:
    """A call whose body has the same length whatever its cap."""
    content = "x" * (10 - len(str(cap)))
    return {"model": "tokens", "messages": [{"role": "user", "content": content}], "stream": False, "max_tokens": cap}


def _verdict(race: str, seed: int, asked: Sequence[Asked], look: Look, faults: Sequence[str]) -> RaceVerdict:
    accepted = [each for each in asked if each.status == 200]
    refused = sum(each.status == 402 for each in asked)
    spent = sum(each.cost_nano or 0 for each in accepted)
    return RaceVerdict(
        race, seed, len(asked), len(accepted), refused, look.looks, look.most_used_ppm, spent, tuple(faults)
    )


def _body(model: str, random: Random, *, cap: int) -> dict[str, object]:
    content = " ".join(["word"] * random.randint(1, 30))
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": cap,
        "stream": random.random() < 0.5,
    }
    return {**body, "stream_options": {"include_usage": True}} if body["stream"] else body


def _owed(model: str | None, prompt_tokens: int, completion_tokens: int) -> int:
    return EACH_NANO if model == "each" else prompt_tokens * INPUT_NANO + completion_tokens * OUTPUT_NANO


def _answer(request: UpstreamRequest) -> Reply:
    random = Random(f"reply:{request.number}")
    reply = obedient_chat(request, Chat(" ".join(["water"] * random.randint(1, 40))))
    return reply.delayed(before_headers_seconds=random.choice((0.0, 0.0, 0.01, 0.05)))
