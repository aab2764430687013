"""Reconciling: a provider's bill is read, compared with our books, and the comparison is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from headrace.domain.bill import DAY_MICROS, Bill, BookedHour, day_of, start_of
from headrace.domain.bill_names import KnownModel, names_on_bill
from headrace.domain.errors import InvalidRequest, NotFound
from headrace.domain.json_value import JsonObject
from headrace.domain.names import did_you_mean
from headrace.domain.reconciliation import MOST_ATTEMPTS, Books, Reconciliation, reconcile
from headrace.domain.snapshot import Snapshot
from headrace.ports.ambient import Clock, Ids, Offload
from headrace.ports.reconciliation import BookedUsage, KeptReconciliation, Period, ReconciliationStore
from headrace.services.snapshots import Snapshots
from headrace.wire.invoice import AskedFormat, read_bill
from headrace.wire.json_strict import encode
from headrace.wire.reconciliation_json import Made, report_rows, summary_object

MOST_DAYS = 400
MOST_KEPT_SHOWN = 1_000
FILE_NAME_CHARS = 200


@dataclass(frozen=True, slots=True)
class Statement:
    """A bill as it is given: `since` and `until` are ISO dates, both in it; `models` are ours by the bill's names."""

    provider: str
    content: str
    form: AskedFormat = "auto"
    file_name: str = ""
    since: str | None = None
    until: str | None = None
    models: Mapping[str, str] = field(default_factory=dict[str, str])


class Reconciliations:
    """Compares bills with the books and remembers every comparison."""

    def __init__(
        self,
        store: ReconciliationStore,
        booked: BookedUsage,
        snapshots: Snapshots,
        ambient: tuple[Clock, Ids, Offload],
    ) -> None:
        self._store = store
        self._booked = booked
        self._snapshots = snapshots
        self._clock, self._ids, self._offload = ambient

    async def make(self, given: Statement) -> KeptReconciliation:
        """Compare a bill and keep the comparison; raises NotFound, and InvalidRequest with nothing kept."""
        snapshot = self._snapshots.current()
        _require_provider(given.provider, snapshot)
        now = self._clock.unix_micros()
        bill = await self._offload.run(read_bill, given.content, given.form, day_of(now + DAY_MICROS))
        bill, days = _within(bill, given)
        digest = hashlib.sha256(given.content.encode()).hexdigest()
        remarks = [*bill.remarks, *await self._seen_before(given.provider, digest)]
        found = await self._compare(bill, days, given, snapshot)
        made = Made(self._ids.new("rec"), given.provider, given.file_name[:FILE_NAME_CHARS], digest, days, now)
        summary = summary_object(made, bill, found, remarks)
        report: JsonObject = {**summary, "days": report_rows(found)}
        kept = KeptReconciliation(
            made.id, made.provider, digest, now, encode(summary).decode(), encode(report).decode()
        )
        await self._store.add(kept)
        return kept

    async def find(self, reconciliation_id: str) -> KeptReconciliation:
        """Return a comparison as it was made; raises NotFound."""
        kept = await self._store.get(reconciliation_id)
        if kept is None:
            raise NotFound(
                f'No reconciliation has the id "{reconciliation_id[:80]}"; `headrace reconciliations` lists them.',
                code="reconciliation_not_found",
            )
        return kept

    async def list(self, provider: str | None, limit: int = 100) -> tuple[KeptReconciliation, ...]:
        """Return the newest comparisons first, without their reports."""
        return await self._store.recent(provider, min(max(limit, 1), MOST_KEPT_SHOWN))

    async def _seen_before(self, provider: str, digest: str) -> list[str]:
        kept = await self._store.recent(provider, MOST_KEPT_SHOWN)
        return [f"This file was reconciled before, as {each.id}." for each in kept if each.digest == digest][:1]

    async def _compare(self, bill: Bill, days: tuple[str, str], given: Statement, snapshot: Snapshot) -> Reconciliation:
        start, end = start_of(days[0]), start_of(days[1]) + DAY_MICROS
        hours = await self._booked.hours(Period(given.provider, start - DAY_MICROS, end + DAY_MICROS))
        names = _names(bill, hours, given, snapshot)
        ids = frozenset(line.request_id for line in bill.lines if line.request_id is not None)
        attempts, upstream_ids = await self._booked.attempts(
            Period(given.provider, start, end), ids or None, MOST_ATTEMPTS
        )
        return await self._offload.run(reconcile, bill, Books(days, hours, attempts, upstream_ids), names)


def _require_provider(name: str, snapshot: Snapshot) -> None:
    if name not in snapshot.providers:
        hint = did_you_mean(name, snapshot.providers)
        raise NotFound(
            f'No provider named "{name[:80]}".{f" {hint}" if hint else ""}', code="provider_not_found", param="provider"
        )


def _within(bill: Bill, given: Statement) -> tuple[Bill, tuple[str, str]]:
    """Return the lines of the asked days with these days, and a remark on the lines that were left out."""
    since, until = _day(given.since, "since"), _day(given.until, "until")
    if since and until and since > until:
        raise InvalidRequest(f'"since" ({since}) is after "until" ({until}): exchange them.', param="since")
    lines = tuple(line for line in bill.lines if (since or line.day) <= line.day <= (until or line.day))
    all_days = sorted(line.day for line in bill.lines)
    if not lines:
        raise InvalidRequest(
            f"The file has no line from {since or 'the beginning'} to {until or 'the end'}; its days go from "
            f"{all_days[0]} to {all_days[-1]}. Correct the dates, or export another time.",
            code="bill_invalid",
            param="since",
        )
    first, last = since or min(line.day for line in lines), until or max(line.day for line in lines)
    if start_of(last) - start_of(first) > MOST_DAYS * DAY_MICROS:
        raise InvalidRequest(
            f"The bill goes from {first} to {last}: at most {MOST_DAYS} days are compared at once. Narrow it with "
            "since and until.",
            code="bill_invalid",
            param="since",
        )
    left_out = len(bill.lines) - len(lines)
    remarks = (
        *bill.remarks,
        f"{left_out} lines are of other days ({all_days[0]} to {all_days[-1]}) and were left out.",
    )
    return replace(bill, lines=lines, remarks=remarks if left_out else bill.remarks), (first, last)


def _day(text: str | None, param: str) -> str | None:
    if text is None:
        return None
    try:
        return day_of(start_of(text))
    except ValueError:
        raise InvalidRequest(f'"{param}" must be a date like 2026-11-24, not {text[:40]!r}.', param=param) from None


def _names(bill: Bill, hours: tuple[BookedHour, ...], given: Statement, snapshot: Snapshot) -> dict[str, str]:
    listed = [entry.model for entries in snapshot.models.values() for entry in entries]
    known = {
        model.id: KnownModel(model.id, (model.upstream_name, model.display_name))
        for model in listed
        if model.provider == given.provider
    }
    for hour in hours:
        known.setdefault(hour.model_id, KnownModel(hour.model_id))
    for theirs, ours in given.models.items():
        if ours not in known:
            raise InvalidRequest(
                f'"models" says that "{theirs[:80]}" is "{ours[:80]}", which {given.provider} does not serve here.'
                f" {did_you_mean(ours, known)}".rstrip(),
                param="models",
            )
    return names_on_bill({line.model for line in bill.lines}, known.values(), given.models)
