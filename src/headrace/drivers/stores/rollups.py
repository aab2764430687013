"""Owns the hourly sums of usage: what every resolution adds to them, in the commit that writes it, and the rebuild.

A sum belongs to the hour in which the attempt ended, or that a replica's line is for. The sums hold nothing that the
ledger does not: `rebuild` makes them anew from its rows, and the audit compares the two.
"""

from __future__ import annotations

from typing import TypeAlias

from headrace.domain.books import Settlement, Void
from headrace.domain.dedicated import DEDICATED
from headrace.domain.replica_run import REPLICA_STATUS, ReplicaRun
from headrace.drivers.stores import sql
from headrace.drivers.stores.open_attempts import Origin, Place
from headrace.drivers.stores.rowsets import run_rows
from headrace.drivers.stores.sqlite import Cursor

Value: TypeAlias = "str | int"
Counts: TypeAlias = "tuple[int, ...]"

HOUR_MICROS = 3_600_000_000
VOIDED = "voided"
PLACE_COLUMNS = 8
TAG_PLACE_COLUMNS = 9
COUNTERS = 13
FROM_LEDGER = """
INSERT INTO usage_hour
SELECT hour_start_micros, account, key_id, model_id, provider, deployment, route, status,
    sum(attempts), sum(requests), sum(input_fresh), sum(input_cache_read), sum(input_cache_write_5m),
    sum(input_cache_write_1h), sum(output_text), sum(output_reasoning), sum(cost_nano), sum(charge_nano),
    sum(duration_micros), sum(first_event_micros), sum(first_events)
FROM used GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""
TAGS_FROM_LEDGER = """
INSERT INTO tag_hour
SELECT hour_start_micros, tag.value, account, key_id, model_id, provider, deployment, route, status,
    sum(attempts), sum(requests), sum(input_fresh), sum(input_cache_read), sum(input_cache_write_5m),
    sum(input_cache_write_1h), sum(output_text), sum(output_reasoning), sum(cost_nano), sum(charge_nano),
    sum(duration_micros), sum(first_event_micros), sum(first_events)
FROM used CROSS JOIN json_each(used.tags) AS tag GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
"""


class Rollups:
    """Adds up one batch; it belongs to the writer's thread."""

    def __init__(self) -> None:
        self._sums: dict[Place, list[Counts]] = {}
        self._tag_sums: dict[Place, list[Counts]] = {}

    def forget(self) -> None:
        """Drop what a batch that was rolled back had added up."""
        self._sums.clear()
        self._tag_sums.clear()

    def settled(self, settlement: Settlement, charge_nano: int, origin: Origin) -> None:
        """Add a settlement."""
        usage, timing = settlement.usage, settlement.timing
        place, held_at, tags = origin[:3]
        first = timing.first_event_at_micros
        self._add(
            (timing.ended_at_micros - timing.ended_at_micros % HOUR_MICROS, *place, settlement.ending),
            tags,
            (
                1,
                settlement.request_status is not None,
                usage.input_fresh,
                usage.input_cache_read,
                usage.input_cache_write_5m,
                usage.input_cache_write_1h,
                usage.output_text,
                usage.output_reasoning,
                sum([line.cost_nano for line in settlement.lines]),
                charge_nano,
                timing.ended_at_micros - held_at,
                0 if first is None else first - held_at,
                first is not None,
            ),
        )

    def waived(self, settlement: Settlement, charge_nano: int, origin: Origin) -> None:
        """Take back the charge of a settlement."""
        ended_at = settlement.timing.ended_at_micros
        place = (ended_at - ended_at % HOUR_MICROS, *origin.place, settlement.ending)
        self._add(place, origin.tags, (*(0,) * 9, -charge_nano, 0, 0, 0))

    def voided(self, void: Void, origin: Origin) -> None:
        """Add a void."""
        place, held_at, tags = origin[:3]
        ended_at = void.ended_at_micros
        counts = (1, void.request_status is not None, *(0,) * 8, ended_at - held_at, 0, 0)
        self._add((ended_at - ended_at % HOUR_MICROS, *place, VOIDED), tags, counts)

    def run(self, run: ReplicaRun, until_micros: int, amounts: tuple[int, int]) -> None:
        """Add a line of a replica that reaches until then: its cost and its charge, and no attempt."""
        last = until_micros - 1
        place = (run.account, "", run.deployment, DEDICATED, run.deployment_id, "", REPLICA_STATUS)
        self._add((last - last % HOUR_MICROS, *place), (), (*(0,) * 8, *amounts, 0, 0, 0))

    def write(self, cursor: Cursor) -> None:
        """Write what was added up since the last time."""
        if self._sums:
            run_rows(cursor, sql.ADD_USAGE, PLACE_COLUMNS + COUNTERS, _rows(self._sums))
            self._sums.clear()
        if self._tag_sums:
            run_rows(cursor, sql.ADD_TAG_USAGE, TAG_PLACE_COLUMNS + COUNTERS, _rows(self._tag_sums))
            self._tag_sums.clear()

    def _add(self, place: Place, tags: tuple[str, ...], counts: Counts) -> None:
        self._sums.setdefault(place, []).append(counts)
        for tag in tags:
            self._tag_sums.setdefault((place[0], tag, *place[1:]), []).append(counts)


def rebuild(cursor: Cursor) -> None:
    """Make the sums anew from the ledger."""
    cursor.execute("DELETE FROM usage_hour")
    cursor.execute(FROM_LEDGER)
    cursor.execute("DELETE FROM tag_hour")
    cursor.execute(TAGS_FROM_LEDGER)


def _rows(added: dict[Place, list[Counts]]) -> list[Value]:
    values: list[Value] = []
    for place, counts in added.items():
        values += place
        values += map(sum, zip(*counts, strict=True))
    return values
