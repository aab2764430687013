"""Owns answering questions about usage from the hourly sums; writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from headrace.domain.usage_report import Dimension, UsageQuestion, UsageReport, UsageRow, UsageSums
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.sqlite import Cursor

Value: TypeAlias = "str | int"

COLUMNS: Mapping[Dimension, str] = MappingProxyType(
    {
        Dimension.KEY: "key_id",
        Dimension.TEAM: "account",
        Dimension.MODEL: "model_id",
        Dimension.PROVIDER: "provider",
        Dimension.DEPLOYMENT: "deployment",
        Dimension.ROUTE: "route",
        Dimension.TAG: "tag",
        Dimension.STATUS: "status",
    }
)
COUNTERS = tuple(UsageSums.__slots__)
SUMS = ", ".join(f"coalesce(sum({each}), 0)" for each in COUNTERS)
FIRST_SPAN, FURTHER_SPAN = "(CAST(? AS BIGINT), CAST(? AS BIGINT))", "(?, ?)"
# Fewer than the 32,766 values that SQLite binds in one statement.
NAMES_AT_ONCE = 5_000
KEY_NAMES = "SELECT public_id, name FROM access_key WHERE public_id IN ({0})"
# A deployment keeps its name for life; of one that was deleted its replicas' runs have it.
DEPLOYMENT_NAMES = """
SELECT DISTINCT deployment_id, deployment FROM replica_run WHERE deployment_id IN ({0})
UNION SELECT id, name FROM deployment WHERE id IN ({0})
"""
# A deployment is asked for by its id or its name.
NAMED = """(deployment IN ({0}) OR deployment IN (
    SELECT id FROM deployment WHERE name IN ({0}) UNION SELECT deployment_id FROM replica_run WHERE deployment IN ({0})
))"""


@dataclass(frozen=True, slots=True)
class _Source:
    """What rows are summed from: a table joined with the spans, and what they must fulfil."""

    text: str
    values: tuple[Value, ...]


class SqlUsageReports:
    """Reports from `usage_hour`, and from `tag_hour` where tags are asked about."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(self, question: UsageQuestion) -> UsageReport:
        """Return the rows that are wanted and the totals, read in one transaction."""
        return await self._database.read(lambda cursor: _report(cursor, question))


def _report(cursor: Cursor, question: UsageQuestion) -> UsageReport:
    by_tag = Dimension.TAG in question.group_by
    source = _source(question, by_tag=by_tag)
    columns = ", ".join(("span.starts", "span.ends", *(COLUMNS[each] for each in question.group_by)))
    selected = f"SELECT {columns}, {SUMS} {source.text} GROUP BY {columns}"
    spans = _spans(question)
    # Everything that a caller gave is bound: what stands in the text is columns, tables and marks of ours.
    counted = f"{spans} SELECT count(*) FROM ({selected}) AS report"  # noqa: S608 - what was given is bound
    count = cursor.execute(counted, source.values).fetchone()
    page = (*source.values, question.most_rows, question.first_row)
    found = cursor.execute(f"{spans} {selected} ORDER BY {columns} LIMIT ? OFFSET ?", page).fetchall()
    whole = _source(question, by_tag=False)
    totals = cursor.execute(f"{spans} SELECT {SUMS} {whole.text}", whole.values).fetchone()
    rows = tuple(_row(row, len(question.group_by)) for row in found)
    keys = _names(cursor, KEY_NAMES, _values_of(Dimension.KEY, question, rows))
    deployments = _names(cursor, DEPLOYMENT_NAMES, _values_of(Dimension.DEPLOYMENT, question, rows))
    return UsageReport(question, rows, int(count[0]), _sums(totals), keys, deployments)


def _spans(question: UsageQuestion) -> str:
    further = f", {FURTHER_SPAN}" * (len(question.spans) - 1)
    return f"WITH span (starts, ends) AS (VALUES {FIRST_SPAN}{further})"


def _source(question: UsageQuestion, *, by_tag: bool) -> _Source:
    """Without a group or a filter by tag every attempt counts, and once, with tags or without."""
    wants_tags = by_tag or any(dimension is Dimension.TAG for dimension, _ in question.filters)
    table = "tag_hour" if wants_tags else "usage_hour"
    conditions: list[str] = []
    values: list[Value] = [moment for span in question.spans for moment in span]
    for dimension, wanted in question.filters:
        condition = NAMED if dimension is Dimension.DEPLOYMENT else f"{COLUMNS[dimension]} IN ({{0}})"
        conditions.append(condition.format(_marks(wanted)))
        values += wanted * condition.count("{0}")
    if question.key_id is not None:
        conditions.append("key_id = ?")
        values.append(question.key_id)
    if by_tag and question.tag_name is not None:
        conditions.append(f"substr(tag, 1, {len(question.tag_name) + 1}) = ?")
        values.append(f"{question.tag_name}=")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    joined = f"FROM span JOIN {table} ON hour_start_micros >= span.starts AND hour_start_micros < span.ends"
    return _Source(f"{joined}{where}", tuple(values))


def _row(row: Sequence[Value], groups: int) -> UsageRow:
    group = tuple(str(each) for each in row[2 : 2 + groups])
    return UsageRow((int(row[0]), int(row[1])), group, _sums(row[2 + groups :]))


def _sums(numbers: Sequence[Value]) -> UsageSums:
    return UsageSums(*(int(each) for each in numbers))


def _values_of(dimension: Dimension, question: UsageQuestion, rows: Sequence[UsageRow]) -> list[str]:
    if dimension not in question.group_by:
        return []
    place = question.group_by.index(dimension)
    return sorted({row.group[place] for row in rows} - {""})


def _names(cursor: Cursor, statement: str, ids: Sequence[str]) -> dict[str, str]:
    names = dict[str, str]()
    for first in range(0, len(ids), NAMES_AT_ONCE):
        some = ids[first : first + NAMES_AT_ONCE]
        found = cursor.execute(statement.format(_marks(some)), [*some] * statement.count("{0}")).fetchall()
        names |= {str(each): str(name) for each, name in found}
    return names


def _marks(values: Sequence[Value]) -> str:
    return ", ".join("?" * len(values))
