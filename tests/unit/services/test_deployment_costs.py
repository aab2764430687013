"""What a deployment cost: which runs and requests count, which twin stands beside it, who is not known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import cast

import pytest

from headrace.domain.alias import Alias
from headrace.domain.catalog import AVAILABLE, Listed
from headrace.domain.dedicated import Deployment, Overflow
from headrace.domain.deployment_costs import DeploymentCosts, Served
from headrace.domain.errors import NotFound
from headrace.domain.price import PriceVersion
from headrace.domain.replica_run import MICROS_PER_HOUR, ReplicaRun
from headrace.domain.snapshot import Snapshot
from headrace.services.deployment_costs import DeploymentCostReader
from headrace.services.snapshots import Snapshots
from headrace.testing.clock import FakeClock
from tests.fakes.nouns import a_model, a_price
from tests.fakes.replicas import STARTED_MICROS, MemoryRuns, a_deployment, a_run, a_wanted

pytestmark = pytest.mark.anyio

HOUR = MICROS_PER_HOUR
SERVED = Served(3, input_fresh=1_000, output_text=500, share_micros=HOUR // 2, share_nano=700)
RUN = replace(a_run(nano_per_hour=1_000), ready_at_micros=STARTED_MICROS)


@dataclass(slots=True)
class MemoryUse:
    """What requests used, and what was asked."""

    asked: list[tuple[str, int, int]] = field(default_factory=list[tuple[str, int, int]])

    async def served(self, deployment_id: str, since_micros: int, until_micros: int) -> Served:
        self.asked.append((deployment_id, since_micros, until_micros))
        return SERVED


def entry(name: str, price: PriceVersion | None, deployment: Deployment | None = None) -> Listed:
    return Listed(replace(a_model(name), deployment=deployment), price, AVAILABLE)


def reader(
    deployment: Deployment | None,
    *entries: Listed,
    runs: tuple[ReplicaRun, ...] = (RUN,),
    use: MemoryUse | None = None,
    aliases: dict[str, Alias] | None = None,
) -> DeploymentCostReader:
    models: dict[str, tuple[Listed, ...]] = {}
    for each in entries:
        models[each.model.id] = (*models.get(each.model.id, ()), each)
    known = {} if deployment is None else {deployment.id: deployment}
    snapshot = Snapshot(1, models, {}, {}, aliases=aliases or {}, deployments=known)
    snapshots = cast("Snapshots", SimpleNamespace(current=lambda: snapshot))
    clock = FakeClock(STARTED_MICROS + 2 * HOUR)
    return DeploymentCostReader(MemoryRuns({each.id: each for each in runs}), use or MemoryUse(), snapshots, clock)


async def asked(found: DeploymentCostReader, name: str = "prod-llm") -> DeploymentCosts:
    return await found.report(name, STARTED_MICROS, STARTED_MICROS + 9 * HOUR)


@pytest.mark.parametrize("name", ["prod-llm", "dep_1"])
async def test_a_deployment_is_found_by_its_name_and_by_its_id(name: str) -> None:
    use = MemoryUse()
    starting = replace(a_run("run_2"), ready_at_micros=None)
    costs = await asked(reader(a_deployment(), entry("qwen", a_price()), runs=(RUN, starting), use=use), name)
    assert use.asked == [("dep_1", STARTED_MICROS, STARTED_MICROS + 9 * HOUR)]
    assert (costs.deployment_id, costs.name, costs.runs) == ("dep_1", "prod-llm", 1)
    assert costs.until_micros == STARTED_MICROS + 2 * HOUR
    assert (costs.replica_micros, costs.amount_nano, costs.served) == (2 * HOUR, 2_000, SERVED)


async def test_the_overflow_is_the_twin_before_the_model_that_runs() -> None:
    overflowing = a_deployment(wanted=replace(a_wanted(), overflow=Overflow("big", 4)))
    plain, dear = entry("qwen", a_price()), entry("big", a_price(input_pico=3_000, output_pico=9_000))
    twin = (await asked(reader(overflowing, plain, dear))).twin
    assert twin is not None
    assert (twin.model, twin.provider, twin.is_overflow, twin.amount_nano) == ("big", "acme", True, 7_500)
    twin = (await asked(reader(overflowing, plain))).twin
    assert twin is not None
    assert (twin.model, twin.is_overflow, twin.amount_nano) == ("qwen", False, 3_000)


async def test_an_overflow_may_be_an_alias() -> None:
    overflowing = a_deployment(wanted=replace(a_wanted(), overflow=Overflow("best", 4)))
    aliases = {"best": Alias("best", "big", (), STARTED_MICROS, STARTED_MICROS)}
    twin = (await asked(reader(overflowing, entry("big", a_price()), aliases=aliases))).twin
    assert twin is not None
    assert (twin.model, twin.is_overflow) == ("big", True)


async def test_what_has_no_price_or_is_a_deployment_itself_is_no_twin() -> None:
    free = a_price(input_pico=0, output_pico=0)
    entries = (entry("qwen", None), entry("qwen", free), entry("qwen", a_price(), a_deployment()))
    assert (await asked(reader(a_deployment(), *entries))).twin is None
    assert (await asked(reader(a_deployment()))).twin is None


async def test_one_that_was_removed_is_found_by_its_id() -> None:
    costs = await asked(reader(None), "dep_1")
    assert (costs.name, costs.amount_nano, costs.twin) == ("prod-llm", 2_000, None)


async def test_a_replica_that_went_on_at_another_price_is_one_replica() -> None:
    dearer = replace(RUN, id="run_2", nano_per_hour=2 * RUN.nano_per_hour, ready_at_micros=STARTED_MICROS + HOUR)
    runs = (replace(RUN, gone_at_micros=STARTED_MICROS + HOUR), dearer)
    costs = await asked(reader(a_deployment(), runs=runs), "prod-llm")
    assert (costs.runs, costs.replica_micros, costs.amount_nano) == (1, 2 * HOUR, 1_000 + 2_000)


async def test_one_that_never_was_is_not_found() -> None:
    with pytest.raises(NotFound, match=r'No deployment "prod-lm" .* "prod-llm"') as failure:
        await asked(reader(a_deployment()), "prod-lm")
    assert failure.value.code == "deployment_not_found"
    with pytest.raises(NotFound, match="deployments list"):
        await asked(reader(None, runs=()), "other")
    with pytest.raises(NotFound, match=r"give the id, which `headrace usage --by deployment` shows\."):
        await asked(reader(None, runs=()), "dep_2")
