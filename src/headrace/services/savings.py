"""What routers saved, from what they decided and what serving it cost; nothing is decided anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.domain.savings import Savings, SavingsSums, spent
from headrace.domain.shadow import Quality, quality_of
from headrace.domain.snapshot import Snapshot
from headrace.ports.ambient import Offload
from headrace.ports.routing import Decisions, RoutedRequest, ShadowStore
from headrace.services.router_history import Past, find_any, logged_name, pages
from headrace.services.snapshots import Snapshots


@dataclass(frozen=True, slots=True)
class SavingsReport:
    """What a router's requests cost in some time; `known` is how many there are, of more the newest were added up.

    `quality` is what judges said of answers of that time, None for the managed router, which is never compared.
    """

    router: str
    past: Past
    known: int
    savings: Savings
    quality: Quality | None


class SavingsReader:
    """Adds up what routers decided."""

    def __init__(self, decisions: Decisions, shadows: ShadowStore, snapshots: Snapshots, offload: Offload) -> None:
        self._decisions = decisions
        self._shadows = shadows
        self._snapshots = snapshots
        self._offload = offload

    async def report(self, router: str, past: Past) -> SavingsReport:
        """Return the savings of a router, by its name or uuid; raises NotFound."""
        snapshot = self._snapshots.current()
        found, strengths = find_any(router, snapshot), _strengths(snapshot)
        name, quality = logged_name(found), None
        known = await self._decisions.count(name, past.since_micros, past.until_micros)
        sums = SavingsSums()
        async for page in pages(self._decisions, name, past):
            await self._offload.run(_add, sums, page, strengths)
        if found is not None:
            verdicts = await self._shadows.verdicts(found.uuid, past.since_micros, past.until_micros)
            quality = quality_of(verdicts)
        return SavingsReport(name, past, known, await self._offload.run(sums.savings), quality)


def _add(sums: SavingsSums, page: Sequence[RoutedRequest], strengths: Mapping[str, float]) -> None:
    for each in reversed(page):
        sums.add(spent(each.decision, each.served_by, each.cost_nano, strengths))


def _strengths(snapshot: Snapshot) -> Mapping[str, float]:
    listed = [entry.model for entries in snapshot.models.values() for entry in entries]
    return {each.id: each.strength.value for each in listed if each.strength is not None}
