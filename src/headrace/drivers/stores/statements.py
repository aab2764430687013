"""Owns the ledger's hot statements in SQLAlchemy Core and prints them as `sql.py`; not for run time.

Compiling once, ahead of time, keeps SQLAlchemy's half second of importing out of every start.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from headrace.drivers.stores.schema import (
    attempt,
    epoch,
    hold,
    price_version,
    request,
    resolution,
    scope,
    settled_line,
    waiver,
)
from headrace.drivers.stores.schema_hours import USAGE_COUNTERS, tag_hour, usage_hour
from headrace.drivers.stores.schema_routing import decision

LINE = 120
HEADER = '''"""SQL of the ledger's hot statements, made from statements.py by `make generate`.

The comment above each text lists its parameters in order.
"""
'''


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement with the name it gets in `sql.py`."""

    name: str
    core: sa.ClauseElement


def _given(name: str) -> sa.BindParameter[int]:
    return sa.bindparam(name, type_=sa.Integer)


def _text(name: str) -> sa.BindParameter[str]:
    return sa.bindparam(name, type_=sa.Text)


def _row(table: sa.Table, *columns: str) -> dict[str, sa.ColumnElement[str] | sa.ColumnElement[int]]:
    """Return a bound parameter per column; where NULL is allowed, '' or -1 stands for it.

    Binding None costs the library ten times as much as binding a number.
    """
    bound: dict[str, sa.ColumnElement[str] | sa.ColumnElement[int]] = {}
    for column in table.c:
        if columns and column.name not in columns:
            continue
        is_text = isinstance(column.type, sa.Text)
        value = sa.bindparam(column.name, type_=column.type, required=True)
        nothing: sa.ColumnElement[str] = sa.literal_column("''" if is_text else "-1", sa.Text)
        bound[column.name] = sa.func.nullif(value, nothing) if column.nullable else value
    return bound


def inserts() -> Iterator[Statement]:
    """Yield the statements that write new rows."""
    new = sqlite.insert
    for name, table, key in (
        ("ADD_REQUEST", request, ["request_id"]),
        ("ADD_PRICE", price_version, ["price_version"]),
        ("ADD_SCOPE", scope, ["scope"]),
        ("ADD_DECISION", decision, ["request_id"]),
        ("ADD_WAIVER", waiver, ["attempt_id"]),
    ):
        yield Statement(name, new(table).values(_row(table)).on_conflict_do_nothing(index_elements=key))
    for name, table, columns in (
        ("ADD_ATTEMPT", attempt, ()),
        ("ADD_HOLD", hold, ("attempt_id",)),
        ("ADD_RESOLUTION", resolution, ()),
        ("ADD_LINE", settled_line, ()),
    ):
        yield Statement(name, sa.insert(table).values(_row(table, *columns)))
    process = sa.insert(epoch).values(_row(epoch, "pid", "version", "started_at_micros"))
    yield Statement("ADD_EPOCH", process.returning(epoch.c.epoch))
    limited = new(scope).values(_row(scope))
    changed = {"limit_nano": limited.excluded.limit_nano}
    yield Statement("SET_LIMIT", limited.on_conflict_do_update(index_elements=["scope"], set_=changed))


def attempt_changes() -> Iterator[Statement]:
    """Yield the steps of an open attempt; closing its hold returns when it was sent."""
    mine = hold.c.attempt_id == _text("of_attempt")
    yield Statement(
        "MARK_SENT",
        sa.update(hold).where(mine, hold.c.sent_at_micros.is_(None)).values(sent_at_micros=_given("sent_at_micros")),
    )
    yield Statement(
        "CHECKPOINT",
        sa.update(hold)
        .where(mine)
        .values(
            checkpoint_output_tokens=_given("tokens"),
            checkpoint_bytes=_given("bytes"),
            checkpoint_at_micros=_given("at"),
        ),
    )
    answer = (hold.c.attempt_id, sa.func.coalesce(hold.c.sent_at_micros, sa.literal_column("-1")))
    ended = hold.c.attempt_id.in_([_text("of_attempt")])
    yield Statement("CLOSE_HOLDS", sa.delete(hold).where(ended).returning(*answer))


def grouped_changes() -> Iterator[Statement]:
    """Yield what changes many rows at once, each to its own values: one group of parameters a row."""
    step = _table("step", attempt=sa.Text, at=sa.Integer)
    yield Statement(
        "MARK_ALL_SENT",
        sa.update(hold)
        .where(hold.c.attempt_id == step.c.attempt, hold.c.sent_at_micros.is_(None))
        .values(sent_at_micros=step.c.at)
        .returning(hold.c.attempt_id),
    )
    count = _table("step", tokens=sa.Integer, bytes=sa.Integer, at=sa.Integer, attempt_id=sa.Text)
    yield Statement(
        "CHECKPOINT_ALL",
        sa.update(hold)
        .where(hold.c.attempt_id == count.c.attempt_id)
        .values(
            checkpoint_output_tokens=count.c.tokens,
            checkpoint_bytes=count.c.bytes,
            checkpoint_at_micros=count.c.at,
        ),
    )
    move = _table("move", scope=sa.Text, held=sa.Integer, spent=sa.Integer)
    moved = {"held_nano": scope.c.held_nano + move.c.held, "spent_nano": scope.c.spent_nano + move.c.spent}
    yield Statement("MOVE_ALL", sa.update(scope).where(scope.c.scope == move.c.scope).values(moved))


def _table(name: str, **columns: type[sa.Text | sa.Integer]) -> sa.CTE:
    named = [sa.column(column, kind) for column, kind in columns.items()]
    given = tuple(sa.bindparam(column, type_=kind()) for column, kind in columns.items())
    return sa.values(*named, name=name).data([given]).cte(name)


def usage_sums() -> Iterator[Statement]:
    """Yield what adds to the hourly sums of usage."""
    for name, table in (("ADD_USAGE", usage_hour), ("ADD_TAG_USAGE", tag_hour)):
        new = sqlite.insert(table).values(_row(table))
        added = {column: table.c[column] + new.excluded[column] for column in USAGE_COUNTERS}
        places = [column.name for column in table.primary_key]
        yield Statement(name, new.on_conflict_do_update(index_elements=places, set_=added))


def balance_reads() -> Iterator[Statement]:
    """Yield the reading of a scope's balance; what moves one is among the grouped changes."""
    mine = scope.c.scope == _text("of_scope")
    balance = sa.select(scope.c.limit_nano, scope.c.held_nano, scope.c.spent_nano)
    yield Statement("READ_BALANCE", balance.where(mine))


def compiled(statement: Statement) -> tuple[str, list[str]]:
    """Return one statement's SQL text and the names of its parameters in order."""
    result = statement.core.compile(dialect=sqlite.dialect(paramstyle="qmark"))
    if not isinstance(result, SQLCompiler) or result.positiontup is None:
        raise TypeError(f"{statement.name} did not compile to positional SQL")
    own = [name for name in result.positiontup if not result.binds[name].required]
    if own:
        raise ValueError(f"{statement.name} binds a value of its own: {own}")
    return " ".join(str(result).split()), list(result.positiontup)


def module_text() -> str:
    """Return the whole text of `sql.py`."""
    parts = [HEADER]
    for statement in (*inserts(), *attempt_changes(), *grouped_changes(), *usage_sums(), *balance_reads()):
        text, names = compiled(statement)
        comment = textwrap.fill(", ".join(names), 100, initial_indent="# ", subsequent_indent="# ")
        if len(statement.name) + len(text) + 5 <= LINE:
            parts.append(f'\n{comment}\n{statement.name} = "{text}"\n')
            continue
        width = LINE - 6
        lines = [text] if len(text) <= width else textwrap.wrap(text, width, drop_whitespace=False)
        quoted = "\n".join(f'    "{line}"' for line in lines)
        parts.append(f"\n{comment}\n{statement.name} = (\n{quoted}\n)\n")
    return "".join(parts)


if __name__ == "__main__":
    sys.stdout.write(module_text())
