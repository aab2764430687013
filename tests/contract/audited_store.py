"""A store with traffic of every kind, made by a seed, for the audit and for the comparison with bills."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.domain.books import Bound, Opening, Progress, RequestStart, Settlement, Timing, Void
from headrace.domain.budget import Budget, BudgetMode, Window
from headrace.domain.price import PriceTier, PriceVersion, PriceWindow, Rates, bound_nano, price_lines
from headrace.domain.replica_run import share_nano
from headrace.domain.transfer import Transfer, TransferKind
from headrace.domain.usage import TokenClass, UnitClass, Usage, rare
from headrace.drivers.stores.accounts import SqlAccounts
from headrace.drivers.stores.budgets import SqlBudgetStore
from headrace.drivers.stores.database import Database, open_database
from headrace.drivers.stores.ledger import SqlLedger
from headrace.drivers.stores.replica_runs import SqlReplicaRuns
from headrace.services.price_versions import rates_digest
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import RATES, START_MICROS, OpenStore
from tests.fakes.decisions import a_decision
from tests.fakes.replicas import a_run

NOW_MICROS = START_MICROS + 3 * 3_600_000_000
VARIED_RATES: Rates = {**RATES, TokenClass.INPUT_AUDIO: 640_001, UnitClass.CALL: 5_000_000_001}
BUDGETS = (
    Budget("bud_1", "platform", Window.DAY, "UTC", 10**15, BudgetMode.REJECT, START_MICROS, START_MICROS),
    Budget("bud_2", "team:shop", Window.TOTAL, "UTC", 10**14, BudgetMode.CLAMP, START_MICROS, START_MICROS),
)
# What the last of three runs costs, and with it the shares of requests.
HOURLY = 5_180_000_019
NEXT_EPOCH = "INSERT INTO epoch (pid, version, started_at_micros) VALUES (1, '0', 0)"
ENDINGS = ("complete", "complete", "complete", "client_closed", "upstream_truncated")


def _named(price: PriceVersion) -> PriceVersion:
    return replace(price, id=f"{price.provider}/{price.model_id}@{price.effective}#{rates_digest(price)}")


SMALL = _named(PriceVersion("", "acme", "small", "2026-01-01", "https://acme.example/prices", RATES))
VARIED = _named(
    PriceVersion(
        "",
        "acme",
        "varied",
        "2026-01-01",
        "https://acme.example/prices",
        VARIED_RATES,
        1_100_000,
        tiers=(PriceTier(900, {each: 2 * pico for each, pico in VARIED_RATES.items()}),),
        windows=(PriceWindow(16 * 60, 18 * 60, multiplier_ppm=1_500_000),),
    )
)
FREE = _named(PriceVersion("", "here", "free", "2026-01-01", "https://acme.example/prices", dict.fromkeys(RATES, 0)))


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is sent: how many attempts, from which seed, how far apart."""

    attempts: int = 60
    seed: int = 1
    apart_micros: int = 120_000_000


async def make_store(home: Path, traffic: Traffic | None = None, open_store: OpenStore = open_database) -> None:
    """Fill a home's store with settled, voided, recovered and open attempts, replicas, budgets, balances and tags."""
    clock = FakeClock(START_MICROS)
    database = open_store(home, clock)
    try:
        await _fill(database, clock, traffic or Traffic())
    finally:
        database.close()


async def _fill(database: Database, clock: FakeClock, traffic: Traffic) -> None:
    chance = random.Random(traffic.seed)
    accounts, budgets = SqlAccounts(database), SqlBudgetStore(database)
    for number, amount in enumerate((50_000_000_000, -7, 1_000_000_123)):
        kind = TransferKind.ADJUSTMENT if amount < 0 else TransferKind.TOP_UP
        await accounts.post(Transfer(kind, "shop", amount, "note", f"pay_{number}", START_MICROS))
    for budget in BUDGETS:
        await budgets.put(budget, budget.span_at(START_MICROS).scope)
    for number in range(traffic.attempts):
        clock.advance(traffic.apart_micros / 1e6)
        if number == traffic.attempts // 2:
            # What is still open belongs to another epoch from here on: it is recovered.
            ledger = SqlLedger(database, clock)
            await database.write(lambda cursor: cursor.execute(NEXT_EPOCH).rowcount)
            database.epoch += 1
            await SqlLedger(database, clock).recover()
        ledger = SqlLedger(database, clock)
        opening = make_opening(chance, number, clock.unix_micros())
        await ledger.hold(opening)
        await _end(ledger, chance, opening)
    for number in range(3):
        await _run_replica(SqlReplicaRuns(database), chance, number)


async def _run_replica(runs: SqlReplicaRuns, chance: random.Random, number: int) -> None:
    """One that was never ready, one that runs, and one that was gone before what was booked last."""
    run = replace(a_run(f"run_{number}", HOURLY if number == 2 else chance.randrange(10**9, 10**10)), account="shop")
    await runs.begin(run)
    if number == 0:
        return
    run = replace(run, ready_at_micros=START_MICROS + chance.randrange(60_000_000))
    for minutes in (5, 14, 15):
        until = START_MICROS + minutes * 60_000_000
        scopes = ("balance:shop", *(each.span_at(until).scope for each in BUDGETS), "platform")
        run = replace(run, metered_to_micros=until, seen_at_micros=until)
        await runs.meter(run, scopes)
    if number == 2:
        gone = START_MICROS + 7 * 60_000_000
        await runs.meter(replace(run, gone_at_micros=gone, metered_to_micros=gone), ("platform",))


async def _end(ledger: SqlLedger, chance: random.Random, opening: Opening) -> None:
    fate = chance.random()
    if fate < 0.08:
        return
    if fate < 0.2:
        spend = fate < 0.14
        ended = opening.at_micros + 1_500_000
        await ledger.void(Void(opening.attempt_id, "upstream_unavailable", ended, 503, spend, None if spend else 503))
        return
    await ledger.sent(opening.attempt_id, opening.at_micros + 5)
    if fate < 0.3:
        ledger.checkpoint(
            opening.attempt_id, Progress(chance.randrange(9), chance.randrange(2) * 80, opening.at_micros)
        )
        return
    await ledger.settle(make_settlement(chance, opening))


def make_opening(chance: random.Random, number: int, at_micros: int) -> Opening:
    """Return the opening of one attempt; its id begins with its time, as ids do."""
    price = chance.choice((SMALL, SMALL, VARIED, FREE))
    key, team = chance.choice((("k1", "shop"), ("k2", "shop"), ("k3", "default")))
    tags = tuple(sorted(chance.sample(("user=ann", "job=nightly", "x"), chance.randrange(3))))
    name = f"{at_micros // 1_000:012x}{number:020x}"
    request = RequestStart(
        f"req_{name}", "chat", team, key, key, price.model_id, True, at_micros, chance.choice((None, "coding")), tags
    )
    if number % 3 == 0:
        request = replace(request, decision=a_decision(route=request.route))
    scopes = ["platform", f"key:{key}"]
    if price is not FREE:
        scopes += [each.span_at(at_micros).scope for each in BUDGETS if each.scope in ("platform", f"team:{team}")]
        scopes += ["balance:shop"] if team == "shop" else []
    bound = Bound(3_000, 300, bound_nano(price, 3_000, 300), input_estimate=700)
    deployment = "dep_1" if price is FREE else None
    return Opening(
        f"att_{name}",
        request,
        0,
        0,
        price.model_id,
        price.provider,
        deployment,
        "v1",
        price,
        bound,
        tuple(sorted(scopes)),
        at_micros,
    )


def make_settlement(chance: random.Random, opening: Opening) -> Settlement:
    """Return a settlement with usage of every class, charged or not."""
    audio = rare({TokenClass.INPUT_AUDIO: chance.randrange(1, 90)}) if opening.price is VARIED else ()
    numbers = [chance.randrange(1, 400) for _ in range(6)]
    source = chance.choice(("upstream", "upstream", "counted"))
    usage = Usage(*numbers, source=source, more=audio)
    ending = chance.choice(ENDINGS)
    ended = opening.at_micros + chance.randrange(1_000_000, 9_000_000)
    share = 0 if opening.deployment is None else (ended - opening.at_micros) // 2
    return Settlement(
        opening.attempt_id,
        usage,
        price_lines(usage, opening.price, opening.at_micros, charged=ending != "upstream_truncated"),
        ending,
        Timing(chance.choice((None, opening.at_micros + 400_000)), ended),
        delivered_bytes=512,
        upstream_status=200,
        upstream_request_id=f"up_{opening.attempt_id[-6:]}",
        request_status=200,
        share_micros=share,
        share_nano=share_nano(share, HOURLY),
    )
